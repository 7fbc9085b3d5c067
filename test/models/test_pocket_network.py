"""The pocket network: what its last map is made of, and that timm and open_clip build it by name."""

from __future__ import annotations

from typing import Any

import open_clip
import pytest
import timm
import torch
from torch.nn.functional import interpolate, normalize

from ovsr_ros.models.clip_maps import has_maps, look, stride_of
from ovsr_ros.models.pocket_network import PocketNetwork

NUM_ANCHORS, NUM_FEATURES = 7, 12
SIZES: dict[str, Any] = {"num_classes": NUM_FEATURES, "num_anchors": NUM_ANCHORS, "width": 16}


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    made = timm.create_model("ovsr_pocket_lite0_fine", **SIZES).eval()
    made.anchors.copy_(normalize(torch.randn(NUM_ANCHORS, NUM_FEATURES), dim=1))
    for block in made.blocks.modules():
        if hasattr(block, "project"):
            torch.nn.init.normal_(block.project.weight, 0, 0.05)
    return made


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 70, 96, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_cells_lie_an_eighth_apart_and_have_length_one(network, images):
    cells = network.forward_features(images)
    assert cells.shape == (2, NUM_FEATURES, 9, 12)
    torch.testing.assert_close(cells.norm(dim=1), torch.ones(2, 9, 12), atol=1e-5, rtol=0)
    torch.testing.assert_close(network(images), cells.mean((2, 3)))


@torch.no_grad()
def test_levels_are_the_trunks_and_the_pyramid(network, images):
    last, levels = network.forward_intermediates(images, indices=[5, 0, 4])
    torch.testing.assert_close(last, network.forward_features(images))
    assert [tuple(level.shape[1:]) for level in levels] == [(16, 35, 48), (320, 3, 3), (16, 9, 12)]
    expected = network.trunk.forward_intermediates(images, indices=[0, 4], intermediates_only=True)
    torch.testing.assert_close(levels[0], expected[0])
    torch.testing.assert_close(levels[1], expected[1])
    for info, level in zip([network.feature_info[i] for i in (0, 4, 5)], levels, strict=True):
        assert info["num_chs"] == level.shape[1]
        assert -(-70 // info["reduction"]) == level.shape[2]


@torch.no_grad()
def test_the_gate_chooses_between_the_pyramid_and_the_classes(network, images):
    final, levels = network.trunk.forward_intermediates(images, indices=[1, 2, 3, 4])
    pyramid = network.fuse(levels, final)
    chances = network.trunk.classifier(final.permute(0, 2, 3, 1)).softmax(-1)  # (B, h, w, K)
    kin = normalize(chances @ network.anchors, dim=-1).permute(0, 3, 1, 2)
    kin = normalize(interpolate(kin, pyramid.shape[2:], mode="bilinear", align_corners=False), dim=1)
    own = normalize(network.embed(pyramid), dim=1)
    for bias, expected in ((-30.0, own), (30.0, kin)):
        network.gate.bias.fill_(bias)
        torch.testing.assert_close(network.embed_cells(pyramid, final), expected, atol=1e-5, rtol=1e-4)
    network.gate.bias.fill_(0.0)
    said = network.trunk.classifier(final.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(network.say(images), said, atol=1e-3, rtol=1e-4)  # sums in another order


@torch.no_grad()
def test_detail_and_the_last_block_begin_by_changing_nothing(images):
    older = timm.create_model("ovsr_pocket_lite0", **SIZES).eval()
    made = timm.create_model("ovsr_pocket_lite0_fine", **SIZES).eval()
    found = made.load_state_dict(older.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert {name.split(".")[0] for name in found.missing_keys} == {"detail", "blocks"}
    torch.testing.assert_close(made.forward_features(images), older.forward_features(images))
    made.detail.weight.normal_()
    assert not torch.allclose(made.forward_features(images), older.forward_features(images))


@pytest.mark.parametrize("name", ["ovsr_pocket_lite0", "ovsr_pocket_lite0_fine"])
def test_it_is_a_tower_of_open_clips_that_has_maps(name):
    vision = {"timm_model_name": name, "timm_pool": "avg", "timm_proj": "", "image_size": 64}
    text = {"context_length": 8, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1}
    torch.manual_seed(0)
    visual: Any = open_clip.CustomTextCLIP(384, vision, text).eval().visual
    torch.nn.init.normal_(visual.trunk.anchors)
    assert has_maps(visual)
    assert stride_of(visual) == 8
    with torch.no_grad():
        maps = look(visual, torch.zeros(1, 3, 64, 96), (5, 1))
    assert [level.shape[1] for level in maps.levels] == [160, 24]
    assert maps.last.shape == (1, 384, 8, 12)


def test_what_the_network_has_not_is_refused():
    for arguments in ({"num_classes": 0}, {"global_pool": "max"}, {"in_chans": 1}):
        with pytest.raises(
            ValueError, match="expected an embedding of 1 dimension or more, the mean as pool, three channels"
        ):
            PocketNetwork(**arguments)
