"""The figures against values worked out by hand, against torchmetrics, and against what must hold in any case."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_f1_score,
    multiclass_jaccard_index,
    multiclass_precision,
    multiclass_recall,
)

from ovsr_ros.evaluation.metrics import (
    ClassCounts,
    center_square,
    confusion,
    count_labels,
    overlap,
    resize_nearest,
)

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
    summary = count_labels(prediction, truth, 4).summary()
    assert summary["miou"] == pytest.approx(3 / 4)
    assert summary["miou_all"] == pytest.approx(3 / 8)


def test_nothing_to_judge_is_no_figure():
    counts = count_labels(PREDICTION, np.full((4, 4), 255, np.uint8), 4)
    assert all(np.isnan(value) for value in counts.summary().values())
    assert np.isnan(counts.iou()).all()


def test_unlabeled_pixels_are_misses_of_the_truth_and_nobodys_false_alarm():
    counts = count_labels(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 2)
    assert counts.false_negative.tolist() == [4, 0]
    assert counts.false_positive.tolist() == [0, 0]


@given(label_maps, label_maps, st.permutations(range(4)))
@settings(max_examples=60)
def test_renaming_the_classes_renames_the_counts(prediction, truth, order):
    table = np.array([*order, *range(4, 255), 255], np.uint8)
    renamed = count_labels(table[prediction], table[truth], 4)
    plain = count_labels(prediction, truth, 4)
    assert np.array_equal(renamed.true_positive[order], plain.true_positive)
    assert np.array_equal(renamed.false_positive[order], plain.false_positive)
    assert np.array_equal(renamed.false_negative[order], plain.false_negative)


@given(label_maps, label_maps)
@settings(max_examples=60)
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


# --- Against torchmetrics ---


@pytest.mark.parametrize("seed", range(6))
def test_every_figure_agrees_with_torchmetrics_per_class(seed):
    """It knows no "no class": such pixels are a class more there, which no pixel of the truth has."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.array([0, 1, 2, 3, 4, 255], np.uint8), (40, 30))
    right = rng.random((40, 30)) < 0.5
    prediction = np.where(right & (truth != 255), truth, rng.choice(np.array([0, 1, 2, 3, 4, 255], np.uint8), (40, 30)))
    counts = count_labels(prediction, truth, 5)
    given = {
        "preds": torch.from_numpy(np.where(prediction == 255, 5, prediction).astype(np.int64)),
        "target": torch.from_numpy(truth.astype(np.int64)),
        "num_classes": 6,
        "average": "none",
        "ignore_index": 255,
    }
    for ours, theirs in (
        (counts.iou(), multiclass_jaccard_index),
        (counts.precision(), multiclass_precision),
        (counts.recall(), multiclass_recall),
        (counts.recall(), multiclass_accuracy),
        (counts.f1(), multiclass_f1_score),
    ):
        assert ours.tolist() == pytest.approx(theirs(**given)[:5].tolist(), abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("num_present", [2, 5])
def test_the_summary_agrees_with_torchmetrics(seed, num_present):
    """num_present under 5: classes that neither map has, which both leave out of the mean."""
    rng = np.random.default_rng(seed)
    values = np.array([*range(num_present), 255], np.uint8)
    truth, prediction = rng.choice(values, (40, 30)), rng.choice(values, (40, 30))
    summary = count_labels(prediction, truth, 5).summary()
    target, guess = torch.from_numpy(truth.astype(np.int64)), torch.from_numpy(prediction.astype(np.int64))
    filled = torch.where(guess == 255, 5, guess)
    accuracy = multiclass_accuracy(filled, target, 6, average="micro", ignore_index=255)
    assert summary["pixel_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)
    assert summary["recall"] == pytest.approx(float(accuracy), abs=1e-6)
    named = guess != 255  # a pixel without a label is nobody's false alarm
    precision = multiclass_precision(guess[named], target[named], 5, average="micro", ignore_index=255)
    assert summary["precision"] == pytest.approx(float(precision), abs=1e-6)
    both = float(precision), float(accuracy)
    assert summary["f1"] == pytest.approx(2 * both[0] * both[1] / sum(both), abs=1e-6)

    whole = count_labels(np.where(prediction == 255, 0, prediction), truth, 5).summary()
    guess = torch.where(guess == 255, 0, guess)
    miou = multiclass_jaccard_index(guess, target, 5, average="macro", ignore_index=255)
    assert whole["miou"] == pytest.approx(float(miou), abs=1e-6)
    assert whole["miou_all"] == pytest.approx(float(miou), abs=1e-6)
    micro = multiclass_f1_score(guess, target, 5, average="micro", ignore_index=255)
    assert whole["f1"] == pytest.approx(float(micro), abs=1e-6)


def test_the_confusion_matrix_by_hand():
    expected = [[3, 1, 0, 0, 0], [0, 4, 0, 0, 0], [1, 0, 4, 0, 1], [0, 0, 0, 0, 0]]
    assert confusion(PREDICTION, TRUTH, 4).tolist() == expected


def test_all_254_classes_and_no_class_are_told_apart():
    labels = np.arange(256, dtype=np.uint8)[None]
    table = confusion(labels, np.where(labels == 255, 7, labels).astype(np.uint8), 255)
    assert table.trace() == 255
    assert table[7, 255] == 1
    assert table.sum() == 256


# --- Sizes ---


@pytest.mark.parametrize("shape", [(12, 14), (3, 7), (5, 4), (1, 1), (6, 7), (17, 31)])
def test_resizing_takes_the_value_under_each_pixels_centre(shape):
    labels = np.random.default_rng(0).integers(0, 255, (6, 7), np.uint8)
    expected = cv2.resize(labels, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    assert resize_nearest(labels, shape).tolist() == expected.tolist()


def test_resizing_keeps_large_values():
    assert resize_nearest(np.array([[70000, 3]]), (2, 4)).tolist() == [[70000, 70000, 3, 3]] * 2


def test_the_centre_square_is_the_middle():
    labels = np.arange(20).reshape(4, 5)
    assert center_square(labels).tolist() == labels[:, :4].tolist()
    wide = np.arange(14).reshape(2, 7)
    assert center_square(wide).tolist() == wide[:, 2:4].tolist()
    assert center_square(wide.T).tolist() == wide.T[2:4].tolist()
