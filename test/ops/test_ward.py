import logging
import subprocess
import threading
import time

import numpy as np
import pytest
import torch

import ovsr_ros
from ovsr_ros.ops import native
from ovsr_ros.ops.ward import linkage
from ovsr_ros.ops.ward_rounds import ward_rounds


def compiled(points):
    library = native.load()
    assert library is not None, "the package was not built: run `make setup`"
    return native.linkage(library, "ward", points.double().numpy())


WAYS = pytest.mark.parametrize("cluster", [compiled, ward_rounds])


@WAYS
def test_merge_heights_never_descend_and_children_come_first(cluster, smooth_points):
    dendrogram = cluster(smooth_points(20, 30, 5))
    assert (np.diff(dendrogram.heights) >= 0).all()
    own_id = np.arange(600, 600 + 599)
    assert (dendrogram.merges.max(1) < own_id).all()
    assert np.array_equal(np.sort(dendrogram.merges.ravel()), np.arange(2 * 600 - 2))


@WAYS
def test_heights_are_the_increase_of_the_sum_of_squares(cluster, smooth_points):
    points = smooth_points(20, 20, 4)
    dendrogram = cluster(points)
    for num_clusters in (1, 5, 30):
        labels = dendrogram.cut(num_clusters)
        groups = [points.double()[labels == label] for label in range(num_clusters)]
        within = sum(float(((group - group.mean(0)) ** 2).sum()) for group in groups)
        assert within == pytest.approx(0.5 * (dendrogram.heights[: 400 - num_clusters] ** 2).sum(), rel=1e-6)


@WAYS
def test_order_of_the_points_does_not_change_the_partition(cluster, smooth_points):
    points = smooth_points(20, 20, 4)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(3))
    permuted = np.empty(400, np.int64)
    permuted[order.numpy()] = cluster(points[order]).cut(9)
    pairs = np.unique(np.stack((permuted, cluster(points).cut(9))), axis=1)
    assert pairs.shape[1] == 9


@WAYS
def test_shift_and_scale_do_not_change_the_partition(cluster, smooth_points):
    points = smooth_points(20, 20, 4)
    assert np.array_equal(cluster(points * 1000 + 5000).cut(9), cluster(points).cut(9))


@WAYS
def test_equal_points_merge_first_and_stay_fast(cluster, smooth_points):
    points = smooth_points(40, 50, 6)
    points[:1500] = points[0]
    start = time.process_time()
    dendrogram = cluster(points)
    assert time.process_time() - start < 10  # a round per pair would take minutes
    assert (dendrogram.heights[:1499] == 0).all()
    assert len(np.unique(dendrogram.cut(300)[:1500])) == 1


@WAYS
@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (50, 2), (100, 2048)])
def test_all_points_equal(cluster, shape):
    dendrogram = cluster(torch.full(shape, 0.1))
    assert dendrogram.num_points == shape[0]
    assert not dendrogram.heights.any()
    assert dendrogram.cut(1).tolist() == [0] * shape[0]


@WAYS
def test_a_lattice_does_not_go_round_in_circles(cluster):
    """Each point has two to four neighbours equally near, so that nearest neighbours need not be mutual."""
    lattice = torch.stack(torch.meshgrid(torch.arange(30.0), torch.arange(40.0), indexing="ij"), -1).reshape(-1, 2)
    line = torch.arange(2000.0)[:, None]
    for points in (lattice, line):
        dendrogram = cluster(points)
        assert (np.diff(dendrogram.heights) >= 0).all()
        for num_clusters in (1, 2, 50, 180):
            assert len(np.unique(dendrogram.cut(num_clusters))) == num_clusters


@pytest.mark.parametrize("method", native.METHODS)
def test_growing_gaps_are_merged_one_by_one_and_end(method):
    """The worst for rounds of mutual neighbours: each has its nearest on the same side."""
    points = torch.cumsum(1.001 ** torch.arange(3000.0, dtype=torch.float64), 0)[:, None]
    start = time.process_time()
    assert len(np.unique(native.linkage(native.load(), method, points.numpy()).cut(7))) == 7
    assert time.process_time() - start < 30


@pytest.mark.parametrize("method", native.METHODS)
def test_compiled_lattices_and_equal_points(method):
    lattice = torch.stack(torch.meshgrid(torch.arange(30.0), torch.arange(40.0), indexing="ij"), -1).reshape(-1, 2)
    for points in (lattice, torch.arange(2000.0)[:, None], torch.cat((lattice, lattice)), torch.ones(1000, 3)):
        dendrogram = native.linkage(native.load(), method, points.double().numpy())
        assert (np.diff(dendrogram.heights) >= 0).all()
        for num_clusters in (1, 2, 50, 180):
            assert len(np.unique(dendrogram.cut(num_clusters))) == num_clusters


