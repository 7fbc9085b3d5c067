"""Training of the embedded models: an interrupted run ends where an uninterrupted one would; what is written loads."""

import argparse
import json

import numpy as np
import pytest
import torch
from torch import nn

from ovsr_ros.demo import pool
from ovsr_ros.demo.command import add_parser
from ovsr_ros.demo.pool import CROP_PX, cut_crops, cut_fragment
from ovsr_ros.demo.scenes import CATEGORIES, Scene
from ovsr_ros.demo.train_clip import contrast
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
    assert contrast(changed, truth, own)[0] == contrast(logits, truth, own)[0]


def test_fragments_are_pieces_of_the_background():
    frame = Scene(3, num_objects=6, split="val").render(0.0, pool.FEATURE_WH)
    material = pool.Pool(frame.image[None], frame.category_map[None], np.zeros((0, 96, 96, 4), np.uint8), np.array([]))
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
    loss, accuracy = contrast(right, truth, own)
    assert accuracy == 1
    for wrong in (right[[1, 0]], -right, right.flip(1)):
        assert contrast(wrong, truth, own)[0] > loss + 1


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
