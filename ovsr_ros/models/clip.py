"""CLIP through open_clip: image crops and sentences to embeddings in one space."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor
from torch.nn.functional import normalize

from ovsr_ros.errors import ConfigError, ModelFormatError
from ovsr_ros.models import clip_maps
from ovsr_ros.models.causal_texts import encode_tokens
from ovsr_ros.models.checkpoint import load_weights, read_state_dict
from ovsr_ros.models.clip_dense import (
    ATTENTIONS,
    check_patches,
    mix_values,
    patch_values,
    project_mixed,
    project_values,
)
from ovsr_ros.models.device import inference, resolve_precision
from ovsr_ros.models.lean import example_image, fold_batch_norms, speed_up_attention, store_products
from ovsr_ros.models.lean_convolutions import make_convolutions_lean
from ovsr_ros.models.open_clip_network import create_clip
from ovsr_ros.models.packed import pack_products
from ovsr_ros.models.timm_network import check_levels
from ovsr_ros.models.tokenizer import Tokenize, load_tokenizer
from ovsr_ros.models.weights import ResolvedModel, described_config, resolve

_TEXT_BATCH = 32
"""Sentences encoded at once: few, since turning words into numbers holds Python's lock, which frames need, too."""

# Numbers beside the weights in files made from OpenAI's, and a buffer that text towers once had.
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "text.transformer.embeddings.position_ids")


