import numpy as np
import pytest
import torch

from ovsr_ros.ops.dendrogram import Dendrogram, relabel_by_appearance, sort_merges
from ovsr_ros.ops.ward import linkage

CHAIN = Dendrogram(np.array([[0, 1], [2, 4], [3, 5]]), np.array([1.0, 2.0, 3.0]))


def test_a_cut_leaves_that_many_clusters():
    assert CHAIN.cut(1).tolist() == [0, 0, 0, 0]
    assert CHAIN.cut(2).tolist() == [0, 0, 0, 1]
    assert CHAIN.cut(3).tolist() == [0, 0, 1, 2]
    assert CHAIN.cut(4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("num_clusters", [0, 5])
def test_impossible_cuts_are_refused(num_clusters):
    with pytest.raises(ValueError, match="expected 1 to 4"):
        CHAIN.cut(num_clusters)


def test_each_cut_refines_the_one_before():
    dendrogram = linkage(torch.randn(256, 4, generator=torch.Generator().manual_seed(0)))
    for num_clusters in range(1, 40):
        coarse, fine = dendrogram.cut(num_clusters), dendrogram.cut(num_clusters + 1)
        pairs = np.unique(np.stack((coarse, fine)), axis=1)
        assert pairs.shape[1] == num_clusters + 1
        assert len(np.unique(coarse)) == num_clusters


def test_labels_are_in_order_of_first_appearance():
    assert relabel_by_appearance(np.array([7, 7, 2, 9, 2])).tolist() == [0, 0, 1, 2, 1]


def test_sorting_renames_the_clusters():
    made = sort_merges(np.array([[0, 1], [2, 3], [4, 5]]), np.array([2.0, 1.0, 3.0]))
    assert made.merges.tolist() == [[2, 3], [0, 1], [5, 4]]
    assert made.heights.tolist() == [1.0, 2.0, 3.0]


def test_equal_heights_keep_parts_before_their_union():
    made = sort_merges(np.array([[0, 1], [4, 2], [5, 3]]), np.zeros(3))
    assert made.merges.tolist() == [[0, 1], [4, 2], [5, 3]]
