import time

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster
from scipy.cluster.hierarchy import linkage as scipy_linkage
from scipy.ndimage import gaussian_filter

from ovsr_ros.ops.ward import Dendrogram, linkage, relabel_by_appearance, ward


def smooth_points(rows, columns, dims, seed=0):
    """Points as an image's latents are: near neighbours are alike, later dimensions are weaker."""
    rng = np.random.default_rng(seed)
    maps = [gaussian_filter(rng.normal(size=(rows, columns)), rng.uniform(1, 4)) for _ in range(dims)]
    points = np.stack([m / m.std() for m in maps], -1).reshape(-1, dims) * np.linspace(1, 0.2, dims)
    return torch.from_numpy(points.astype(np.float32))


@pytest.mark.parametrize("method", ["ward", "average", "complete"])
@pytest.mark.parametrize("seed", range(4))
def test_partitions_and_heights_are_scipys(method, seed):
    points = smooth_points(24, 32, 6, seed)
    dendrogram = linkage(points, method)
    tree = scipy_linkage(points.double().numpy(), method)
    np.testing.assert_allclose(dendrogram.heights, tree[:, 2], rtol=2e-4, atol=1e-6)
    for num_clusters in (1, 2, 3, 5, 8, 12, 20, 64, 700):
        expected = relabel_by_appearance(fcluster(tree, num_clusters, "maxclust").astype(np.int64))
        assert np.array_equal(dendrogram.cut(num_clusters), expected)


def test_unstructured_points_give_scipys_partitions():
    points = torch.randn(1000, 16, generator=torch.Generator().manual_seed(0))
    tree = scipy_linkage(points.double().numpy(), "ward")
    dendrogram = ward(points)
    for num_clusters in (2, 7, 30, 400):
        expected = relabel_by_appearance(fcluster(tree, num_clusters, "maxclust").astype(np.int64))
        assert np.array_equal(dendrogram.cut(num_clusters), expected)


def test_merge_heights_never_descend_and_children_come_first():
    dendrogram = ward(smooth_points(20, 30, 5))
    assert (np.diff(dendrogram.heights) >= 0).all()
    own_id = np.arange(600, 600 + 599)
    assert (dendrogram.merges.max(1) < own_id).all()
    assert np.array_equal(np.sort(dendrogram.merges.ravel()), np.arange(2 * 600 - 2))


def test_each_cut_refines_the_one_before():
    dendrogram = ward(smooth_points(16, 16, 4))
    for num_clusters in range(1, 40):
        coarse, fine = dendrogram.cut(num_clusters), dendrogram.cut(num_clusters + 1)
        pairs = np.unique(np.stack((coarse, fine)), axis=1)
        assert pairs.shape[1] == num_clusters + 1
        assert len(np.unique(coarse)) == num_clusters


def test_order_of_the_points_does_not_change_the_partition():
    points = smooth_points(20, 20, 4)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(3))
    permuted = np.empty(400, np.int64)
    permuted[order.numpy()] = ward(points[order]).cut(9)
    assert np.array_equal(relabel_by_appearance(permuted), ward(points).cut(9))


def test_shift_and_scale_do_not_change_the_partition():
    points = smooth_points(20, 20, 4)
    assert np.array_equal(ward(points * 1000 + 5000).cut(9), ward(points).cut(9))


def test_labels_are_in_order_of_first_appearance():
    labels = ward(smooth_points(16, 16, 4)).cut(10)
    _, first = np.unique(labels, return_index=True)
    assert np.array_equal(first, np.sort(first))
    assert labels[0] == 0


def test_equal_points_merge_first_and_stay_fast():
    points = smooth_points(40, 50, 6)
    points[:1500] = points[0]
    start = time.process_time()
    dendrogram = ward(points)
    assert time.process_time() - start < 10  # a round per pair would take minutes
    assert (dendrogram.heights[:1499] == 0).all()
    assert len(np.unique(dendrogram.cut(300)[:1500])) == 1
    tree = scipy_linkage(points.double().numpy(), "ward")
    np.testing.assert_allclose(dendrogram.heights[1499:], tree[1499:, 2], rtol=1e-4)


def test_ties_of_a_lattice_still_give_a_valid_tree():
    points = torch.stack(torch.meshgrid(torch.arange(12.0), torch.arange(15.0), indexing="ij"), -1).reshape(-1, 2)
    dendrogram = ward(points)
    assert (np.diff(dendrogram.heights) >= 0).all()
    for num_clusters in (1, 2, 50, 180):
        assert len(np.unique(dendrogram.cut(num_clusters))) == num_clusters


@pytest.mark.parametrize("method", ["ward", "average", "complete"])
def test_few_points(method):
    assert linkage(torch.ones(1, 3), method).cut(1).tolist() == [0]
    two = linkage(torch.tensor([[0.0], [3.0]]), method)
    assert two.cut(1).tolist() == [0, 0]
    assert two.cut(2).tolist() == [0, 1]
    assert two.heights[0] == pytest.approx(3.0, rel=1e-6)
    assert linkage(torch.zeros(4, 2), method).cut(2).tolist() in ([0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1])


def test_impossible_cuts_and_methods_are_refused():
    dendrogram = ward(torch.arange(5.0)[:, None])
    assert isinstance(dendrogram, Dendrogram)
    for num_clusters in (0, 6):
        with pytest.raises(ValueError, match="expected 1 to 5"):
            dendrogram.cut(num_clusters)
    with pytest.raises(ValueError, match="ward, average, complete"):
        linkage(torch.zeros(3, 2), "single")


def test_points_are_not_changed():
    points = smooth_points(10, 10, 3)
    before = points.clone()
    ward(points)
    assert torch.equal(points, before)