class ClipModel:
    """A pretrained CLIP.

    name: see `weights.resolve`. device: where it runs. precision: auto, fp32, bf16, fp16.
    allow_download: fetch weights, or a tokenizer, that are not here.

    image_size: S, side of its input in pixels. embedding_dim: D. logit_scale: factor of the cosine before softmax.
    mean, std: (3,) float32 on the device, of inputs in [0, 1] before normalisation.
    model_id: the name and the checksums of weights and tokenizer.

    Raises ModelError when the model cannot be had or is damaged.
    """

    def __init__(
        self,
        name: str,
        device: torch.device | None = None,
        precision: str = "auto",
        allow_download: bool = False,
    ) -> None:
        self._device = device or torch.device("cpu")
        self._dtype = resolve_precision(precision, self._device)
        resolved = resolve(name, "open_clip", allow_download)
        network, self._tokenize, config = _build(resolved)
        _load(network, resolved)
        network.eval().requires_grad_(False)
        speed_up_attention(network)
        self._has_maps = clip_maps.has_maps(network.visual)
        if self._has_maps:
            visual = network.visual.to(memory_format=torch.channels_last)
            folded = fold_batch_norms(visual, example_image())
            network.visual = make_convolutions_lean(folded, example_image(), self._device)
        if self._dtype != torch.float32:
            store_products(network.visual, self._dtype)
        self._network = network.to(self._device)
        # On a CPU texts are encoded in float32: they are encoded once, and kept on disk whatever the precision is.
        self._text_dtype = torch.float32 if self._device.type == "cpu" else self._dtype
        self.image_size = _image_size(network, name)
        self.embedding_dim = int(config["model_cfg"]["embed_dim"])
        self.logit_scale = float(network.logit_scale.exp())
        self.mean = torch.tensor(network.visual.preprocess_cfg["mean"], dtype=torch.float32, device=self._device)
        self.std = torch.tensor(network.visual.preprocess_cfg["std"], dtype=torch.float32, device=self._device)
        self.model_id = resolved.model_id
        self._name = name
        # At loading, since frames wait for whatever holds Python's lock later on.
        known = resolved.known_words
        self._known = self._draw = None
        if known is not None:
            self._known = self._encode_as_they_are(known.words)  # (K, D)
            self._draw = partial(known.draw, known=self._known)

    def pack_patches(self) -> None:
        """Make `encode_patches` faster where the device allows, by `pack_products`; not to be undone."""
        self.check_patches()
        for block in self._network.visual.transformer.resblocks[:-1]:
            pack_products(block, self._device, self._dtype)

    def encode_images(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) float, normalised by mean and std -> (N, D) float32, L2-normalised, on the device."""
        if len(images) == 0:
            return torch.zeros(0, self.embedding_dim, device=self._device)
        with inference(self._device, self._dtype):
            return normalize(self._network.encode_image(images.to(self._device)).float(), dim=-1)

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels, or the stride of a tower's last map. Raises ConfigError as `check_dense`."""
        if self._has_maps:
            return clip_maps.stride_of(self._network.visual)
        self.check_patches()
        return int(self._network.visual.patch_size[0])

    @property
    def width(self) -> int:
        """Channels of a patch token. Raises ConfigError as `check_patches`."""
        self.check_patches()
        return int(self._network.visual.ln_post.normalized_shape[0])

    def check_dense(self) -> None:
        """Raise ConfigError unless `encode_dense` and `encode_regions` can be used with this model."""
        if not self._has_maps:
            self.check_patches()

    def check_patches(self) -> None:
        """Raise ConfigError unless the image tower is a transformer with patches of its own, as Trident needs it."""
        check_patches(self._network.visual, self._name)

    def check_levels(self, levels: Sequence[int]) -> None:
        """Raise ConfigError unless `look` can be used with this model and these levels."""
        if not self._has_maps:
            raise ConfigError(
                f"features.model: clip takes the features from CLIP's image tower, and {self._name} has one without "
                "feature maps; name a timm model, or take a convolutional clip.model, such as pocket"
            )
        check_levels(levels, len(self._network.visual.trunk.feature_info), self._name)

    def look(self, images: Tensor, levels: Sequence[int]) -> clip_maps.ImageMaps:
        """The image tower's feature maps: (1, 3, H, W) float, normalised by mean and std. See `ImageMaps`.

        Raises ConfigError as `check_levels`.
        """
        self.check_levels(levels)
        with inference(self._device, self._dtype):
            inputs = images.to(self._device, memory_format=torch.channels_last)
            return clip_maps.look(self._network.visual, inputs, levels)

    def embed_map(self, last: Tensor, weights: Tensor) -> Tensor:
        """Embeddings of regions of a look's last map (1, C, h, w): (N, D) float32, L2-normalised.

        weights (N, h, w): how much of each cell is a region's own, at least one of a region above 0.
        """
        shares = weights.flatten(1).float()
        with inference(self._device, self._dtype):
            pooled = (shares / shares.sum(1, keepdim=True)) @ last[0].flatten(1).T  # (N, C)
            return clip_maps.embed_pooled(self._network.visual, pooled)

    def check_known_words(self) -> None:
        """Raise ConfigError unless `name_places` can be used with this model."""
        self._texts_of_known_words()

    def name_places(self, last: Tensor) -> Tensor:
        """Which of its known words a look's last map (1, C, h, w) shows at each place: (1, K, h, w) float32.

        The softmax over the words, at the model's own scale: 1 in sum at each place. Raises ConfigError as
        `check_known_words`.
        """
        known = self._texts_of_known_words()
        with inference(self._device, self._dtype):
            cells = clip_maps.embed_pooled(self._network.visual, last[0].flatten(1).T)  # (h * w, D)
        chances = (cells @ (self.logit_scale * known).T).softmax(1)
        return chances.T.reshape(1, -1, *last.shape[2:])

    def _texts_of_known_words(self) -> Tensor:
        if self._known is None:
            raise ConfigError(
                "features.known_words: expected 0, or a clip.model with known_words in its open_clip_config.json, such "
                f"as pocket; {self._name} has none"
            )
        return self._known

    def encode_dense(self, images: Tensor, attention: str = "value") -> Tensor:
        """Embeddings of patches: (B, 3, H, W) float, normalised by mean and std -> (B, D, h, w) float32, L2-normalised.

        H and W are multiples of the patch size, h and w what they hold of it. attention: see `clip_dense`.

        Raises ConfigError as `check_dense`, ValueError for another size or attention.
        """
        with inference(self._device, self._dtype):
            if self._has_maps:
                last = self._last_map(images, attention)
                embeddings = clip_maps.embed_pooled(self._network.visual, last.permute(0, 2, 3, 1).flatten(0, 2))
                return embeddings.view(len(last), *last.shape[2:], -1).permute(0, 3, 1, 2)
            values = self._patch_values(images, attention)  # (B, h, w, width)
            embeddings = project_values(self._network.visual, values)
            return normalize(embeddings.float(), dim=-1).permute(0, 3, 1, 2)

    def encode_regions(self, image: Tensor, weights: Tensor, attention: str = "value") -> Tensor:
        """Embeddings of regions: one image (1, 3, H, W) as for `encode_dense`, weights (N, h, w) -> (N, D) float32.

        Each region's weights, at least one above 0, say how much of each patch is its own. They take the place of the
        last block's attention: the class token would look at the whole image, a region looks at itself (TextRegion,
        Xiao et al., arXiv 2505.23769). A convolutional tower embeds the region's mean instead of the image's.
        L2-normalised.

        Raises ConfigError as `check_dense`, ValueError for another size or attention.
        """
        if self._has_maps:
            return self.embed_map(self._last_map(image, attention), weights)
        with inference(self._device, self._dtype):
            values = self._patch_values(images=image, attention=attention)[0].flatten(0, 1)  # (h*w, width)
            shares = weights.flatten(1).float()
            shares = shares / shares.sum(1, keepdim=True)
            pooled = shares @ values.float()  # (N, width)
            return normalize(project_values(self._network.visual, pooled).float(), dim=-1)

    def encode_patches(self, images: Tensor) -> Tensor:
        """Values of the last block's attention, (B, h, w, width) float32, of images as for `encode_dense`.

        The first of three steps of Trident's proxy attention: these are averaged by an attention from elsewhere, mixed
        by `mix_values`, and, when no more averaging follows, projected by `project_mixed`.
        """
        with inference(self._device, self._dtype):
            return self._patch_values(images, "value", nudge=0.1).float()

    def mix_values(self, values: Tensor) -> Tensor:
        """Averaged values (..., width) through the last attention's output projection: (..., width) float32."""
        with inference(self._device, self._dtype):
            return mix_values(self._network.visual, values).float()

    def project_mixed(self, mixed: Tensor) -> Tensor:
        """Mixed values (..., width) in the joint space: (..., D) float32, L2-normalised."""
        with inference(self._device, self._dtype):
            return normalize(project_mixed(self._network.visual, mixed).float(), dim=-1)

    def _patch_values(self, images: Tensor, attention: str, nudge: float = 0.0) -> Tensor:
        self.check_patches()
        _check_dense_input(images, attention, self.patch_size)
        return patch_values(self._network.visual, images.to(self._device), attention, nudge)

    def _last_map(self, images: Tensor, attention: str) -> Tensor:
        _check_dense_input(images, attention, self.patch_size)
        with inference(self._device, self._dtype):
            inputs = images.to(self._device, memory_format=torch.channels_last)
            last: Tensor = self._network.visual.trunk.forward_features(inputs)
            return last.float()

    def encode_texts(self, texts: list[str]) -> Tensor:
        """N sentences -> (N, D) float32, L2-normalised, on the device; longer ones are cut at the context length.

        Of a model with known words, each is drawn towards those that it is near to: see `KnownWords`.
        """
        if not texts:
            return torch.zeros(0, self.embedding_dim, device=self._device)
        embeddings = self._encode_as_they_are(texts)
        return embeddings if self._draw is None else self._draw(embeddings)

    def _encode_as_they_are(self, texts: Sequence[str]) -> Tensor:
        parts = []
        with inference(self._device, self._text_dtype):
            for start in range(0, len(texts), _TEXT_BATCH):
                batch = list(texts[start : start + _TEXT_BATCH])
                tokens = self._tokenize(batch).to(self._device)  # (n, context length)
                parts.append(normalize(encode_tokens(self._network, tokens).float(), dim=-1))
        return torch.cat(parts)


