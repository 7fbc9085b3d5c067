"""How many clusters: the effective rank of block means; and what a number of clusters makes of the tree."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from ovsr_ros.backends.ovsr.clustering import (
    BLOCK,
    ClusterOptions,
    cluster,
    count_clusters,
    effective_rank,
    singular_values_of_blocks,
)
from ovsr_ros.backends.ovsr.merging import merge_clusters
from ovsr_ros.ops.ward import linkage


def latents_of(grid_hw, rank=6, seed=0):
    return torch.randn(grid_hw[0] * grid_hw[1], rank, generator=torch.Generator().manual_seed(seed))


def regions(num_regions, rank=8):
    """Latents (64 * R, rank) of a grid of 8 x 8R cells: R squares of 8 x 8, as unlike each other as can be."""
    columns = torch.arange(8 * num_regions) // 8
    return functional.one_hot(columns, rank).float().repeat(8, 1), (8, 8 * num_regions)


def count(latents, grid_hw, **options):
    values = torch.linalg.svdvals(latents)
    return count_clusters(latents, values, grid_hw, ClusterOptions(**options))


# --- effective_rank


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_equal_values_count_in_full(size):
    assert effective_rank(torch.full((size,), 3.0)) == pytest.approx(size, rel=1e-6)
    assert effective_rank(torch.cat((torch.full((size,), 3.0), torch.zeros(9)))) == pytest.approx(size, rel=1e-6)


def test_no_value_or_none_but_zeros_have_rank_0():
    assert effective_rank(torch.zeros(0)) == 0
    assert effective_rank(torch.zeros(5)) == 0


def test_shares_are_those_of_the_squares():
    # Squares 3 and 1: exp(-(3/4 log 3/4 + 1/4 log 1/4)) = 4 / 3^(3/4).
    assert effective_rank(torch.tensor([3.0, 1.0]).sqrt()) == pytest.approx(4 / 3**0.75, rel=1e-6)


@given(st.lists(st.floats(0, 1000, width=32), min_size=1, max_size=20), st.floats(0.01, 100))
def test_the_effective_rank_lies_between_1_and_the_rank_at_any_scale(values, scale):
    values = torch.tensor([0.5, *values], dtype=torch.float64)
    rank = effective_rank(values)
    assert 1 - 1e-9 <= rank <= len(values) * (1 + 1e-9)
    assert effective_rank(values * scale) == pytest.approx(rank, rel=1e-9)


# --- singular_values_of_blocks


@pytest.mark.parametrize("grid_hw", [(4, 4), (8, 12), (16, 4), (48, 64)])
def test_values_are_those_of_block_means(grid_hw):
    latents = latents_of(grid_hw)
    blocks = latents.numpy().reshape(grid_hw[0] // BLOCK, BLOCK, grid_hw[1] // BLOCK, BLOCK, -1)
    means = torch.from_numpy(blocks.mean((1, 3)).reshape(-1, latents.shape[1]))  # (M, r)
    expected = torch.zeros(latents.shape[1])
    expected[: min(means.shape)] = torch.linalg.svdvals(means)
    values = singular_values_of_blocks(latents, grid_hw, BLOCK)
    torch.testing.assert_close(values, expected, atol=2e-3 * float(expected[0]), rtol=0)
    assert (values.diff() <= 0).all()


@pytest.mark.parametrize("grid_hw", [(1, 1), (2, 3), (4, 1), (3, 4)])
def test_a_grid_smaller_than_a_block_is_one_block(grid_hw):
    latents = latents_of(grid_hw)
    values = singular_values_of_blocks(latents, grid_hw, BLOCK)
    assert values.shape == (6,)
    assert float(values[0]) == pytest.approx(float(latents.mean(0).norm()), rel=1e-4)
    assert (values[1:] < 2e-3 * values[0]).all()


@pytest.mark.parametrize("grid_hw", [(5, 7), (1, 9), (48, 86)])
def test_an_even_grid_has_one_value_whatever_its_size(grid_hw):
    even = torch.tensor([0.6, -0.8, 0.0]).repeat(grid_hw[0] * grid_hw[1], 1)
    values = singular_values_of_blocks(even, grid_hw, BLOCK)
    num_blocks = -(-grid_hw[0] // BLOCK) * -(-grid_hw[1] // BLOCK)
    torch.testing.assert_close(values, torch.tensor([num_blocks**0.5, 0, 0]), atol=2e-3 * num_blocks**0.5, rtol=0)


def test_texture_within_blocks_vanishes():
    grid_hw = (16, 24)
    rows, columns = torch.meshgrid(*map(torch.arange, grid_hw), indexing="ij")
    sides = (columns >= 12).flatten()
    even = torch.stack((sides, ~sides, torch.zeros_like(sides)), 1).float()
    textured = even.clone()
    textured[:, 2] = (1.0 - 2.0 * ((rows + columns) % 2)).flatten()
    expected = singular_values_of_blocks(even, grid_hw, BLOCK)
    torch.testing.assert_close(singular_values_of_blocks(textured, grid_hw, BLOCK), expected, atol=1e-4, rtol=0)
    assert count(textured, grid_hw) == count(even, grid_hw) == 4
    assert effective_rank(torch.linalg.svdvals(textured)) > 2.5 > effective_rank(torch.linalg.svdvals(even))


# --- The rule effective_rank


def test_more_regions_give_more_clusters():
    for num_regions, expected in ((1, 2), (2, 4), (3, 6), (4, 8), (6, 13), (8, 17)):
        assert count(*regions(num_regions), rank_factor=2.1) == expected
    assert [count(*regions(num_regions), rank_factor=1.0) for num_regions in (2, 3, 7)] == [2, 3, 7]


def test_the_count_is_clamped():
    assert count(*regions(8), k_max=10) == 10
    assert count(*regions(1), k_min=5) == 5
    assert count(torch.zeros(12, 3), (3, 4), k_min=1) == 1
    assert count(latents_of((1, 2)), (1, 2), k_min=8) == 2  # never more than cells


# --- cluster


def test_by_cosine_the_rows_lengths_do_not_matter():
    grid_hw = (10, 12)
    latents = latents_of(grid_hw)
    powers = torch.randint(-6, 7, (120, 1), generator=torch.Generator().manual_seed(1))
    scaled = latents * 2.0**powers  # which rounds nothing
    for num_clusters in (2, 9, 80):
        labels = [cluster(rows, num_clusters, grid_hw, ClusterOptions(merge_from=40)) for rows in (latents, scaled)]
        assert np.array_equal(*labels)
        assert len(np.unique(labels[0])) == num_clusters


@pytest.mark.parametrize("merge_from", [0, 64])
def test_by_euclidean_distance_they_do(merge_from):
    rows = torch.tensor([[1.0, 0.0], [10.0, 0.0], [0.0, 1.0]]).repeat_interleave(2, 0).repeat(2, 1)  # 2 x 6 cells
    by_metric = {
        metric: cluster(rows, 2, (2, 6), ClusterOptions(metric=metric, merge_from=merge_from, border_weight=0.0))
        for metric in ("cosine", "euclidean")
    }
    assert by_metric["cosine"].tolist() == [[0, 0, 0, 0, 1, 1]] * 2
    assert by_metric["euclidean"].tolist() == [[0, 0, 1, 1, 0, 0]] * 2


@pytest.mark.parametrize("method", ["average", "ward"])
def test_without_merging_the_tree_is_cut(method):
    grid_hw = (9, 8)
    latents = latents_of(grid_hw)
    tree = linkage(functional.normalize(latents, dim=1), method)
    for num_clusters in (1, 5, 72):
        labels = cluster(latents, num_clusters, grid_hw, ClusterOptions(linkage=method, merge_from=0))
        assert np.array_equal(labels, tree.cut(num_clusters).reshape(grid_hw))


def test_as_many_clusters_as_are_cut_or_more_come_from_the_tree_alone():
    grid_hw = (9, 8)
    latents = latents_of(grid_hw)
    tree = linkage(functional.normalize(latents, dim=1), "average")
    for num_clusters in (10, 11, 32):
        labels = cluster(latents, num_clusters, grid_hw, ClusterOptions(merge_from=10))
        assert np.array_equal(labels, tree.cut(num_clusters).reshape(grid_hw))


def test_the_rest_is_merged_from_the_cut():
    grid_hw = (9, 8)
    rows = functional.normalize(latents_of(grid_hw), dim=1)
    parts = linkage(rows, "average").cut(20).reshape(grid_hw)
    for num_clusters in (1, 4, 19):
        labels = cluster(rows * 4, num_clusters, grid_hw, ClusterOptions(merge_from=20, border_weight=0.5))
        assert np.array_equal(labels, merge_clusters(parts, rows.double().numpy(), num_clusters, 0.5))


def test_fewer_cells_than_are_cut_merge_from_the_cells():
    grid_hw = (3, 4)
    latents = latents_of(grid_hw)
    rows = functional.normalize(latents, dim=1).double().numpy()
    for num_clusters in (1, 5, 12):
        labels = cluster(latents, num_clusters, grid_hw, ClusterOptions(merge_from=64))
        assert np.array_equal(labels, merge_clusters(np.arange(12).reshape(grid_hw), rows, num_clusters, 0.3))
        assert len(np.unique(labels)) == num_clusters


def test_cells_without_a_direction_are_clustered_too():
    labels = cluster(torch.zeros(12, 3), 2, (3, 4), ClusterOptions())
    assert labels.shape == (3, 4)
    assert len(np.unique(labels)) == 2
