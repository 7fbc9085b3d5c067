"""Regions from elsewhere, then our recognition: what a baseline's figures have in common with ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends import Frame, FrameEmbeddings
from ovsr_ros.backends.contract import StageClock
from ovsr_ros.backends.ovsr.backend import OvsrBackend
from ovsr_ros.backends.ovsr.regions import find_regions
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.baselines.region_finders import RegionFinder
from ovsr_ros.ops.image import check_image, to_tensor
from ovsr_ros.pipeline import Pipeline


class FrameStore:
    """Embedded frames by image, as many as fit into memory."""

    def __init__(self, max_bytes: int = 2**30) -> None:
        self._frames: dict[bytes, Frame] = {}
        self._bytes_left = max_bytes

    def __len__(self) -> int:
        return len(self._frames)

    def find_or_add(self, image_rgb: NDArray[np.uint8], embed: Callable[[NDArray[np.uint8]], Frame]) -> Frame:
        """The frame of an image (H, W, 3) uint8, embedded now where it is not known."""
        key = hashlib.blake2b(repr(image_rgb.shape).encode() + image_rgb.tobytes()).digest()
        if key in self._frames:
            return self._frames[key]
        frame = embed(image_rgb)
        size = sum(value.nbytes for value in vars(frame).values() if isinstance(value, torch.Tensor))
        if size <= self._bytes_left:
            self._bytes_left -= size
            self._frames[key] = frame
        return frame


class SegmentedPipeline(Pipeline):
    """A pipeline whose regions come from a region finder, and whose other stages are unchanged.

    finder: None: our own regions. frames: where frames are looked up before they are embedded; None: nowhere.
    """

    finder: RegionFinder | None = None
    frames: FrameStore | None = None

    def embed(self, image_rgb: NDArray[np.uint8]) -> Frame:
        if self.frames is not None:
            return self.frames.find_or_add(image_rgb, self._embed)
        return self._embed(image_rgb)

    def _embed(self, image_rgb: NDArray[np.uint8]) -> Frame:
        if self.finder is None:
            return super().embed(image_rgb)
        check_image(image_rgb)
        backend = self._snapshot().backend
        if not isinstance(backend, OvsrBackend):
            raise ConfigError(f"backend: baselines need the stages of 'ovsr', got {self.options.backend!r}")
        return embed_regions(image_rgb, self.finder.find(image_rgb, backend), backend)


@torch.inference_mode()
def embed_regions(image_rgb: NDArray[np.uint8], clusters: NDArray[np.int64], backend: OvsrBackend) -> FrameEmbeddings:
    """What our pipeline makes of clusters (h, w), at the image's resolution or coarser, from there on.

    Small parts join their neighbours, parts that do not touch become segments, and each is embedded.
    """
    image = to_tensor(image_rgb, backend.device)
    regions = find_regions(clusters, (image.shape[2], image.shape[3]), backend.device, backend.options.regions)
    return backend.embed_regions(image, regions, StageClock(backend.device))
