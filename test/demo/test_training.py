"""Training of the embedded models: an interrupted run ends where an uninterrupted one would; what is written loads."""

import argparse
import json

import numpy as np
import pytest
import torch
from torch import nn

from ovsr_ros.demo import pool
from ovsr_ros.demo.clip_batches import MIN_PATCHES, draw_scenes
from ovsr_ros.demo.command import add_parser
from ovsr_ros.demo.pool import CROP_PX, cut_crops, cut_fragment
from ovsr_ros.demo.scenes import CATEGORIES, Scene
from ovsr_ros.demo.segment_crops import name_segments
from ovsr_ros.demo.train_clip import contrast, is_right
from ovsr_ros.demo.train_features import grid_features
from ovsr_ros.demo.training import Phase, Run, cosine_rate, phase_of
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.timm_features import FeatureExtractor


def train_line(path, num_steps, stop_after=None):
    """Fit a line by chance draws; `stop_after` steps the process dies, after the last checkpoint or not."""
    torch.manual_seed(0)
    networks = nn.ModuleDict({"line": nn.Linear(3, 1)})
    run = Run(path, networks, torch.optim.AdamW(networks.parameters()), shipped="line", seed=4)
    for done, finish in enumerate(run.steps(num_steps, lambda step: 0.1, label="line", save_every=2)):
        if done == stop_after:
            return None
        inputs = torch.from_numpy(run.rng().normal(size=(8, 3)).astype(np.float32))
        target = inputs.sum(1, keepdim=True) + 0.1 * torch.randn(8, 1)
        finish((networks["line"](inputs) - target).square().mean())
    return {key: value.clone() for key, value in run.average.state.items()}


@pytest.mark.parametrize("stop_after", [2, 3, 5])
def test_a_resumed_run_ends_where_an_uninterrupted_one_would(tmp_path, stop_after):
    whole = train_line(tmp_path / "whole.pt", 8)
    assert train_line(tmp_path / "parts.pt", 8, stop_after) is None
    resumed = train_line(tmp_path / "parts.pt", 8)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_checkpoint_of_another_seed_is_refused(tmp_path):
    train_line(tmp_path / "run.pt", 2)
    networks = nn.ModuleDict({"line": nn.Linear(3, 1)})
    with pytest.raises(ValueError, match="made with seed 4, asked for 5"):
        Run(tmp_path / "run.pt", networks, torch.optim.AdamW(networks.parameters()), shipped="line", seed=5)


def test_learning_rate_rises_then_falls():
    rates = [cosine_rate(step, 1000, 1.0) for step in range(1000)]
    assert np.argmax(rates) in (149, 150)
    assert rates[0] < 0.01
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_every_step_belongs_to_one_phase_and_each_phase_has_its_own_rate():
    phases = (Phase(0.5, 1.0), Phase(0.5, 0.4))
    places = [phase_of(phases, step, 1001) for step in range(1001)]
    assert [phase for phase, _ in places] == [phases[0]] * 500 + [phases[1]] * 501
    rates = np.array([rate for _, rate in places])
    assert rates[:500].max() == pytest.approx(1.0)
    assert rates[500:].max() == pytest.approx(0.4)
    assert rates[499] < 0.02


def test_what_is_not_known_is_neither_rewarded_nor_punished():
    truth, own = torch.tensor([[1, -1, 0, 0], [0, 1, 1, 0]]), torch.tensor([0, 2])
    logits = torch.randn(2, 4)
    changed = logits.clone()
    changed[0, 1] += 20
    assert contrast(changed, truth, own) == contrast(logits, truth, own)


def as_pool(frame):
    """One image as a pool, without crops."""
    names = [[*frame.instance_names, *[""] * (pool.MAX_INSTANCES - len(frame.instance_names))]]
    instances = frame.instance_map.astype(np.uint8)
    return pool.Pool(
        frame.image[None],
        frame.category_map[None],
        instances[None],
        np.array(names),
        np.zeros((0, 96, 96, 4)),
        np.array([]),
    )


def test_fragments_are_pieces_of_the_background():
    frame = Scene(3, num_objects=6, split="val").render(0.0, pool.IMAGE_WH)
    material = as_pool(frame)
    rng = np.random.default_rng(0)
    fragments = [cut_fragment(material, rng) for _ in range(40)]
    assert {kind for _, kind in fragments} == {"wall", "floor"}
    shares = [float((crop[..., 3] > 127).mean()) for crop, _ in fragments]
    assert all(crop.shape == (CROP_PX, CROP_PX, 4) for crop, _ in fragments)
    assert min(shares) > 0.002
    assert max(shares) < 0.55, "a margin is around each piece"


