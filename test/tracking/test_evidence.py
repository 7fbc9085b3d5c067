"""Evidence as lists, by the compiled code, says what evidence as maps says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsr_ros.ops import native
from ovsr_ros.tracking.evidence import DenseEvidence, from_arrays, no_evidence
from ovsr_ros.tracking.sparse_evidence import MOST_MAPS, SparseEvidence, to_maps

CPU = torch.device("cpu")
SIZES_HW = [(60, 80), (33, 47), (1, 9), (7, 1), (1, 1)]


def library():
    found = native.load()
    assert found is not None, "the package is built with its compiled part"
    return found


def blobs(size_hw, num_labels, rng):
    """Labels in areas, as segments are: (h, w) int64."""
    rows, columns = (rng.uniform(0, side, num_labels) for side in size_hw)
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    return np.hypot(y[..., None] - rows, x[..., None] - columns).argmin(2)


def stream(size_hw, rng, num_images=6):
    """Origins, belief, labels, their maps and how many maps there are, image by image."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]].astype(np.float32)
    num_maps = 1
    for _ in range(num_images):
        origins = np.stack((x, y), 2) + rng.uniform(-3, 3, (*size_hw, 2)).astype(np.float32)
        belief = rng.uniform(0.5, 1, size_hw).astype(np.float32)
        labels = blobs(size_hw, 6, rng)
        num_maps += 2
        yield origins, belief, torch.from_numpy(labels), rng.permutation(num_maps)[:6], num_maps


def both(size_hw):
    return SparseEvidence.none(library(), size_hw), DenseEvidence(torch.zeros(1, *size_hw))


def maps_of(evidence):
    return evidence.maps.numpy() if isinstance(evidence, DenseEvidence) else to_maps(evidence.to_arrays())


def assert_alike(lists, maps):
    """Motion is far wilder here than an image's: now and then more maps meet in a cell than it keeps."""
    assert (lists.num_maps, lists.size_hw) == (maps.num_maps, maps.size_hw)
    differences = np.abs(maps_of(lists) - maps_of(maps))
    assert differences.max() < 0.03
    assert (differences > 2e-3).sum() <= 0.002 * differences.size + 1


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_a_stream_is_gathered_and_carried_alike(size_hw):
    rng = np.random.default_rng(0)
    lists, maps = both(size_hw)
    for origins, belief, labels, map_of_label, num_maps in stream(size_hw, rng):
        map_of_label = np.resize(map_of_label, 6)
        lists, maps = (each.carried(origins, belief) for each in (lists, maps))
        assert_alike(lists, maps)
        for stride in (1, 2):
            found, wanted = (each.overlaps(labels, 6, stride) for each in (lists, maps))
            np.testing.assert_allclose(found[0], wanted[0], rtol=1e-3, atol=2e-3 * labels.numel())
            np.testing.assert_allclose(found[1], wanted[1], atol=0.03)
        lists, maps = (each.gathered(labels, map_of_label, num_maps, 0.6) for each in (lists, maps))
        assert_alike(lists, maps)
        np.testing.assert_allclose(maps_of(lists).sum(0), 1, atol=0.03)
        (won, num_won, peaks), (wanted, _, wanted_peaks) = lists.winners(), maps.winners()
        assert (won == wanted).float().mean() >= 0.99
        np.testing.assert_array_equal(num_won, np.bincount(won.flatten(), minlength=num_maps))
        np.testing.assert_allclose(peaks, wanted_peaks, atol=0.03)


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_some_maps_are_taken_or_lent_alike(size_hw):
    rng = np.random.default_rng(1)
    lists, maps = both(size_hw)
    for origins, belief, labels, map_of_label, num_maps in stream(size_hw, rng):
        map_of_label = np.resize(map_of_label, 6)
        lists, maps = (
            each.carried(origins, belief).gathered(labels, map_of_label, num_maps, 0.6) for each in (lists, maps)
        )
    some = np.array([0, 2, 3, num_maps - 1])
    assert_alike(lists.take(some), maps.take(some))
    assert lists.take(np.arange(num_maps)) is lists
    assert_alike(lists.lent(some[1:], 0.5), maps.lent(some[1:], 0.5))
    np.testing.assert_array_equal(maps_of(lists.emptied()), maps_of(maps.emptied()))


