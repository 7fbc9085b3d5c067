import threading

import numpy as np
import pytest
from small_pipeline import small_options, striped_image

from ovsr_ros.backends.reduction import FULL, Reduction
from ovsr_ros.errors import ConfigError, ImageError, ModelNotFoundError, OvsrError, VocabularyError
from ovsr_ros.node_options import NodeOptions
from ovsr_ros.options import replace_flat, to_flat_dict
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import PipelineOptions, load_settings
from ovsr_ros.tracking import Tracker
from ovsr_ros.vocabulary.category import CategoryRequest, Operation
from ovsr_ros.vocabulary.registry import VocabularyRegistry

MUG, BALL, LAMP = CategoryRequest("mug; cup"), CategoryRequest("ball"), CategoryRequest("lamp")


@pytest.fixture(scope="module")
def options(seeded_models):
    return small_options(seeded_models)


@pytest.fixture
def pipeline(options):
    pipeline = Pipeline(options)
    yield pipeline
    pipeline.close()


def test_without_a_vocabulary_segments_are_found_and_nothing_is_labelled(pipeline):
    segmentation = pipeline.segment(striped_image())
    assert pipeline.vocabulary.version == segmentation.vocabulary_version == 0
    assert (segmentation.label_map == 255).all()
    assert len(segmentation.segments) >= 2


def test_a_vocabulary_change_relabels_the_very_next_label(pipeline):
    frame = pipeline.embed(striped_image())
    pipeline.set_vocabulary(Operation.REPLACE, [MUG])
    assert (pipeline.label(frame).label_map == 0).all()
    pipeline.set_vocabulary(Operation.REPLACE, [BALL])
    relabelled = pipeline.label(frame)
    assert (relabelled.label_map == 1).all()  # ids are never reused
    assert relabelled.vocabulary_version == 2
    pipeline.set_vocabulary(Operation.REPLACE, [])
    assert (pipeline.label(frame).label_map == 255).all()


def test_a_coarse_embedding_is_of_the_same_image_and_changes_no_option(pipeline):
    pipeline.set_vocabulary(Operation.REPLACE, [MUG])
    before = pipeline.options
    frame = pipeline.embed(striped_image(), Reduction(size=1))
    assert pipeline.label(frame).label_map.shape == (60, 80)
    segmentation = pipeline.label(frame, size_hw=(120, 160))
    assert segmentation.label_map.shape == (120, 160)
    assert (segmentation.label_map == 0).all()
    assert pipeline.options == before


def test_preparing_changes_nothing_until_the_commit(pipeline):
    pipeline.set_vocabulary(Operation.REPLACE, [MUG])
    before = pipeline.state
    prepared = pipeline.prepare({"score_threshold": 0.5}, (Operation.ADD, [BALL]))
    assert pipeline.state is before
    assert (pipeline.vocabulary.names, pipeline.options.score_threshold) == (("mug",), 0.0)
    pipeline.commit(prepared)
    assert pipeline.state is prepared
    assert (pipeline.vocabulary.names, pipeline.options.score_threshold) == (("mug", "ball"), 0.5)
    assert pipeline.vocabulary.version == 2


def test_a_stale_preparation_is_refused(pipeline):
    add_ball, lower = (Operation.ADD, [BALL]), {"score_threshold": 0.1}
    first = pipeline.prepare(change=(Operation.ADD, [MUG]))
    stale = [pipeline.prepare(change=add_ball), pipeline.prepare(lower, add_ball)]
    pipeline.commit(first)
    for second in (*stale, first, pipeline.state_for([BALL])):
        with pytest.raises(OvsrError, match="changed meanwhile"):
            pipeline.commit(second)
    only_options = pipeline.prepare(lower)
    pipeline.update_options({"num_runners_up": 1})
    with pytest.raises(ConfigError, match="changed meanwhile"):
        pipeline.commit(only_options)
    assert (pipeline.vocabulary.names, pipeline.options.score_threshold) == (("mug",), 0.0)


def test_what_cannot_be_announced_is_not_in_force(pipeline):
    pipeline.set_vocabulary(Operation.REPLACE, [MUG])
    before, prepared = pipeline.state, pipeline.prepare({"score_threshold": 0.5}, (Operation.ADD, [BALL]))

    def fail(state):
        assert (state, pipeline.state) == (prepared, before)
        raise RuntimeError("nobody is there")

    with pytest.raises(RuntimeError, match="nobody"):
        pipeline.commit(prepared, fail)
    assert pipeline.state is before
    announced = []
    pipeline.commit(prepared, announced.append)
    assert announced == [pipeline.state]


