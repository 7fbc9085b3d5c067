"""Matching against scipy's assignment done by hand, against trying everything, and against itself renamed."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from ovsr_ros.evaluation.assignment import match_clusters, match_dataset, match_table
from ovsr_ros.evaluation.metrics import ClassCounts, confusion, count_labels

truths = arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, 3, 255]))
cluster_maps = arrays(np.int64, (6, 7), elements=st.integers(0, 5))


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


def test_a_cluster_is_not_named_after_a_class_of_which_it_has_no_pixel():
    clusters = np.array([[1, 1, 1, 2]])
    truth = np.array([[0, 0, 1, 0]], np.uint8)
    assert match_clusters(clusters, truth, 3).tolist() == [[0, 0, 0, 255]]


def test_where_everything_is_ignored_nothing_is_matched():
    assert match_clusters(np.array([[0, 1]]), np.array([[255, 255]], np.uint8), 3).tolist() == [[255, 255]]
    assert match_clusters(np.array([[0, 1]]), np.array([[255, 255]], np.uint8), 3, 0).tolist() == [[255, 255]]


def test_a_tie_goes_by_what_appears_first():
    """Both namings agree in two pixels."""
    clusters, truth = np.array([[1, 1], [2, 2]]), np.array([[2, 1], [1, 2]], np.uint8)
    matched = match_clusters(clusters, truth, 3)
    assert matched.tolist() == match_clusters(np.array([[2, 2], [1, 1]]), truth, 3).tolist()
    swapped = match_clusters(clusters, np.array([[1, 2], [2, 1]], np.uint8), 3)
    assert swapped.tolist() == np.array([0, 2, 1])[matched].tolist()


@given(truths, cluster_maps)
@settings(max_examples=60)
def test_matching_agrees_with_trying_everything(truth, clusters):
    matched = match_clusters(clusters, truth, 4)
    hits = int((matched == truth)[truth != 255].sum())
    slots = [*range(4), 254, 254]
    best = max(int((np.array(choice)[clusters] == truth)[truth != 255].sum()) for choice in set(permutations(slots, 6)))
    assert hits == best


@given(truths, cluster_maps, st.permutations(range(6)), st.permutations(range(4)), st.sampled_from([None, 2]))
@settings(max_examples=100)
def test_neither_the_clusters_names_nor_the_classes_decide(truth, clusters, order, class_order, background):
    """Even where several assignments are equally good."""
    matched = match_clusters(clusters, truth, 4, background)
    assert match_clusters(np.array(order)[clusters] * 50, truth, 4, background).tolist() == matched.tolist()
    table = np.array([*class_order, *range(4, 255), 255], np.uint8)
    renamed = match_clusters(clusters, table[truth], 4, None if background is None else class_order[background])
    assert renamed.tolist() == table[matched].tolist()


@given(truths, cluster_maps)
@settings(max_examples=60)
def test_counts_agree_with_an_assignment_made_by_hand(truth, clusters):
    """Class by class, the pixels that the assignment's pairs share, as DiffSeg's and DiffCut's protocol counts them."""
    judged = truth != 255
    table = np.array([[(judged & (clusters == k) & (truth == c)).sum() for k in range(6)] for c in range(4)])
    rows, columns = linear_sum_assignment(table, maximize=True)
    counts = count_labels(match_clusters(clusters, truth, 4), truth, 4)
    assert counts.true_positive.sum() == table[rows, columns].sum()
    assert (counts.true_positive + counts.false_negative).tolist() == table.sum(1).tolist()


# --- Background merging ---


def test_what_matches_no_object_becomes_one_background():
    """Four clusters share the background; without merging, only the largest of them can have its name."""
    clusters = np.array([[1, 1, 1, 2], [1, 3, 3, 2], [4, 3, 3, 5], [4, 4, 5, 5]])
    truth = np.array([[0, 0, 0, 0], [0, 7, 7, 0], [0, 7, 7, 0], [0, 0, 0, 0]], np.uint8)
    merged = match_clusters(clusters, truth, 8, background=0)
    assert merged.tolist() == truth.tolist()
    plain = match_clusters(clusters, truth, 8)
    assert (plain == 0).sum() == 4
    assert (plain == 255).sum() == 8