@pytest.mark.parametrize("size_hw", [(480, 640), (60, 80), (100, 37), (59, 200), (20, 30), (1, 1)])
@pytest.mark.parametrize("cells_hw", [(60, 80), (5, 3), (1, 1)])
def test_winners_get_the_same_smooth_borders(size_hw, cells_hw):
    rng = np.random.default_rng(2)
    values = rng.uniform(0, 1, (MOST_MAPS, *cells_hw)).astype(np.float32)
    maps = DenseEvidence(torch.from_numpy(values / values.sum(0)))
    lists = SparseEvidence.of_maps(library(), maps.maps.numpy())
    winners = maps.winners()[0]
    np.testing.assert_array_equal(lists.winners()[0], winners)
    found, wanted = (each.upsampled(winners, size_hw) for each in (lists, maps))
    assert found.dtype == wanted.dtype == torch.int32
    # Where two are as good to the last digit, or a pixel's centre is a cell's, either is right.
    assert (found != wanted).sum() <= 0.005 * found.numel() + 2


def test_a_cell_keeps_what_speaks_most_for_it():
    values = np.random.default_rng(3).permutation(np.arange(1, 21, dtype=np.float32) / 210).reshape(20, 1, 1)
    lists = SparseEvidence.of_maps(library(), values)
    assert len(lists.maps) == MOST_MAPS
    np.testing.assert_array_equal(np.sort(lists.values), np.sort(values.ravel())[-MOST_MAPS:])
    np.testing.assert_array_equal(lists.maps, np.sort(lists.maps))


def test_more_maps_than_a_cell_keeps_leave_the_largest():
    """Four cells of eight maps each, and a place between them."""
    maps = np.zeros((33, 2, 2), np.float32)
    for cell in range(4):
        maps[1 + 8 * cell : 9 + 8 * cell, cell // 2, cell % 2] = np.arange(1, 9) / 36
    origins = np.full((2, 2, 2), 0.5, np.float32)
    carried = SparseEvidence.of_maps(library(), maps).carried(origins, np.ones((2, 2), np.float32))
    kept = to_maps(carried.to_arrays())
    assert (np.count_nonzero(kept, axis=0) == MOST_MAPS).all()
    np.testing.assert_allclose(
        kept[[7, 8, 15, 16, 23, 24, 31, 32]], np.reshape([7, 8] * 4, (8, 1, 1)) / 144 * np.ones((2, 2)), 1e-5
    )


def test_it_is_written_down_for_either_kind():
    values = np.random.default_rng(4).uniform(0, 0.2, (5, 6, 7)).astype(np.float32)
    lists, maps = SparseEvidence.of_maps(library(), values), DenseEvidence(torch.from_numpy(values))
    for evidence in (lists, maps):
        read = from_arrays(evidence.to_arrays(), CPU)
        assert isinstance(read, SparseEvidence)
        np.testing.assert_array_equal(maps_of(read), values)
    assert isinstance(no_evidence((6, 7), CPU), SparseEvidence)


def test_without_the_compiled_part_it_is_maps(monkeypatch):
    values = np.random.default_rng(5).uniform(0, 0.2, (5, 6, 7)).astype(np.float32)
    lists = SparseEvidence.of_maps(library(), values)
    monkeypatch.setattr(native, "load", lambda: None)
    assert isinstance(no_evidence((6, 7), CPU), DenseEvidence)
    for arrays in (lists.to_arrays(), {"dense": values}):
        np.testing.assert_array_equal(maps_of(from_arrays(arrays, CPU)), values)


@pytest.mark.parametrize(
    "change",
    [
        {"maps": np.array([3], np.uint16)},
        {"starts": np.array([0, 1, 0, 1, 1], np.int32)},
        {"starts": np.array([0, -1, 0, 1, 1], np.int32)},
    ],
)
def test_what_is_no_evidence_is_refused(change):
    arrays = {
        "starts": np.array([0, 1, 1, 1, 1], np.int32),
        "maps": np.array([1], np.uint16),
        "values": np.ones(1, np.float32),
        "about": np.array([2, 2, 2]),
    }
    assert from_arrays(arrays, CPU).winners()[1].tolist() == [3, 1]
    with pytest.raises(ValueError, match="expected lists of maps in ascending order"):
        from_arrays({**arrays, **change}, CPU).winners()
    with pytest.raises(ValueError, match="expected lists of 2x2 cells"):
        from_arrays({**arrays, "values": np.ones(2, np.float32)}, CPU)


def test_labels_and_maps_that_are_not_there_are_refused():
    evidence = no_evidence((2, 2), CPU)
    cells = torch.tensor([[0, 1], [1, 2]])
    for labels, map_of_label in ((cells, [0, 1]), (cells, [0, 1, 2]), (-cells, [0, 1, 1])):
        with pytest.raises(ValueError, match="labels and maps that are there"):
            evidence.gathered(labels, np.array(map_of_label), 2, 0.5)
    with pytest.raises(ValueError, match="labels and maps that are there"):
        evidence.overlaps(cells, 2, 1)
    with pytest.raises(ValueError, match="labels and maps that are there"):
        evidence.upsampled(torch.tensor([[0, 1], [-1, 0]]), (4, 4))
