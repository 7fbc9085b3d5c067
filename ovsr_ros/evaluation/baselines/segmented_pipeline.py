"""Regions from elsewhere, then our other stages: what a baseline's figures have in common with ours."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends.contract import Frame, Regions, StageClock
from ovsr_ros.backends.ovsr.backend import OvsrBackend, OvsrOptions, OvsrSegmenter
from ovsr_ros.backends.ovsr.regions import find_regions
from ovsr_ros.backends.reduction import FULL, Reduction
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
        size = _tensor_bytes(frame)
        if size <= self._bytes_left:
            self._bytes_left -= size
            self._frames[key] = frame
        return frame


def _tensor_bytes(value: object) -> int:
    if isinstance(value, torch.Tensor):
        return value.nbytes
    return sum(map(_tensor_bytes, vars(value).values())) if dataclasses.is_dataclass(value) else 0


class SegmentedPipeline(Pipeline):
    """A pipeline whose regions come from a region finder, and whose other stages are unchanged.

    finder: None: our own regions. frames: where frames are looked up before they are embedded; None: nowhere.
    """

    finder: RegionFinder | None = None
    frames: FrameStore | None = None

    def embed(self, image_rgb: NDArray[np.uint8], reduction: Reduction = FULL) -> Frame:
        if reduction:
            raise ConfigError(f"reduction: images are judged in full, got {reduction}")
        if self.frames is not None:
            return self.frames.find_or_add(image_rgb, self._embed)
        return self._embed(image_rgb)

    def _embed(self, image_rgb: NDArray[np.uint8]) -> Frame:
        if self.finder is None:
            return super().embed(image_rgb)
        check_image(image_rgb)
        backend = self.state.backend
        if not isinstance(backend, OvsrBackend):
            raise ConfigError(f"backend: baselines need the stages of 'ovsr', got {self.options.backend!r}")
        regions = FinderSegmenter(self.finder, backend.segmenter).segment(image_rgb)
        return backend.embed_regions(to_tensor(image_rgb, backend.device), regions, StageClock(backend.device))


@dataclass(frozen=True)
class FinderSegmenter:
    """A region finder in the place of our clustering; see `Segmenter`. stages: ours, which it may use."""

    finder: RegionFinder
    stages: OvsrSegmenter

    @property
    def device(self) -> torch.device:
        return self.stages.device

    def with_options(self, options: OvsrOptions) -> FinderSegmenter:
        return FinderSegmenter(self.finder, self.stages.with_options(options))

    @torch.inference_mode()
    def segment(self, image_rgb: NDArray[np.uint8]) -> Regions:
        """Its regions (h, w), at the image's resolution or coarser, as our pipeline goes on with them.

        Small parts join their neighbours, and parts that do not touch become segments.
        """
        clusters = self.finder.find(image_rgb, self.stages)
        height, width = image_rgb.shape[:2]
        return find_regions(clusters, (height, width), self.device, self.stages.options.regions)
