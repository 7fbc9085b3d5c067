import json

import numpy as np
import pytest
import torch

from ovsr_ros.backends.ovsr.backend import OvsrOptions, load
from ovsr_ros.backends.ovsr.clustering import ClusterOptions, count_clusters
from ovsr_ros.backends.ovsr.features import grid_size_hw, normalize_level
from ovsr_ros.backends.ovsr.regions import RegionOptions, split_into_parts
from ovsr_ros.errors import ConfigError
from ovsr_ros.models.tensors import save_tensors
from ovsr_ros.models.untrained import new_clip
from ovsr_ros.options import from_dict, replace_flat
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def backend(seeded_models):
    models = {"features.model": seeded_models.features, "clip.model": seeded_models.clip}
    coarse = {"features.grid_rows": 32, "features.input_short_side": 128}
    options = replace_flat(OvsrOptions(), {**models, **coarse})
    return load(options, CPU, "fp32", False)


def stripes(height=120, width=160):
    image = np.random.default_rng(0).integers(90, 110, (height, width, 3), np.uint8)
    image[:, : width // 3, 0] += 120
    image[:, 2 * width // 3 :, 2] += 120
    return image


@pytest.mark.parametrize(
    ("image_hw", "expected"),
    [
        ((480, 640), (64, 86)),
        ((640, 480), (86, 64)),
        ((720, 1280), (64, 114)),
        ((32, 32), (32, 32)),
        ((40, 50), (40, 50)),
        ((16, 8000), (1, 160)),
    ],
)
def test_grid_follows_the_short_side(image_hw, expected):
    assert grid_size_hw(image_hw, 64) == expected


def test_standardised_features_have_equal_weight_per_level():
    features = torch.randn(500, 24, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 2, 24) + 5
    standardised = normalize_level(features, "standardize")
    torch.testing.assert_close(standardised.mean(0), torch.zeros(24), atol=1e-5, rtol=0)
    assert float(standardised.square().sum(1).mean()) == pytest.approx(1.0, rel=1e-3)


def test_a_dead_channel_says_nothing():
    features = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    features[:, 2] = 3.0 + 1e-7 * features[:, 0]
    assert normalize_level(features, "standardize")[:, 2].abs().max() < 0.01
    assert (normalize_level(torch.full((10, 3), 2.0), "standardize") == 0).all()


def test_other_normalisations():
    features = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(normalize_level(features, "none"), features)


def test_count_rules_are_clamped():
    values, latents = torch.tensor([10.0, 9.0, 8.0, 0.1]), torch.eye(4).repeat(25, 1)

    def count(**options):
        return count_clusters(latents, values, (10, 10), ClusterOptions(**options))

    assert count(count_rule="energy") == 3
    assert count(count_rule="energy", k_min=5) == 5
    assert count(count_rule="energy", k_max=2) == 2
    assert count(count_rule="fixed", fixed=7) == 7
    assert count(rank_factor=20.0, k_max=9) == 9
    assert count(rank_factor=0.1, k_min=3) == 3
    with pytest.raises(ConfigError, match="k_min: expected at most k_max, 3, got 8"):
        from_dict(ClusterOptions, {"k_min": 8, "k_max": 3})


def test_parts_of_a_cluster_are_segments_of_their_own():
    clusters = np.zeros((10, 12), np.int64)
    clusters[2:5, 2:5] = 1
    clusters[6:9, 7:10] = 1
    parts, cluster_of_part = split_into_parts(clusters, RegionOptions(min_area=0.0))
    assert cluster_of_part.tolist() == [0, 1, 1]
    assert parts[3, 3] != parts[7, 8]
    whole, cluster_of_whole = split_into_parts(clusters, RegionOptions(split_components=False, min_area=0.0))
    assert cluster_of_whole.tolist() == [0, 1]
    assert np.array_equal(whole, clusters)


def test_too_many_parts_join_until_they_fit():
    clusters = np.random.default_rng(0).integers(0, 2, (30, 40))
    parts, cluster_of_part = split_into_parts(clusters, RegionOptions(min_area=0.0, max_segments=10))
    assert parts.max() + 1 == len(cluster_of_part) <= 10


@pytest.mark.parametrize(
    "changes",
    [
        {"features.normalization": "l2_joint"},
        {"features.normalization": "none"},
        {"features.grid_rows": 24},
        {"features.input_short_side": 128},
        {"latent.energy": 0.5},
        {"latent.max_rank": 1},
        {"clusters.linkage": "average", "features.grid_rows": 24},
        {"clusters.count_rule": "fixed", "clusters.fixed": 4},
        {"regions.split_components": False},
        {"regions.min_area": 0.0, "regions.max_segments": 5},
        {"crops.style": "blur"},
        {"crops.style": "mean", "crops.margin": 0.5},
        {"clip.batch": 1},
        {"clip.recognition": "dense", "clip.dense_short_side": 64},
        {"clip.recognition": "dense", "clip.dense_attention": "correlative"},
        {"clip.recognition": "auto"},
        {"refinement.method": "guided"},
        {"refinement.method": "guided", "refinement.rows": 16, "refinement.guide_rows": 8},
        {"refinement.method": "guided", "refinement.rows": 2160, "refinement.radius": 32.0},
    ],
    ids=str,
)
def test_every_option_value_segments_without_holes(backend, changes):
    frame = backend.with_options(replace_flat(backend.options, changes)).embed(stripes())
    assert int(frame.regions.segment_map.min()) == 1
    assert 1 <= len(frame) <= 64
    assert np.isfinite(frame.embeddings.numpy()).all()


def test_fixed_count_without_splitting_gives_that_many_segments(backend):
    changes = {
        "clusters.count_rule": "fixed",
        "clusters.fixed": 3,
        "regions.split_components": False,
        "regions.min_area": 0.0,
    }
    assert len(backend.with_options(replace_flat(backend.options, changes)).embed(stripes())) == 3


def test_stripes_are_found(backend):
    frame = backend.embed(stripes())
    segment_map = frame.regions.segment_map.numpy()
    centers = [segment_map[60, 27], segment_map[60, 80], segment_map[60, 133]]
    assert len(set(centers)) == 3


def sides_shared(backend, method):
    """How many segments reach over a stripe's edge by more than a pixel."""
    refined = backend.with_options(replace_flat(backend.options, {"refinement.method": method})).embed(stripes())
    segment_map = refined.regions.segment_map.numpy()[20:100]
    edges = (160 // 3, 2 * 160 // 3)
    return sum(len(np.intersect1d(segment_map[:, e - 15 : e - 1], segment_map[:, e + 1 : e + 15])) for e in edges)


def test_no_segment_reaches_over_an_edge_once_refined(backend):
    assert sides_shared(backend, "none") > 0
    assert sides_shared(backend, "guided") == 0


def test_a_segment_is_found_whichever_subset_of_levels_describes_it(seeded_models):
    models = {"features.model": seeded_models.features, "clip.model": seeded_models.clip}
    coarse = {"features.grid_rows": 24, "features.input_short_side": 96}
    for levels in ((1,), (3,), (4,), (0, 1, 2, 3, 4), (4, 0)):
        changes = {**models, **coarse, "features.levels": levels}
        frame = load(replace_flat(OvsrOptions(), changes), CPU, "fp32", False).embed(stripes())
        assert int(frame.regions.segment_map.min()) == 1
        assert (np.diff(frame.regions.areas_px) <= 0).all()


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 400), (400, 16), (97, 131)])
@pytest.mark.parametrize("method", ["none", "guided"])
def test_every_size_is_refined_without_holes(backend, size_hw, method):
    refined = backend.with_options(replace_flat(backend.options, {"refinement.method": method}))
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    image[:, size_hw[1] // 2 :] //= 4
    one, other = refined.embed(image), refined.embed(image)
    areas = np.bincount(one.regions.segment_map.numpy().ravel(), minlength=len(one) + 1)
    assert areas[0] == 0
    assert np.array_equal(areas[1:], one.regions.areas_px)
    assert (np.diff(one.regions.areas_px) <= 0).all()
    assert torch.equal(one.regions.segment_map, other.regions.segment_map)
    assert len(refined.embed(np.full((*size_hw, 3), 90, np.uint8))) == 1


def test_dense_recognition_tells_a_segment_from_its_surroundings(backend):
    dense = backend.with_options(
        replace_flat(backend.options, {"clip.recognition": "dense", "clip.dense_short_side": 64})
    )
    frame = dense.embed(stripes())
    assert frame.embeddings.shape == (len(frame), backend.clip.embedding_dim)
    torch.testing.assert_close(frame.embeddings.norm(dim=1), torch.ones(len(frame)), atol=1e-4, rtol=0)
    assert "crops" not in frame.stage_seconds
    likeness = frame.embeddings @ frame.embeddings.T
    assert len(frame) >= 3
    assert (likeness - torch.eye(len(frame))).max() < 0.999


def test_auto_recognition_is_dense_on_a_cpu(backend):
    recognise = {name: replace_flat(backend.options, {"clip.recognition": name}) for name in ("auto", "dense", "crops")}
    found = {name: backend.with_options(options).embed(stripes()).embeddings for name, options in recognise.items()}
    assert torch.equal(found["auto"], found["dense"])
    assert not torch.equal(found["auto"], found["crops"])


def test_a_model_without_patches_is_refused_for_dense_and_gets_crops_from_auto(seeded_models, tmp_path):
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 16},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    document = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.3, 0.3, 0.3]}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(document))
    save_tensors(new_clip(config).state_dict(), tmp_path / "open_clip_model.safetensors")
    models = {"features.model": seeded_models.features, "clip.model": str(tmp_path)}
    coarse = {"features.grid_rows": 16, "features.input_short_side": 64}
    options = replace_flat(OvsrOptions(), {**models, **coarse, "clip.recognition": "auto"})
    resnet = load(options, CPU, "fp32", False)
    assert "crops" in resnet.embed(stripes()).stage_seconds
    with pytest.raises(ConfigError, match="ModifiedResNet; set it to crops"):
        resnet.with_options(replace_flat(options, {"clip.recognition": "dense"}))


