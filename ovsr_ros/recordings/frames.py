"""The images of a recording, one by one in the order of their stamps, each with what belongs to it."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import ConfigError, ImageError, RecordingError
from ovsr_ros.messages.camera_model import to_intrinsics
from ovsr_ros.messages.depth_image import to_depth_m
from ovsr_ros.messages.images import decode_compressed, read_image
from ovsr_ros.node_options import DepthOptions
from ovsr_ros.ops.spatial import RegisteredDepth
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.salvage import Record
from ovsr_ros.recordings.topics import COMPRESSED, Chosen

MOST_DISORDER_NS = 1_000_000_000
"""Stamps that go back by less are sorted; by more, the clock was set, or another recording begins."""
LONG_GAP_NS = 600_000_000_000
"""Stamps that go on by more have jumped."""
_MOST_WAITING = 12
_MOST_DEPTHS = 32
_BEFORE_NS = 5_000_000_000
"""What was recorded so long before an image may belong to it: its depth, and images that are to be sorted with it."""


@dataclass(frozen=True)
class Sampling:
    """Which images are taken. rate_hz: at most so many a second of the recording, 0: all; every: each so-manieth.

    Raises ConfigError for what cannot be.
    """

    rate_hz: float = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        if self.rate_hz < 0 or not self.rate_hz < float("inf"):
            raise ConfigError(f"--rate: expected images a second, over 0, got {self.rate_hz:g}")
        if self.every < 1:
            raise ConfigError(f"--every: expected 1 or more, got {self.every}")
        if self.rate_hz and self.every > 1:
            raise ConfigError("--rate and --every: expected one of them; leave one out")


@dataclass(frozen=True)
class TakenImage:
    """An image message that is to be labelled.

    number: of the images taken, from 0. stamp_ns: of its header. time_ns: the same, or where that is 0 when it was
    recorded. depth, info: the messages that belong to it, where there are.
    """

    number: int
    stamp_ns: int
    time_ns: int
    record: Record
    depth: Record | None = None
    info: Record | None = None

    @property
    def log_ns(self) -> int:
        return self.record.log_ns


@dataclass(frozen=True)
class Place:
    """Where a bag's reading can begin, as if it had begun at its start: before one of the images that are taken.

    number, stamp_ns, log_ns: of that image. position: images before it, those that are not taken counted in. last_ns:
    the time of the one before it. begin_ns, slot: see `Sampling.rate_hz`. info_ns: when its camera_info was recorded.
    """

    number: int
    stamp_ns: int
    log_ns: int
    position: int
    last_ns: int | None
    begin_ns: int
    slot: int
    info_ns: int | None


@dataclass
class Oddities:
    """What was noticed while reading, to be told in the end.

    jumps: where stamps jumped, in words; more than one are counted. left_out: images that are not labelled, by reason.
    doubts: images that are labelled, and whose depth could not be used.
    """

    jumps: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)

    def describe(self) -> list[str]:
        """A line each."""
        lines = [f"{count} images left out: {reason}" for reason, count in self.left_out.items()]
        lines += [f"{count} images without places: {reason}" for reason, count in self.doubts.items()]
        if self.jumps:
            more = f" (and {len(self.jumps) - 1} times more)" if len(self.jumps) > 1 else ""
            lines.append(f"{self.jumps[0]}{more}; tracks begin anew there")
        return lines


def take_images(
    bag: Bag,
    chosen: Chosen,
    sampling: Sampling,
    depth: DepthOptions,
    oddities: Oddities,
    place: Place | None = None,
) -> Iterator[TakenImage]:
    """The images to be labelled, in the order of their stamps: the same ones each time that a bag is read.

    An image whose stamp was there just before is the same one, and left out. depth: how its images are matched. place:
    of the first image, where it is not the bag's.
    """
    return (image for _, image in take_places(bag, chosen, sampling, depth, oddities, place))


def take_places(
    bag: Bag,
    chosen: Chosen,
    sampling: Sampling,
    depth: DepthOptions,
    oddities: Oddities,
    place: Place | None = None,
) -> Iterator[tuple[Place, TakenImage]]:
    """As `take_images`, each with the place at which the reading could begin with it."""
    depths: deque[tuple[int, Record]] = deque(maxlen=_MOST_DEPTHS)
    info: Record | None = None
    number, position, last_ns, slot, begin_ns = 0, 0, None, -1, 0
    start_ns = None
    if place is not None:
        number, position, last_ns = place.number, place.position, place.last_ns
        slot, begin_ns = place.slot, place.begin_ns
        info = _info_of(bag, chosen, place)
        start_ns = place.log_ns - _BEFORE_NS
    is_there = place is None
    for time_ns, stamp_ns, record, newest_info in _ordered(bag, chosen, depths, oddities, start_ns):
        info = newest_info or info
        is_there = is_there or (place is not None and (stamp_ns, record.log_ns) == (place.stamp_ns, place.log_ns))
        if not is_there:
            continue
        if time_ns == last_ns:
            oddities.left_out["the stamp of the image before it, which is the same image"] += 1
            continue
        before = (position, last_ns, begin_ns, slot)
        if last_ns is None or time_ns < last_ns:
            begin_ns, slot = time_ns, -1
        last_ns = time_ns
        position += 1
        if (position - 1) % sampling.every:
            continue
        if sampling.rate_hz:
            due = int((time_ns - begin_ns) / 1e9 * sampling.rate_hz + 1e-6)
            if due <= slot:
                continue
            slot = due
        here = Place(number, stamp_ns, record.log_ns, *before, info_ns=None if info is None else info.log_ns)
        yield here, TakenImage(number, stamp_ns, time_ns, record, _nearest(depths, stamp_ns, depth), info)
        number += 1


def _info_of(bag: Bag, chosen: Chosen, place: Place) -> Record | None:
    """The camera_info in force at a place: it may have been sent once, at the recording's start."""
    if chosen.info is None or place.info_ns is None:
        return None
    return next(bag.messages({chosen.info}, place.info_ns, place.info_ns + 1), None)


