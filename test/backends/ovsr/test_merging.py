"""Clusters that merge: against a reference that computes every step anew, and on cases worked out by hand."""

import itertools

import numpy as np
import pytest

from ovsr_ros.backends.ovsr.merging import _Parts, merge_clusters


def plain_share(labels, one, other):
    """The share of the common border in the shorter one of two clusters' borders, pair of cells by pair of cells."""
    rows, columns = labels.shape
    common, lengths = 0, {one: 0, other: 0}
    for row, column in itertools.product(range(rows), range(columns)):
        for neighbour in ((row + 1, column), (row, column + 1)):
            if neighbour[0] == rows or neighbour[1] == columns or labels[neighbour] == labels[row, column]:
                continue
            pair = {labels[row, column], labels[neighbour]}
            common += pair == {one, other}
            for label in pair & {one, other}:
                lengths[label] += 1
    return common / max(min(lengths.values()), 1)


def plain_distance(labels, points, one, other, weight):
    pairs = points[labels.ravel() == one][:, None] - points[labels.ravel() == other][None]
    return np.sqrt(np.square(pairs).sum(2).mean()) * (1 - weight * plain_share(labels, one, other))


def plain_merge(labels, points, num_clusters, weight):
    labels = labels.copy()
    while len(left := np.unique(labels)) > num_clusters:
        pairs = list(itertools.combinations(left.tolist(), 2))
        one, other = min(pairs, key=lambda pair: plain_distance(labels, points, *pair, weight))
        labels[labels == other] = one
    return by_appearance(labels)


def by_appearance(labels):
    names = {label: number for number, label in enumerate(dict.fromkeys(labels.ravel().tolist()))}
    return np.vectorize(names.get)(labels)


