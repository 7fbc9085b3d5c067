"""A self-supervised vision transformer through timm: patch tokens that say which patches belong together."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from ovsr_ros.errors import ModelFormatError
from ovsr_ros.models.checkpoint import load_weights, read_state_dict
from ovsr_ros.models.device import inference, resolve_precision
from ovsr_ros.models.packed import pack_products
from ovsr_ros.models.positions import resize_positions
from ovsr_ros.models.timm_network import create_network
from ovsr_ros.models.weights import ResolvedModel, resolve


class ProxyViT:
    """The last layer's patch tokens of a timm vision transformer, such as DINO's.

    name: see `weights.resolve`. device: where it runs. precision: auto, fp32, bf16, fp16. allow_download: fetch
    weights that are not here.

    patch_size: side of a patch in pixels. width: channels of a token. mean, std: (3,) float32 on the device, of inputs
    in [0, 1] before normalisation. model_id: the name and the weights' checksum.

    Raises ModelError when the model cannot be had, is damaged, or is no plain vision transformer.
    """

    def __init__(
        self, name: str, device: torch.device | None = None, precision: str = "auto", allow_download: bool = False
    ) -> None:
        self._device = device or torch.device("cpu")
        self._dtype = resolve_precision(precision, self._device)
        resolved = resolve(name, "timm", allow_download)
        network = _build(resolved)
        load_weights(network, read_state_dict(resolved.weights), resolved.description, ignored=("head.", "fc_norm."))
        network.eval().requires_grad_(False)
        self._network = network.to(self._device)
        self.patch_size = int(network.patch_embed.patch_size[0])
        self.width = int(network.embed_dim)
        self.mean = torch.tensor(network.pretrained_cfg["mean"], dtype=torch.float32, device=self._device)
        self.std = torch.tensor(network.pretrained_cfg["std"], dtype=torch.float32, device=self._device)
        self.model_id = resolved.model_id

    def pack(self) -> None:
        """Make it faster where the device allows, by `pack_products`; not to be undone."""
        pack_products(self._network, self._device, self._dtype)

    def encode_patches(self, images: Tensor) -> Tensor:
        """(B, 3, h * patch, w * patch) float, normalised by mean and std -> (B, h, w, C) float32, on the device.

        The tokens after the last block and its norm, the class token left out; positions as DINO's own code has them.
        """
        network = self._network
        rows, columns = (side // self.patch_size for side in images.shape[2:])
        with inference(self._device, self._dtype):
            patches = network.patch_embed.proj(images.to(self._device)).flatten(2).transpose(1, 2)  # (B, h*w, C)
            first = network.cls_token.expand(len(patches), -1, -1).to(patches.dtype)
            grid_hw = tuple(network.patch_embed.grid_size)
            positions = resize_positions(network.pos_embed[0], grid_hw, (rows, columns), nudge=0.1)
            tokens = network.norm_pre(torch.cat((first, patches), 1) + positions.to(patches.dtype))
            for block in network.blocks:
                tokens = block(tokens)
            found: Tensor = network.norm(tokens)[:, 1:].float()
            return found.view(len(found), rows, columns, -1)


def _build(resolved: ResolvedModel) -> Any:
    network = create_network(resolved, num_classes=0)
    is_plain = (
        type(network) is VisionTransformer
        and network.cls_token is not None
        and network.num_prefix_tokens == 1
        and network.pos_embed is not None
        and network.pos_embed.shape[1] == network.patch_embed.num_patches + 1
    )
    if not is_plain:
        raise ModelFormatError(
            f"{resolved.name}: the proxy needs a plain vision transformer of timm's with a class token and one "
            f"position for each token; {resolved.architecture} is a {type(network).__name__} of another kind; take "
            "vit_base_patch16_224.dino"
        )
    return network
