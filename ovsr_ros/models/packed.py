"""Matrix products with weights laid out for oneDNN once, as a CPU multiplies them fastest; activations come with them.

The same sums in another order: results differ by float rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from open_clip.transformer import QuickGELU
from torch import Tensor, nn
from torch.nn import functional

_ROWS = 2048
"""Rows of an input that the layout is chosen for; others work as well."""

_QUICK = 1.702
"""QuickGELU is x * sigmoid(_QUICK * x), which is silu(_QUICK * x) / _QUICK."""

_MLPS = (("c_fc", "gelu", "c_proj"), ("fc1", "act", "fc2"), ("lin1", "act", "lin2"))
"""A feed-forward layer's product, activation and product, as open_clip, timm and segment-anything name them."""

_TOLERANCE = 1e-4


class PackedLinear(nn.Module):
    """A `nn.Linear` on a CPU in float32, with the activation that follows it; its weights are in oneDNN's layout only.

    weight: (M, K) float32. bias: (M,), kept as it is. activation: none, gelu or swish.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: str = "none") -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _ROWS)
        self._activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., K) float32 -> (..., M) float32."""
        products: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self._packed, self.bias, self._activation, [], "none" if self._activation == "gelu" else ""
        )
        return products


class PackedAttention(nn.Module):
    """PyTorch's `nn.MultiheadAttention` of a tensor with itself, batches first."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self._heads = attention.num_heads
        self._project = PackedLinear(attention.in_proj_weight, attention.in_proj_bias)
        self._join = PackedLinear(attention.out_proj.weight, attention.out_proj.bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """(B, N, C) thrice, the same tensor -> (B, N, C), and no weights."""
        if key is not query or value is not query or need_weights:
            raise ValueError("expected one tensor as query, key and value, and no wish for weights")
        parts = self._project(query).unflatten(-1, (3, self._heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, heads, N, d)
        mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask)
        return self._join(mixed.transpose(1, 2).flatten(2)), None


def pack_products(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Put packed modules in place of the linear layers and attentions within a network that is only to be run.

    It is left alone where that is no gain or cannot be: on a GPU, in another number format than float32, and where this
    PyTorch has no oneDNN.
    """
    if device.type != "cpu" or dtype != torch.float32 or not can_pack():
        return
    for parent in list(network.modules()):
        for first, activation, second in _MLPS:
            if all(hasattr(parent, name) for name in (first, activation, second)):
                _pack_mlp(parent, first, activation, second)
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MultiheadAttention):
                if child.in_proj_weight is not None and child.batch_first and child.bias_k is None:
                    setattr(parent, name, PackedAttention(child))
            elif isinstance(child, nn.Linear) and not isinstance(parent, nn.MultiheadAttention):
                setattr(parent, name, PackedLinear(child.weight, child.bias))


def _pack_mlp(parent: Any, first: str, activation: str, second: str) -> None:
    widen, act, narrow = (getattr(parent, name) for name in (first, activation, second))
    if not (isinstance(widen, nn.Linear) and isinstance(narrow, nn.Linear)):
        return
    if type(act) is nn.GELU and act.approximate == "none":
        setattr(parent, first, PackedLinear(widen.weight, widen.bias, "gelu"))
    elif type(act) is QuickGELU and widen.bias is not None and isinstance(parent, nn.Sequential) and len(parent) == 3:
        setattr(parent, first, PackedLinear(widen.weight * _QUICK, widen.bias * _QUICK, "swish"))
        setattr(parent, second, PackedLinear(narrow.weight / _QUICK, narrow.bias))
    else:
        return
    setattr(parent, activation, nn.Identity())


@lru_cache(maxsize=1)
def can_pack() -> bool:
    """Whether this PyTorch has oneDNN's packed products, which it keeps for its own compiler, and they are right."""
    generator = torch.Generator().manual_seed(0)
    weight, bias, inputs = (torch.randn(shape, generator=generator) for shape in ((32, 16), (32,), (3, 5, 16)))
    plain = functional.linear(inputs, weight, bias)
    activations: dict[str, Callable[[Tensor], Tensor]] = {
        "none": lambda values: values,
        "gelu": functional.gelu,
        "swish": functional.silu,
    }
    try:
        with torch.inference_mode():
            return all(
                bool((PackedLinear(weight, bias, name)(inputs) - activate(plain)).abs().max() <= _TOLERANCE)
                for name, activate in activations.items()
            )
    except (AttributeError, RuntimeError, NotImplementedError):  # a PyTorch without oneDNN, or of another version
        return False
