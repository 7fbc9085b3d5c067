"""Segments judged by themselves: the figures of the whole pipeline, without CLIP."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch

from ovsr_ros.cli import main
from ovsr_ros.errors import ConfigError, ImageError
from ovsr_ros.evaluation.baselines.region_finders import FeatureWard
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.measurements import Measurements, Shared
from ovsr_ros.evaluation.pipeline_predictor import PipelineFactory
from ovsr_ros.evaluation.protocols import HUNGARIAN, HUNGARIAN_DATASET, OPENVOCAB, ProtocolOptions
from ovsr_ros.evaluation.runner import evaluate
from ovsr_ros.evaluation.segments_predictor import (
    SegmentsFactory,
    SegmentsPredictor,
    needs_words,
    predictor_factory,
)
from ovsr_ros.evaluation.shared_segments import MapStore, SharedSegmenter
from ovsr_ros.models.clip_maps import ImageMaps
from ovsr_ros.pipeline import load_segmenter
from ovsr_ros.settings import load_settings

ALONE = ProtocolOptions((HUNGARIAN,))
NO_CLIP = {"clip.model": "/no/such/clip"}
SMALL = {"device": "cpu", "features.input_short_side": 192, "features.grid_rows": 24, "text.cache_directory": "none"}


def strip(figures):
    """What of each image's row says something about the segments."""
    return [(row.hungarian, row.cluster_boundary, row.num_segments) for row in figures.per_image]


def changed(options, **sections):
    replaced = {name: dataclasses.replace(getattr(options, name), **values) for name, values in sections.items()}
    return dataclasses.replace(options, **replaced)


@pytest.fixture
def data(folder):
    return open_dataset("folder", folder)


def test_segments_are_those_of_the_whole_pipeline_on_the_scenes():
    scenes = open_dataset("scenes")
    whole = PipelineFactory(load_settings("demo", SMALL).pipeline)()
    alone = SegmentsFactory(load_settings("demo", {**SMALL, **NO_CLIP}).pipeline)()
    for index in range(3):
        sample = scenes.load(index)
        expected, found = whole.predict(sample), alone.predict(sample)
        assert np.array_equal(found.clusters, expected.clusters)
        assert np.array_equal(found.segment_map, expected.segment_map)
        assert found.label_map is None
        assert found.num_segments == expected.num_segments > 1


def test_the_figures_are_those_of_the_whole_pipeline(data, seeded_options):
    options = changed(seeded_options, clip={"model": "/no/such/clip"})
    whole = evaluate(PipelineFactory(seeded_options), data, protocols=ProtocolOptions((OPENVOCAB, HUNGARIAN)))
    alone = evaluate(predictor_factory(options, ALONE), data, protocols=ALONE)
    assert strip(alone) == strip(whole)
    assert alone.hungarian_miou == whole.hungarian_miou > 0
    assert alone.cluster_boundary.f1 == whole.cluster_boundary.f1 > 0
    assert alone.labelled is None
    assert np.isnan(alone.miou)


def test_words_are_needed_for_labels_and_where_nothing_comes_before_them(seeded_options):
    assert not needs_words(seeded_options, ALONE)
    for names in ((OPENVOCAB,), (HUNGARIAN_DATASET,), (OPENVOCAB, HUNGARIAN), ()):
        assert needs_words(seeded_options, ProtocolOptions(names))
    trident = load_settings("trident").pipeline
    assert isinstance(predictor_factory(trident, ALONE), PipelineFactory)
    with pytest.raises(ConfigError, match="finding segments without words needs one of ovsr, got 'trident'"):
        load_segmenter(trident)


def test_only_what_decides_segments_is_described(seeded_options):
    described = SegmentsFactory(seeded_options).describe()
    assert set(described["weights"]) == {"features"}
    sections = {name.partition(".")[0] for name in described["options"] if "." in name}
    assert sections == {"features", "latent", "smoothing", "clusters", "refinement", "regions"}
    other_crops = changed(seeded_options, crops={"margin": 0.4}, text={"templates": "simple7"})
    assert SegmentsFactory(dataclasses.replace(other_crops, score_threshold=0.7)).describe() == described
    other_clusters = changed(seeded_options, clusters={"linkage": "ward"})
    assert SegmentsFactory(other_clusters).describe() != described


def test_an_image_that_is_too_small_is_refused(data, seeded_options):
    sample = dataclasses.replace(data.load(0), image=np.zeros((8, 80, 3), np.uint8))
    with pytest.raises(ImageError, match="16"):
        SegmentsFactory(seeded_options)().predict(sample)


# --- Runs that share a network ---


def test_shared_runs_give_the_figures_that_runs_alone_give(data, seeded_options, tmp_path):
    variants = [
        seeded_options,
        changed(seeded_options, clusters={"linkage": "ward"}),
        changed(seeded_options, features={"grid_rows": 8}),
        changed(seeded_options, features={"input_short_side": 96}),
        changed(seeded_options, features={"levels": (1,)}),
        changed(seeded_options, refinement={"method": "none"}),
    ]
    measurements = Measurements(data, range(4), tmp_path, protocols=ALONE)
    for options in variants:
        alone = evaluate(SegmentsFactory(options), data, protocols=ALONE)
        assert strip(measurements.judge(options)) == strip(alone)
    segmenter = measurements.shared.segmenter
    assert segmenter.num_loads == 3  # other levels, and back
    assert len(segmenter._maps) == 4  # of the first input size alone
    assert len(list((tmp_path / "runs" / "folder-val").glob("*.jsonl"))) == len(variants)
    assert measurements.shared.pipeline.num_loads == 0


