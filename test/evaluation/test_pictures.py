"""Pictures of the worst images: which ones, in which order, and what is in them."""

import dataclasses

import cv2
import numpy as np
import pytest

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.figures import image_miou
from ovsr_ros.evaluation.pictures import PANEL_HEIGHT_PX, draw_sample, write_pictures
from ovsr_ros.evaluation.pipeline_predictor import PipelineFactory
from ovsr_ros.evaluation.predictor import Prediction
from ovsr_ros.evaluation.runner import evaluate
from ovsr_ros.vocabulary.palette import default_color

PANEL_TOP_PX = 60


@dataclasses.dataclass(frozen=True)
class Oracle:
    """Answers with the truth, but for a stripe on the left, `wrong` pixels wide, that gets the word `word`."""

    wrong: int = 0
    word: int = 2

    def predict(self, sample):
        labels = sample.truth.copy()
        labels[:, : self.wrong] = self.word
        return Prediction(labels.astype(np.int64), labels)


@pytest.fixture
def data(folder):
    return open_dataset("folder", folder)


def panels_of(picture, sample):
    """The four panels, found by their even layout."""
    height = PANEL_HEIGHT_PX
    width = round(sample.image.shape[1] * height / sample.image.shape[0])
    top = PANEL_TOP_PX
    return [picture[top : top + height, 12 + i * (width + 12) : 12 + i * (width + 12) + width] for i in range(4)]


def test_the_worst_come_first_and_are_named_by_rank(data, seeded_options, tmp_path):
    make_predictor = PipelineFactory(seeded_options)
    figures = evaluate(make_predictor, data)
    stale = tmp_path / "pictures" / "001_old_miou_0.000.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")
    (tmp_path / "pictures" / "notes.txt").write_text("stays")
    drawn = write_pictures(tmp_path / "pictures", figures, data, make_predictor(), 3)
    by_miou = sorted((image_miou(row, len(data.classes)), row.name) for row in figures.per_image)
    assert drawn == [(name, miou) for miou, name in by_miou[:3]]
    expected = {f"{rank:03d}_{name}_miou_{miou:.3f}.png" for rank, (name, miou) in enumerate(drawn, 1)} | {"notes.txt"}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == expected
    for path in (tmp_path / "pictures").glob("*.png"):
        picture = cv2.imread(str(path))
        assert picture.shape[0] > PANEL_HEIGHT_PX
        assert picture.shape[1] > 4 * PANEL_HEIGHT_PX


def test_the_panels_show_input_truth_segments_and_labels(data):
    sample = data.load(0)
    first, truth, segments, labels = panels_of(draw_sample(sample, Oracle().predict(sample), data, "title"), sample)
    resized = cv2.resize(sample.image, (first.shape[1], first.shape[0]), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(first, resized)
    assert np.array_equal(truth, labels)
    assert not np.array_equal(segments, first)
    wrong = panels_of(draw_sample(sample, Oracle(30).predict(sample), data, "title"), sample)
    assert np.array_equal(wrong[1], truth)
    assert not np.array_equal(wrong[3], labels)


def test_the_legend_says_what_is_in_truth_and_labels(data):
    """A swatch of a class's colour where it occurs, and none of a class that does not."""
    sample = data.load(0)

    def has_swatch(picture, index):
        legend = picture[PANEL_TOP_PX + PANEL_HEIGHT_PX :].reshape(-1, 3)
        return bool((legend == default_color(index)).all(1).any())

    picture = draw_sample(sample, Oracle().predict(sample), data, "title")
    assert [has_swatch(picture, index) for index in range(4)] == [True, True, True, False]
    picture = draw_sample(sample, Oracle(10, word=3).predict(sample), data, "title")
    assert has_swatch(picture, 3)


def test_a_word_that_is_no_class_has_a_colour_of_its_own(data):
    sample = dataclasses.replace(data.load(0), word_classes=(0, 1, 2, -1))
    prediction = Oracle(10, word=3).predict(sample)
    picture = draw_sample(sample, prediction, data, "title")
    assert (picture[PANEL_TOP_PX + PANEL_HEIGHT_PX :] == default_color(4)).all(-1).any()


def test_clusters_without_labels_are_drawn_as_matched(data):
    sample = data.load(0)
    named = Oracle().predict(sample)
    without = draw_sample(sample, dataclasses.replace(named, label_map=None), data, "title")
    difference = panels_of(without, sample)[3] != panels_of(draw_sample(sample, named, data, "title"), sample)[3]
    assert not difference.any()


def test_a_long_legend_is_wrapped(data):
    sample = data.load(0)
    many = dataclasses.replace(data, classes=tuple(f"a class of a rather long name, number {i}" for i in range(60)))
    truth = (np.arange(sample.truth.size) % 60).reshape(sample.truth.shape).astype(np.uint8)
    words = tuple(many.classes)
    sample = dataclasses.replace(sample, truth=truth, words=words, word_classes=tuple(range(60)))
    short = draw_sample(data.load(0), Oracle().predict(data.load(0)), data, "title")
    tall = draw_sample(sample, Oracle().predict(sample), many, "title")
    assert tall.shape[1] == short.shape[1]
    assert tall.shape[0] > short.shape[0] + 100


def test_a_folder_that_cannot_be_written_is_named(data, seeded_options, tmp_path):
    (tmp_path / "file").write_text("")
    figures = evaluate(PipelineFactory(seeded_options), data, [0])
    with pytest.raises(ConfigError, match=r"--pictures: .*file.*: cannot be written"):
        write_pictures(tmp_path / "file" / "pictures", figures, data, Oracle(), 1)
