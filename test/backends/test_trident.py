"""Trident: its stages against the method as it is described, over odd sizes, one window and many."""

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ovsr_ros.backends.trident import decision
from ovsr_ros.backends.trident.aggregation import SamOptions, aggregate
from ovsr_ros.backends.trident.backend import TridentOptions, full_cosines, load, place_cosines
from ovsr_ros.backends.trident.decision import DecisionOptions, decide
from ovsr_ros.backends.trident.presets import PRESETS
from ovsr_ros.backends.trident.refinement import MaskOptions, mask_prompt, refine_by_sam
from ovsr_ros.backends.trident.windows import WindowOptions, cut_windows, padded_size_hw, scaled_size_hw
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.datasets import DATASETS
from ovsr_ros.models.tensors import save_tensors
from ovsr_ros.models.untrained import new_registered_clip, new_registered_sam, new_registered_vit
from ovsr_ros.options import replace_flat
from ovsr_ros.settings import load_settings
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import trident_reference

CPU = torch.device("cpu")
SIZES_HW = {
    "one window": (64, 64),
    "smaller than a window": (16, 16),
    "many windows": (97, 131),
    "multiples of the patch": (96, 160),
    "portrait": (151, 80),
    "thin": (20, 300),
}


@pytest.fixture(scope="module")
def backend(trident_models):
    return load(replace_flat(TridentOptions(), trident_models.options()), CPU, "fp32", False)


@pytest.fixture(scope="module")
def plain(trident_models):
    """The same networks as their libraries have them, for the transcription."""
    return load(replace_flat(TridentOptions(), trident_models.options()), CPU, "fp32", False, packed=False)


def changed(backend, **changes):
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return backend.with_options(replace_flat(backend.options, named))


def picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = np.repeat(np.repeat(rng.integers(0, 256, (6, 7, 3)), -(-height // 6), 0), -(-width // 7), 1)
    return (image[:height, :width] * 0.8 + rng.integers(0, 50, (height, width, 3))).astype(np.uint8)


def words(backend, class_ids=(255, 255, 2, 5, 7), version=3):
    """A classifier whose rows are far apart: a small CLIP's own texts are all alike."""
    rows = torch.randn(len(class_ids), backend.clip.embedding_dim, generator=torch.Generator().manual_seed(4))
    rows = torch.nn.functional.normalize(rows, dim=1)
    return TextClassifier(rows, torch.tensor(class_ids, dtype=torch.uint8), tuple(map(str, class_ids)), version)


# --- The whole, against the plain transcription ---


@pytest.mark.parametrize("size_hw", SIZES_HW.values(), ids=SIZES_HW.keys())
def test_cosines_are_those_of_the_transcription(backend, plain, size_hw):
    image, classifier = picture(*size_hw), words(backend)
    expected, _ = trident_reference.cosines(plain, image, classifier.embeddings)
    found = full_cosines(backend.embed(image), classifier)
    assert found.shape == (5, *size_hw)
    assert float((found - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.slow
def test_at_real_size_cosines_are_those_of_the_transcription(tmp_path):
    files = {
        "clip": ("ViT-B-16/openai", new_registered_clip),
        "proxy": ("vit_base_patch16_224.dino", new_registered_vit),
        "sam": ("sam_vit_b", new_registered_sam),
    }
    changes = {"masks.method": "none", "windows.short_side": 336}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for section, (name, new_network) in files.items():
            path = tmp_path / f"{section}.safetensors"
            save_tensors(new_network(name).state_dict(), path)
            changes[f"{section}.model"] = str(path) if section == "sam" else f"{name}@{path}"
    backend, plain = (
        load(replace_flat(TridentOptions(), changes), CPU, "fp32", False, packed) for packed in (True, False)
    )
    for path in tmp_path.iterdir():
        path.unlink()
    image, classifier = picture(240, 320), words(backend)
    expected, _ = trident_reference.cosines(plain, image, classifier.embeddings)
    found = full_cosines(backend.embed(image), classifier)
    assert float((found - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.parametrize("method", ["none", "sam"])
@pytest.mark.parametrize("size_hw", [(98, 130), (150, 80)], ids=["landscape", "portrait"])
def test_labels_are_those_of_the_transcription(backend, plain, size_hw, method):
    # Even sides: along an image's border probabilities are level, and which of them is the peak that prompts SAM would
    # be decided by the last bit where halving them rounds. In this picture, by the last bit of the networks neither:
    # in others a peak or a mask's predicted overlap is so near to another, or to its threshold, that the number of
    # threads decides.
    backend, plain = (
        changed(each, masks__method=method, masks__coarse_threshold=0.1, decision__logit_scale=10.0)
        for each in (backend, plain)
    )
    image, classifier = picture(*size_hw, seed=1), words(backend)
    logits, seen = trident_reference.cosines(plain, image, classifier.embeddings)
    expected = trident_reference.labels(plain, logits, seen, num_background=2, threshold=0.25)
    found = backend.label(backend.embed(image), classifier, 0.25, 2)
    assert (found.label_map == np.array([255, 2, 5, 7], np.uint8)[expected]).mean() >= 0.999
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize(
    "changes",
    [
        {"sam__cos_factor": 0.0, "windows__stride": 16},
        {"sam__cos_factor": 3.0, "sam__refine_negative_cos": False},
        {"proxy__beta": 0.5, "proxy__gamma": 10.0, "windows__short_side": 70},
    ],
)
def test_options_change_both_alike(backend, plain, changes):
    other, image, classifier = changed(backend, **changes), picture(97, 131), words(backend)
    expected, _ = trident_reference.cosines(changed(plain, **changes), image, classifier.embeddings)
    frame = other.embed(image)
    assert float((full_cosines(frame, classifier) - expected).norm() / expected.norm()) < 1e-4
    assert not torch.equal(frame.embeddings, backend.embed(image).embeddings)


def test_batches_of_windows_change_nothing(backend):
    image = picture(97, 131)
    one_by_one = changed(backend, windows__memory_mb=16)
    torch.testing.assert_close(one_by_one.embed(image).embeddings, backend.embed(image).embeddings)


# --- Windows ---


@pytest.mark.parametrize(
    ("size_hw", "scaled", "padded"),
    [
        ((375, 500), (448, 597), (464, 608)),
        ((64, 48), (597, 448), (608, 464)),
        ((2160, 3840), (448, 796), (464, 800)),
        ((448, 640), (448, 640), (448, 640)),
        ((40, 900), (91, 2048), (336, 2048)),
    ],
)
def test_sizes_are_the_authors(size_hw, scaled, padded):
    assert scaled_size_hw(size_hw, 448, 2048) == scaled
    assert padded_size_hw(scaled, 16, 336) == padded


def test_an_image_of_one_window_is_seen_whole():
    options = WindowOptions(short_side=336)
    windowed = cut_windows(picture(336, 336), 16, CPU, options)
    assert len(windowed.windows) == 1
    assert torch.equal(windowed.image[0].permute(1, 2, 0).to(torch.uint8), torch.from_numpy(picture(336, 336)))


# --- Aggregation ---


def test_halves_are_joined_apart_and_set_side_by_side(backend):
    image = picture(64, 128)
    features = torch.randn(6, 8, 16, generator=torch.Generator().manual_seed(0))
    halves = aggregate(image, features, backend.sam, 8, True, SamOptions(halves=True))
    left = aggregate(image[:, :64].copy(), features[:, :, :8], backend.sam, 8, False, SamOptions())
    assert halves.features.shape == (6, 8, 16)
    torch.testing.assert_close(halves.features[:, :, :8], left.features)
    assert halves.embedding is not None
    assert halves.sam_frame.valid_hw == (4, 8)
    assert left.embedding is None


def test_without_sam_places_stay_apart(trident_models):
    changes = trident_models.options(**{"sam.model": "none", "masks.method": "none"})
    alone = load(replace_flat(TridentOptions(), changes), CPU, "fp32", False)
    assert alone.embed(picture(97, 131)).embeddings.shape == (64, 13, 17)


# --- Decision ---


def literal_labels(cosines, size_hw, class_ids, scale, threshold):
    """Pixel by pixel: softmax over all words, the background's best against each category."""
    whole = torch.nn.functional.interpolate(cosines[None], size_hw, mode="bilinear", align_corners=False)[0]
    labels = np.zeros(size_hw, int)
    confidence = np.zeros(size_hw)
    for y in range(size_hw[0]):
        for x in range(size_hw[1]):
            exponentials = [math.exp(scale * float(value)) for value in whole[:, y, x]]
            share = [value / sum(exponentials) for value in exponentials]
            background = max([p for p, i in zip(share, class_ids, strict=True) if i == 255], default=0.0)
            classes = [background, *[p for p, i in zip(share, class_ids, strict=True) if i != 255]]
            confidence[y, x] = max(classes)
            labels[y, x] = classes.index(max(classes)) if max(classes) >= threshold else 0
    return labels, confidence


@pytest.mark.parametrize("class_ids", [(255, 255, 3, 1), (3, 1), (4, 255, 9), (255,)])
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_a_decision_is_its_formula(backend, class_ids, threshold):
    generator = torch.Generator().manual_seed(1)
    cosines = torch.rand(len(class_ids), 4, 5, generator=generator) * 0.1
    classifier = words(backend, class_ids)
    decided = decide(cosines, (11, 13), classifier, threshold, DecisionOptions())
    labels, confidence = literal_labels(cosines, (11, 13), class_ids, 40.0, threshold)
    assert np.array_equal(decided.labels.numpy(), labels)
    np.testing.assert_allclose(decided.confidence.numpy(), confidence, rtol=1e-4)
    whole = torch.stack([decided.maps.probability(index) for index in range(len(decided.maps))])
    torch.testing.assert_close(whole.amax(0), decided.confidence)
    expected = [255, *[class_id for class_id in class_ids if class_id != 255]]
    assert decided.maps.class_ids.tolist() == expected


def test_a_decision_in_bands_is_the_same(backend, monkeypatch):
    cosines = torch.rand(5, 6, 8, generator=torch.Generator().manual_seed(1)) * 0.1
    whole = decide(cosines, (61, 83), words(backend), 0.3, DecisionOptions())
    monkeypatch.setattr(decision, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(decision, "_BAND_BYTES", 4 * 15 * 83 * 7)
    banded = decide(cosines, (61, 83), words(backend), 0.3, DecisionOptions())
    assert banded.maps.kept is None
    assert (banded.labels == whole.labels).float().mean() > 0.999
    torch.testing.assert_close(banded.confidence, whole.confidence, atol=1e-5, rtol=1e-4)
    for index in range(4):
        torch.testing.assert_close(banded.maps.probability(index), whole.maps.probability(index), atol=1e-5, rtol=1e-4)


def test_no_words_label_nothing(backend):
    classifier = words(backend, ())
    found = backend.label(backend.embed(picture(60, 60)), classifier, 0.0, 2)
    assert (found.label_map == 255).all()
    assert (found.confidence == 0).all()


# --- Refinement ---


def decided_scene(backend, image, threshold=0.0):
    frame, classifier = backend.embed(image), words(backend)
    cosines = place_cosines(frame, classifier)
    return frame, decide(cosines, frame.image_hw, classifier, threshold, DecisionOptions(logit_scale=10.0))


def test_where_no_mask_is_accepted_labels_stay(backend):
    frame, decided = decided_scene(backend, picture(97, 131))
    options = dataclasses.replace(backend.options.masks, coarse_threshold=0.1)
    none = dataclasses.replace(options, iou_threshold=1.0)  # SAM's predictions here are about 0.8
    refused = refine_by_sam(decided, frame.sam_embedding, frame.sam_frame, backend.sam, none)
    assert torch.equal(refused.labels, decided.labels)
    assert torch.equal(refused.confidence, decided.confidence)
    assert not refused.is_mask.any()
    some = dataclasses.replace(options, iou_threshold=0.0)
    refined = refine_by_sam(decided, frame.sam_embedding, frame.sam_frame, backend.sam, some)
    assert refined.is_mask.any()
    assert not refined.is_mask.all()
    assert torch.equal(refined.labels[~refined.is_mask], decided.labels[~refined.is_mask])
    assert not torch.equal(refined.labels, decided.labels)


def test_too_small_or_too_doubtful_regions_prompt_nothing(backend):
    frame, decided = decided_scene(backend, picture(97, 131))
    for changes in ({"min_area": 10**6}, {"coarse_threshold": 1.0}):
        options = dataclasses.replace(backend.options.masks, **{"iou_threshold": 0.0, **changes})
        refined = refine_by_sam(decided, frame.sam_embedding, frame.sam_frame, backend.sam, options)
        assert torch.equal(refined.labels, decided.labels)


def test_prompts_in_batches_change_nothing(backend):
    frame, decided = decided_scene(backend, picture(97, 131))
    found = [
        refine_by_sam(
            decided,
            frame.sam_embedding,
            frame.sam_frame,
            backend.sam,
            MaskOptions(min_area=5, coarse_threshold=0.1, iou_threshold=0.5, prompts_at_once=at_once),
        )
        for at_once in (1, 256)
    ]
    assert (found[0].labels == found[1].labels).float().mean() > 0.999


def test_a_mask_prompt_is_the_probability_where_it_is_sure(backend):
    probability = torch.full((40, 60), 0.1)
    probability[10:30, 20:40] = 0.6
    prompt = mask_prompt(probability, (80, 120), backend.sam, MaskOptions(coarse_threshold=0.2))
    assert prompt.shape == (1, 32, 32)
    assert prompt.max() == pytest.approx(0.005 * 0.6)
    assert (prompt[0, 21:] == 0).all(), "below the image there is nothing"
    assert prompt[0, 0, 0] == 0


def test_pamr_is_an_alternative(backend):
    other = changed(backend, masks__method="pamr", masks__pamr_iterations=2, masks__pamr_dilations=(1, 2))
    frame = other.embed(picture(97, 131))
    assert frame.sam_embedding is None
    assert other.label(frame, words(backend), 0.0, 1).label_map.shape == (97, 131)


# --- What comes out ---


def test_a_result_describes_its_pixels(backend):
    image = picture(97, 131)
    found = changed(backend, segments__min_area=0.01).label(backend.embed(image), words(backend), 0.3, 2)
    segments = found.segments
    assert np.isin(found.label_map, (255, 2, 5, 7)).all()
    assert (found.confidence[found.label_map == 255] == 0).all()
    assert (np.diff(segments.areas_px) <= 0).all()
    assert segments.areas_px.min() >= 0.01 * image.shape[0] * image.shape[1]
    for index in range(len(segments)):
        y, x = np.nonzero(found.segment_map == index + 1)
        assert len(y) == segments.areas_px[index]
        assert (found.label_map[y, x] == segments.class_ids[index]).all()
        assert segments.boxes_xyxy[index].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        if segments.class_ids[index] != 255:
            assert segments.scores[index] == pytest.approx(found.confidence[y, x].mean() / 255, abs=0.003)
    assert (segments.runner_up_ids != segments.class_ids[:, None]).all() or (segments.class_ids == 255).any()
    assert (np.diff(segments.runner_up_scores, axis=1) <= 0).all()
    assert found.vocabulary_version == 3


def test_stages_are_named_in_the_order_the_data_passes(backend):
    found = backend.label(backend.embed(picture(60, 60)), words(backend), 0.0, 1)
    assert list(found.stage_seconds) == [
        "windows", "proxy", "splice", "sam", "embeddings", "decision", "masks", "label_map",
    ]  # fmt: skip


@pytest.mark.parametrize("level", [0, 255])
def test_an_image_of_one_colour_is_labelled(backend, level):
    found = backend.label(backend.embed(np.full((60, 80, 3), level, np.uint8)), words(backend), 0.0, 1)
    assert found.label_map.shape == (60, 80)
    assert len(found.segments) >= 1


# --- Options ---


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"windows__size": 72}, "windows.size: expected a multiple of the patch, 16, got 72"),
        ({"windows__stride": 12}, "windows.stride: expected a multiple of the patch, 8, got 12"),
        ({"windows__stride": 96}, "leaves gaps"),
    ],
)
def test_options_that_the_models_cannot_follow_are_refused(backend, changes, said):
    with pytest.raises(ConfigError, match=said):
        changed(backend, **changes)


def test_masks_of_sam_need_a_sam(trident_models):
    with pytest.raises(ConfigError, match="needs a model in"):
        load(replace_flat(TridentOptions(), trident_models.options(**{"sam.model": "none"})), CPU, "fp32", False)


def test_bf16_is_near_fp32(trident_models):
    options = replace_flat(TridentOptions(), trident_models.options())
    image = picture(97, 131)
    full, half = (load(options, CPU, precision, False).embed(image).embeddings for precision in ("fp32", "bf16"))
    assert half.dtype == torch.float32
    assert float((full * half).sum(0).mean()) > 0.98


@pytest.mark.parametrize("dataset", PRESETS)
def test_each_preset_is_a_configuration(dataset):
    assert dataset in DATASETS
    settings = load_settings("trident", dict(PRESETS[dataset])).pipeline
    assert settings.text.templates == "imagenet80"
    assert settings.text.unlabeled_names == ()


def test_the_authors_settings():
    voc20 = load_settings("trident", dict(PRESETS["voc20"])).pipeline
    assert (voc20.trident.windows.short_side, voc20.trident.windows.stride, voc20.trident.sam.cos_factor) == (
        336,
        112,
        0,
    )
    ade = load_settings("trident", dict(PRESETS["ade20k"])).pipeline
    assert (ade.score_threshold, ade.trident.masks.coarse_threshold, ade.trident.sam.refine_negative_cos) == (
        0,
        0.05,
        False,
    )
    assert load_settings("trident", dict(PRESETS["cityscapes"])).pipeline.trident.sam.halves