def test_the_unlabeled_bias_gives_and_takes_labels(backend):
    frame = backend.embed(stripes())
    texts = backend.clip.encode_texts(["wall", "something else"])
    classifier = TextClassifier(texts, torch.tensor([0, 255], dtype=torch.uint8), ("wall", "something else"), 1)
    labels = []
    for bias in (20.0, 0.0, -20.0):
        biased = backend.with_options(replace_flat(backend.options, {"alignment.unlabeled_bias": bias}))
        labels.append(biased.label(frame, classifier, 0.0, 1).segments.class_ids)
    assert (labels[0] == 255).all()
    assert (labels[2] == 0).all()


def test_batch_size_does_not_change_the_embeddings(backend):
    one = backend.embed(stripes())
    other = backend.with_options(replace_flat(backend.options, {"clip.batch": 1})).embed(stripes())
    torch.testing.assert_close(one.embeddings, other.embeddings, atol=1e-4, rtol=1e-3)


def test_stages_are_timed_in_order(backend):
    stages = ["features", "latent", "smoothing", "clusters", "refinement", "regions", "crops", "clip"]
    for recognition, expected in (("crops", stages), ("dense", [name for name in stages if name != "crops"])):
        chosen = backend.with_options(replace_flat(backend.options, {"clip.recognition": recognition}))
        assert list(chosen.embed(stripes()).stage_seconds) == expected


def test_auto_keeps_features_in_float32_on_a_cpu(seeded_models):
    options = replace_flat(OvsrOptions(), {"features.model": seeded_models.features, "clip.model": seeded_models.clip})
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    by_auto, exact, rough = (
        load(options, CPU, precision, False).extractor(image)[0] for precision in ("auto", "fp32", "bf16")
    )
    assert torch.equal(by_auto, exact)
    assert not torch.equal(rough, exact)
