"""The scripts that look at photographs, on drawn images in the photographs' layout and with their network."""

import re

import cv2
import numpy as np
import pytest

SIZES = {"nyuv2-val": 2, "camvid-val": 3}


@pytest.fixture
def drawn_sets(tmp_path):
    """Both sets: a floor and as many discs as the image's number says."""
    for name, num_images in SIZES.items():
        for part in ("images", "masks"):
            (tmp_path / name / part).mkdir(parents=True)
        (tmp_path / name / "classes.txt").write_text("floor\nball\nbox\ncan\n", encoding="utf-8")
        for number in range(num_images):
            mask = np.zeros((120, 160), np.uint8)
            for disc in range(number + 1):
                cv2.circle(mask, (30 + 50 * disc, 60), 20, disc + 1, -1)
            colors = np.array([(90, 90, 90), (40, 40, 220), (220, 60, 40), (40, 200, 40)], np.uint8)
            assert cv2.imwrite(str(tmp_path / name / "images" / f"{number}.png"), colors[mask])
            assert cv2.imwrite(str(tmp_path / name / "masks" / f"{number}.png"), mask)
    return tmp_path


def test_counts_are_correlated_with_the_classes_in_view(load_script, lite0, drawn_sets, tmp_path, monkeypatch, capsys):
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        f"config: ovsr\nbase: {{features.model: {lite0}, device: cpu}}\nprotocols: [hungarian]\n"
        "datasets:\n  - {dataset: folder, root: nyuv2-val, name: homes}\n"
        "  - {dataset: folder, root: camvid-val, name: streets}\nruns: {again: {features.grid_rows: 40}}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr("sys.argv", ["photo_counts.py", str(sweep), "--root", str(drawn_sets)])
    load_script("photo_counts").main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["homes", "streets", "all"]
    classes = [float(re.search(r"([\d.]+) classes", line)[1]) for line in lines]
    assert classes == [2.5, 3.0, 2.8]  # the floor and 1 or 2 discs; 1, 2 or 3; of all five images
    assert all(2 <= float(re.search(r"([\d.]+) clusters", line)[1]) <= 32 for line in lines)


def test_a_correlation_needs_numbers_that_vary(load_script):
    describe = load_script("photo_counts").describe
    assert "correlation 1.00, 6.0 clusters, 3.0 classes" in describe("homes", [(4, 2), (8, 4)])
    assert "correlation -1.00" in describe("homes", [(8, 2), (4, 4)])
    assert "correlation -," in describe("streets", [(4, 11), (8, 11)])


def test_boxes_of_parts_are_smaller_and_fuller(load_script, lite0, drawn_sets, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["photo_boxes.py", "--root", str(drawn_sets)])
    load_script("photo_boxes").main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["clusters", "connected parts"]
    numbers, boxes, fills = np.array(
        [re.search(r"([\d.]+) segments.* box ([\d.]+) % of the image, (\d+) %", line).groups() for line in lines], float
    ).T
    assert numbers[1] >= numbers[0] >= 2
    assert boxes[1] <= boxes[0]
    assert fills[1] >= fills[0]
    mious = [[float(value) for value in re.findall(r"-val ([\d.]+)", line)] for line in lines]
    assert all(len(row) == 2 and min(row) > 0.2 for row in mious)