def test_a_frame_in_less_memory_goes_on_with_the_stream(options):
    follow = {"tracking.enabled": True, "text.something_else": ("something else",)}
    pipeline, tracker = Pipeline(replace_flat(options, follow)), Tracker()
    pipeline.set_vocabulary(Operation.REPLACE, [MUG])
    ids_of_pixels = []
    for number, reduction in enumerate((FULL, Reduction(size=1), Reduction(batch=1), FULL)):
        frame = pipeline.join(pipeline.find(striped_image(), reduction), tracker, 0.1 * number)
        segmentation = pipeline.label(frame, size_hw=(120, 160))
        assert segmentation.segment_map.shape == segmentation.label_map.shape == (120, 160)
        segments = segmentation.segments
        assert segments.areas_px.tolist() == [(segmentation.segment_map == id).sum() for id in segments.ids]
        assert (segments.track_ids > 0).all()
        ids_of_pixels.append(np.concatenate(([0], segments.track_ids))[segmentation.segment_map])
    assert len(np.unique(ids_of_pixels[0])) >= 2
    for ids in ids_of_pixels[1:]:
        assert (ids == ids_of_pixels[0]).mean() > 0.8, "tracks go on"


def test_a_refused_change_changes_nothing(pipeline):
    pipeline.set_vocabulary(Operation.REPLACE, [MUG])
    with pytest.raises(VocabularyError):
        pipeline.set_vocabulary(Operation.REPLACE, [CategoryRequest("lamp"), CategoryRequest("")])
    assert pipeline.vocabulary.names == ("mug",)
    assert pipeline.vocabulary.version == 1


def test_categories_for_one_call_leave_the_vocabulary_alone(pipeline):
    pipeline.set_vocabulary(Operation.REPLACE, [MUG])
    one_off = pipeline.state_for([LAMP, MUG])
    assert {category.name: category.id for category in one_off.vocabulary.categories} == {"mug": 0, "lamp": 1}
    segmentation = pipeline.segment(striped_image(), categories=[LAMP])
    assert (segmentation.label_map == 1).all()
    assert segmentation.vocabulary_version == 0
    assert pipeline.vocabulary.names == ("mug",)
    assert (pipeline.segment(striped_image()).label_map == 0).all()


def test_every_frame_is_labelled_by_one_version_while_the_vocabulary_changes(pipeline):
    frame = pipeline.embed(striped_image())
    stop = threading.Event()
    failures = []

    def relabel():
        while not stop.is_set():
            segmentation = pipeline.label(frame)
            version = segmentation.vocabulary_version
            expected = 255 if version == 0 else (version - 1) % 2  # mug, id 0, and ball, id 1, in turn
            if (segmentation.label_map != expected).any():
                failures.append(version)

    threads = [threading.Thread(target=relabel) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(20):
        vocabulary = pipeline.set_vocabulary(Operation.REPLACE, [BALL if number % 2 else MUG])
        assert pipeline.label(frame).vocabulary_version == vocabulary.version
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 1), (32, 32, 4), (0, 32, 3), (15, 64, 3)])
def test_a_bad_image_is_refused_and_the_next_good_one_works(pipeline, shape):
    with pytest.raises(ImageError, match="image: expected"):
        pipeline.embed(np.zeros(shape, np.uint8))
    assert pipeline.segment(striped_image()).label_map.shape == (120, 160)


def test_options_change_while_running(pipeline):
    pipeline.set_vocabulary(Operation.REPLACE, [MUG, BALL])
    frame = pipeline.embed(striped_image())
    assert (pipeline.label(frame).label_map != 255).all()
    pipeline.update_options({"score_threshold": 1.0, "num_runners_up": 1})
    assert (pipeline.label(frame).label_map == 255).all()
    assert pipeline.label(frame).segments.runner_up_ids.shape[1] == 1
    pipeline.update_options({"clusters.count_rule": "fixed", "clusters.fixed": 1, "clusters.k_min": 1})
    assert len(pipeline.embed(striped_image())) == 1