def _ordered(
    bag: Bag, chosen: Chosen, depths: deque[tuple[int, Record]], oddities: Oddities, start_ns: int | None
) -> Iterator[tuple[int, int, Record, Record | None]]:
    """Images by time: (time, stamp, message, camera_info), with the depth images around them in `depths`.

    start_ns: recorded from then on.
    """
    waiting: list[tuple[int, int, int, Record]] = []
    newest_ns: int | None = None
    info: Record | None = None
    order = 0
    for record in bag.messages(chosen.names, start_ns):
        if record.topic == chosen.info:
            info = record
            continue
        try:
            stamp_ns = bag.stamp_ns(record)
        except RecordingError as error:
            oddities.left_out[str(error)] += record.topic == chosen.image.name
            continue
        if record.topic == chosen.depth:
            depths.append((stamp_ns, record))
            continue
        time_ns = stamp_ns or record.log_ns
        if newest_ns is not None and not newest_ns - MOST_DISORDER_NS <= time_ns <= newest_ns + LONG_GAP_NS:
            oddities.jumps.append(
                f"stamps jump by {(time_ns - newest_ns) / 1e9:+.1f} s, "
                f"from {newest_ns / 1e9:.3f} to {time_ns / 1e9:.3f}"
            )
            for time, stamp, _, earlier in sorted(waiting):
                yield time, stamp, earlier, info
            waiting.clear()
            newest_ns = None
        newest_ns = time_ns if newest_ns is None else max(newest_ns, time_ns)
        heapq.heappush(waiting, (time_ns, stamp_ns, order, record))
        order += 1
        if len(waiting) > _MOST_WAITING:
            time, stamp, _, earlier = heapq.heappop(waiting)
            yield time, stamp, earlier, info
    for time, stamp, _, earlier in sorted(waiting):
        yield time, stamp, earlier, info


def _nearest(depths: deque[tuple[int, Record]], stamp_ns: int, options: DepthOptions) -> Record | None:
    within_ns = 0 if options.sync == "exact" else round(options.slop_s * 1e9)
    if not depths or options.sync == "none":
        return None
    offset_ns, record = min(((abs(stamp - stamp_ns), depth) for stamp, depth in depths), key=lambda pair: pair[0])
    return record if offset_ns <= within_ns else None


def decode(bag: Bag, record: Record) -> tuple[NDArray[np.uint8], str]:
    """The image of a message, (H, W, 3) uint8 RGB, and its frame_id. Raises ImageError."""
    try:
        message = bag.deserialize(record)
    except RecordingError as error:
        raise ImageError(str(error)) from error
    image = decode_compressed(message) if record.message_type == COMPRESSED else read_image(message)
    return image, str(message.header.frame_id)


def decode_depth(
    bag: Bag, image: TakenImage, size_hw: tuple[int, int], options: DepthOptions
) -> RegisteredDepth | None:
    """An image's depth at its size; None where it has none. Raises ImageError where what it has cannot be used."""
    if image.depth is None or image.info is None:
        return None
    try:
        depth, info = bag.deserialize(image.depth), bag.deserialize(image.info)
    except RecordingError as error:
        raise ImageError(str(error)) from error
    depth_m = to_depth_m(depth, size_hw, options.unit_m)
    return RegisteredDepth(depth_m, to_intrinsics(_as_ros2(info), size_hw))


def _as_ros2(info: Any) -> Any:
    """A CameraInfo with the names that ROS 2 has for its fields; ROS 1 writes matrices in capitals."""
    if hasattr(info, "p"):
        return info
    names = ("width", "height", "roi", "binning_x", "binning_y")
    return SimpleNamespace(p=info.P, k=info.K, d=info.D, **{name: getattr(info, name) for name in names})
