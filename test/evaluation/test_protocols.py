"""What one image adds to the figures, worked out by hand on 4x4 pixels."""

from dataclasses import dataclass

import numpy as np
import pytest

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.predictor import Prediction
from ovsr_ros.evaluation.protocols import ProtocolOptions, dense, judge
from ovsr_ros.evaluation.sample import Sample

ALL = ProtocolOptions(names=("openvocab", "hungarian", "hungarian-dataset"))


@dataclass(frozen=True)
class Data:
    """What a protocol asks of a data set."""

    classes: tuple[str, ...] = ("mug", "ball", "book")
    background: int | None = None
    name: str = "three things"


def sample_of(truth, words=("mug; cup", "ball", "book"), word_classes=(0, 1, 2), **more):
    truth = np.array(truth, np.uint8)
    return Sample("here", np.zeros((*truth.shape, 3), np.uint8), truth, words, word_classes, **more)


def table(entries, num_classes=3):
    return dense(entries, num_classes).tolist()


TRUTH = [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 255], [2, 2, 2, 255]]


def test_words_are_translated_to_classes():
    """Two words may stand for one class, and one for none: a pixel labelled by that one is missed."""
    words, classes = ("cup", "shoe", "ball", "mug", "book"), (0, -1, 1, 0, 2)
    label_map = np.array([[0, 3, 2, 2], [0, 3, 1, 2], [4, 4, 4, 4], [4, 255, 0, 2]], np.uint8)
    row = judge(sample_of(TRUTH, words, classes), Prediction(np.zeros((4, 4), int), label_map), Data(), ALL)
    assert table(row.labelled) == [[4, 0, 0, 0], [0, 3, 0, 1], [1, 0, 4, 1]]


def test_unlabeled_pixels_are_background_where_there_is_one():
    data = Data(("background", "mug"), background=0)
    truth = [[0, 0, 1, 1]]
    label_map = np.array([[255, 1, 255, 0]], np.uint8)
    sample = sample_of(truth, ("mug", "shoe"), (1, -1))
    row = judge(sample, Prediction(np.zeros((1, 4), int), label_map), data, ALL)
    assert table(row.labelled, 2) == [[1, 0, 1], [1, 1, 0]]
    without = judge(sample, Prediction(np.zeros((1, 4), int), label_map), Data(("background", "mug")), ALL)
    assert table(without.labelled, 2) == [[0, 0, 2], [0, 1, 1]]


def test_the_prediction_is_brought_to_the_truths_resolution():
    label_map = np.array([[0, 1], [2, 2]], np.uint8)
    row = judge(sample_of(TRUTH), Prediction(label_map.astype(int), label_map), Data(), ALL)
    perfect = [[4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 6, 0]]
    assert table(row.labelled) == table(row.hungarian) == perfect
    assert row.boundary == row.cluster_boundary == (1.0, 1.0)
    assert dict(row.class_boundary) == {0: 1.0, 1: 1.0, 2: 1.0}


def test_clusters_are_judged_whatever_their_labels():
    clusters = np.array([[7, 7, 3, 3], [7, 7, 3, 3], [0, 0, 0, 0], [0, 0, 0, 9]])
    row = judge(sample_of(TRUTH), Prediction(clusters, np.full((4, 4), 255, np.uint8)), Data(), ALL)
    assert table(row.hungarian) == [[4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 6, 0]]
    assert table(row.labelled) == [[0, 0, 0, 4], [0, 0, 0, 4], [0, 0, 0, 6]]
    assert row.num_segments == 4


def test_what_does_not_label_is_judged_by_its_clusters_alone():
    row = judge(sample_of(TRUTH), Prediction(np.array(TRUTH)), Data(), ALL)
    assert row.labelled is row.boundary is row.class_boundary is row.objects is None
    assert table(row.hungarian) == [[4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 6, 0]]


def test_the_protocols_choose_what_is_measured():
    label_map = np.array(TRUTH, np.uint8)
    prediction = Prediction(label_map.astype(int), label_map)
    only = judge(sample_of(TRUTH), prediction, Data(), ProtocolOptions(names=("openvocab",)))
    assert only.labelled is not None
    assert only.hungarian is only.cluster_boundary is None
    none = judge(sample_of(TRUTH), prediction, Data(), ProtocolOptions(names=()))
    assert none.labelled is none.hungarian is none.boundary is None


