"""Baselines on our recognition: what differs from ours is the regions alone."""

import dataclasses

import numpy as np
import pytest
import torch
import yaml

from ovsr_ros.evaluation.baselines.region_finders import (
    ADAPTIVE,
    FeatureWard,
    Felzenszwalb,
    KMeans,
    Slic,
    adaptive_count,
    compute_head,
    describe,
)
from ovsr_ros.evaluation.baselines.segmented_pipeline import FrameStore, SegmentedPipeline
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.pipeline_predictor import PipelinePredictor
from ovsr_ros.evaluation.sharing import SharedFactory
from ovsr_ros.settings import load_settings

SMALL = "{device: cpu, features.input_short_side: 128, features.grid_rows: 24, text.cache_directory: none}"

REGION_FINDERS = [
    KMeans(6, 0.3),
    KMeans(ADAPTIVE, 0.3),
    Slic(100, 10.0, 10.0),
    Slic(100, 10.0, ADAPTIVE),
    Felzenszwalb(1000.0, 0.8, 400),
    FeatureWard(True, 6, True, True),
    FeatureWard(True, ADAPTIVE, False, False),
    FeatureWard(False, 6, False, False),
    FeatureWard(False, ADAPTIVE, True, True, 0.1),
]


def small_options(**changes):
    return load_settings("demo", {**yaml.safe_load(SMALL), **changes}).pipeline


@pytest.fixture(scope="module")
def sample():
    return open_dataset("scenes").load(1)


@pytest.fixture(scope="module")
def pipeline():
    return SegmentedPipeline(small_options())


@pytest.fixture(scope="module")
def backend(pipeline):
    return pipeline._snapshot().backend


@pytest.mark.parametrize("finder", REGION_FINDERS, ids=lambda finder: str(list(describe(finder).values())))
def test_every_pixel_is_in_a_cluster_and_in_one_of_its_segments(finder, pipeline, sample):
    pipeline.finder = finder
    prediction = PipelinePredictor(pipeline).predict(sample)
    assert prediction.clusters.shape == sample.image.shape[:2]
    assert prediction.clusters.min() >= 1
    assert prediction.segment_map.min() >= 1
    pairs = np.unique(np.stack((prediction.segment_map.ravel(), prediction.clusters.ravel())), axis=1)
    assert pairs.shape[1] == prediction.num_segments, "a segment lies in two clusters"
    assert 2 <= len(np.unique(prediction.clusters)) <= prediction.num_segments
    assert len(np.unique(prediction.label_map)) >= 2


@pytest.mark.parametrize("num_clusters", [3, 9])
def test_a_fixed_number_of_clusters_is_kept(num_clusters, backend, sample):
    for finder in (
        KMeans(num_clusters, 0.5),
        FeatureWard(True, num_clusters, True, False),
        FeatureWard(False, num_clusters, True, False),
    ):
        assert len(np.unique(finder.find(sample.image, backend))) == num_clusters


def test_the_adaptive_number_is_the_one_of_our_own_clustering(backend, sample):
    count = adaptive_count(sample.image, backend)
    for finder in (KMeans(ADAPTIVE, 0.5), Slic(150, 10.0, ADAPTIVE), FeatureWard(False, ADAPTIVE, True, False)):
        assert len(np.unique(finder.find(sample.image, backend))) == count
    fewer = FeatureWard(False, ADAPTIVE, True, False, count_fraction=0.9).find(sample.image, backend)
    assert len(np.unique(fewer)) < count


def test_ward_on_our_features_is_our_pipeline_with_wards_linkage(sample):
    """The same regions by both ways: through the baseline's region finder, and by the pipeline's own option."""
    options = small_options(**{"clusters.linkage": "ward"})
    ours, through = SegmentedPipeline(options), SegmentedPipeline(options)
    through.finder = FeatureWard(False, ADAPTIVE, True, True)
    expected, frame = ours.embed(sample.image), through.embed(sample.image)
    assert torch.equal(frame.segment_map, expected.segment_map)
    assert np.array_equal(frame.cluster_ids, expected.cluster_ids)
    assert torch.allclose(frame.embeddings, expected.embeddings, atol=1e-6)  # and so is the recognition


def test_connected_wards_clusters_are_connected(backend, sample):
    from ovsr_ros.ops.masks import connected_components

    clusters = FeatureWard(True, 8, True, False).find(sample.image, backend)
    assert connected_components(clusters).max() + 1 == 8
    free = FeatureWard(False, 8, True, False).find(sample.image, backend)
    assert connected_components(free).max() + 1 > 8


def test_an_image_of_one_colour_is_one_cluster_of_our_features(backend):
    grey = np.full((96, 128, 3), 120, np.uint8)
    assert not compute_head(grey, backend).grid.has_contrast
    assert adaptive_count(grey, backend) == 1
    assert FeatureWard(True, 6, True, True).find(grey, backend).max() == 0


def test_without_a_segmenter_it_is_the_pipeline(pipeline, sample):
    pipeline.finder = None
    frame, again = pipeline.embed(sample.image), super(SegmentedPipeline, pipeline).embed(sample.image)
    assert torch.equal(frame.segment_map, again.segment_map)
    assert torch.equal(frame.embeddings, again.embeddings)


def test_what_decides_a_baselines_figures_is_described(pipeline):
    options = pipeline.options
    described = [SharedFactory(options, finder).describe() for finder in (None, *REGION_FINDERS)]
    assert len({str(entry) for entry in described}) == len(described)
    assert described[1]["segmenter"] == {"method": "KMeans", "num_clusters": 6, "position_weight": 0.3}


def test_frames_are_kept_by_what_the_image_shows_and_not_beyond_the_memory(pipeline, sample):
    pipeline.finder = None
    other = sample.image.copy()
    other[0, 0] += 1
    store = FrameStore()
    first = store.find_or_add(sample.image, pipeline.embed)
    assert store.find_or_add(sample.image.copy(), pipeline.embed) is first
    assert store.find_or_add(other, pipeline.embed) is not first
    assert len(store) == 2
    none = FrameStore(max_bytes=10)
    assert none.find_or_add(sample.image, lambda image: first) is first
    assert len(none) == 0


def test_parameters_can_be_put_into_json():
    for finder in REGION_FINDERS:
        assert describe(finder) == {"method": type(finder).__name__, **dataclasses.asdict(finder)}
