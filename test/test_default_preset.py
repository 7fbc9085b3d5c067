"""Which preset `ovsr segment` takes where none is named: that with the models that are here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from ovsr_ros.cli import main
from ovsr_ros.models.hub import hub_entry
from ovsr_ros.settings import load_settings, models_of

USED = "ovsr: the preset pocket is used, whose small models are in the package"


@pytest.fixture(autouse=True)
def model_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OVSR_MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "models"


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "coffee.png"
    assert cv2.imwrite(str(path), cv2.cvtColor(skimage.data.coffee(), cv2.COLOR_RGB2BGR))
    return str(path)


def test_without_a_hub_s_models_a_photograph_is_labelled_all_the_same(
    tmp_path: Path, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--categories", "cup; mug", "--categories", "table", "--categories", "spoon"]
    assert main(["segment", photo, *words, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(USED)
    assert said[0].endswith("get them: ovsr models download --config ovsr")
    described = json.loads((tmp_path / "out" / "coffee.json").read_text(encoding="utf-8"))
    labels = cv2.imread(str(tmp_path / "out" / "coffee_label_map.png"), cv2.IMREAD_UNCHANGED)
    names = {category["id"]: category["name"] for category in described["categories"]}
    assert {names[label] for label in np.unique(labels) if label != 255} >= {"cup", "table"}


def test_segments_alone_need_no_words_and_are_found_by_the_same_models(
    tmp_path: Path, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", photo, "--segments-only", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.startswith(USED)


def test_the_hub_s_models_are_taken_where_they_are(
    tmp_path: Path, photo: str, model_directory: Path, seeded_models: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of segments alone the feature network is enough; it has random weights here."""
    (kind, name), *others = models_of(load_settings("ovsr").pipeline, before_words=True).values()
    assert not others
    folder = hub_entry(name, kind).folder
    assert folder.is_relative_to(model_directory)
    shutil.copytree(seeded_models.features, folder)
    assert main(["segment", photo, "--segments-only", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("given", [["--config", "ovsr"], ["--set", "clip.model=/no/such"]])
def test_who_names_models_gets_no_others(
    tmp_path: Path, photo: str, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", photo, "--categories", "cup", *given, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "the preset pocket is used" not in said
    assert "on this machine" in said or "no such file" in said
