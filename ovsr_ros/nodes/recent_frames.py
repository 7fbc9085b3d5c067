"""The frames published last, as far as an operator can point at what is in them."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.backends.contract import FrameEmbeddings
from ovsr_ros.errors import VocabularyError
from ovsr_ros.nodes.conversions.stamps import to_ns
from ovsr_ros.results import Segmentation
from ovsr_ros.teaching import Pointed, draw_thumbnail

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time as Stamp

MOST_FRAMES = 32
_SHORT_SIDE_PX = 240
"""About what is kept of each image and its map: half a megabyte a frame, whatever the camera."""


@dataclass(frozen=True)
class _RecentFrame:
    """size_hw: the image's. image, segment_map: every `step`-th row and column. ids: of the segments that track_ids are
    of. embeddings: (M, D); row i belongs to the segment with the id i + 1.
    """

    stamp_ns: int
    size_hw: tuple[int, int]
    step: int
    image: NDArray[np.uint8]
    segment_map: NDArray[np.uint16]
    ids: NDArray[np.uint16]
    track_ids: NDArray[np.uint32]
    embeddings: Tensor

    def pointed(self, segment: int) -> Pointed:
        """segment: its id."""
        mask = self.segment_map == segment
        thumbnail = draw_thumbnail(self.image, mask) if mask.any() else b""
        return Pointed(self.embeddings[segment - 1].float().cpu().numpy(), thumbnail)


class RecentFrames:
    """Remembers the last frames' segments with their embeddings. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: deque[_RecentFrame] = deque(maxlen=MOST_FRAMES)

    def remember(
        self, stamp: Stamp, image: NDArray[np.uint8], segmentation: Segmentation, frame: FrameEmbeddings
    ) -> None:
        """A frame that is about to be published. image: (H, W, 3) uint8 RGB."""
        height, width = segmentation.segment_map.shape
        step = max(1, min(height, width) // _SHORT_SIDE_PX)
        recent = _RecentFrame(
            to_ns(stamp),
            (height, width),
            step,
            image[::step, ::step].copy(),
            segmentation.segment_map[::step, ::step].copy(),
            segmentation.segments.ids,
            segmentation.segments.track_ids,
            frame.embeddings.clone(),
        )
        with self._lock:
            self._frames.append(recent)

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._frames.clear()

    def at_pixel(self, stamp: Stamp, x: int, y: int) -> Pointed:
        """The segment at a column and row of the frame of this stamp, of the newest where the stamp is 0.

        Raises VocabularyError for a frame that is not remembered, a pixel outside it or in no segment.
        """
        frame = self._find(to_ns(stamp))[-1]
        height, width = frame.size_hw
        if not (0 <= x < width and 0 <= y < height):
            raise VocabularyError(f"x, y: expected a pixel of the frame, {width}x{height}, got {x}, {y}")
        rows, columns = frame.segment_map.shape
        segment = int(frame.segment_map[min(y // frame.step, rows - 1), min(x // frame.step, columns - 1)])
        if not segment:
            raise VocabularyError(f"x, y: there is no segment at {x}, {y}; point at one")
        return frame.pointed(segment)

    def of_track(self, stamp: Stamp, track_id: int) -> Pointed:
        """The segment of a track in the frame of this stamp; where that is 0, in the newest frame that has the track.

        Raises VocabularyError for a frame that is not remembered, or a track that is in none.
        """
        frames = self._find(to_ns(stamp))
        for frame in reversed(frames):
            found = np.flatnonzero(frame.track_ids == track_id)
            if len(found):
                return frame.pointed(int(frame.ids[found[0]]))
        tracks = sorted({int(track) for track in frames[-1].track_ids} - {0})
        listed = ", ".join(map(str, tracks[:20])) or "none: tracking is off"
        where = "that frame" if len(frames) == 1 else f"the last {len(frames)} frames"
        raise VocabularyError(f"track_id: {track_id} is not in {where}; the newest of them has {listed}")

    def _find(self, stamp_ns: int) -> list[_RecentFrame]:
        """The frame of this stamp; of stamp 0 all, in their order."""
        with self._lock:
            frames = list(self._frames)
        if not frames:
            raise VocabularyError(
                "no frame has been published yet: subscribe to an output, so that frames are labelled, or give an image"
            )
        if not stamp_ns:
            return frames
        found = [frame for frame in frames if frame.stamp_ns == stamp_ns]
        if not found:
            oldest, newest = (_seconds(frame.stamp_ns) for frame in (frames[0], frames[-1]))
            those = f"the last {len(frames)} are, {oldest} to {newest}" if len(frames) > 1 else f"one is, {newest}"
            raise VocabularyError(
                f"stamp: no frame of {_seconds(stamp_ns)} is remembered: {those}; point at what is remembered, or give "
                "the track, or the image itself"
            )
        return found[-1:]


def _seconds(stamp_ns: int) -> str:
    return f"{stamp_ns // 1_000_000_000}.{stamp_ns % 1_000_000_000:09d} s"