def test_options_change_whole_or_not_at_all(pipeline):
    before = to_flat_dict(pipeline.options)
    for changes in (
        {"score_threshold": 0.9, "clusters.k_max": 0},
        {"score_threshold": 0.9, "clusters.k_maximum": 5},
        {"score_threshold": 0.9, "features.model": "resnet18"},
        {"score_threshold": 0.9, "device": "auto"},
        {"clusters.k_min": 20, "clusters.k_max": 10},
    ):
        with pytest.raises(ConfigError):
            pipeline.update_options(changes)
    assert to_flat_dict(pipeline.options) == before


def test_a_read_only_option_may_be_named_with_its_own_value(pipeline):
    assert pipeline.update_options({"device": "cpu", "score_threshold": 0.25}).score_threshold == 0.25


def test_text_options_encode_the_vocabulary_anew(pipeline):
    pipeline.set_vocabulary(Operation.REPLACE, [MUG])
    prepared = pipeline.prepare(change=(Operation.ADD, [BALL]))
    frame = pipeline.embed(striped_image())
    alone = pipeline.label(frame).segments.scores
    np.testing.assert_allclose(alone, 1.0, atol=1e-6)  # the only text there is
    pipeline.update_options({"text.something_else": ["something else", "background"], "alignment.method": "none"})
    assert (pipeline.label(frame).segments.scores < 1.0).all()
    with pytest.raises(ConfigError, match="changed meanwhile"):
        pipeline.commit(prepared)


def test_precision_changes_while_running(pipeline):
    pipeline.set_vocabulary(Operation.REPLACE, [MUG, BALL])
    exact = pipeline.embed(striped_image())
    pipeline.update_options({"precision": "bf16"})
    rounded = pipeline.embed(striped_image())
    assert rounded.embeddings.shape[1] == exact.embeddings.shape[1]
    assert pipeline.label(rounded).vocabulary_version == 1


def test_warm_up_and_memory(pipeline):
    pipeline.warm_up((64, 48))
    assert pipeline.memory_bytes() > 10_000_000


def test_a_closed_pipeline_says_so(options):
    pipeline = Pipeline(options)
    pipeline.close()
    pipeline.close()
    with pytest.raises(RuntimeError, match="closed"):
        pipeline.embed(striped_image())


def test_unusable_options_are_refused_before_anything_is_loaded(options):
    with pytest.raises(ConfigError, match="score_threshold"):
        Pipeline(PipelineOptions(score_threshold=2.0))
    with pytest.raises(ConfigError, match="device"):
        Pipeline(replace_flat(options, {"device": "tpu"}))
    with pytest.raises(ModelNotFoundError):
        Pipeline(replace_flat(options, {"features.model": "/nonexistent/model.safetensors"}))


def test_settings_take_pipeline_and_node_keys_from_one_file(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("rate_hz: 5.0\nscore_threshold: 0.4\nclusters:\n  k_max: 9\n")
    settings = load_settings(path, {"clusters.k_min": 3, "image_transport": "compressed"})
    assert settings.node == NodeOptions(rate_hz=5.0, image_transport="compressed")
    assert settings.pipeline.score_threshold == 0.4
    assert (settings.pipeline.clusters.k_min, settings.pipeline.clusters.k_max) == (3, 9)
    assert load_settings().pipeline == PipelineOptions()


def test_an_unknown_key_names_the_file_and_the_nearest_key(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("clusters:\n  kmax: 9\n")
    with pytest.raises(ConfigError, match=r"settings\.yaml.*clusters\.kmax.*clusters\.k_max"):
        load_settings(path)
    with pytest.raises(ConfigError, match="rate_hz"):
        load_settings(overrides={"rate": 3.0})


def test_ids_and_versions_outlive_a_pipeline_with_their_registry(options):
    registry = VocabularyRegistry()
    first = Pipeline(options, registry)
    first.set_vocabulary(Operation.REPLACE, [CategoryRequest("mug"), CategoryRequest("ball")])
    first.close()
    second = Pipeline(options, registry)
    assert second.vocabulary.names == ("mug", "ball")
    vocabulary = second.set_vocabulary(Operation.REPLACE, [CategoryRequest("ball")])
    assert (vocabulary.version, vocabulary.categories[0].id) == (2, 1)
    second.close()
