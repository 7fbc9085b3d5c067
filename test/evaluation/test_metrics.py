"""The figures against values worked out by hand, and against what must hold whatever the labels are called."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ovsr_ros.evaluation.metrics import ClassCounts, count_labels, match_clusters, overlap

TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 255], [2, 2, 2, 255]], np.uint8)
PREDICTION = np.array([[0, 0, 1, 1], [0, 1, 1, 1], [2, 2, 0, 0], [2, 255, 2, 2]], np.uint8)

label_maps = arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, 3, 255]))


def test_counts_by_hand():
    counts = count_labels(PREDICTION, TRUTH, 4)
    assert counts.true_positive.tolist() == [3, 4, 4, 0]
    assert counts.false_positive.tolist() == [1, 1, 0, 0]
    assert counts.false_negative.tolist() == [1, 0, 2, 0]


def test_figures_by_hand():
    counts = count_labels(PREDICTION, TRUTH, 4)
    assert counts.iou()[:3].tolist() == pytest.approx([3 / 5, 4 / 5, 4 / 6])
    assert np.isnan(counts.iou()[3])
    assert counts.precision()[:3].tolist() == pytest.approx([3 / 4, 4 / 5, 1])
    assert counts.recall()[:3].tolist() == pytest.approx([3 / 4, 1, 4 / 6])
    assert counts.f1()[:3].tolist() == pytest.approx([6 / 8, 8 / 9, 8 / 10])
    summary = counts.summary()
    assert summary["miou"] == pytest.approx((3 / 5 + 4 / 5 + 4 / 6) / 3)
    assert summary["pixel_accuracy"] == pytest.approx(11 / 14)
    assert summary["precision"] == pytest.approx(11 / 13)
    assert summary["f1"] == pytest.approx(22 / 27)


def test_a_class_that_is_only_predicted_lowers_no_mean():
    """A distractor that was found where it is not costs the true class its pixels; it is no class of the truth."""
    truth, prediction = np.zeros((2, 2), np.uint8), np.array([[0, 0], [0, 3]], np.uint8)
    assert count_labels(prediction, truth, 4).summary()["miou"] == pytest.approx(3 / 4)


def test_unlabeled_pixels_are_misses_of_the_truth_and_nobodys_false_alarm():
    counts = count_labels(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 2)
    assert counts.false_negative.tolist() == [4, 0]
    assert counts.false_positive.tolist() == [0, 0]


@given(label_maps, label_maps, st.permutations(range(4)))
@settings(max_examples=60, deadline=None)
def test_renaming_the_classes_renames_the_counts(prediction, truth, order):
    table = np.array([*order, *range(4, 255), 255], np.uint8)
    renamed = count_labels(table[prediction], table[truth], 4)
    plain = count_labels(prediction, truth, 4)
    assert np.array_equal(renamed.true_positive[order], plain.true_positive)
    assert np.array_equal(renamed.false_positive[order], plain.false_positive)
    assert np.array_equal(renamed.false_negative[order], plain.false_negative)


@given(label_maps, label_maps)
@settings(max_examples=60, deadline=None)
def test_counts_against_loops(prediction, truth):
    counts = count_labels(prediction, truth, 4)
    pairs = [(int(p), int(t)) for p, t in zip(prediction.ravel(), truth.ravel(), strict=True) if t != 255]
    for label in range(4):
        assert counts.true_positive[label] == sum(p == t == label for p, t in pairs)
        assert counts.false_positive[label] == sum(p == label != t for p, t in pairs)
        assert counts.false_negative[label] == sum(t == label != p for p, t in pairs)


def test_counts_add_up_over_images():
    total = count_labels(PREDICTION, TRUTH, 4) + count_labels(PREDICTION.T.copy(), TRUTH.T.copy(), 4)
    assert total.true_positive.tolist() == [6, 8, 8, 0]
    empty = ClassCounts.zeros(4) + total
    assert np.array_equal(empty.false_negative, total.false_negative)


def test_wrong_maps_are_named():
    with pytest.raises(ValueError, match=r"one shape, got \(2, 2\) and \(2, 3\)"):
        count_labels(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)
    with pytest.raises(ValueError, match="truth: expected labels below 2 or 255, got 7"):
        count_labels(np.zeros((1, 1), np.uint8), np.full((1, 1), 7, np.uint8), 2)


def test_overlap_counts_pairs():
    rows, columns = np.array([[0, 1], [1, 1]]), np.array([[2, 0], [0, 2]])
    assert overlap(rows, columns, (2, 3)).tolist() == [[0, 0, 1], [2, 0, 1]]


def test_clusters_are_matched_for_the_most_agreement():
    """Greedy matching would give cluster 5 to class 0 (4 pixels) and lose 3 + 3; the assignment does better."""
    clusters = np.array([[5, 5, 5, 5, 5, 5, 5], [9, 9, 9, 9, 9, 9, 9]])
    truth = np.array([[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 255]], np.uint8)
    matched = match_clusters(clusters, truth, 2)
    assert matched[0].tolist() == [1] * 7
    assert matched[1].tolist() == [0] * 7


def test_clusters_left_over_are_no_class():
    clusters = np.array([[1, 1, 2, 3]])
    truth = np.array([[0, 0, 0, 1]], np.uint8)
    assert match_clusters(clusters, truth, 4).tolist() == [[0, 0, 255, 1]]


@given(label_maps, arrays(np.int64, (6, 7), elements=st.integers(0, 5)), st.permutations(range(6)))
@settings(max_examples=60, deadline=None)
def test_matching_agrees_with_trying_everything_and_ignores_names(truth, clusters, order):
    from itertools import permutations

    matched = match_clusters(clusters, truth, 4)
    hits = int((matched == truth)[truth != 255].sum())
    slots = [*range(4), 254, 254]
    best = max(int((np.array(choice)[clusters] == truth)[truth != 255].sum()) for choice in set(permutations(slots, 6)))
    assert hits == best
    renamed = match_clusters(np.array(order)[clusters], truth, 4)
    assert int((renamed == truth)[truth != 255].sum()) == best
