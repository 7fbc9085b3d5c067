"""What is ignored takes no part in clusters: neither in the matrix, nor in their number, nor in the segments."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ovsr_ros.backends.contract import StageClock
from ovsr_ros.backends.ovsr.backend import OvsrOptions, find_segments, load
from ovsr_ros.backends.ovsr.clustering import ClusterOptions, cluster, count_clusters
from ovsr_ros.backends.ovsr.ignored import find_kept, find_untouched, is_ignored, spread
from ovsr_ros.backends.ovsr.regions import RegionOptions, find_regions
from ovsr_ros.backends.ovsr.smoothing import smooth
from ovsr_ros.backends.view import _FILL_RGB, View
from ovsr_ros.demo.scenes import Scene
from ovsr_ros.ops.image import to_tensor
from ovsr_ros.options import replace_flat
from ovsr_ros.pipeline import load_segmenter
from ovsr_ros.settings import load_settings

CPU = torch.device("cpu")
ROWS, COLUMNS, KEPT_COLUMNS = 16, 24, 16
IMAGE_HW = (120, 160)


@pytest.fixture(scope="module")
def backend(seeded_models):
    values = {
        "features.model": seeded_models.features,
        "clip.model": seeded_models.clip,
        "features.grid_rows": 32,
        "features.input_short_side": 128,
    }
    return load(replace_flat(OvsrOptions(), values), CPU, "fp32", False)


def latents_of_patches(grid_hw, seed=0):
    """(rows * columns, 4): four patches, each about a direction of its own."""
    rng = np.random.default_rng(seed)
    centers, rows, columns = rng.normal(size=(4, 4)), *np.indices(grid_hw)
    patches = 2 * (rows >= grid_hw[0] // 2) + (columns >= KEPT_COLUMNS // 2)
    return torch.from_numpy(centers[patches.ravel()] + rng.normal(0, 0.4, (patches.size, 4))).float()


def in_left_part(latents):
    """Those of the kept columns, and the mask of these."""
    kept = np.zeros((ROWS, COLUMNS), bool)
    kept[:, :KEPT_COLUMNS] = True
    return latents[torch.from_numpy(kept.ravel())], kept


@pytest.mark.parametrize("linkage", ["average", "average_squared", "ward"])
@pytest.mark.parametrize("merge_from", [0, 32])
def test_what_is_kept_is_clustered_as_if_there_were_nothing_else(linkage, merge_from):
    options = ClusterOptions(linkage=linkage, merge_from=merge_from)
    latents, kept = in_left_part(latents_of_patches((ROWS, COLUMNS)))
    found = cluster(latents, 5, (ROWS, COLUMNS), options, kept)
    alone = cluster(latents, 5, (ROWS, KEPT_COLUMNS), options)
    np.testing.assert_array_equal(found[:, :KEPT_COLUMNS], alone)
    assert (found[:, KEPT_COLUMNS:] == found[:, KEPT_COLUMNS - 1 : KEPT_COLUMNS]).all(), "the nearest one's label"


@pytest.mark.parametrize("rule", ["effective_rank", "energy", "fixed"])
def test_clusters_are_counted_among_what_is_kept(rule):
    options = ClusterOptions(count_rule=rule, fixed=7)
    latents, kept = in_left_part(latents_of_patches((ROWS, COLUMNS)))
    values = torch.linalg.svdvals(latents)
    alone = count_clusters(latents, values, (ROWS, KEPT_COLUMNS), options)
    assert count_clusters(latents, values, (ROWS, COLUMNS), options, kept) == alone


def test_a_mask_that_keeps_everything_changes_nothing():
    latents, options = latents_of_patches((ROWS, COLUMNS)), ClusterOptions()
    everything = np.ones((ROWS, COLUMNS), bool)
    values = torch.linalg.svdvals(latents)
    counts = [count_clusters(latents, values, (ROWS, COLUMNS), options, kept) for kept in (None, everything)]
    assert counts[0] == counts[1]
    labels = [cluster(latents, 6, (ROWS, COLUMNS), options, kept) for kept in (None, everything)]
    np.testing.assert_array_equal(*labels)
    lab = torch.zeros(1, 3, ROWS, COLUMNS)
    smoothed = [smooth(latents, lab, (ROWS, COLUMNS), 3, 0.1, 5.0, kept) for kept in (None, everything)]
    torch.testing.assert_close(*smoothed)


def test_smoothing_takes_nothing_from_what_is_ignored():
    latents, kept = in_left_part(latents_of_patches((ROWS, COLUMNS)))
    lab = torch.rand(1, 3, ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)) * 20
    found = smooth(latents, lab, (ROWS, COLUMNS), 1, 0.2, 5.0, kept).view(ROWS, KEPT_COLUMNS, 4)
    alone = smooth(latents, lab[..., :KEPT_COLUMNS], (ROWS, KEPT_COLUMNS), 1, 0.2, 5.0).view(ROWS, KEPT_COLUMNS, 4)
    torch.testing.assert_close(found[:, :-4], alone[:, :-4])  # at the border, others stand for the neighbours
    torch.testing.assert_close(found.norm(dim=2), torch.ones(ROWS, KEPT_COLUMNS))


def test_a_cell_is_ignored_by_the_majority_of_its_pixels():
    ignored = np.zeros((8, 12), bool)
    ignored[:, 5:] = True  # 3 of 4 columns of the second cells, all of the third
    np.testing.assert_array_equal(is_ignored(ignored, (2, 3)), [[False, True, True]] * 2)
    np.testing.assert_array_equal(find_kept(ignored, (2, 3)), [[True, False, False]] * 2)
    np.testing.assert_array_equal(find_untouched(ignored, (8, 12))[0], [True] * 4 + [False] * 8)
    half = np.zeros((8, 12), bool)
    half[:, 6:] = True
    assert not is_ignored(half, (2, 3))[0, 1], "half is no majority"
    assert find_kept(np.zeros((8, 12), bool), (2, 3)) is None
    slit = np.ones((8, 12), bool)
    slit[:, 3] = False
    assert find_kept(slit, (2, 3)) is None, "nothing is left at this resolution"


def test_labels_spread_to_the_nearest():
    labels = np.array([[7, 0, 0, 0, 9]])
    np.testing.assert_array_equal(spread(labels, labels > 0), [[7, 7, labels[0, 0], 9, 9]])


# --- Whole images ---


def picture():
    """A red left half and a blue right one, with a little noise."""
    image = np.zeros((*IMAGE_HW, 3), np.int64)
    image[:, :80], image[:, 80:] = (200, 60, 60), (60, 60, 200)
    image += np.random.default_rng(0).integers(-6, 7, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def segments_of(backend, image, ignored, rotation=0):
    """The segment map with the mask, in the image's own frame."""
    view = View(rotation, ignored)
    found = backend.find(view.upright(image), view.upright_mask(image.shape[:2]))
    return np.rot90(found.regions.segment_map.numpy(), rotation // 90), found.regions


def mask(rows, columns):
    ignored = np.zeros(IMAGE_HW, bool)
    ignored[rows, columns] = True
    return ignored


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("tail", [True, False])
def test_what_is_ignored_and_nothing_else_is_in_no_segment(backend, rotation, tail):
    ignored = mask(slice(61, None), slice(37, 101))
    ignored[33:61, 70] = tail
    segment_map, regions = segments_of(backend, picture(), ignored, rotation)
    np.testing.assert_array_equal(segment_map == 0, ignored)
    assert regions.areas_px.sum() == (~ignored).sum()
    assert (regions.cluster_ids >= 0).all()
    view = View(rotation, ignored)
    assert len(np.unique(view._turn_back(regions.segment_map.numpy()))) == 1 + len(regions)


@pytest.mark.parametrize(("seed", "side"), [(1, 40), (5, 40), (2, 60), (4, 60)])
def test_a_grey_thing_beside_the_robot_is_a_segment_of_its_own(seed, side):
    """Of the very colour in which the networks see what is ignored, beside it, and smaller than it: in a real room."""
    segmenter = load_segmenter(load_settings("demo", {"device": "cpu"}).pipeline)
    image = Scene(seed, num_objects=0, split="test").render(0.0, (320, 240)).image.copy()
    thing, ignored = np.zeros((2, *image.shape[:2]), bool)
    thing[150 : 150 + side, 160 : 160 + side] = ignored[100:, 60:160] = True
    image[thing] = _FILL_RGB
    image = View(0, ignored).upright(image)

    def at_the_thing(hidden):
        with torch.inference_mode():
            regions, _ = find_segments(
                to_tensor(image, CPU), segmenter.extractor, segmenter.options, StageClock(CPU), hidden
            )
        segment_map = regions.segment_map.numpy()
        return segment_map == np.bincount(segment_map[thing]).argmax()

    found = at_the_thing(ignored)
    assert (found & thing).sum() > 0.9 * (found | thing).sum()
    painted_alone = at_the_thing(None)
    assert (painted_alone & ignored).sum() > 0.5 * painted_alone.sum(), "one with the robot, and lost with it"


def test_what_is_ignored_takes_none_of_the_clusters(backend):
    two = backend.with_options(replace_flat(backend.options, {"clusters.count_rule": "fixed", "clusters.fixed": 2}))
    ignored = mask(slice(None), slice(50, 110))
    segment_map, regions = segments_of(two, picture(), ignored)
    left, right = segment_map[:, :50], segment_map[:, 110:]
    assert not set(np.unique(left)) & set(np.unique(right))
    clusters = [set(regions.cluster_ids[np.unique(side) - 1]) for side in (left, right)]
    assert not clusters[0] & clusters[1]


def test_what_is_parted_by_an_arm_is_two_segments_of_one_cluster():
    ignored = mask(slice(None), slice(60, 100))
    clusters = np.zeros((30, 40), np.int64)
    regions = find_regions(clusters, IMAGE_HW, CPU, RegionOptions(), ignored)
    assert len(regions) == 2
    assert list(regions.cluster_ids) == [0, 0]
    assert list(regions.areas_px) == [60 * 120, 60 * 120]
    assert len(find_regions(clusters, IMAGE_HW, CPU, RegionOptions(split_components=False), ignored)) == 1


def test_beside_the_robot_one_colour_is_one_segment(backend):
    image = np.full((*IMAGE_HW, 3), 200, np.uint8)
    segment_map, regions = segments_of(backend, image, mask(slice(60, None), slice(90, None)))
    assert len(regions) == 1
    assert segment_map[0, 0] == 1


@pytest.mark.parametrize(
    "kept", [(slice(0, 1), slice(0, 1)), (slice(None), slice(80, 81)), (slice(50, 58), slice(70, 79))]
)
def test_however_little_is_left_is_segmented(backend, kept):
    ignored = np.ones(IMAGE_HW, bool)
    ignored[kept] = False
    segment_map, regions = segments_of(backend, picture(), ignored)
    np.testing.assert_array_equal(segment_map == 0, ignored)
    assert len(regions) >= 1


def test_a_reduced_image_is_masked_at_its_own_size(backend):
    ignored = mask(slice(60, None), slice(40, 100))
    view = View(0, ignored)
    half = np.ascontiguousarray(view.upright(picture())[::2, ::2])
    regions = backend.smaller().find(half, ignored).regions
    np.testing.assert_array_equal(regions.segment_map.numpy() == 0, ignored[::2, ::2])


def test_where_nothing_is_left_at_a_lower_resolution_there_are_no_segments(backend):
    ignored = np.ones(IMAGE_HW, bool)
    ignored[4, 4] = False
    half = np.ascontiguousarray(View(0, ignored).upright(picture())[::2, ::2])
    frame = backend.smaller().find(half, ignored).embed_all()
    assert len(frame) == 0
    assert frame.embeddings.shape == (0, backend.clip.embedding_dim)
