"""The proof: SciPy's partitions and heights, over every kind of points, by each way of clustering there is."""

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import linkage as scipy_linkage
from scipy.spatial.distance import cdist, pdist

from ovsr_ros.ops import native
from ovsr_ros.ops.dendrogram import Dendrogram
from ovsr_ros.ops.ward_rounds import ward_rounds

CUTS = (1, 2, 3, 5, 8, 13, 21, 34, 64)
HEIGHT_TOLERANCE = 1e-4
TIE = 1e-9  # heights that differ by less, relative to the larger: SciPy's own rounding decides between them

KINDS = {  # how many cases of each
    "random": 50,
    "clustered": 40,
    "decaying": 30,
    "duplicates": 30,
    "constant columns": 20,
    "ties": 40,
    "outlier": 20,
    "scaled": 20,
    "wide": 20,
}
CASES = [(kind, seed) for kind, count in KINDS.items() for seed in range(count)]
MAY_TIE = ("ties", "scaled")  # of the latter some are rounded to few values by float32
# PyTorch's way rounds to 2^-27 of the largest coordinate, which is much where some are ten thousand times the others.
IN_PYTORCH = [case for case in CASES if case[0] not in ("outlier", "wide")]


def make_points(kind, seed):
    """(N, D) float32 of a kind, N and D drawn with the seed."""
    rng = np.random.default_rng([seed, *map(ord, kind)])
    num_points = int(rng.choice([2, 3, 4, 7, 20, 63, 64, 65, 129, 300, 700, 1500]))
    dims = int(rng.choice([1, 2, 3, 8, 16, 33, 64, 200]))
    points = rng.normal(size=(num_points, dims))
    if kind == "clustered":
        points = points * 0.1 + rng.normal(size=(8, dims))[rng.integers(8, size=num_points)]
    elif kind == "decaying":  # as after an SVD
        points *= 0.8 ** np.arange(dims)
    elif kind == "duplicates":
        points = points[rng.integers(max(num_points // 3, 1), size=num_points)]
    elif kind == "constant columns":
        points = np.concatenate((points, np.full((num_points, 3), rng.normal() * 100)), 1)[:, rng.permutation(dims + 3)]
    elif kind == "ties":  # a small lattice: nearly every distance occurs many times
        points = rng.integers(0, 5, size=(num_points, min(dims, 3)))
    elif kind == "outlier":
        points[rng.integers(num_points)] *= 1e4
    elif kind == "scaled":
        points = points * 10.0 ** rng.integers(-15, 16) + 10.0 ** rng.integers(-3, 3)
        if len(np.unique(points.astype(np.float32), axis=0)) < num_points:
            points = rng.normal(size=(num_points, dims)) * 1e-12
    elif kind == "wide":  # sizes of very different magnitude: heavy tails
        points = rng.standard_cauchy(size=(num_points, dims))
    return torch.from_numpy(np.asarray(points, np.float32))


def assert_is_scipys(dendrogram, points, method="ward"):
    """Heights and partitions are SciPy's. Returns whether a tie let a partition differ, which then is as right."""
    exact = points.double().numpy()
    squared = method == "average_squared"
    tree = scipy_linkage(pdist(exact, "sqeuclidean"), "average") if squared else scipy_linkage(exact, method)
    heights = tree[:, 2]
    expected = Dendrogram(tree[:, :2].astype(np.int64), heights)
    between_equal = heights <= 1e-9 * heights[-1]  # merges of equal points: any order is right
    num_distinct = len(points) - int(between_equal.sum())
    may_differ = has_ties(heights[~between_equal])
    if not may_differ:
        np.testing.assert_allclose(dendrogram.heights, heights, rtol=HEIGHT_TOLERANCE, atol=1e-9 * heights[-1])
    differs = False
    for num_clusters in (count for count in CUTS if count <= num_distinct):
        if not np.array_equal(dendrogram.cut(num_clusters), expected.cut(num_clusters)):
            assert may_differ, f"the partition into {num_clusters} differs, and nothing is tied"
            differs = True
    if differs:
        assert_merges_the_closest(dendrogram, exact, method)
    return differs


def has_ties(heights):
    """Two merges of one height: which comes first, and what it leaves for later ones, is anyone's choice."""
    return bool((np.diff(heights) <= TIE * heights[1:]).any())


def assert_merges_the_closest(dendrogram, points, method="ward"):
    """The linkage's definition, step by step: each merge's height is the least distance of any two clusters then."""
    num_points = len(points)
    distances = cdist(points, points, "sqeuclidean" if method == "average_squared" else "euclidean")
    np.fill_diagonal(distances, np.inf)
    sizes = np.ones(num_points)
    slots = {point: point for point in range(num_points)}
    slack = 1e-7 * max(float(dendrogram.heights[-1]), 1e-300)
    for step, (first, second) in enumerate(dendrogram.merges.tolist()):
        a, b = slots.pop(first), slots.pop(second)
        height = distances[a, b]
        assert abs(height - dendrogram.heights[step]) <= slack + HEIGHT_TOLERANCE * height
        assert height <= distances.min() + slack, f"merge {step} is not of the closest two clusters"
        if method == "ward":
            total = sizes[a] + sizes[b] + sizes
            squared = (sizes[a] + sizes) * distances[a] ** 2 + (sizes[b] + sizes) * distances[b] ** 2
            with np.errstate(invalid="ignore"):  # infinities of clusters that are gone
                united = np.sqrt(np.maximum((squared - sizes * height**2) / total, 0.0))
        else:
            united = (sizes[a] * distances[a] + sizes[b] * distances[b]) / (sizes[a] + sizes[b])
        united[[a, b]] = np.inf
        distances[a], distances[:, a] = united, united
        distances[b], distances[:, b] = np.inf, np.inf
        sizes[a] += sizes[b]
        slots[num_points + step] = a


def compiled(points, method="ward"):
    library = native.load()
    assert library is not None, "the package was not built: run `make setup`"
    return native.linkage(library, method, points.double().numpy(), num_threads=2)


# --- Ward ---


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_ward(kind, seed):
    points = make_points(kind, seed)
    assert not assert_is_scipys(compiled(points), points) or kind in MAY_TIE


@pytest.mark.parametrize(("kind", "seed"), IN_PYTORCH[::4])
def test_ward_in_pytorch(kind, seed):
    points = make_points(kind, seed)
    assert_is_scipys(ward_rounds(points), points)


@pytest.mark.parametrize(("kind", "seed"), IN_PYTORCH[1::10])
def test_ward_in_pytorch_as_a_gpu_runs_it(kind, seed):
    points = make_points(kind, seed)
    assert_is_scipys(ward_rounds(points, look_every=4), points)


@pytest.mark.parametrize("scene", range(100))
def test_ward_of_a_scenes_latents(scene, scene_latents):
    points = scene_latents[scene]
    assert not assert_is_scipys(compiled(points), points)


def test_ward_of_scenes_latents_in_pytorch(scene_latents):
    for points in scene_latents[::5]:
        assert not assert_is_scipys(ward_rounds(points), points)
    assert not assert_is_scipys(ward_rounds(points, look_every=4), points)


@pytest.mark.parametrize("dims", [16, 64])
def test_ward_of_a_frame(dims, smooth_points):
    points = smooth_points(64, 86, dims)
    assert not assert_is_scipys(compiled(points), points)


@pytest.mark.slow
def test_ward_of_20000_points():
    points = torch.randn(20000, 4, generator=torch.Generator().manual_seed(0))
    assert not assert_is_scipys(compiled(points), points)


# --- Average ---


AVERAGES = pytest.mark.parametrize("method", ["average", "average_squared"])


@AVERAGES
@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_average(kind, seed, method):
    points = make_points(kind, seed)
    assert not assert_is_scipys(compiled(points, method), points, method) or kind in MAY_TIE


@AVERAGES
@pytest.mark.parametrize("scene", range(100))
def test_average_of_a_scenes_latents(scene, scene_latents, method):
    points = scene_latents[scene]
    assert not assert_is_scipys(compiled(points, method), points, method)


@AVERAGES
def test_average_of_a_frame(smooth_points, method):
    points = smooth_points(64, 86, 16)
    assert not assert_is_scipys(compiled(points, method), points, method)


def test_there_are_more_than_300_cases_without_ties():
    num_scenes, num_frames = 100, 3
    assert len([kind for kind, _ in CASES if kind not in MAY_TIE]) + num_scenes + num_frames > 300