def _check_dense_input(images: Tensor, attention: str, patch: int) -> None:
    if attention not in ATTENTIONS:
        raise ValueError(f"attention: expected one of {', '.join(ATTENTIONS)}, got {attention!r}")
    if any(side % patch or not side for side in images.shape[2:]):
        raise ValueError(f"images: expected sides that are multiples of {patch}, got {tuple(images.shape)}")


def _build(resolved: ResolvedModel) -> tuple[Any, Tokenize, dict[str, Any]]:
    config = described_config(resolved)
    network = create_clip(config, f"{resolved.name} ({resolved.architecture})")
    text_cfg = config["model_cfg"]["text_cfg"]
    return network, load_tokenizer(text_cfg, resolved.tokenizer, resolved.name), config


def _load(network: Any, resolved: ResolvedModel) -> None:
    state = read_state_dict(resolved.weights)
    what = resolved.description
    try:
        state = convert_state_dict(network, state)
        if "positional_embedding" in state and not hasattr(network, "positional_embedding"):
            state = convert_to_custom_text_state_dict(state)  # text tower at the top level, as in older files
    except Exception as error:  # the conversions index into whatever the file holds
        raise ModelFormatError(f"{what}: the weights are another architecture's: {error}") from error
    for name in ("logit_scale", "logit_bias"):  # one number: stored as a scalar or as a vector of one
        if name in state and state[name].numel() == 1 and getattr(network, name, None) is not None:
            state[name] = state[name].reshape(getattr(network, name).shape)
    load_weights(network, state, what, _NOT_WEIGHTS)


def _image_size(network: Any, name: str) -> int:
    size = network.visual.image_size
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise ModelFormatError(f"{name}: expected a network with square input, got {size}")
    return int(sides.pop())
