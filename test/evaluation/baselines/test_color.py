"""Regions from colour: on images whose regions are known."""

import numpy as np
import pytest

from ovsr_ros.evaluation.baselines.color import (
    felzenszwalb_regions,
    kmeans_regions,
    merge_by_threshold,
    merge_to_count,
    slic_superpixels,
)
from ovsr_ros.evaluation.datasets import open_dataset

COLORS = ((200, 60, 50), (60, 160, 70), (50, 70, 200))


@pytest.fixture(scope="module")
def stripes():
    """Three upright stripes, 60 x 90, with a little noise; and which stripe each pixel is in."""
    truth = np.repeat(np.arange(3), 30)[None].repeat(60, 0)
    noise = np.random.default_rng(0).integers(-4, 5, (60, 90, 3))
    return np.clip(np.array(COLORS)[truth] + noise, 0, 255).astype(np.uint8), truth


@pytest.fixture(scope="module")
def scene():
    return open_dataset("scenes").load(0).image[::2, ::2].copy()


def same_partition(a, b):
    pairs = np.unique(np.stack((a.ravel(), b.ravel())), axis=1).shape[1]
    return pairs == len(np.unique(a)) == len(np.unique(b))


METHODS = {
    "kmeans": lambda image: kmeans_regions(image, 3, 0.0),
    "slic to a threshold": lambda image: merge_by_threshold(image, slic_superpixels(image, 60, 10.0), 15.0),
    "slic to a count": lambda image: merge_to_count(image, slic_superpixels(image, 60, 10.0), 3),
    "felzenszwalb": lambda image: felzenszwalb_regions(image, 300.0, 0.5, 50),
}


@pytest.mark.parametrize("find", METHODS.values(), ids=METHODS)
def test_plain_stripes_are_found(find, stripes):
    image, truth = stripes
    inner = np.abs((np.arange(90) % 30) - 14.5) < 12  # a blur of a pixel or two along the borders is no mistake
    assert same_partition(find(image)[:, inner], truth[:, inner])


@pytest.mark.parametrize("find", METHODS.values(), ids=METHODS)
def test_regions_cover_the_image_and_are_numbered_from_zero(find, scene):
    regions = find(scene)
    assert regions.shape == scene.shape[:2]
    assert regions.dtype == np.int64
    assert np.array_equal(np.unique(regions), np.arange(regions.max() + 1))
    assert np.array_equal(regions, find(scene)), "the same image gave other regions the second time"


@pytest.mark.parametrize("find", METHODS.values(), ids=METHODS)
def test_an_image_of_one_colour_is_no_error(find):
    regions = find(np.full((40, 50, 3), 128, np.uint8))
    assert regions.shape == (40, 50)


def test_merging_lowers_the_number_of_segments_the_more_the_higher_the_threshold(scene):
    superpixels = slic_superpixels(scene, 200, 10.0)
    counts = [merge_by_threshold(scene, superpixels, threshold).max() + 1 for threshold in (2.0, 8.0, 20.0, 200.0)]
    assert superpixels.max() + 1 > counts[0] > counts[1] > counts[2] > counts[3] == 1


def test_merged_regions_are_unions_of_superpixels(scene):
    superpixels = slic_superpixels(scene, 200, 10.0)
    for merged in (merge_by_threshold(scene, superpixels, 8.0), merge_to_count(scene, superpixels, 7)):
        pairs = np.unique(np.stack((superpixels.ravel(), merged.ravel())), axis=1)
        assert pairs.shape[1] == superpixels.max() + 1, "a superpixel was cut"


def test_merging_to_a_count_gives_that_count(scene):
    superpixels = slic_superpixels(scene, 200, 10.0)
    assert [merge_to_count(scene, superpixels, count).max() + 1 for count in (2, 7, 30)] == [2, 7, 30]
    few = slic_superpixels(scene, 4, 10.0)
    assert np.array_equal(merge_to_count(scene, few, 50), few)


def test_position_keeps_clusters_together(scene):
    from ovsr_ros.ops.masks import connected_components

    alone, near = (connected_components(kmeans_regions(scene, 8, weight)).max() + 1 for weight in (0.0, 1.5))
    assert near < alone / 2
