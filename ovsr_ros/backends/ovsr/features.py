"""Stage 1: an image becomes a matrix of features, one row per cell of a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.ovsr.ignored import find_kept, find_untouched
from ovsr_ros.models.clip_maps import ImageMaps
from ovsr_ros.ops.image import has_contrast, normalize, resize, scaled_size_hw
from ovsr_ros.options import option

_MAX_ASPECT = 2.5
"""Images longer than this get a coarser grid instead of a longer one: clustering costs the square of its cells."""

_MOST_WORDS = 32
"""Of the known words, those that an image shows most of describe its cells: what others say is next to nothing."""

_STRIDE = 32
"""The network's coarsest stride. A side that is no multiple of it is padded on one end only, deep inside the network,
and the padding stands out as a cluster of its own along that border."""


@dataclass(frozen=True)
class FeatureOptions:
    """Which features describe a grid cell."""

    model: str = option(
        "efficientnet_b0.ra_in1k",
        help="timm model: hub name, local file or folder, or demo; clip: the image tower of clip.model, which is then "
        "run once for both",
        read_only=True,
    )
    levels: tuple[int, ...] = option(
        (1, 2, 3, 4),
        help="feature levels that are concatenated; level i has stride 2^(i+1), but 5, the pyramid of "
        "ovsr_pocket_lite0_fine, has 8",
        min=0,
        max=5,
        read_only=True,
    )
    input_short_side: int = option(
        384,
        help="the image's short side as the network sees it, to the nearest multiple of 32",
        min=32,
        max=2048,
        unit="px",
    )
    grid_rows: int = option(
        48, help="grid cells along the image's short side: the rows of a landscape image", min=4, max=160
    )
    normalization: str = option(
        "rms",
        help="rms: each channel to root mean square 1, over the root of its level's channels, then each cell, all "
        "levels together, to length 1; standardize: each channel to mean 0 and deviation 1, over the root of its "
        "level's channels; l2_joint: each cell, all levels together, to length 1; none",
        choices=("rms", "standardize", "l2_joint", "none"),
    )
    known_words: float = option(
        0.0,
        help="how much counts, beside the levels, which of the words that clip.model was taught a cell shows; 0: "
        "nothing; more with features.model: clip and a model that has known words, such as pocket",
        min=0.0,
        max=10.0,
    )

    def __post_init__(self) -> None:
        if not self.levels or len(set(self.levels)) != len(self.levels):
            raise ValueError(f"levels: expected at least one level, each once, got {self.levels}")


class FeatureMaps(Protocol):
    """A feature network, as `FeatureExtractor` is one: what it makes of images, normalised by mean and std, (3,)."""

    @property
    def mean(self) -> Tensor: ...

    @property
    def std(self) -> Tensor: ...

    def look(self, images: Tensor) -> ImageMaps:
        """(1, 3, H, W) float -> maps on the same device."""
        ...

    def check_known_words(self) -> None:
        """Raise ConfigError unless `name_places` can be used."""
        ...

    def name_places(self, last: Tensor) -> Tensor:
        """A look's last map (1, C, h, w) -> how likely each place shows each word that it was taught, (1, K, h, w)."""
        ...


def check_features(options: FeatureOptions, extractor: FeatureMaps) -> None:
    """Raise ConfigError for options that the network cannot follow."""
    if options.known_words > 0:
        extractor.check_known_words()


@dataclass(frozen=True)
class GridFeatures:
    """features: (rows * columns, C) float32, row by row. image: (1, 3, h, w) uint8, as the network saw it.

    has_contrast: whether the image shows anything. last: the map that embeds its parts, where the network has one; see
    `ImageMaps`. kept: (rows, columns), the cells that the rows of features are of, where that is not every cell.
    """

    features: Tensor
    image: Tensor
    grid_hw: tuple[int, int]
    has_contrast: bool
    last: Tensor | None = None
    kept: NDArray[np.bool_] | None = None


