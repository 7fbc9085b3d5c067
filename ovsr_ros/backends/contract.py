"""What every backend offers, and what it hands from its slow half to its fast half."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.ops import masks
from ovsr_ros.results import Segmentation
from ovsr_ros.vocabulary.text_embeddings import TextClassifier, TextEncoder


@dataclass(frozen=True)
class Regions:
    """Where an image's N segments are.

    segment_map: (H, W) int32 on the device: ids from 1 in descending order of area, 0 none.
    cluster_ids: (N,) int64, the cluster that a segment is part of: segments of one cluster look alike.
    boxes_xyxy, areas_px, centroids_xy: as in `Segments`.
    """

    segment_map: Tensor
    cluster_ids: NDArray[np.int64]
    boxes_xyxy: NDArray[np.int32]
    areas_px: NDArray[np.int32]
    centroids_xy: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.areas_px)

    def cluster_map(self) -> NDArray[np.int64]:
        """(H, W): per pixel its segment's cluster, from 1; 0 where there is no segment."""
        of_segment = np.concatenate([[0], self.cluster_ids + 1])
        clusters: NDArray[np.int64] = of_segment[self.segment_map.cpu().numpy()]
        return clusters

    @classmethod
    def from_labels(cls, labels: Tensor, cluster_of_label: NDArray[np.int64]) -> Regions:
        """Measure labels (H, W) int32, 0 for none, from 1 to M; cluster_of_label: (M,). Those without pixels are none.

        Of equal areas, the lower label comes first.
        """
        geometry = masks.measure(labels, 1 + len(cluster_of_label))
        areas_px = geometry.areas_px.clone()
        areas_px[0] = 0
        segment_map, label_of_segment = masks.number_by_area(labels, areas_px)
        columns = (areas_px[:, None], geometry.boxes_xyxy, geometry.centroids_xy)
        measured = torch.cat([column.double() for column in columns], 1)[label_of_segment]
        table = torch.cat((label_of_segment.double()[:, None], measured), 1).cpu().numpy()  # (N, 8), one download
        return cls(
            segment_map=segment_map,
            cluster_ids=cluster_of_label[table[:, 0].astype(np.int64) - 1],
            areas_px=table[:, 1].astype(np.int32),
            boxes_xyxy=table[:, 2:6].astype(np.int32),
            centroids_xy=table[:, 6:8].astype(np.float32),
        )


@dataclass(frozen=True)
class FrameEmbeddings:
    """An image's segments and their embeddings, before any vocabulary is looked at.

    embeddings: (N, D) float32 on the device, L2-normalised; row i belongs to segment i + 1.
    stage_seconds: wall-clock seconds per stage so far, in the order the data passed them.
    track_ids: (N,) uint32, from 1; None: not tracked.
    num_found, num_embedded: segments that were found in the image, and how many of these were embedded, not reused; 0
    where nothing is counted.
    """

    regions: Regions
    embeddings: Tensor
    stage_seconds: dict[str, float]
    track_ids: NDArray[np.uint32] | None = None
    num_found: int = 0
    num_embedded: int = 0

    def __len__(self) -> int:
        return len(self.regions)


@dataclass(frozen=True)
class FoundSegments:
    """An image's segments before anything is known of what they look like.

    stage_seconds: as in `FrameEmbeddings`.
    embed_rows: embeddings (M, D) of the segments of these rows, (M,) int64, from 0; its time adds to stage_seconds.
    width: D. all_at_once: whether all segments cost no more than one.
    """

    regions: Regions
    stage_seconds: dict[str, float]
    embed_rows: Callable[[NDArray[np.int64]], Tensor]
    width: int
    all_at_once: bool

    def __len__(self) -> int:
        return len(self.regions)

    def embed_all(self) -> FrameEmbeddings:
        """The segments with the embeddings of all of them."""
        count = len(self)
        embeddings = self.embed_rows(np.arange(count))
        return FrameEmbeddings(self.regions, embeddings, self.stage_seconds, num_found=count, num_embedded=count)


SegmenterT = TypeVar("SegmenterT", bound="Segmenter")


class Segmenter(Protocol):
    """A backend's stages before words, with their models loaded. Immutable, so any thread may use it."""

    @property
    def device(self) -> torch.device: ...

    def with_options(self: SegmenterT, options: Any) -> SegmenterT:
        """The same models under other options of the backend; what a read-only option decided stays as loaded."""
        ...

    def segment(self, image_rgb: NDArray[np.uint8]) -> Regions:
        """The segments of an image, (H, W, 3) uint8 RGB: those that the whole backend finds."""
        ...


class ImageTextEncoder(TextEncoder, Protocol):
    """The backend's text encoder, with what its embeddings are cached under."""

    @property
    def model_id(self) -> str: ...


class Frame(Protocol):
    """What a backend hands from its slow half to its fast half; each has its own, and looks into no other's."""

    @property
    def stage_seconds(self) -> dict[str, float]: ...


Self = TypeVar("Self", bound="Backend[Any]")
FrameT = TypeVar("FrameT", bound=Frame)


class Backend(Protocol[FrameT]):
    """One segmentation system with its models loaded. Immutable, so any thread may use it.

    Both methods run in inference mode and synchronise the device only where the host needs a value.
    """

    @property
    def device(self) -> torch.device: ...

    @property
    def text_encoder(self) -> ImageTextEncoder: ...

    def with_options(self: Self, options: Any) -> Self:
        """The same models under other options; what a read-only option decided stays as loaded."""
        ...

    def smaller(self: Self) -> Self:
        """The same models at half the resolution and in smaller batches: coarser, in about a quarter of the memory."""
        ...

    def halve_batch(self: Self) -> Self | None:
        """The same models in batches half as large: the same result in less memory; None where that saves nothing."""
        ...

    def embed(self, image_rgb: NDArray[np.uint8]) -> FrameT:
        """Everything about an image, (H, W, 3) uint8 RGB, that needs no vocabulary: the slow half."""
        ...

    def label(
        self, frame: FrameT, classifier: TextClassifier, score_threshold: float, num_runners_up: int
    ) -> Segmentation:
        """Label a frame by a classifier that lies on the backend's device: the fast half."""
        ...


@runtime_checkable
class SegmentFinder(Protocol):
    """A backend whose slow half finds segments before it embeds them: `embed` is `find` and all `embed_rows`."""

    def find(self, image_rgb: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None) -> FoundSegments:
        """The segments of an image, (H, W, 3) uint8 RGB.

        ignored: (h, w), at any resolution of its aspect, True where the image is to be in no segment, and what is there
        is to take no part in finding the others; not everywhere.
        """
        ...


@runtime_checkable
class MaskEmbedder(Protocol):
    """A backend that compares segments with the classifier's examples, too, and so can be taught by these."""

    def embed_mask(self, image_rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Tensor:
        """(D,) float32, of length 1: of the mask's pixels, as of a segment's. image_rgb: (H, W, 3) uint8; mask: (H, W),
        True somewhere.
        """
        ...


class StageClock:
    """Wall-clock seconds per stage, summed; a stage ends when the device has done its work."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