def test_the_second_matching_may_take_a_name_back():
    """Cluster 1 alone shares a pixel with class 1; but it is worth more as background than for that pixel."""
    clusters = np.array([[1, 1, 1, 1], [2, 2, 2, 2]])
    truth = np.array([[1, 0, 0, 0], [2, 2, 2, 2]], np.uint8)
    assert match_clusters(clusters, truth, 3, background=0).tolist() == [[0] * 4, [2] * 4]


def test_an_image_of_background_only():
    clusters = np.array([[1, 2, 3, 4]])
    assert match_clusters(clusters, np.zeros((1, 4), np.uint8), 5, background=0).tolist() == [[0] * 4]


@given(truths, cluster_maps)
@settings(max_examples=60)
def test_merging_agrees_with_the_protocol_done_step_by_step(truth, clusters):
    """With scipy alone, on agreed pixels: which is what the protocol maximises."""
    judged = truth != 255
    table = np.array([[(judged & (clusters == k) & (truth == c)).sum() for c in range(4)] for k in range(6)])
    hits = int((match_clusters(clusters, truth, 4, background=0) == truth)[judged].sum())
    best = table[:, 1:][linear_sum_assignment(table[:, 1:], maximize=True)].sum()
    possible = set()
    for kept in permutations(range(6), 3):  # kept[c - 1] goes to class c; every optimum of the first matching
        if sum(table[k, c] for c, k in enumerate(kept, 1)) != best:
            continue
        named = [k for c, k in enumerate(kept, 1) if table[k, c] > 0]
        rest = [k for k in range(6) if k not in named]
        second = np.array([*(table[k] for k in named), table[rest].sum(0)])
        possible.add(int(second[linear_sum_assignment(second, maximize=True)].sum()))
    assert hits in possible


# --- Once for a data set ---


def test_the_data_set_is_matched_once():
    """Image by image both labels fit; over both images, label 0 stands for class 1 and label 1 for class 0."""
    truth = np.array([[0, 0, 0, 0, 1, 1]], np.uint8)
    first, second = np.array([[1, 1, 1, 1, 0, 0]], np.uint8), np.array([[0, 0, 1, 1, 1, 255]], np.uint8)
    table = confusion(first, truth, 2) + confusion(second, truth, 2)
    matched = match_dataset(table)
    assert matched.tolist() == [[6, 2, 0], [1, 2, 1]]
    counts = ClassCounts.from_confusion(matched)
    assert counts.iou().tolist() == pytest.approx([6 / 9, 2 / 6])


@pytest.mark.parametrize("seed", range(5))
def test_the_data_sets_matching_agrees_with_trying_everything(seed):
    table = np.random.default_rng(seed).integers(0, 9, (5, 6))
    best = max(sum(table[choice[k], k] for k in range(5)) for choice in permutations(range(5)))
    matched = match_dataset(table)
    assert np.trace(matched[:, :5]) == best
    assert matched.sum(1).tolist() == table.sum(1).tolist()
    assert (matched[:, 5] >= table[:, 5]).all()


@pytest.mark.parametrize("seed", range(5))
def test_renaming_the_labels_changes_no_figure_of_the_data_set(seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 10**6, (5, 6))
    order = np.array([*rng.permutation(5), 5])
    assert match_dataset(table[:, order]).tolist() == match_dataset(table).tolist()


def test_a_label_left_over_is_no_class():
    """Label 1 was given only to pixels of class 0, which label 0 names already."""
    assert match_dataset(np.array([[5, 3, 1], [0, 0, 2]])).tolist() == [[5, 0, 4], [0, 0, 2]]


def test_a_table_without_agreement_names_nothing():
    assert match_table(np.zeros((3, 2), np.int64)).tolist() == [-1, -1, -1]
    assert match_table(np.array([[0, 0], [0, 4]])).tolist() == [-1, 1]
