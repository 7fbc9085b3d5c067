"""Networks with fresh weights, to train the embedded models; timm and open_clip classes as the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import open_clip
import timm
import torch
from open_clip.transformer import PatchDropout
from torch import Tensor, nn

from ovsr_ros.models.clip_dense import patch_values, project_values
from ovsr_ros.models.hub import registry_config
from ovsr_ros.models.open_clip_network import create_clip
from ovsr_ros.models.tokenizer import tokenizer_repo


def new_feature_network(architecture: str, num_classes: int, **sizes: Any) -> nn.Module:
    """A timm network with a classifier, weights drawn anew; sizes: others than the architecture's, by timm's names."""
    return timm.create_model(architecture, pretrained=False, num_classes=num_classes, **sizes)


def forward_levels(network: nn.Module, images: Tensor, levels: tuple[int, ...]) -> tuple[list[Tensor], Tensor]:
    """Feature maps of the given levels (timm's `features_only` indices) and the classifier's logits.

    images: (B, 3, H, W) normalised. Returns [(B, C_l, H_l, W_l), ...] and (B, num_classes).
    """
    model: Any = network
    last, maps = model.forward_intermediates(images, indices=list(range(5)))
    return [maps[level] for level in levels], model.forward_head(last)


def new_clip(model_config: dict[str, Any], patch_dropout: float = 0.0) -> nn.Module:
    """An open_clip model built from the `model_cfg` part of an open_clip_config.json, weights drawn anew."""
    model: nn.Module = open_clip.CLIP(**{key: dict(v) if isinstance(v, dict) else v for key, v in model_config.items()})
    if patch_dropout > 0:
        visual: Any = model.visual
        visual.patch_dropout = PatchDropout(patch_dropout)
    return model


def new_text_tower(embed_dim: int, text_cfg: dict[str, Any]) -> nn.Module:
    """open_clip's text tower of a CustomTextCLIP, tokens (N, L) -> (N, embed_dim), weights drawn anew.

    Raises ModelFormatError where open_clip cannot build what `text_cfg` describes.
    """
    smallest = {"image_size": 8, "layers": 1, "width": 8, "head_width": 8, "patch_size": 8}
    config = {"embed_dim": embed_dim, "vision_cfg": smallest, "text_cfg": text_cfg, "custom_text": True}
    tower: nn.Module = create_clip({"model_cfg": config, "preprocess_cfg": {}}, "text tower").text
    return tower


def new_registered_clip(name: str) -> nn.Module:
    """A CLIP of open_clip's, of any class, ARCHITECTURE or ARCHITECTURE/TAG, weights drawn anew.

    Raises ModelError as `create_clip`, ModelFormatError as `tokenizer_repo`.
    """
    config = registry_config(name)
    tokenizer_repo(config["model_cfg"], name)
    network: nn.Module = create_clip(config, name)
    return network


def new_registered_vit(name: str) -> nn.Module:
    """A vision transformer of timm's without classifier, weights drawn anew, apart enough that tokens differ."""
    network = new_feature_network(name, num_classes=0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.06)
    return network


def new_registered_sam(name: str) -> nn.Module:
    """A Segment Anything model, sam_vit_b, sam_vit_l or sam_vit_h, weights drawn anew."""
    from segment_anything import sam_model_registry

    network: nn.Module = sam_model_registry[name.removeprefix("sam_")]()
    return network


def encode(model: nn.Module, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings as the towers give them, not normalised: images (N, 3, S, S) -> (N, D), tokens (T, L) -> (T, D)."""
    clip: Any = model
    return clip.encode_image(images), clip.encode_text(tokens)


def encode_regions(model: nn.Module, images: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """Embeddings of parts of images as `ClipModel.encode_regions` gives them, but for training and many images.

    images: (B, 3, H, W), sides multiples of the patch size; masks: per image (R_b, h, w), none empty.
    Returns (sum R_b, D), not normalised.
    """
    clip: Any = model
    values = patch_values(clip.visual, images, "value").flatten(1, 2)  # (B, h * w, width)
    shares = [mask.flatten(1) / mask.flatten(1).sum(1, keepdim=True) for mask in masks]
    pooled = torch.cat([share.to(value.dtype) @ value for share, value in zip(shares, values, strict=True)])
    return project_values(clip.visual, pooled)


def new_tokenizer(context_length: int) -> Callable[[list[str]], Tensor]:
    """open_clip's byte-pair tokenizer: texts -> (T, context_length) int64."""
    tokenizer = open_clip.SimpleTokenizer(context_length=context_length)

    def tokenize(texts: list[str]) -> Tensor:
        return torch.as_tensor(tokenizer(texts))

    return tokenize


def whole_words(min_length: int = 4, max_length: int = 10) -> list[str]:
    """Words that open_clip's tokenizer knows as one token each, in the order of the vocabulary."""
    ending = "</w>"
    words = (token[: -len(ending)] for token in open_clip.SimpleTokenizer().encoder if token.endswith(ending))
    return [word for word in words if word.isascii() and word.isalpha() and min_length <= len(word) <= max_length]
