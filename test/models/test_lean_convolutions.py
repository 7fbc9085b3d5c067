"""Convolutions that pad and clamp by themselves give what padded and clamped ones gave."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from ovsr_ros.models import lean_convolutions
from ovsr_ros.models.lean import fold_batch_norms, store_products
from ovsr_ros.models.lean_convolutions import (
    ClampedConvolution,
    ClampedUnpaddedConvolution,
    DirectConvolution,
    UnpaddedConvolution,
    clamp_inside,
    convolve_directly,
    make_convolutions_lean,
    pad_inside,
)

EXAMPLE = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def lite() -> nn.Module:
    """EfficientNet-Lite0 as it is loaded: TensorFlow's padding, ReLU6, normalisations that do something, folded."""
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.bias.uniform_(0, 1)
    folded: nn.Module = fold_batch_norms(network.to(memory_format=torch.channels_last), EXAMPLE)
    return folded


def count(network: nn.Module, *kinds: type[nn.Module]) -> int:
    return sum(type(module) in kinds for module in network.modules())


def maps_of(network: nn.Module, images: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        maps: list[Tensor] = network.forward_intermediates(images, intermediates_only=True)  # type: ignore[operator]
    return maps


@pytest.mark.parametrize("size_hw", [(64, 96), (65, 96), (64, 97), (71, 39), (33, 33), (1, 2)])
def test_maps_are_the_same_at_even_and_odd_sizes(lite: nn.Module, size_hw: tuple[int, int]) -> None:
    changed = clamp_inside(pad_inside(lite, EXAMPLE), EXAMPLE)
    assert count(changed, ClampedUnpaddedConvolution) == 5
    assert count(changed, ClampedConvolution) == 28
    assert count(changed, nn.ReLU6) == 0
    assert count(lite, nn.ReLU6) == 33  # is not changed itself
    images = torch.randn(2, 3, *size_hw, generator=torch.Generator().manual_seed(4))
    for found, expected in zip(maps_of(changed, images), maps_of(lite, images), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("size_hw", [(8, 8), (9, 8), (8, 9), (1, 1), (2, 5)])
def test_every_kernel_and_size_alone(kernel: int, size_hw: tuple[int, int]) -> None:
    torch.manual_seed(0)
    padded = timm.layers.create_conv2d(6, 6, kernel, stride=2, padding="same", groups=3, bias=False)
    network = nn.Sequential(padded).requires_grad_(False)
    changed = pad_inside(network, torch.randn(1, 6, 16, 16))
    assert type(changed[0]) is UnpaddedConvolution
    images = torch.randn(2, 6, *size_hw)
    torch.testing.assert_close(changed(images), network(images))


def test_in_bfloat16_it_is_what_autocast_makes_of_both(lite: nn.Module) -> None:
    changed = clamp_inside(pad_inside(lite, EXAMPLE), EXAMPLE)
    store_products(changed, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = maps_of(changed, EXAMPLE), maps_of(lite, EXAMPLE)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert (one.float() - other.float()).norm() < 0.03 * other.float().norm()


class _Looked(nn.Module):
    """A network that looks at a convolution's output before it is clamped, too."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.clamp = nn.Conv2d(3, 8, 3), nn.ReLU6()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.convolution(images)
        clamped: Tensor = self.clamp(maps)
        return clamped + maps


def test_what_something_else_looks_at_is_not_clamped() -> None:
    network = _Looked().requires_grad_(False)
    assert clamp_inside(network, EXAMPLE) is network


def test_networks_without_either_come_back_as_they_are() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.SiLU()).requires_grad_(False)
    assert pad_inside(network, EXAMPLE) is network
    assert clamp_inside(network, EXAMPLE) is network


def test_without_pytorchs_operator_nothing_changes(lite: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        pass

    monkeypatch.setattr(torch.ops, "mkldnn", Without())
    assert clamp_inside(lite, EXAMPLE) is lite
    assert convolve_directly(lite, EXAMPLE) is lite


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("size_hw", [(64, 96), (71, 39), (1, 2)])
def test_kernels_of_one_pixel_give_the_same(lite: nn.Module, size_hw: tuple[int, int], num_threads: int) -> None:
    changed = make_convolutions_lean(lite, EXAMPLE, torch.device("cpu"))
    assert count(changed, DirectConvolution) == 16
    assert count(changed, nn.Conv2d) == 0
    images = torch.randn(2, 3, *size_hw, generator=torch.Generator().manual_seed(5))
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        for found, expected in zip(maps_of(changed, images), maps_of(lite, images), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("has_bf16", [True, False])
def test_in_bfloat16_kernels_of_one_pixel_are_as_autocast_has_them(
    has_bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_bf16:  # a CPU with AVX2 alone, where oneDNN's operator raises
        monkeypatch.setattr(lean_convolutions, "_is_computed_directly", lambda dtype: dtype == torch.float32)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 1), nn.Tanh()).requires_grad_(False)
    changed = convolve_directly(network, EXAMPLE)
    assert [type(each) for each in changed] == [nn.Conv2d, DirectConvolution, nn.Tanh]
    store_products(changed, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = changed(EXAMPLE), network(EXAMPLE)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("other", [{"stride": 2}, {"padding": 1}, {"groups": 2}])
def test_only_plain_kernels_of_one_pixel_are_changed(other: dict[str, int]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1, **other)).requires_grad_(False)
    changed = convolve_directly(network, EXAMPLE)
    assert (changed is network) == ("groups" not in other)
    torch.testing.assert_close(changed(EXAMPLE), network(EXAMPLE))
