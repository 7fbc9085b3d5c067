"""`ovsr evaluate` as it is typed: what it writes, its exit codes, and that a kill costs nothing but time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ovsr_ros.cli import main
from ovsr_ros.demo.scenes import CATEGORIES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def words(folder, seeded_config):
    return ["evaluate", "--dataset", "folder", "--root", str(folder), "--config", seeded_config]


def test_it_writes_report_page_journal_and_pictures(words, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*words, "--out", str(out), "--pictures", "2", "--json", str(tmp_path / "deep" / "a.json")]) == 0
    printed = capsys.readouterr()
    report = json.loads((out / "report.json").read_text())
    assert report == json.loads((tmp_path / "deep" / "a.json").read_text())
    assert (report["dataset"], report["images"], report["skipped"]) == ("folder", 4, [])
    assert f"| open-vocabulary     | {report['miou']:.3f} |" in printed.out
    assert "folder val: 100%" in printed.err
    assert (out / "report.md").read_text().startswith("# folder, val")
    assert len((out / "journal.jsonl").read_text().splitlines()) == 5
    assert len(list((out / "pictures").iterdir())) == 2


def test_nothing_is_kept_that_was_not_asked_for(words, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main([*words, "--limit", "1"]) == 0
    assert list(Path.cwd().iterdir()) == []
    assert main([*words, "--limit", "1", "--json", "a.json", "--markdown", "a.md"]) == 0
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["a.json", "a.md"]


def test_images_that_cannot_be_used_show_in_the_exit_code(words, folder, tmp_path, capsys):
    image = folder / "images" / "2.png"
    image.write_bytes(image.read_bytes()[:-60])
    target = tmp_path / "a.json"
    assert main([*words, "--json", str(target)]) == 3
    printed = capsys.readouterr()
    assert "1 images could not be used and were skipped:" in printed.out
    assert f"- 2: {image}" in printed.out
    report = json.loads(target.read_text())
    assert report["images"] == 3
    assert report["skipped"][0]["name"] == "2"
    assert len(list(tmp_path.glob("a.json.journal.jsonl"))) == 1  # kept: the same command tries that image again


def test_fresh_judges_everything_anew(words, folder, tmp_path):
    out = ["--out", str(tmp_path / "out")]
    assert main([*words, *out]) == 0
    journal = tmp_path / "out" / "journal.jsonl"
    before = journal.read_text().splitlines()
    for path in (folder / "images").iterdir():
        path.unlink()
    for number in range(4):  # at the place of the images, something that is none
        (folder / "images" / f"{number}.png").write_bytes(b"no image")
    assert main([*words, *out]) == 0
    assert journal.read_text().splitlines() == before
    assert main([*words, *out, "--fresh"]) == 3
    assert len(journal.read_text().splitlines()) == 1


def test_other_options_do_not_mix_with_what_was_judged(words, tmp_path, caplog):
    out = ["--out", str(tmp_path / "out")]
    assert main([*words, *out, "--limit", "2"]) == 0
    assert main([*words, *out, "--set", "score_threshold=0.9"]) == 0
    assert "of a run with other predictor.options.score_threshold; put aside" in caplog.text
    assert json.loads((tmp_path / "out" / "report.json").read_text())["images"] == 4


def test_protocols_and_their_options(words, tmp_path):
    target = tmp_path / "a.json"
    chosen = ["--protocol", "hungarian", "--protocol", "hungarian-dataset", "--size", "32"]
    assert main([*words, *chosen, "--json", str(target)]) == 0
    report = json.loads(target.read_text())
    assert {"hungarian", "hungarian_dataset"} <= report.keys()
    assert "labelled" not in report
    assert report["protocols"]["size"] == 32


def test_background_merging_and_the_backgrounds_names(words, folder, tmp_path):
    (folder / "classes.txt").write_text("background: ground; lawn\ndisc; circle\nbar\n", encoding="utf-8")
    target = tmp_path / "a.json"
    assert main([*words, "--background-merging", "--json", str(target)]) == 0
    report = json.loads(target.read_text())
    assert report["options"]["text.background_names"] == ["ground", "lawn"]
    assert report["protocols"]["merge_background"] is True
    assert report["protocols"]["unlabeled_counts_as"] == "background"
    plain = tmp_path / "b.json"
    own = ["--set", "text.background_names=[clutter]"]
    assert main([*words, *own, "--json", str(plain)]) == 0
    assert json.loads(plain.read_text())["options"]["text.background_names"] == ["clutter"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--background-merging"], "data set folder has no class for the background"),
        (["--pictures", "2"], "--pictures: needs a folder to write them to; name it: --out DIR"),
        (["--root", "/no/such/folder"], "/no/such/folder"),
        (["--classes", "/no/such/file"], "/no/such/file"),
        (["--split", "nonsense"], "nonsense"),
        (["--config", "nonsense"], "nonsense: no such config file, nor a preset of that name"),
        (["--set", "score_treshold=1"], "nearest known key is 'score_threshold'"),
        (["--device", "gpu"], "device: expected auto, cpu"),
        (["--set", "clip.model=/no/such"], "/no/such: no such file or folder"),
    ],
)
def test_what_cannot_be_done_ends_in_one_line_and_exit_code_2(words, arguments, message, capsys):
    assert main([*words, *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("ovsr: ")
    assert message in lines[0]


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--workers", "-1"], ["--size", "big"], ["--dataset", "voc"]])
def test_a_wrong_call_shows_the_usage(words, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*words, *arguments])
    assert caught.value.code == 2
    assert "usage: ovsr evaluate" in capsys.readouterr().err


# --- Killed runs ---

SCENES = ["evaluate", "--dataset", "scenes", "--split", "val", "--config", "demo", "--limit", "6"]


def start(arguments, cache):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ovsr_ros.cli", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows_in(journal):
    return journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0


def wait_until(condition, what, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def children_of(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_killed_run_goes_on_and_ends_with_the_same_figures(tmp_path):
    """Killed with its workers at work, which must not stay behind; resumed by one process; against one never killed."""
    out = tmp_path / "killed"
    journal = out / "journal.jsonl"
    run = start([*SCENES, "--out", str(out), "--workers", "2"], tmp_path / "cache")
    wait_until(lambda: rows_in(journal) >= 2 or run.poll() is not None, "two images")
    workers = children_of(run)
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL
    assert len(workers) >= 2
    wait_until(lambda: not any(map(is_running, workers)), "the workers' end", 60)
    judged = rows_in(journal)
    assert 2 <= judged < 6, "killed too late to show anything"

    resumed = start([*SCENES, "--out", str(out)], tmp_path / "cache")
    _, errors = resumed.communicate(timeout=600)
    assert resumed.returncode == 0, errors
    assert "6/6" in errors
    assert rows_in(journal) == 6

    through = start([*SCENES, "--out", str(tmp_path / "through")], tmp_path / "cache")
    _, errors = through.communicate(timeout=600)
    assert through.returncode == 0, errors
    killed, whole = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("killed", "through"))
    for report in (killed, whole):
        assert report["images"] == 6
        assert set(report["per_class"]) == set(CATEGORIES)
        assert report.pop("seconds") > 0
        report.pop("command")
    assert killed == whole