def test_crops_hold_their_instance_and_nothing_is_lost_at_the_border():
    frame = Scene(3, num_objects=6, split="val").render(0.0, (512, 384))
    crops = cut_crops(frame)
    assert {name for _, name in crops} <= set(frame.instance_names)
    assert len(crops) >= 5
    for crop, name in crops:
        assert crop.shape == (CROP_PX, CROP_PX, 4)
        mask = crop[..., 3] > 127
        assert mask.mean() > 0.02, name
        rows, columns = np.nonzero(mask)
        if name in frame.instance_names[2:]:
            inner = CROP_PX / 1.45
            assert max(np.ptp(rows), np.ptp(columns)) == pytest.approx(inner, abs=6), name


def test_grid_features_lie_on_the_finest_grid_at_length_one():
    maps = [torch.randn(2, channels, 48 // 2**i, 64 // 2**i) * 5 + 3 for i, channels in enumerate((24, 40, 112))]
    features = grid_features(maps)
    assert features.shape == (2, 176, 48, 64)
    assert torch.allclose(features.norm(dim=1), torch.ones(2, 48, 64), atol=1e-5)


def test_a_perfect_answer_costs_less_than_a_wrong_one():
    """Two crops, three captions, "something else": own caption right, others false, "something else" when missing."""
    truth = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0]])
    own = torch.tensor([0, 2])
    right = torch.tensor([[9.0, -9, -9, 0], [-9, 9, 9, 0]])
    loss = contrast(right, truth, own)
    assert is_right(right, truth, own).tolist() == [1, 1]
    for wrong in (right[[1, 0]], -right, right.flip(1)):
        assert contrast(wrong, truth, own) > loss + 1
        assert not is_right(wrong, truth, own).all()


def test_scenes_are_drawn_with_a_mask_and_a_concept_per_part():
    frame = Scene(3, num_objects=6, split="val").render(0.0)
    images, masks, concepts = draw_scenes(as_pool(frame), 4, np.random.default_rng(0))
    assert images.shape == (4, 3, 192, 256)
    assert sum(len(mask) for mask in masks) == len(concepts)
    assert all(mask.shape[1:] == (24, 32) and mask.sum(0).max() <= 1.001 for mask in masks)
    assert all(mask.flatten(1).sum(1).min() >= MIN_PATCHES for mask in masks)
    assert {concept.kind for concept in concepts} <= {name.kind for name in Scene(3, 6, "val").names} | {
        "wall",
        "floor",
    }
    assert draw_scenes(as_pool(frame), 0, np.random.default_rng(0))[1:] == ([], [])


def test_segments_are_named_by_what_they_show():
    """One that is most of an object bears its full name, a piece of one its kind, a mixture none."""
    names = np.array(["brick wall", "wooden floor", "plain red mug", "dotted blue mug", ""])
    instances = np.zeros((8, 12), np.uint8)
    instances[4:], instances[2:6, 2:6], instances[2:6, 8:10] = 1, 2, 3
    categories = np.array([0, 1, CATEGORIES.index("mug"), CATEGORIES.index("mug")])[instances]
    segments = np.ones((8, 12), np.int32)
    segments[2:6, 2:6] = 2
    segments[2:3, 8:10] = 3
    segments[6:8, 4:12], segments[0:1] = 4, 5
    found = dict(name_segments(segments, instances, categories, names))
    assert found[2] == "plain red mug"
    assert found[3] == "mug"
    assert found[4] == "floor"
    assert found[5] == "wall"
    assert 1 not in found


def test_training_from_nothing_writes_models_that_load(tmp_path, monkeypatch):
    """The whole command on a handful of scenes: it learns nothing in two steps, but every part is the real one."""
    monkeypatch.setattr(pool, "SCENES_PER_SHARD", 4)
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    words = ["--scenes", "4", "--feature-steps", "2", "--clip-steps", "2", "--batch", "2", "6", "--threads", "1"]
    arguments = parser.parse_args(
        ["demo", "train", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--device", "cpu", *words]
    )
    assert arguments.run(arguments) == 0
    out = tmp_path / "out"
    extractor = FeatureExtractor(str(out / "efficientnet_b0"), (1, 2, 3), torch.device("cpu"), "fp32", False)
    assert extractor.channels == (24, 40, 112)
    clip = ClipModel(str(out / "clip"), torch.device("cpu"), "fp32", False)
    assert (clip.image_size, clip.embedding_dim) == (64, 128)
    config = json.loads((out / "efficientnet_b0" / "config.json").read_text())
    assert config["label_names"] == list(CATEGORIES)
    sums = (out / "SHA256SUMS").read_text().split("\n")
    assert any("clip/open_clip_model.safetensors" in line for line in sums)
    assert any("efficientnet_b0/model.safetensors" in line for line in sums)
    record = json.loads((out / "clip" / "training.json").read_text())
    assert record["seed"] == "1"
    assert str(tmp_path) not in json.dumps(record)
