"""Convolutions of a loaded network made cheaper to run: the same function, computed in a better way."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ovsr_ros.models.lean import convolutions_before, is_same, replace_module


class UnpaddedConvolution(nn.Conv2d):
    """TensorFlow's convolution of stride 2 with the padding "same", which on even sides pads more behind than before.

    Padding as a step of its own copies the maps. A kernel with a first row and column of zeros, as this one's weight
    (O, I, k + 1, k + 1) has, looks at the same pixels when both ends are padded alike, which a convolution does itself.
    """

    @classmethod
    def of(cls, module: nn.Conv2d) -> UnpaddedConvolution:
        """The same function as timm's Conv2dSame with an odd kernel and stride 2."""
        side, has_bias = module.kernel_size[0], module.bias is not None
        made = cls(module.in_channels, module.out_channels, side + 1, 2, side // 2, groups=module.groups, bias=has_bias)
        weight = functional.pad(module.weight.detach(), (1, 0, 1, 0)).contiguous(memory_format=torch.channels_last)
        made.weight = nn.Parameter(weight, requires_grad=False)
        made.bias = module.bias
        return made.train(module.training)

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, I, H, W) -> (B, O, H / 2, W / 2), rounded up."""
        height, width = input.shape[2:]
        if height % 2 or width % 2:  # as much before as behind, so that one more is needed before
            input = functional.pad(input, (width % 2, 0, height % 2, 0))
        return super().forward(input)


class _Direct(nn.Conv2d):
    """A convolution that oneDNN computes on a CPU with what follows it, by an operator of PyTorch's compiler.

    In one thread PyTorch leaves the kernels of one pixel to a product of matrices, by a library that is slow on some
    processors.
    """

    after: tuple[str, list[float]] = ("none", [])

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input = input.to(weight.dtype)  # as autocast would
        if input.device.type != "cpu" or not _is_computed_directly(weight.dtype):
            return self._finish(super()._conv_forward(input, weight, bias))
        sizes = (self.padding, self.stride, self.dilation)
        made: Tensor = torch.ops.mkldnn._convolution_pointwise(
            input, weight, bias, *sizes, self.groups, *self.after, ""
        )
        return made

    def _finish(self, maps: Tensor) -> Tensor:
        """What follows, by PyTorch's own operators."""
        return maps


class DirectConvolution(_Direct):
    """A convolution with a kernel of one pixel, which nothing follows."""


class _Clamped(_Direct):
    """Clamps what it gives to [low, high]; on a CPU while it is computed, which takes hardly more than not to clamp."""

    low: float
    high: float

    @property
    def after(self) -> tuple[str, list[float]]:  # type: ignore[override]
        return "hardtanh", [self.low, self.high]

    def _finish(self, maps: Tensor) -> Tensor:
        return maps.clamp_(self.low, self.high)


class ClampedConvolution(_Clamped):
    """A convolution and the ReLU6 that followed it."""


class ClampedUnpaddedConvolution(UnpaddedConvolution, _Clamped):
    """An `UnpaddedConvolution` and the ReLU6 that followed it."""


_CLAMPED = {nn.Conv2d: ClampedConvolution, UnpaddedConvolution: ClampedUnpaddedConvolution}


def make_convolutions_lean(network: Any, example: Tensor, device: torch.device) -> Any:
    """`pad_inside`, and where the network is to run on a CPU `clamp_inside` and `convolve_directly`."""
    padded = pad_inside(network, example)
    return convolve_directly(clamp_inside(padded, example), example) if device.type == "cpu" else padded


def pad_inside(network: Any, example: Tensor) -> Any:
    """The network with timm's padded convolutions of stride 2 as `UnpaddedConvolution`; not changed itself.

    It comes back as is where it has none. example: an input (1, 3, H, W), run through both to compare.
    """
    changed = copy.deepcopy(network)
    found = [(name, module) for name, module in changed.named_modules() if _is_padded(module)]
    for name, module in found:
        replace_module(changed, name, UnpaddedConvolution.of(module))
    return changed if found and is_same(network, changed, example) else network


def clamp_inside(network: Any, example: Tensor) -> Any:
    """The network, on a CPU, with each ReLU6 that follows a convolution put into it; not changed itself.

    It comes back as is where there is none, or where PyTorch cannot do that. example: an input (1, 3, H, W), run
    through both to compare.
    """
    changed = copy.deepcopy(network)
    names = {module: name for name, module in changed.named_modules()}
    pairs = convolutions_before(changed, nn.ReLU6, example)
    pairs = [(convolution, clamp) for convolution, clamp in pairs if _can_clamp(convolution)]
    for convolution, clamp in pairs:
        convolution.__class__ = _CLAMPED[type(convolution)]
        convolution.low, convolution.high = 0.0, 6.0  # type: ignore[assignment]
        replace_module(changed, names[clamp], nn.Identity())
    return _changed_or(network, changed, example) if pairs else network


def convolve_directly(network: Any, example: Tensor) -> Any:
    """The network, on a CPU, with each plain convolution of one pixel as `DirectConvolution`; not changed itself.

    It comes back as is where there is none, or where PyTorch cannot do that. example: an input (1, 3, H, W), run
    through both to compare.
    """
    changed = copy.deepcopy(network)
    found = [module for module in changed.modules() if type(module) is nn.Conv2d and _is_pointwise(module)]
    for module in found:
        module.__class__ = DirectConvolution
    return _changed_or(network, changed, example) if found else network


@lru_cache
def _is_computed_directly(dtype: torch.dtype) -> bool:
    """Whether oneDNN convolves in it on this CPU: of bf16 not without AVX-512 or AVX-NE-CONVERT."""
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def _changed_or(network: Any, changed: Any, example: Tensor) -> Any:
    """The changed network, where it can be run and does the same."""
    try:
        return changed if is_same(network, changed, example) else network
    except (AttributeError, RuntimeError):  # a PyTorch without this operator, or with another form of it
        return network


def _is_pointwise(module: nn.Conv2d) -> bool:
    ones = (1, 1)
    return module.kernel_size == module.stride == module.dilation == ones and module.padding == (0, 0)


def _can_clamp(module: nn.Conv2d) -> bool:
    return type(module) in _CLAMPED and module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _is_padded(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and type(module).__name__ == "Conv2dSame"
        and module.kernel_size[0] == module.kernel_size[1]
        and module.kernel_size[0] % 2 == 1
        and module.stride == (2, 2)
        and module.dilation == (1, 1)
    )
