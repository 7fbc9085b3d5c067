"""The demo's command line, and what follows from its source. Needs no ROS."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsr_ros.config import read_config
from ovsr_ros.demo.sources.kinds import ROOMS, Kind, default_config, default_words, find_kind
from ovsr_ros.demo.sources.opening import SourceOptions, open_source
from ovsr_ros.errors import SourceError
from ovsr_ros.names import undecoded
from ovsr_ros.nodes.console.arguments import HOST, PORT
from ovsr_ros.options import replace_flat

_ROOMS_RATE_HZ = 10.0


@dataclass(frozen=True)
class CameraRun:
    """What camera and node are started with.

    parameters: the camera's, but for the source. rate_hz: how many images a second come. words: to look for; none:
    those of the configuration. has_truth: whether the camera knows what is to be seen, and how far away.
    is_live: whether its images may stay away for a while.
    """

    source: str
    parameters: dict[str, object]
    rate_hz: float
    config: str
    words: tuple[str, ...]
    has_truth: bool
    is_live: bool


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; one that cannot be read ends the process with exit code 2."""
    parser = argparse.ArgumentParser(prog="demo", description="Demo camera and segmentation node over real DDS.")
    parser.add_argument(
        "--source",
        default=ROOMS,
        metavar="rooms|photos|PATH",
        help="what the camera sees: rooms, which are rendered, with ground truth (default); photos: it wanders over "
        "photographs of scikit-image's; or an image, a folder of images, a video, or a camera such as /dev/video0. A "
        "folder is shown in the order of its names, a video in a loop. ./photos is a folder of that name",
    )
    parser.add_argument("--each", type=float, metavar="SECONDS", help="how long each photograph or image is shown (6)")
    parser.add_argument("--frames", type=int, help="end after this many labelled frames")
    parser.add_argument("--seconds", type=float, help="end this many seconds after the first labelled frame")
    parser.add_argument(
        "--categories",
        nargs="+",
        action="extend",
        metavar="NAME",
        help='words to look for; "mug; cup": with a synonym (default: those that fit rooms and photos, else those of '
        "the configuration)",
    )
    parser.add_argument("--seed", type=int, default=35, help="which room, or way over the photographs (default 35)")
    parser.add_argument(
        "--rate", type=float, help="camera images per second (default 10; of a video and a webcam its own)"
    )
    parser.add_argument(
        "--size",
        metavar="WxH",
        help="camera images' size (default 640x480); images of files and webcams are scaled down to be within, with "
        "their aspect (default: their own size, up to 1280 pixels on the longer side)",
    )
    parser.add_argument(
        "--config", help="the node's preset or YAML file (default demo for rooms, pocket for everything else)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default auto)")
    parser.add_argument("--out", type=Path, default=Path("demo_output"), help="output folder (default demo_output)")
    parser.add_argument("--keep-vocabulary", action="store_true", help="don't change the vocabulary on the way")
    parser.add_argument("--console", action="store_true", help="the operator's page as well, in a browser")
    parser.add_argument(
        "--console-port", type=int, default=PORT, metavar="PORT", help=f"where the page is (default {PORT})"
    )
    options = parser.parse_args(arguments)
    for name in ("frames", "seconds", "rate", "each"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            parser.error(f"--{name}: expected more than 0, got {value}")
    if options.size is not None:
        width, _, height = options.size.partition("x")
        if not (width.isdigit() and height.isdigit()):
            parser.error(f"--size: expected WxH such as 640x480, got {options.size!r}")
        options.size = int(width), int(height)
    return options


def console_url(options: argparse.Namespace) -> str:
    """Where the operator's page is; empty where none is wanted."""
    return f"http://{HOST}:{options.console_port}/" if options.console else ""


def prepare_camera(options: argparse.Namespace, report: Callable[[str], None]) -> CameraRun:
    """What the command line asks for; all but rooms are opened once to see whether they can be.

    report: told of images that are left out.

    Raises SourceError where the source cannot be opened, ConfigError for a rate or size that no camera has.
    """
    if problem := undecoded(options.source):
        raise SourceError(f"source: its name {problem}")
    kind = find_kind(options.source)
    parameters: dict[str, object] = {"seed": options.seed}
    if options.rate is not None:
        parameters["rate_hz"] = options.rate
    if options.size is not None:
        parameters["width"], parameters["height"] = options.size
    if options.each is not None:
        parameters["each_s"] = options.each
    rate_hz = options.rate or _ROOMS_RATE_HZ
    words = tuple(options.categories or default_words(options.source))
    if kind is Kind.ROOMS:
        words = words or _demo_words()
    else:
        wanted = replace_flat(SourceOptions(), {"source": options.source, **parameters})
        with closing(open_source(wanted, parameters, report)) as source:
            rate_hz = source.rate_hz
    return CameraRun(
        options.source,
        parameters,
        rate_hz,
        options.config or default_config(options.source),
        words,
        has_truth=kind is Kind.ROOMS,
        is_live=kind is Kind.DEVICE,
    )


def _demo_words() -> tuple[str, ...]:
    categories: Any = read_config("demo")["categories"]
    return tuple(categories)