def test_runs_that_differ_only_in_words_are_one(data, seeded_options, tmp_path):
    measurements = Measurements(data, range(2), tmp_path, protocols=ALONE)
    first = measurements.judge(seeded_options)
    assert measurements.judge(changed(seeded_options, crops={"margin": 0.4})) is first


def test_one_pool_serves_several_runs(data, seeded_options, tmp_path):
    other = changed(seeded_options, clusters={"linkage": "ward"})
    with Shared(workers=2) as shared:
        measurements = Measurements(data, range(4), tmp_path, protocols=ALONE, shared=shared)
        figures = [measurements.judge(options) for options in (seeded_options, other)]
        started = set(shared.pool._executor._processes)
        figures.append(measurements.judge(changed(seeded_options, clusters={"linkage": "ward"})))
        assert set(shared.pool._executor._processes) == started
    assert shared.pool._executor is None
    for options, found in zip((seeded_options, other), figures, strict=False):
        assert strip(found) == strip(evaluate(SegmentsFactory(options), data, protocols=ALONE))


def test_what_is_shared_is_one_object_in_a_process_however_often_it_comes():
    pickled = pickle.dumps(SharedSegmenter())
    assert pickle.loads(pickled) is pickle.loads(pickled)
    assert pickle.loads(pickle.dumps(SharedSegmenter())) is not pickle.loads(pickled)


def test_feature_maps_are_kept_within_the_memory():
    images = [torch.full((1, 3, 4, 4), float(value)) for value in range(4)]
    computed = []

    def network(image):
        computed.append(float(image.mean()))
        return ImageMaps((image[:, :1] + 1,))  # 64 bytes

    store = MapStore(max_bytes=150)
    for image in (images[0], images[0], images[1]):
        assert torch.equal(store.find_or_add(image, network).levels[0], image[:, :1] + 1)
    assert computed == [0.0, 1.0]
    for image in images:
        assert torch.equal(store.find_or_add(image, network).levels[0], image[:, :1] + 1)
    assert len(store) == 2
    assert len(MapStore(max_bytes=10)) == 0
    assert torch.equal(MapStore(max_bytes=10).find_or_add(images[2], network).levels[0], images[2][:, :1] + 1)


def test_a_region_finder_needs_no_words_either(data, seeded_options, tmp_path):
    options = changed(seeded_options, clip={"model": "/no/such/clip"})
    finder = FeatureWard(False, 0, True, True)
    alone = Measurements(data, range(2), tmp_path / "alone", protocols=ALONE).judge(options, finder)
    whole = Measurements(data, range(2), tmp_path / "whole").judge(seeded_options, finder)
    assert strip(alone) == strip(whole)
    assert SegmentsPredictor(SharedSegmenter().get(options, finder)).predict(data.load(0)).num_segments > 0


# --- The commands ---


def test_the_command_measures_clusters_without_clip(folder, seeded_config, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["evaluate", "--dataset", "folder", "--root", str(folder), "--config", seeded_config, "--out", str(out)]
    words += ["--set", "clip.model=/no/such/clip", "--protocol", "hungarian", "--pictures", "1"]
    assert main(words) == 0
    report = json.loads((out / "report.json").read_text())
    assert set(report["weights"]) == {"features"}
    assert "clusters.linkage" in report["options"]
    assert not {name for name in report["options"] if name.startswith(("clip.", "text.", "crops."))}
    assert "labelled" not in report
    assert f"| Hungarian per image | {report['hungarian_miou']:.3f} |" in capsys.readouterr().out
    assert len(list((out / "pictures").iterdir())) == 1
    assert main([*words, "--protocol", "openvocab"]) == 2
    assert "/no/such/clip: no such file or folder" in capsys.readouterr().err


def test_the_scenes_test_split_without_words_has_no_held_out_objects(tmp_path):
    changes = [f"--set={name}={value}" for name, value in {**SMALL, **NO_CLIP}.items()]
    target = tmp_path / "a.json"
    words = ["evaluate", "--split", "test", "--limit", "1", "--protocol", "hungarian", "--json", str(target)]
    assert main([*words, *changes]) == 0
    report = json.loads(target.read_text())
    assert "held_out" not in report
    assert report["hungarian_miou"] > 0.3


def test_studies_of_clusters_need_no_clip(tmp_path, capsys):
    changes = [f"--set={name}={value}" for name, value in {**SMALL, **NO_CLIP}.items()]
    words = ["evaluate", "--limit", "13", "--out", str(tmp_path), *changes]
    assert main([*words, "--study", "clusters"]) == 0
    assert set(json.loads((tmp_path / "clusters_val.json").read_text())["weights"]) == {"features"}
    assert main([*words, "--study", "clusters", "--backend", "trident"]) == 2
    assert "needs one of ovsr, got 'trident'" in capsys.readouterr().err
