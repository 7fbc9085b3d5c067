"""The proxy's tokens against timm's own code."""

import pytest
import torch

from ovsr_ros.errors import ModelFormatError
from ovsr_ros.models.positions import resize_positions
from ovsr_ros.models.proxy_vit import ProxyViT


@pytest.fixture(scope="module")
def proxy(trident_models):
    return ProxyViT(trident_models.proxy, precision="fp32")


def test_tokens_at_the_trained_size_are_timms(proxy):
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = proxy._network.forward_features(images)[:, 1:]
    torch.testing.assert_close(proxy.encode_patches(images).flatten(1, 2), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size_hw", [(16, 16), (64, 48), (80, 176)])
def test_other_sizes_give_a_token_for_each_patch(proxy, size_hw):
    tokens = proxy.encode_patches(torch.zeros(1, 3, *size_hw))
    assert tokens.shape == (1, size_hw[0] // 16, size_hw[1] // 16, 48)
    assert tokens.isfinite().all()


def test_positions_are_resized_around_the_class_tokens():
    positions = torch.randn(1 + 12, 5, generator=torch.Generator().manual_seed(0))
    assert resize_positions(positions, (3, 4), (3, 4)) is positions
    for nudge in (0.0, 0.1):
        resized = resize_positions(positions, (3, 4), (7, 9), nudge)
        assert resized.shape == (1 + 63, 5)
        assert torch.equal(resized[0], positions[0])
    flat = torch.ones(13, 5)
    torch.testing.assert_close(resize_positions(flat, (3, 4), (7, 9), 0.1), torch.ones(64, 5))


@pytest.mark.parametrize("side", range(14, 257, 27))
def test_the_nudge_never_changes_the_number_of_positions(side):
    assert resize_positions(torch.ones(1 + 14 * 14, 1), (14, 14), (side, side), 0.1).shape == (1 + side * side, 1)


def test_another_kind_of_network_is_refused(seeded_models):
    with pytest.raises(ModelFormatError, match="plain vision transformer"):
        ProxyViT(seeded_models.features)
