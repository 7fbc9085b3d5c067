"""What examples are worth, measured on drawn images with the embedded models, and on vectors whose answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from ovsr_ros.backends.ovsr.alignment import AlignmentOptions
from ovsr_ros.backends.ovsr.examples import ExampleOptions
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

COLORS = np.array([(90, 90, 90), (40, 40, 220), (220, 60, 40)], np.uint8)


@pytest.fixture
def script(load_script):
    return load_script("photo_examples")


def seen(script, rows):
    """An image whose segments are (embedding, class) of 100 pixels each; of three classes."""
    embeddings = torch.nn.functional.normalize(torch.tensor([row for row, _ in rows], dtype=torch.float32), dim=1)
    pixels = np.zeros((len(rows), 3), np.int64)
    for number, (_, label) in enumerate(rows):
        pixels[number, label] = 100
    return script.Seen(embeddings, pixels, 100 * len(rows))


# Text and image embeddings stand apart in the last two dimensions; the words take class 1 for class 0.
TEXTS = [[1, 0, 0, 0, 2, 0], [0, 1, 0, 0, 2, 0], [0, 0, 1, 0, 2, 0]]
CLASS_0, MISTAKEN_1, CLASS_2 = [1, 0, 0, 0.3, 0, 3], [0.6, 0.2, 0, -1.5, 0, 3], [0, 0, 1, 0.2, 0, 3]


@pytest.fixture
def study(script):
    texts = torch.nn.functional.normalize(torch.tensor(TEXTS, dtype=torch.float32), dim=1)
    classifier = TextClassifier(texts, torch.arange(3, dtype=torch.uint8), ("a", "b", "c"), 1)
    labels = script.Labels(classifier, np.arange(3), 3, AlignmentOptions(method="none"), 100.0, 0.0)
    images = [seen(script, [(CLASS_0, 0), (MISTAKEN_1, 1), (CLASS_2, 2)]) for _ in range(3)]
    return script.Study(("a", "b", "c"), labels, images, images)


def test_by_words_a_class_is_another(study):
    assert study.by_words.iou().tolist() == [0.5, 0.0, 1.0]
    assert sorted(study.candidates) == [0, 1, 2]


@pytest.mark.parametrize("rule", ["weights", "maximum", "alone"])
def test_an_example_mends_its_class_and_costs_the_others_nothing(study, rule):
    ways = [ExampleOptions(rule=rule, margin=0.1, reach=0.05), ExampleOptions(rule="none")]
    taught, nothing = study.one_at_a_time(2, 1, ways)
    assert (taught.before, nothing.after) == ([0.5, 0.0, 1.0], [0.5, 0.0, 1.0])
    assert taught.after[1] == 1.0
    assert taught.others[1] == pytest.approx(0.25), "class 0 has its pixels alone again, class 2 is as it was"
    assert nothing.others == [0.0, 0.0, 0.0]
    mended, as_before = study.all_at_once(1, 2, ways)
    assert mended == [1.0, 1.0]
    assert as_before == [pytest.approx(0.5)] * 2


def test_who_has_too_few_examples_is_left_out(study):
    (row,) = study.one_at_a_time(4, 1, [ExampleOptions()])
    assert row.before == []
    assert study.all_at_once(4, 1, [ExampleOptions()]) == [[]]


def test_examples_are_of_different_images_and_the_same_in_every_run(script):
    candidates = [(image, torch.full((2,), float(10 * image + number))) for image in range(5) for number in range(3)]
    first = script.draw(candidates, 4, np.random.default_rng([1, 2]))
    again = script.draw(candidates, 4, np.random.default_rng([1, 2]))
    assert torch.equal(first, again)
    assert len({int(value) // 10 for value in first[:, 0]}) == 4


def test_only_segments_of_one_class_are_pointed_at(script):
    pixels = np.array([[790, 210, 0], [800, 200, 0], [4, 0, 0], [0, 0, 0]])
    pointed = script.pointed_at(script.Seen(torch.zeros(4, 2), pixels, 2000))
    assert list(pointed) == [(1, 0)]


def test_the_script_prints_its_tables(script, tmp_path, monkeypatch, capsys):
    for name, num_images in (("teach", 2), ("judge", 2)):
        for part in ("images", "masks"):
            (tmp_path / name / part).mkdir(parents=True)
        (tmp_path / name / "classes.txt").write_text("floor\nball\nbox\n", encoding="utf-8")
        for number in range(num_images):
            mask = np.zeros((120, 160), np.uint8)
            cv2.circle(mask, (40 + 10 * number, 60), 25, 1, -1)
            cv2.rectangle(mask, (100, 30), (140, 90), 2, -1)
            assert cv2.imwrite(str(tmp_path / name / "images" / f"{number}.png"), COLORS[mask])
            assert cv2.imwrite(str(tmp_path / name / "masks" / f"{number}.png"), mask)
    command = ["--config", "demo", "--set", "text.cache_directory=none", "--shots", "1", "--draws", "1"]
    folders = ["--teach", str(tmp_path / "teach"), "--judge", f"{tmp_path / 'judge'}[0:1]"]
    few = ["--margins", "0.1", "--reaches", "0.2", "--rules", "weights", "alone"]
    monkeypatch.setattr("sys.argv", ["photo_examples.py", *command, *folders, *few])
    script.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("By words alone: mIoU ")
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| 1 |")]
    assert [row[1] for row in rows] == ["weights", "alone", "weights", "alone"]
    for row in rows:
        assert all(-1 <= float(value) <= 1 for value in row[4:6])
