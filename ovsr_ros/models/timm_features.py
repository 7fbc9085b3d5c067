"""Feature maps from a timm network: the levels that are wanted, and no layer behind the last of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

from ovsr_ros.errors import ConfigError, ModelFormatError
from ovsr_ros.models.checkpoint import load_weights, read_state_dict
from ovsr_ros.models.clip_maps import ImageMaps
from ovsr_ros.models.device import inference, resolve_precision
from ovsr_ros.models.lean import example_image, fold_batch_norms, scale_in_place, store_products
from ovsr_ros.models.lean_convolutions import make_convolutions_lean
from ovsr_ros.models.timm_network import check_levels, create_network
from ovsr_ros.models.weights import ResolvedModel, resolve


class FeatureExtractor:
    """The feature maps of a pretrained timm network.

    name: see `weights.resolve`. levels: timm's `features_only` indices (EfficientNet-B0: 0 to 4 for strides 2 to 32).
    device: where it runs. precision: auto, fp32, bf16, fp16. allow_download: fetch weights that are not here.

    channels, strides: per level. mean, std: (3,) float32 on the device, of inputs in [0, 1] before normalisation.
    model_id: the name and the weights' checksum.

    Raises ModelError when the model cannot be had or is damaged, ConfigError for a level that it lacks.
    """

    def __init__(
        self,
        name: str,
        levels: Sequence[int] = (1, 2, 3),
        device: torch.device | None = None,
        precision: str = "auto",
        allow_download: bool = False,
    ) -> None:
        self._device = device or torch.device("cpu")
        self._dtype = resolve_precision(precision, self._device)
        resolved = resolve(name, "timm", allow_download)
        network = _build(resolved)
        levels = check_levels(levels, len(network.feature_info), name)
        self._indices = sorted(set(levels))
        self._order = [self._indices.index(level) for level in levels]
        infos = [network.feature_info[level] for level in levels]
        self.channels: tuple[int, ...] = tuple(int(info["num_chs"]) for info in infos)
        self.strides: tuple[int, ...] = tuple(int(info["reduction"]) for info in infos)
        self.model_id = resolved.model_id

        whole = tuple(network.state_dict())
        network.prune_intermediate_layers(self._indices, prune_norm=True)
        # What was cut off may stand in the file, and so may a classifier for any number of classes.
        load_weights(
            network,
            read_state_dict(resolved.weights),
            resolved.description,
            ignored=(*whole, *_classifiers(network)),
        )
        network.eval().requires_grad_(False)
        example = example_image()
        network = fold_batch_norms(network.to(memory_format=torch.channels_last), example)
        network = make_convolutions_lean(scale_in_place(network, example), example, self._device)
        if self._dtype != torch.float32:
            store_products(network, self._dtype)
        self._network = network.to(self._device)
        self.mean = torch.tensor(network.pretrained_cfg["mean"], dtype=torch.float32, device=self._device)
        self.std = torch.tensor(network.pretrained_cfg["std"], dtype=torch.float32, device=self._device)

    def __call__(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) float, normalised by mean and std -> per level (B, C_l, H_l, W_l) float32, on the device.

        H_l and W_l are H and W divided by the level's stride, rounded up.
        """
        with inference(self._device, self._dtype):
            inputs = images.to(self._device, memory_format=torch.channels_last)
            maps = self._network.forward_intermediates(inputs, indices=self._indices, intermediates_only=True)
            return [maps[place].float() for place in self._order]

    def look(self, images: Tensor) -> ImageMaps:
        """The same, as what a look at an image gives; this network embeds nothing."""
        return ImageMaps(tuple(self(images)))

    def check_known_words(self) -> NoReturn:
        """Raise ConfigError: this network knows no words."""
        raise ConfigError(
            "features.known_words: expected 0 where features.model names a timm network, which knows no words; or "
            "features.model: clip with a clip.model that does, such as pocket"
        )

    def name_places(self, last: Tensor) -> NoReturn:
        """Raises ConfigError as `check_known_words`."""
        self.check_known_words()


def _build(resolved: ResolvedModel) -> Any:
    network = create_network(resolved)
    if not hasattr(network, "forward_intermediates") or not hasattr(network, "prune_intermediate_layers"):
        raise ModelFormatError(f"{resolved.name}: {resolved.architecture} gives no feature maps of its levels")
    return network


def _classifiers(network: Any) -> tuple[str, ...]:
    names = network.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))
