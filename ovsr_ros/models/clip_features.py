"""Features from CLIP's own image tower: one network, run once, describes an image's cells and embeds its segments."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.clip_maps import ImageMaps

FROM_CLIP = "clip"
"""The name that stands for CLIP's image tower where a feature network is named."""


@dataclass(frozen=True)
class ClipFeatures:
    """The feature maps of a CLIP's image tower.

    levels: its levels, in the order of the maps. Raises ConfigError for a tower without maps, or without these levels.
    """

    clip: ClipModel
    levels: tuple[int, ...]

    def __post_init__(self) -> None:
        self.clip.check_levels(self.levels)

    @property
    def model_id(self) -> str:
        return self.clip.model_id

    @property
    def mean(self) -> Tensor:
        return self.clip.mean

    @property
    def std(self) -> Tensor:
        return self.clip.std

    def look(self, images: Tensor) -> ImageMaps:
        """(1, 3, H, W) float, normalised by mean and std -> maps, with the last one, on the device."""
        return self.clip.look(images, self.levels)

    def check_known_words(self) -> None:
        """Raise ConfigError unless `name_places` can be used with this model."""
        self.clip.check_known_words()

    def name_places(self, last: Tensor) -> Tensor:
        """See `ClipModel.name_places`."""
        return self.clip.name_places(last)
