"""Borders against cases worked out by hand, and against a slow search over all pairs of pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ovsr_ros.evaluation.boundaries import boundary_score, class_boundary_scores, find_borders, score_borders

EVERYWHERE = np.ones((4, 4), bool)
label_maps = arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 0, 0, 1, 1, 2, 255]))
tolerances = st.sampled_from([0.0, 1.0, 1.5, 3.0])


def slow_borders(labels, judged, label=None):
    """Pixel by pixel, with its right and its lower neighbour."""
    height, width = labels.shape
    borders = set()
    for y in range(height):
        for x in range(width):
            for other in ((y, x + 1), (y + 1, x)):
                if other[0] == height or other[1] == width or not judged[y, x] or not judged[other]:
                    continue
                differ = labels[y, x] != labels[other]
                if differ and (label is None or label in (labels[y, x], labels[other])):
                    borders.add((y, x))
    return borders


def slow_share(borders, others, tolerance):
    near = sum(any((y - v) ** 2 + (x - u) ** 2 <= tolerance**2 for v, u in others) for y, x in borders)
    return near / len(borders)


def slow_score(predicted, true, tolerance):
    if not predicted or not true:
        same = float(bool(predicted) == bool(true))
        return same, same
    return slow_share(predicted, true, tolerance), slow_share(true, predicted, tolerance)


def test_borders_by_hand():
    labels = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [2, 2, 2, 2]], np.uint8)
    expected = np.array([[0, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool)
    assert find_borders(labels, EVERYWHERE).tolist() == expected.tolist()


def test_one_region_has_no_border_not_even_the_images():
    assert not find_borders(np.full((4, 4), 3, np.uint8), EVERYWHERE).any()


def test_ignored_pixels_make_no_borders():
    """Neither in the truth, around them, nor in the prediction, under them."""
    truth = np.array([[0, 255, 1, 1]] * 4, np.uint8)
    prediction = np.array([[0, 0, 1, 1]] * 4, np.uint8)
    judged = truth != 255
    assert not find_borders(truth, judged).any()
    assert not find_borders(prediction, judged).any()
    score = boundary_score(prediction, truth)
    assert (score.precision, score.recall, score.f1) == (1.0, 1.0, 1.0)


def test_a_border_within_the_tolerance_counts_as_right():
    truth, prediction = np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8)
    truth[:, 15:] = 1
    prediction[:, 18:] = 1
    assert boundary_score(prediction, truth, 3.0).f1 == 1.0
    assert boundary_score(prediction, truth, 2.9).f1 == 0.0


def test_the_tolerance_is_a_euclidean_distance():
    """Two pixels right and two down are 2.83 away."""
    first, second = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    first[2, 2] = second[4, 4] = True
    assert score_borders(first, second, 2.83).f1 == 1.0
    assert score_borders(first, second, 2.82).f1 == 0.0


def test_precision_and_recall_by_hand():
    """The prediction finds one of two true borders of equal length, and adds none."""
    truth, prediction = np.zeros((10, 40), np.uint8), np.zeros((10, 40), np.uint8)
    truth[:, 10:] = 1
    truth[:, 30:] = 2
    prediction[:, 11:] = 1
    score = boundary_score(prediction, truth)
    assert (score.precision, score.recall) == (1.0, 0.5)
    assert score.f1 == pytest.approx(2 / 3)
    reverse = boundary_score(truth, prediction)
    assert (reverse.precision, reverse.recall) == (0.5, 1.0)


def test_borders_on_one_side_only_are_all_wrong():
    flat, halves = np.zeros((8, 8), np.uint8), np.repeat(np.array([0, 1], np.uint8), 4)[None].repeat(8, 0)
    assert boundary_score(flat, halves).f1 == boundary_score(halves, flat).f1 == 0.0


def test_the_regions_names_do_not_matter():
    truth = np.random.default_rng(0).integers(0, 3, (20, 20), np.uint8)
    segments = np.array([900, 7, 33])[truth]
    assert boundary_score(segments, truth, 0.0).f1 == 1.0


@given(label_maps, label_maps, tolerances)
@settings(max_examples=60)
def test_the_score_agrees_with_a_search_over_all_pairs(prediction, truth, tolerance):
    judged = truth != 255
    score = boundary_score(prediction, truth, tolerance)
    expected = slow_score(slow_borders(prediction, judged), slow_borders(truth, judged), tolerance)
    assert (score.precision, score.recall) == pytest.approx(expected)


@given(label_maps, label_maps, tolerances)
@settings(max_examples=60)
def test_each_class_by_itself_agrees_with_a_search_over_all_pairs(prediction, truth, tolerance):
    judged = truth != 255
    scores = class_boundary_scores(prediction, truth, tolerance)
    assert sorted(scores) == sorted({int(value) for value in truth[judged]})
    for label, score in scores.items():
        borders = (slow_borders(labels, judged, label) for labels in (prediction, truth))
        assert (score.precision, score.recall) == pytest.approx(slow_score(*borders, tolerance))


@given(label_maps, label_maps)
@settings(max_examples=30)
def test_swapping_the_maps_swaps_precision_and_recall(first, second):
    judged = (first != 255) & (second != 255)
    first, second = np.where(judged, first, 255).astype(np.uint8), np.where(judged, second, 255).astype(np.uint8)
    there, back = boundary_score(first, second), boundary_score(second, first)
    assert (there.precision, there.recall, there.f1) == (back.recall, back.precision, back.f1)


def test_a_class_that_is_missed_scores_nothing_and_the_others_keep_theirs():
    truth = np.zeros((20, 20), np.uint8)
    truth[2:6, 2:6], truth[12:18, 12:18] = 1, 2
    prediction = np.where(truth == 1, 0, truth)
    scores = class_boundary_scores(prediction, truth)
    assert {label: scores[label].f1 for label in (1, 2)} == {1: 0.0, 2: 1.0}
    assert scores[0].precision == 1.0  # all of the border that class 0 was given is true: the one to class 2
    small, large = (len(slow_borders(truth, np.ones((20, 20), bool), label)) for label in (1, 2))
    assert scores[0].recall == pytest.approx(large / (small + large))
