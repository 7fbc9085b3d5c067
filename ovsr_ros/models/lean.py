"""Loaded networks made cheaper to run: the same function with less arithmetic, fewer copies and smaller weights."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

Follower = TypeVar("Follower", bound=nn.Module)

_TOLERANCE = 1e-3
"""Most that folding may change a network's outputs, relative to their norm; it is 1e-6 where it is right."""


def example_image() -> Tensor:
    """An input (1, 3, 64, 64) float32 on which networks are compared before and after a change: the same each time."""
    return torch.linspace(-2, 2, 3 * 64 * 64).sin().view(1, 3, 64, 64)


def fold_batch_norms(network: Any, example: Tensor) -> Any:
    """The network with each batch normalisation that follows a convolution put into that convolution's weights.

    network: in evaluation mode; not changed. example: an input (1, 3, H, W), run through it twice: to see which
    convolution feeds which normalisation, and to compare. Where there is nothing to fold, or the outputs would not be
    the same (a convolution that computes its weights, or whose output something else uses, too), it comes back as is.
    """
    folded = copy.deepcopy(network)
    names = {module: name for name, module in folded.named_modules()}
    pairs = [pair for pair in convolutions_before(folded, nn.BatchNorm2d, example) if pair[1].running_mean is not None]
    for convolution, norm in pairs:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        convolution.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
        convolution.bias = nn.Parameter(bias, requires_grad=False)
        # timm's normalisations hold the activation that follows them.
        rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
        rest = [part for part in rest if not isinstance(part, nn.Identity)]
        replace_module(folded, names[norm], rest[0] if len(rest) == 1 else nn.Sequential(*rest))
    return folded if pairs and is_same(network, folded, example) else network


def convolutions_before(network: nn.Module, kind: type[Follower], example: Tensor) -> list[tuple[nn.Conv2d, Follower]]:
    """Each convolution whose output a module of a kind takes, with that module, both called once for an example."""
    outputs: list[tuple[Tensor, nn.Conv2d]] = []  # kept alive, so that no other tensor takes the place of one
    calls: dict[nn.Module, int] = {}
    pairs: list[tuple[nn.Conv2d, Follower]] = []

    def see(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls[module] = calls.get(module, 0) + 1
        if isinstance(module, nn.Conv2d):
            outputs.append((output, module))
        elif isinstance(module, kind):
            pairs.extend((convolution, module) for tensor, convolution in outputs if tensor is inputs[0])

    handles = [module.register_forward_hook(see) for module in network.modules()]
    try:
        with torch.inference_mode():
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    return [(convolution, follower) for convolution, follower in pairs if calls[convolution] == calls[follower] == 1]


def replace_module(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module in the place of the one of that dotted name."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def is_same(network: nn.Module, other: nn.Module, example: Tensor) -> bool:
    """Whether two networks make the same of an input (1, 3, H, W), but for rounding."""
    with torch.inference_mode():
        before, after = network(example), other(example)
    return bool((after - before).norm() <= _TOLERANCE * before.norm())


class SqueezeExcite(nn.Module):
    """timm's block of the same name, as matrix products, which scales its input in place.

    reduce, expand: its 1x1 convolutions.
    """

    def __init__(self, reduce: Any, activation: Any, expand: Any, gate: Any) -> None:
        super().__init__()
        self.reduce, self.activation, self.expand, self.gate = reduce, activation, expand, gate

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W), each channel times its own factor."""
        means = maps.mean((2, 3))
        hidden = self.activation(functional.linear(means, self.reduce.weight.flatten(1), self.reduce.bias))
        factors = self.gate(functional.linear(hidden, self.expand.weight.flatten(1), self.expand.bias))
        return maps.mul_(factors[:, :, None, None])


def _is_product(module: object) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1


def scale_in_place(network: Any, example: Tensor) -> Any:
    """The network with timm's squeeze-and-excite blocks as `SqueezeExcite`; not changed itself.

    It comes back as is where it has none, or where outputs change, since something else looks at a block's input.
    example: an input (1, 3, H, W), run through both to compare.
    """
    changed = copy.deepcopy(network)
    found = [(name, module) for name, module in changed.named_modules() if type(module).__name__ == "SqueezeExcite"]
    for name, module in found:
        reduce, activation, expand, gate = (
            getattr(module, part, None) for part in ("conv_reduce", "act1", "conv_expand", "gate")
        )
        if not (_is_product(reduce) and _is_product(expand)):
            return network
        replace_module(changed, name, SqueezeExcite(reduce, activation, expand, gate))
    return changed if found and is_same(network, changed, example) else network


class SelfAttention(nn.MultiheadAttention):
    """PyTorch's module, faster where queries, keys and values are one tensor and no attention weights are wanted.

    The module turns batches around first, and then multiplies a view that no matrix product takes whole.
    """

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Any:
        mask = options.get("attn_mask")
        is_plain = self.in_proj_weight is not None and self.bias_k is None and not self.add_zero_attn
        is_asked = not args and options == {"need_weights": False, "attn_mask": mask}
        if key is not query or value is not query or not is_plain or not is_asked:
            return super().forward(query, key, value, *args, **options)
        tokens = query if self.batch_first else query.transpose(0, 1)  # (N, L, E)
        projected = functional.linear(tokens.contiguous(), self.in_proj_weight, self.in_proj_bias)
        parts = projected.view(*tokens.shape[:2], 3, self.num_heads, self.head_dim)
        heads = parts.permute(2, 0, 3, 1, 4)  # (3, N, heads, L, d)
        if mask is not None and mask.dtype != torch.bool:
            mask = mask.to(heads.dtype)
        if mask is not None and mask.ndim == 3:  # one for each head of each text: (N * heads, L, L)
            mask = mask.view(-1, self.num_heads, *mask.shape[1:])
        attended = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2], mask)
        result: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return (result if self.batch_first else result.transpose(0, 1)), None


def speed_up_attention(network: nn.Module) -> None:
    """Let open_clip's residual blocks run `SelfAttention` on the parameters that they have."""
    for module in network.modules():
        if type(module) is nn.MultiheadAttention:
            module.__class__ = SelfAttention


def store_products(network: nn.Module, dtype: torch.dtype) -> None:
    """Keep the weights of convolutions and matrix products in `dtype`; run the network under `inference` with it.

    Autocast would convert them in each call: for a ViT-B/32 that is a fifth of its time. Normalisations and embeddings
    stay float32, and so does a module whose `is_float32` is true.
    """
    for module in network.modules():
        if getattr(module, "is_float32", False):
            continue
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.to(dtype)
        elif isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            for name in ("in_proj_weight", "in_proj_bias"):
                parameter = getattr(module, name)
                if parameter is not None:
                    parameter.data = parameter.data.to(dtype)
