"""`ovsr segment --example`: pictures that count beside words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ovsr_ros.cli import main

LEFT, RIGHT = (60, 60, 60), (200, 120, 40)


@pytest.fixture
def config(tmp_path: Path, seeded_models: Any) -> str:
    path = tmp_path / "seeded.yaml"
    path.write_text(
        f"device: cpu\nscore_threshold: 0.0\nfeatures: {{model: {seeded_models.features}, input_short_side: 64, "
        f"grid_rows: 16}}\nclip: {{model: {seeded_models.clip}}}\n"
        "text: {something_else: [], cache_directory: none}\n",
        encoding="utf-8",
    )
    return str(path)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    image = np.full((64, 96, 3), LEFT, np.uint8)
    image[:, 48:] = RIGHT
    return write(tmp_path / "scene.png", image)


def write(path: Path, image: Any) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def labels(out: Path) -> dict[str, int]:
    """Names of the segments at the left and the right edge."""
    described = json.loads((out / "scene.json").read_text(encoding="utf-8"))
    return {
        side: next(
            segment["label"]
            for segment in described["segments"]
            if segment["box_xyxy"][0] <= column < segment["box_xyxy"][2]
        )
        for side, column in (("left", 0), ("right", 95))
    }


def test_a_picture_of_a_thing_names_what_looks_like_it(tmp_path: Path, config: str, scene: Path) -> None:
    right = write(tmp_path / "right.png", np.full((64, 48, 3), RIGHT, np.uint8))
    command = ["segment", str(scene), "--config", config, "--set", "examples.reach=1.0", "--set", "examples.margin=1.0"]
    out = tmp_path / "out"
    assert main([*command, "--out", str(out), "--categories", "mug", "--example", f"drill={right}"]) == 0
    assert labels(out)["right"] == "drill"
    described = json.loads((out / "scene.json").read_text(encoding="utf-8"))
    assert [category["name"] for category in described["categories"]] == ["mug", "drill"]
    alone = tmp_path / "alone"
    assert main([*command, "--out", str(alone), "--example", f"drill={right}"]) == 0, "no other word is needed"


def test_what_is_transparent_is_not_the_thing(tmp_path: Path) -> None:
    from ovsr_ros.cli.segment_examples import _read

    pixels = np.zeros((40, 50, 4), np.uint8)
    pixels[10:20, 5:30, 3] = 255
    image, mask = _read(write(tmp_path / "cut.png", pixels))
    assert image.shape == (40, 50, 3)
    assert np.argwhere(mask).min(0).tolist() == [10, 5]
    assert mask.sum() == 250
    _, mask = _read(write(tmp_path / "whole.jpg", pixels[..., :3]))
    assert mask.all()


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        (["mug"], "--example: expected NAME=FILE, such as mug=crop.png, got 'mug'"),
        (["=a.png"], "--example: expected NAME=FILE"),
        (["mug="], "--example: expected NAME=FILE"),
        (["something else=a.png"], "is built in"),
        (["mug=/no/such.png"], "--example: /no/such.png: cannot be read: No such file"),
        (["mug={text}"], "text.png: not decodable"),
        (["mug={tiny}"], "tiny.png: image: expected both sides to be at least 16 pixels"),
        (["mug={clear}"], "clear.png: mask: expected a pixel of the thing"),
    ],
)
def test_what_is_no_example_is_named(
    tmp_path: Path, config: str, scene: Path, capsys: pytest.CaptureFixture[str], examples: list[str], said: str
) -> None:
    (tmp_path / "text.png").write_text("not an image", encoding="utf-8")
    write(tmp_path / "tiny.png", np.zeros((8, 8, 3), np.uint8))
    write(tmp_path / "clear.png", np.zeros((32, 32, 4), np.uint8))
    paths = {name: str(tmp_path / f"{name}.png") for name in ("text", "tiny", "clear")}
    arguments = [part for example in examples for part in ("--example", example.format(**paths))]
    command = ["segment", str(scene), "--categories", "ball", "--config", config, "--out", str(tmp_path / "out")]
    assert main([*command, *arguments]) != 0
    assert said in capsys.readouterr().err


def test_segments_alone_have_no_examples(
    tmp_path: Path, config: str, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["segment", str(scene), "--config", config, "--out", str(tmp_path / "out")]
    assert main([*command, "--segments-only", "--example", f"mug={scene}"]) != 0
    assert "--segments-only: nothing is named; expected no --example beside it" in capsys.readouterr().err
