from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import Tensor, nn

from ovsr_ros.models.lean import (
    SelfAttention,
    SqueezeExcite,
    fold_batch_norms,
    scale_in_place,
    speed_up_attention,
    store_products,
)

EXAMPLE = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def num_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_folded_norms_change_no_output_beyond_rounding(efficientnet: nn.Module) -> None:
    folded = fold_batch_norms(efficientnet, EXAMPLE)
    assert num_norms(efficientnet) == 49
    assert num_norms(folded) == 0
    images = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        expected = efficientnet.forward_intermediates(images, intermediates_only=True)
        maps = folded.forward_intermediates(images, intermediates_only=True)
    for feature_map, reference in zip(maps, expected, strict=True):
        assert (feature_map - reference).norm() < 1e-4 * reference.norm()


@pytest.mark.parametrize("architecture", ["convnext_atto", "resnet18d"])
def test_other_architectures_compute_what_they_did(architecture: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model(architecture, pretrained=False).eval()
    folded = fold_batch_norms(network, EXAMPLE)
    assert num_norms(folded) == 0
    assert (folded is network) == (num_norms(network) == 0)
    with torch.inference_mode():
        torch.testing.assert_close(folded(EXAMPLE), network(EXAMPLE), rtol=1e-3, atol=1e-4)


def test_scaling_in_place_changes_no_bit_of_the_maps(efficientnet: nn.Module) -> None:
    folded = fold_batch_norms(efficientnet, EXAMPLE)
    scaled = scale_in_place(folded, EXAMPLE)
    assert sum(isinstance(module, SqueezeExcite) for module in scaled.modules()) == 16
    assert not any(isinstance(module, SqueezeExcite) for module in folded.modules())
    with torch.inference_mode():
        expected = folded.forward_intermediates(EXAMPLE, intermediates_only=True)
        maps = scaled.forward_intermediates(EXAMPLE, intermediates_only=True)
    for feature_map, reference in zip(maps, expected, strict=True):
        torch.testing.assert_close(feature_map, reference, rtol=1e-5, atol=1e-6)


class _Residual(nn.Module):
    """A block that adds its scaled input to that input, which may therefore not be scaled in place."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 32, 1), block

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images)
        return self.block(maps) + maps


def test_what_something_else_looks_at_is_not_scaled_in_place(efficientnet: nn.Module) -> None:
    network = _Residual(efficientnet.blocks[0][0].se)
    assert scale_in_place(network, EXAMPLE) is network
    plain = nn.Conv2d(3, 3, 1)
    assert scale_in_place(plain, EXAMPLE) is plain


class _Shared(nn.Module):
    """A convolution whose output is used beside the norm, and one that two norms follow in turn."""

    def __init__(self, is_called_twice: bool) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.is_called_twice = is_called_twice

    def forward(self, images: Tensor) -> Tensor:
        convolved = self.convolution(images)
        if self.is_called_twice:
            return self.norm(self.convolution(self.norm(convolved)))
        return convolved + self.norm(convolved)


@pytest.mark.parametrize("is_called_twice", [True, False])
def test_what_cannot_be_folded_stays(is_called_twice: bool) -> None:
    network = _Shared(is_called_twice)
    network.norm.running_mean += 2.0
    assert fold_batch_norms(network.eval(), EXAMPLE) is network


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_attention_is_the_modules_own(batch_first: bool, masked: bool) -> None:
    torch.manual_seed(0)
    reference = nn.MultiheadAttention(24, 3, batch_first=batch_first).eval()
    fast = copy.deepcopy(reference)
    speed_up_attention(fast)
    assert type(fast) is SelfAttention
    tokens, others = torch.randn(2, 5, 7, 24)
    length = 7 if batch_first else 5
    mask = torch.full((length, length), -torch.inf).triu(1) if masked else None
    with torch.inference_mode():
        for key in (tokens, others):  # the second is left to PyTorch
            expected = reference(tokens, key, key, need_weights=False, attn_mask=mask)[0]
            torch.testing.assert_close(fast(tokens, key, key, need_weights=False, attn_mask=mask)[0], expected)
        attended, weights = fast(tokens, tokens, tokens)
        assert weights is not None
        torch.testing.assert_close(attended, reference(tokens, tokens, tokens)[0])


def test_products_are_stored_in_the_type_asked_for_and_norms_are_not(clip_network: nn.Module) -> None:
    visual = copy.deepcopy(clip_network.visual)
    store_products(visual, torch.bfloat16)
    kept = {name for name, value in visual.named_parameters() if value.dtype == torch.float32}
    assert {name.split(".")[-2] for name in kept if "." in name} == {"ln_pre", "ln_1", "ln_2", "ln_post"}
    assert {name for name in kept if "." not in name} == {"class_embedding", "positional_embedding", "proj"}
