"""The demo camera's options, and the source that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import cv2

from ovsr_ros.demo.scenes import SPLITS
from ovsr_ros.demo.sources.device import DeviceSource
from ovsr_ros.demo.sources.frame_source import (
    MAX_RATE_HZ,
    MAX_SIDE_PX,
    MIN_RATE_HZ,
    MIN_SIDE_PX,
    OWN_SIDE_PX,
    FrameSource,
)
from ovsr_ros.demo.sources.images import ImageSource
from ovsr_ros.demo.sources.kinds import EXPECTED, ROOMS, Kind, find_kind, list_images
from ovsr_ros.demo.sources.photos import PhotoSource
from ovsr_ros.demo.sources.rooms import RoomSource
from ovsr_ros.demo.sources.video import VideoSource
from ovsr_ros.options import option


@dataclass(frozen=True)
class SourceOptions:
    """What the camera sees; fixed once it runs. Of a video or webcam, rate and size are its own where not given."""

    source: str = option(ROOMS, help=f"what is shown: {EXPECTED}", read_only=True)
    rate_hz: float = option(
        10.0,
        help="images per second; of a video and a webcam its own, unless given",
        min=MIN_RATE_HZ,
        max=MAX_RATE_HZ,
        unit="Hz",
        read_only=True,
    )
    width: int = option(
        640,
        help=f"image width; of files and webcams their own up to {OWN_SIDE_PX}, unless given: then at most this",
        min=MIN_SIDE_PX,
        max=MAX_SIDE_PX,
        unit="px",
        read_only=True,
    )
    height: int = option(
        480, help="image height, as with width", min=MIN_SIDE_PX, max=MAX_SIDE_PX, unit="px", read_only=True
    )
    seed: int = option(
        0, help="which room is drawn; of photos the order and the camera's way", min=0, max=2**31 - 1, read_only=True
    )
    each_s: float = option(
        6.0,
        help="how long each photograph, and each image of a folder, is shown",
        min=0.1,
        max=3600.0,
        unit="s",
        read_only=True,
    )
    speed: float = option(
        1.0, help="seconds of camera motion per second, of rooms and photos", min=0.0, max=10.0, read_only=True
    )
    split: str = option(
        "test",
        help="of rooms: test: those that the demo models were not trained on",
        choices=tuple(SPLITS),
        read_only=True,
    )
    num_objects: int = option(-1, help="objects in the room; -1: as the seed has it", min=-1, max=12, read_only=True)
    clip_s: float = option(
        6.0,
        help="of rooms: length of the clip that is drawn while it is first played, then played back and forth",
        min=0.1,
        max=120.0,
        unit="s",
        read_only=True,
    )


def open_source(options: SourceOptions, given: Collection[str], report: Callable[[str], None]) -> FrameSource:
    """The source that the options ask for.

    given: names of the options that were chosen; of size and rate, the others are the source's to choose.
    report: told, in a line each, of what goes wrong later on and does not end the source.

    Raises SourceError where it cannot be opened, with what was expected, what came, what to do.
    """
    kind = find_kind(options.source)
    size_wh = options.width, options.height
    if kind is Kind.ROOMS:
        num_objects = None if options.num_objects < 0 else options.num_objects
        return RoomSource(
            size_wh, options.rate_hz, options.seed, options.split, num_objects, options.speed, options.clip_s
        )
    if kind is Kind.PHOTOS:
        return PhotoSource(size_wh, options.rate_hz, options.each_s, options.seed, options.speed)
    path = Path(options.source).expanduser()
    is_sized = bool({"width", "height"} & set(given))
    bound_wh = (
        (options.width if "width" in given else MAX_SIDE_PX, options.height if "height" in given else MAX_SIDE_PX)
        if is_sized
        else (OWN_SIDE_PX, OWN_SIDE_PX)
    )
    if kind is Kind.FOLDER:
        files = list_images(path)
        return ImageSource(options.source, files, bound_wh, options.rate_hz, options.each_s, report)
    own_rate_hz = options.rate_hz if "rate_hz" in given else None
    if kind is Kind.DEVICE:
        return DeviceSource(str(path), size_wh if is_sized else None, bound_wh, own_rate_hz, report)
    if cv2.haveImageReader(str(path)):
        return ImageSource(options.source, [path], bound_wh, options.rate_hz, options.each_s, report)
    return VideoSource(path, bound_wh, own_rate_hz, report)
