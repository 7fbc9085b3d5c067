import numpy as np
import pytest
import torch
from scipy import ndimage

from ovsr_ros.ops import masks


def blobs(height, width, num_labels, seed=0, sigma=3.0):
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=(height, width)), sigma) for _ in range(num_labels)]
    return np.argmax(fields, 0).astype(np.int64)


def scipy_components(labels):
    found = np.zeros(labels.shape, np.int64)
    for value in np.unique(labels):
        parts, _ = ndimage.label(labels == value)
        found[parts > 0] = parts[parts > 0] + found.max()
    return found


def same_partition(a, b):
    pairs = np.unique(np.stack((a.ravel(), b.ravel())), axis=1)
    return pairs.shape[1] == len(np.unique(a)) == len(np.unique(b))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (30, 41)])
@pytest.mark.parametrize("sigma", [0.0, 1.0, 4.0])
def test_components_are_scipys(shape, sigma):
    labels = blobs(*shape, 4, sigma=sigma)
    components = masks.connected_components(labels)
    assert same_partition(components, scipy_components(labels))
    _, first = np.unique(components, return_index=True)
    assert np.array_equal(first, np.sort(first))  # numbered in the order of their first pixel


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("min_pixels", [0, 1, 5, 40, 10**6])
def test_absorption_leaves_no_small_component_and_no_hole(seed, min_pixels):
    labels = blobs(40, 50, 5, seed, sigma=1.0)
    kept, components = masks.absorb_small_components(labels, min_pixels)
    np.testing.assert_array_equal(components, masks.connected_components(kept))
    sizes = np.bincount(masks.connected_components(kept).ravel())
    assert len(sizes) == 1 or sizes.min() >= min_pixels
    assert np.isin(kept, labels).all()
    if min_pixels <= 1:
        assert np.array_equal(kept, labels)


def test_absorption_leaves_large_components_alone():
    labels = blobs(40, 50, 5, 1, sigma=2.0)
    components = scipy_components(labels)
    sizes = np.bincount(components.ravel())
    kept, _ = masks.absorb_small_components(labels, 30)
    large = sizes[components] >= 30
    assert np.array_equal(kept[large], labels[large])


def test_small_part_joins_the_neighbour_along_its_longest_border():
    labels = np.zeros((6, 8), np.int64)
    labels[:, 5:] = 1
    labels[2:4, 4:6] = 2  # touches 0 with 4 cell sides and 1 with 4; then one cell more of 1
    labels[1, 4] = 1
    kept, _ = masks.absorb_small_components(labels, 6)
    assert (kept[2:4, 4:6] == 1).all()


def test_ids_descend_by_area_and_keep_the_partition():
    labels = torch.from_numpy(blobs(50, 60, 7)).int() * 2  # odd labels have no pixels
    segment_map, label_of_segment = masks.number_by_area(labels, torch.bincount(labels.flatten()))
    areas = torch.bincount(segment_map.flatten())
    assert areas[0] == 0
    assert torch.equal(areas[1:], areas[1:].sort(descending=True).values)
    assert torch.equal(label_of_segment[segment_map.long() - 1].int(), labels)
    assert len(label_of_segment) == len(labels.unique())


def test_measures_are_scipys():
    labels = blobs(50, 70, 6)
    geometry = masks.measure(torch.from_numpy(labels).int(), 6)
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels + 1)]
    centers = np.array(ndimage.center_of_mass(np.ones_like(labels), labels, np.arange(6)))[:, ::-1]
    assert geometry.areas_px.tolist() == np.bincount(labels.ravel()).tolist()
    assert geometry.boxes_xyxy.tolist() == [list(box) for box in boxes]
    np.testing.assert_allclose(geometry.centroids_xy.numpy(), centers, rtol=1e-5)


@pytest.mark.parametrize("pixels", [1, 64, 700])
def test_measures_do_not_depend_on_the_strips(monkeypatch, pixels):
    labels = torch.from_numpy(blobs(50, 70, 6, sigma=1.0)).int()
    whole = masks.measure(labels, 7)
    monkeypatch.setattr(masks, "_PIXELS_AT_ONCE", pixels)
    found = masks.measure(labels, 7)
    assert torch.equal(found.areas_px, whole.areas_px)
    assert torch.equal(found.boxes_xyxy, whole.boxes_xyxy)
    assert torch.equal(found.centroids_xy, whole.centroids_xy)


def test_measures_of_absent_labels_are_zero():
    labels = torch.zeros(8, 9, dtype=torch.int32)
    labels[2:4, 3:7] = 2
    geometry = masks.measure(labels, 4)
    assert geometry.areas_px.tolist() == [64, 0, 8, 0]
    assert geometry.boxes_xyxy.tolist() == [[0, 0, 9, 8], [0, 0, 0, 0], [3, 2, 7, 4], [0, 0, 0, 0]]
    assert geometry.centroids_xy.tolist()[2:] == [[4.5, 2.5], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("size_hw", "grid_hw"), [((48, 64), (3, 4)), ((50, 70), (7, 9)), ((5, 3), (8, 8)), ((9, 9), (1, 1))]
)
def test_coverage_counts_each_pixel_in_the_cell_of_its_centre(size_hw, grid_hw):
    segment_map = torch.from_numpy(blobs(*size_hw, 4, sigma=1.0)).int()  # 0 is none, 3 are segments
    found = masks.coverage(segment_map, 5, grid_hw)
    expected = np.zeros((5, *grid_hw), np.int64)
    for y, x in np.ndindex(*size_hw):
        if segment_map[y, x] > 0:
            cell = int((y + 0.5) * grid_hw[0] / size_hw[0]), int((x + 0.5) * grid_hw[1] / size_hw[1])
            expected[segment_map[y, x] - 1][cell] += 1
    assert np.array_equal(found.numpy(), expected)
    assert (found[3:] == 0).all()