@WAYS
def test_points_that_differ_by_rounding_noise_only(cluster):
    noise = torch.randn(600, 8, generator=torch.Generator().manual_seed(0))
    points = torch.cat((1.0 + 1e-8 * noise, 3.0 + 1e-8 * noise)).double()
    start = time.process_time()
    labels = cluster(points).cut(2)
    assert time.process_time() - start < 20
    assert labels.tolist() == [0] * 600 + [1] * 600


# --- The compiled library ---


@pytest.mark.parametrize("method", native.METHODS)
@pytest.mark.parametrize("vector_level", [0, 1, 2])
@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_every_vector_width_and_number_of_threads_gives_the_same_tree(method, vector_level, num_threads, smooth_points):
    library = native.load()
    for points in (smooth_points(30, 40, 15), torch.randn(900, 33, generator=torch.Generator().manual_seed(0))):
        expected = native.linkage(library, method, points.double().numpy())
        found = native.linkage(library, method, points.double().numpy(), num_threads, vector_level)
        assert np.array_equal(found.merges, expected.merges)
        np.testing.assert_allclose(found.heights, expected.heights, rtol=1e-12)


def test_threads_may_cluster_at_once(smooth_points):
    inputs = [smooth_points(20, 30, 6, seed) for seed in range(6)]
    expected = [compiled(points) for points in inputs]
    found = [None] * len(inputs)

    def work(index):
        for _ in range(5):
            found[index] = compiled(inputs[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(np.array_equal(one.merges, other.merges) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_magnitude_does_not_matter(scale):
    points = torch.randn(200, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scaled = compiled(points * scale)
    np.testing.assert_allclose(scaled.heights / scale, compiled(points).heights, rtol=1e-9)
    assert np.array_equal(scaled.cut(9), compiled(points).cut(9))


def build(folder, version):
    """A library that says it is of this version."""
    source = folder / "library.cpp"
    source.write_text(f'extern "C" int ovsr_clustering_abi_version() {{ return {version}; }}')
    subprocess.run(["g++", "-shared", "-fPIC", "-o", str(folder / native.LIBRARY), str(source)], check=True)


def test_a_library_of_another_version_is_passed_over(tmp_path, caplog):
    build(tmp_path, 999)
    assert native.find_library([tmp_path]) is None
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert f"is of version 999, expected {native.ABI_VERSION}; build the package again" in record.getMessage()
    assert native.find_library([tmp_path, *map(type(tmp_path), ovsr_ros.__path__)]) is not None


def test_a_damaged_library_is_passed_over(tmp_path, caplog):
    (tmp_path / native.LIBRARY).write_bytes(b"not a library")
    assert native.find_library([tmp_path]) is None
    assert "cannot be loaded" in caplog.records[0].getMessage()


def test_without_a_library_pytorch_does_it(monkeypatch, smooth_points):
    points = smooth_points(12, 16, 4)
    expected = linkage(points)
    averages = {method: linkage(points, method) for method in ("average", "average_squared")}
    monkeypatch.setattr(native, "load", lambda: None)
    for method in ("average", "average_squared"):
        np.testing.assert_allclose(linkage(points, method).heights, averages[method].heights, rtol=1e-6)
        assert np.array_equal(linkage(points, method).cut(9), averages[method].cut(9))
    found = linkage(points)
    np.testing.assert_allclose(found.heights, expected.heights, rtol=1e-6)
    assert np.array_equal(found.cut(9), expected.cut(9))


# --- What callers see ---


@pytest.mark.parametrize("method", native.METHODS)
def test_few_points(method):
    assert linkage(torch.ones(1, 3), method).cut(1).tolist() == [0]
    two = linkage(torch.tensor([[0.0], [3.0]]), method)
    assert two.cut(1).tolist() == [0, 0]
    assert two.cut(2).tolist() == [0, 1]
    assert two.heights[0] == pytest.approx(9.0 if method == "average_squared" else 3.0, rel=1e-6)
    assert linkage(torch.zeros(4, 2), method).cut(2).tolist() in ([0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1])


@pytest.mark.parametrize("method", native.METHODS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused(method, value):
    points = torch.zeros(5, 2)
    points[3, 1] = value
    with pytest.raises(ValueError, match="expected finite coordinates"):
        linkage(points, method)


def test_other_methods_and_shapes_are_refused():
    with pytest.raises(ValueError, match="ward, average"):
        linkage(torch.zeros(3, 2), "single")
    for shape in ((3,), (0, 2), (2, 0), (2, 3, 4)):
        with pytest.raises(ValueError, match="expected \\(N, D\\)"):
            linkage(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64])
def test_any_type_and_layout_of_points(dtype):
    points = torch.arange(60).reshape(5, 12).T.to(dtype)  # not contiguous
    assert len(np.unique(linkage(points).cut(3))) == 3


@WAYS
def test_points_are_not_changed(cluster, smooth_points):
    points = smooth_points(10, 10, 3)
    before = points.clone()
    cluster(points)
    assert torch.equal(points, before)
