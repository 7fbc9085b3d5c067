"""The scripts that look at photographs, on drawn images in the photographs' layout and with their network."""

import re
import shutil
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch.nn import functional

from ovsr_ros.evaluation.sample import Sample
from ovsr_ros.models.weight_packages import MEAN, STD
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.pocket.photos import PhotoFolder
from ovsr_ros.settings import load_settings

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


class _Said:
    """Towers whose text embeddings are the unit vectors in the words' order, and whose cells say what is painted."""

    mean, std = torch.zeros(3), torch.ones(3)
    colors = torch.tensor([(90, 90, 90), (220, 40, 40), (40, 60, 220), (40, 200, 40)]) / 255

    def encode_texts(self, words):
        return torch.eye(4)[: len(words)]

    def look(self, images, levels):
        distances = (images[:, None] - self.colors[None, :, :, None, None]).square().sum(2)
        maps = functional.avg_pool2d((distances == distances.amin(1, keepdim=True)).float(), 8)
        return SimpleNamespace(last=functional.normalize(maps, dim=1))


def test_towers_that_know_everything_are_right_everywhere_but_on_borders(load_script, drawn_sets):
    script = load_script("photo_words")
    photos = script.Photos.load(PhotoFolder(drawn_sets / "camvid-val"))
    rows = list(script.measure(photos, script.find_ways(photos, _Said()), ["can"]))
    assert [row.split(" | ")[:3] for row in rows] == [
        ["| camvid-val", "pair", "names"],
        ["| camvid-val", "pair", "never seen"],
    ]
    pixels, miou, borders, piece_pixels, piece_miou, largest = map(float, rows[0].split(" | ")[3:9])
    assert 0.95 < pixels <= 1
    assert 0.85 < miou <= 1
    assert borders > 0.9
    assert piece_pixels == piece_miou == largest == 1
    assert rows[0].rstrip(" |").endswith("1.000 of 1"), "one can in three images"


def test_a_pipeline_is_judged_beside_its_segments_with_true_labels(load_script, drawn_sets):
    script = load_script("photo_words")
    photos = script.Photos.load(PhotoFolder(drawn_sets / "camvid-val"))
    options = load_settings("demo", {"device": "cpu", "text.cache_directory": "none"}).pipeline
    ways = script.find_ways(photos, _Said(), Pipeline(options))
    rows = [row.split(" | ") for row in script.measure(photos, ways, ())]
    assert [row[1:3] for row in rows[2:]] == [
        ["pipeline", "names"],
        ["pipeline", "never seen"],
        ["its segments, true labels", "names"],
    ]
    said, true = (float(row[4]) for row in (rows[2], rows[4]))
    assert 0 < said <= true
    assert true > 0.9, "coloured discs are easy to find"


def test_labels_of_a_place_are_those_of_most_of_it(load_script):
    labels = np.array([[0, 0, 1], [255, 1, 1]], np.uint8)
    answer = load_script("photo_words").by_labels(labels)
    assert answer.name(np.ones((2, 3), bool)) == 1
    assert answer.name(np.array([[True, True, True], [True, False, False]])) == 0


def test_a_linear_head_learns_what_is_painted(load_script, drawn_sets):
    script = load_script("photo_words")
    photos = script.Photos.load(PhotoFolder(drawn_sets / "camvid-val"))
    other = drawn_sets / "others"
    shutil.copytree(drawn_sets / "nyuv2-val", other)
    (other / "classes.txt").write_text("floor\nball\nbox\ntin\n", encoding="utf-8")
    heads = [PhotoFolder(other), PhotoFolder(drawn_sets / "camvid-val")]
    ways = script.find_ways(photos, _Lite0Said(), heads=heads, short_side=128)
    (row,) = (row.split(" | ") for row in script.measure(photos, {"linear head": ways["linear head"]}, ()))
    assert row[1:3] == ["linear head", "names"]
    assert float(row[3]) > 0.9
    assert float(row[7]) > 0.7, "of true pieces: mean IoU"
    assert "linear head" not in script.find_ways(photos, _Lite0Said(), heads=heads[:1]), "it has other classes"


def test_a_piece_is_named_by_the_mean_of_its_own_cells(load_script):
    script = load_script("photo_words")
    scores = torch.zeros(2, 2, 2)
    scores[0] = 0.5
    scores[1, 0, 0] = 0.9
    place = np.zeros((16, 16), bool)
    place[:8, :8] = True
    assert script.name_of(place, scores) == 1
    place[:, :] = True
    assert script.name_of(place, scores) == 0
    truth = np.full((16, 16), 255, np.uint8)
    truth[:4, :4] = truth[12:, 12:] = 1
    truth[:4, 12:] = 0
    assert [(number, int(piece.sum())) for number, piece in script.pieces_of(truth)] == [(0, 16), (1, 16), (1, 16)]


def test_words_that_training_never_saw_stand_for_their_classes(load_script):
    sample = Sample("one", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), ("sofa; couch", "wall"), (1, 0))
    class_names = load_script("photo_words").class_names
    assert class_names(sample, unseen=False) == ["wall", "sofa"]
    assert class_names(sample, unseen=True) == ["wall", "couch"]


class _Lite0Said(_Said):
    """The same for images as EfficientNet-Lite0 takes them."""

    mean, std = torch.full((3,), MEAN), torch.full((3,), STD)


class _Names:
    """Words' embeddings that have nothing to do with each other, the same for one word each time."""

    mean, std = torch.full((3,), MEAN), torch.full((3,), STD)

    def encode_texts(self, words):
        drawn = [torch.randn(256, generator=torch.Generator().manual_seed(zlib.crc32(word.encode()))) for word in words]
        return functional.normalize(torch.stack(drawn), dim=1)


def test_anchors_alone_know_what_imagenet_knows(load_script):
    script, model = load_script("photo_words"), _Names()
    cells = script.conse(model)(script.prepare(skimage.data.coffee(), 256, model))
    assert cells.shape == (256, 8, 12)
    torch.testing.assert_close(cells.norm(dim=0), torch.ones(8, 12))
    words = ["espresso", "cup", "coffee mug", "tabby", "sports car", "volcano", "accordion", "airliner"]
    scores = torch.einsum("dhw,td->thw", cells, model.encode_texts(words))
    assert words[script.name_of(np.ones((64, 96), bool), scores)] in words[:3]