def grid_size_hw(image_hw: tuple[int, int], grid_rows: int) -> tuple[int, int]:
    """Rows and columns of the grid: grid_rows along the short side, cells about square, none smaller than a pixel.

    The long side is rounded up: 64 x 86 for 4:3, as Dai & Chen have it.
    """
    scale = min(grid_rows / min(image_hw), _MAX_ASPECT * grid_rows / max(image_hw))
    rows, columns = (min(side, max(1, math.ceil(side * scale - 1e-6))) for side in image_hw)
    return rows, columns


def compute_features(
    image: Tensor, extractor: FeatureMaps, options: FeatureOptions, ignored: NDArray[np.bool_] | None = None
) -> GridFeatures:
    """Features of an image (1, 3, H, W) uint8 on the extractor's device, but of what is ignored in it, (H', W').

    Order: resize the image, network, resize each level to the grid, normalise, concatenate. Normalisation comes after
    the resize so that the deviation is that of the rows which the SVD sees.
    """
    grid_hw = grid_size_hw((image.shape[2], image.shape[3]), options.grid_rows)
    small, maps = look_at(image, extractor, options)
    kept = None if ignored is None else find_kept(ignored, grid_hw)
    features = describe_cells(maps.levels, grid_hw, options.normalization, kept)
    if options.known_words > 0:
        assert maps.last is not None, "`check_features` lets only networks through that embed places"
        chances = describe_cells([extractor.name_places(maps.last)], grid_hw, "none", kept)
        features = torch.cat((features, options.known_words * strongest_columns(chances, _MOST_WORDS)), 1)
    seen = small
    if ignored is not None and kept is not None:
        untouched = find_untouched(ignored, (small.shape[2], small.shape[3]))
        seen = small[:, :, torch.from_numpy(untouched).to(small.device)][..., None]  # (1, 3, P, 1)
    return GridFeatures(features, small, grid_hw, seen.numel() == 0 or bool(has_contrast(seen)[0]), maps.last, kept)


def look_at(image: Tensor, extractor: FeatureMaps, options: FeatureOptions) -> tuple[Tensor, ImageMaps]:
    """An image (1, 3, H, W) uint8 as the network sees it, (1, 3, h, w) uint8, and what the network makes of it."""
    height, width = (
        max(round(side / _STRIDE), 1) * _STRIDE
        for side in scaled_size_hw((image.shape[2], image.shape[3]), options.input_short_side, _MAX_ASPECT)
    )
    small = resize(image, (height, width))
    return small, extractor.look(normalize(small, extractor.mean, extractor.std))


def describe_cells(
    levels: Sequence[Tensor], grid_hw: tuple[int, int], method: str, kept: NDArray[np.bool_] | None = None
) -> Tensor:
    """Features of a grid's cells, (rows * columns, C) float32, row by row, from feature maps (1, C_l, h_l, w_l).

    kept: (rows, columns), of which cells; None: of all.
    """
    columns = []
    for level in levels:
        if level.shape[2:] != grid_hw:
            level = functional.interpolate(level, grid_hw, mode="bilinear", align_corners=False)
        cells = level[0].flatten(1).T  # (rows * columns, C_l)
        if kept is not None:
            cells = cells[torch.from_numpy(kept.ravel()).to(cells.device)]
        columns.append(normalize_level(cells, method))
    features = torch.cat(columns, 1)
    return functional.normalize(features, dim=1) if method in ("rms", "l2_joint") else features


def strongest_columns(matrix: Tensor, most: int) -> Tensor:
    """Of a matrix (N, K) the columns with the largest sums of squares, at most that many, in their order."""
    if matrix.shape[1] <= most:
        return matrix
    chosen: Tensor = matrix.square().sum(0).topk(most).indices.sort().values
    return matrix[:, chosen]


def normalize_level(features: Tensor, method: str) -> Tensor:
    """Normalise one level's features (N, C); "l2_joint" and "none" leave them. See `FeatureOptions.normalization`."""
    if method in ("rms", "standardize"):
        if method == "standardize":
            features = features - features.mean(0)
        size = features.square().mean(0).sqrt()  # (C,)
        # A channel that is 0 or does not vary says nothing: the floor keeps its rounding noise from being blown up.
        return features / (size.clamp_min(1e-4 * float(size.max()) + 1e-12) * math.sqrt(features.shape[1]))
    return features