def test_hungarian_at_a_size_takes_the_centre_square():
    """4 x 8: the outer columns are cut off, and each 2 x 2 of the middle becomes its pixel nearest to the centre."""
    truth = [[0, 0, 1, 1, 2, 2, 0, 0]] * 4
    clusters = np.array([[9, 9, 4, 4, 5, 5, 9, 9]] * 4)
    options = ProtocolOptions(names=("hungarian",), size=2)
    row = judge(sample_of(truth), Prediction(clusters), Data(), options)
    assert table(row.hungarian) == [[0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]]


def test_hungarian_with_background_merging():
    truth = [[0, 0, 1, 1], [0, 0, 1, 1]]
    clusters = np.array([[3, 4, 1, 1], [5, 6, 1, 1]])
    data = Data(("background", "mug"), background=0)
    sample = sample_of(truth, ("mug",), (1,))
    merged = judge(sample, Prediction(clusters), data, ProtocolOptions(("hungarian",), merge_background=True))
    assert table(merged.hungarian, 2) == [[4, 0, 0], [0, 4, 0]]
    plain = judge(sample, Prediction(clusters), data, ProtocolOptions(("hungarian",)))
    assert table(plain.hungarian, 2) == [[1, 0, 3], [0, 4, 0]]


def test_protocols_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="expected one of openvocab, hungarian, hungarian-dataset, got 'hungarain'"):
        ProtocolOptions(names=("hungarain",)).check(Data())
    with pytest.raises(ConfigError, match="three things has no class for the background"):
        ProtocolOptions(merge_background=True).check(Data())
    with pytest.raises(ConfigError, match="expected at least 1 pixel"):
        ProtocolOptions(size=0).check(Data())


# --- Top-1 of objects ---

INSTANCES = np.zeros((40, 60), np.uint16)
INSTANCES[20:] = 1
INSTANCES[5:25, 5:25] = 2  # 400 px
INSTANCES[5:25, 35:55] = 3  # 400 px
INSTANCES[30:35, 30:35] = 4  # too small to be judged
NAMES = ("wall", "floor", "striped red mug", "plain blue ball", "plain red ball")
WORDS = ("wall", "floor", "Striped  red mug; cup", "plain blue ball", "plain red ball", "spotted red mug")


def objects_of(segment_map, label_map, instance_map=INSTANCES, words=WORDS):
    sample = sample_of(np.zeros((40, 60)), words, (-1,) * len(words), instance_map=instance_map, instance_names=NAMES)
    prediction = Prediction(np.zeros((40, 60), int), label_map.astype(np.uint8), segment_map)
    return judge(sample, prediction, Data(), ProtocolOptions(names=())).objects


def test_objects_are_right_by_the_full_name_of_their_best_segment():
    assert objects_of(INSTANCES + 1, INSTANCES.copy()) == (2, 2, 2)
    swapped = np.array([0, 1, 3, 2, 4])[INSTANCES]
    assert objects_of(INSTANCES + 1, swapped) == (2, 2, 0)
    one_attribute_off = np.array([0, 1, 5, 3, 4])[INSTANCES]
    assert objects_of(INSTANCES + 1, one_attribute_off) == (2, 2, 1)
    unlabeled = np.array([0, 1, 2, 255, 4])[INSTANCES]
    assert objects_of(INSTANCES + 1, unlabeled) == (2, 2, 1)


def test_a_segment_that_fits_badly_may_still_be_right():
    segment_map = np.ones((40, 60), int)
    segment_map[5:12, 5:25] = 2
    segment_map[5:25, 35:55] = 3
    label_map = np.array([255, 0, 2, 3])[segment_map]
    assert objects_of(segment_map, label_map) == (2, 1, 2)


def test_pixels_of_no_segment_answer_nothing():
    assert objects_of(np.zeros((40, 60), int), np.full((40, 60), 255)) == (2, 0, 0)


def test_instances_whose_names_are_not_asked_for_are_not_judged():
    assert objects_of(INSTANCES + 1, INSTANCES.copy(), words=("wall", "floor", "mug", "ball", "book")) is None
    only_one = objects_of(INSTANCES + 1, np.array([0, 1, 2, 255, 255])[INSTANCES], words=WORDS[:3])
    assert only_one == (1, 1, 1)


def test_segments_are_counted_where_they_have_a_pixel():
    maps = np.array([[0, 0, 5], [2, 2, 5]])
    assert Prediction(maps).num_segments == 3
    assert Prediction(maps, segment_map=maps).num_segments == 2