def random_grid(seed, grid_hw, num_parts):
    """Labels in a patch and speckles, every one taken, in no order; points that lie about a middle for each label."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_parts, grid_hw)
    labels[: grid_hw[0] // 2, : grid_hw[1] // 2] = 0
    where = rng.permutation(labels.size)[:num_parts]
    labels.flat[where] = np.arange(len(where))
    labels = np.unique(labels, return_inverse=True)[1].reshape(grid_hw)  # fewer where there are fewer cells
    points = rng.normal(size=(num_parts, 3))[labels.ravel()] + rng.normal(0, 0.3, (labels.size, 3))
    return labels, points


def stripes(*values):
    """Upright stripes of 4 rows and 2 columns, each with one value: (4, 2S) labels and (8S, 1) points."""
    labels = np.repeat(np.arange(len(values)), 2)[None].repeat(4, 0)
    return labels, np.array(values, float)[labels.ravel()][:, None]


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_each_step_is_that_of_the_reference(seed, weight):
    labels, points = random_grid(seed, (6, 7), 8)
    for num_clusters in range(1, labels.max() + 2):
        merged = merge_clusters(labels, points, num_clusters, weight)
        assert np.array_equal(merged, plain_merge(labels, points, num_clusters, weight))


@pytest.mark.parametrize("grid_hw", [(1, 12), (12, 1), (1, 1), (2, 2)])
def test_narrow_grids(grid_hw):
    for seed in range(3):
        labels, points = random_grid(seed, grid_hw, 5)
        for num_clusters in range(1, labels.max() + 2):
            merged = merge_clusters(labels, points, num_clusters, 0.3)
            assert merged.shape == grid_hw
            assert np.array_equal(merged, plain_merge(labels, points, num_clusters, 0.3))


def test_as_many_clusters_as_asked_numbered_as_they_appear():
    labels, points = random_grid(5, (16, 20), 40)
    for num_clusters in (1, 2, 7, 39, 40):
        merged = merge_clusters(labels, points, num_clusters, 0.3)
        assert len(np.unique(merged)) == num_clusters
        assert np.array_equal(merged, by_appearance(merged))
    assert np.array_equal(merged, by_appearance(labels))  # none of 40 was merged
    assert (merge_clusters(labels, points, 1, 0.3) == 0).all()


def test_merging_never_parts_what_was_together():
    labels, points = random_grid(6, (10, 12), 20)
    for num_clusters in range(1, 20):
        merged = merge_clusters(labels, points, num_clusters, 0.3)
        assert len(np.unique(np.stack((labels.ravel(), merged.ravel())), axis=1).T) == 20


def test_without_a_weight_the_likest_merge_though_they_are_apart():
    labels, points = stripes(0, 10, 1)
    assert merge_clusters(labels, points, 2, 0.0)[0].tolist() == [0, 0, 1, 1, 0, 0]


def test_with_a_weight_those_that_touch_merge_where_distances_are_close():
    # The outer stripes are 1 apart and do not touch. The left one's border is all the middle one's: 1.1 counts as .77.
    labels, points = stripes(0, 1.1, -1)
    assert merge_clusters(labels, points, 2, 0.0)[0].tolist() == [0, 0, 1, 1, 0, 0]
    assert merge_clusters(labels, points, 2, 0.3)[0].tolist() == [0, 0, 0, 0, 1, 1]
    labels, points = stripes(0, 2, -1)  # 2 counts as 1.4
    assert merge_clusters(labels, points, 2, 0.3)[0].tolist() == [0, 0, 1, 1, 0, 0]


def test_the_share_is_that_of_the_shorter_border():
    # A field of 5 x 5 with a hole of one cell, and a row of 5 cells below it. The field has all of the hole's border, 4
    # of 4, and all of the row's, 5 of 5. Hole and row do not touch.
    labels = np.zeros((6, 5), np.int64)
    labels[2, 2], labels[5] = 1, 2
    points = np.array([0.0, 3.0, -3.5])[labels.ravel()][:, None]
    parts = _Parts(labels, points, 0.5)
    np.testing.assert_allclose(parts.distances_to(0), [np.inf, 3.0 / 2, 3.5 / 2])
    np.testing.assert_allclose(parts.distances_to(1), [3.0 / 2, np.inf, 6.5])


@pytest.mark.parametrize("seed", range(3))
def test_distances_and_shares_are_those_of_the_points_after_every_merge(seed):
    labels, points = random_grid(seed, (8, 9), 10)
    with_border, without = _Parts(labels, points, 1.0), _Parts(labels, points, 0.0)
    left = list(range(10))
    for kept, gone in ((0, 4), (1, 2), (0, 9), (3, 5), (0, 1)):
        for parts in (with_border, without):
            parts.merge(kept, gone)
        labels = np.where(labels == gone, kept, labels)
        left.remove(gone)
        for part in left:
            others = [other for other in left if other != part]
            distances = without.distances_to(part)[others]
            expected = [plain_distance(labels, points, part, other, 0.0) for other in others]
            np.testing.assert_allclose(distances, expected, rtol=1e-9)
            shares = 1 - with_border.distances_to(part)[others] / distances
            assert (shares >= -1e-12).all()
            assert (shares <= 1 + 1e-12).all()
            np.testing.assert_allclose(shares, [plain_share(labels, part, other) for other in others], atol=1e-9)


def test_equal_input_gives_equal_output_and_stays_as_it_was():
    labels, points = random_grid(7, (9, 11), 12)
    before = labels.copy(), points.copy()
    first = merge_clusters(labels, points, 4, 0.3)
    assert np.array_equal(merge_clusters(labels, points, 4, 0.3), first)
    assert np.array_equal(labels, before[0])
    assert np.array_equal(points, before[1])


def test_what_clusters_are_called_does_not_matter():
    labels, points = random_grid(8, (9, 11), 12)
    names = np.random.default_rng(0).permutation(12)
    for num_clusters in (2, 5, 9):
        expected = merge_clusters(labels, points, num_clusters, 0.3)
        assert np.array_equal(merge_clusters(names[labels], points, num_clusters, 0.3), expected)


def test_points_that_are_all_the_same_still_merge():
    labels, _ = random_grid(9, (6, 6), 9)
    merged = merge_clusters(labels, np.full((36, 2), 0.1), 3, 0.3)
    assert len(np.unique(merged)) == 3
