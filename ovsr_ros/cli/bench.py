"""`ovsr bench`: how long a configuration takes for a frame on this machine, stage by stage, and how much memory."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovsr_ros.cli.config_arguments import add_config_arguments, load_chosen_settings
from ovsr_ros.errors import ConfigError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    import numpy as np
    from numpy.typing import NDArray

DEFAULT_SIZE = "640x480"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bench`."""
    parser = subparsers.add_parser(
        "bench",
        help="measure a configuration's speed and memory on this machine",
        description="Measures frames one after another, warmed up, each ended when the device is done: median and "
        "quartiles, per stage too. A busy machine shows in the quartiles.",
    )
    add_config_arguments(parser, "ovsr")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--size", metavar="WxH", help=f"size of the rendered rooms that are looked at (default {DEFAULT_SIZE})"
    )
    parser.add_argument("--image", type=Path, action="append", metavar="FILE", help="measure with this; repeatable")
    parser.add_argument("--repeats", type=_positive, default=20, metavar="N", help="frames that count (default 20)")
    parser.add_argument(
        "--random-weights",
        action="store_true",
        help="for models that were not fetched yet: the same architectures with calibrated random weights, as fast",
    )
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON; - for standard output")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, write what was asked for."""
    if arguments.image and arguments.size:
        raise ConfigError("--size: is that of the rendered rooms; an image given by --image has its own")
    settings = load_chosen_settings(arguments, device=arguments.device)

    from ovsr_ros.benchmark.frames import WARM_UP_FRAMES, measure_frames, random_weights
    from ovsr_ros.benchmark.record import configuration, origin, to_text
    from ovsr_ros.evaluation.provenance import command_line

    images, described = _images(arguments)
    with contextlib.ExitStack() as stack:
        options = settings.pipeline
        if arguments.random_weights:
            options = stack.enter_context(random_weights(options))
        report: dict[str, Any] = {
            "benchmark": "ovsr bench",
            **origin(command_line(), options.device),
            **configuration(options),
            "config": _shown_config(arguments.config),
            "random_weights": arguments.random_weights,
            "images": described,
            "image_wh": [images[0].shape[1], images[0].shape[0]],
            "repeats": arguments.repeats,
            "warm_up": max(WARM_UP_FRAMES, len(images)),
            **measure_frames(options, images, arguments.repeats, settings.node.categories),
        }
    content = json.dumps(report, indent=1) + "\n"
    if arguments.json == "-":
        print(content, end="")
        return 0
    print(to_text(report))
    if arguments.json is not None:
        try:
            Path(arguments.json).write_text(content, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--json: {arguments.json}: cannot be written: {error.strerror or error}") from error
        print(f"wrote {arguments.json}", file=sys.stderr)
    return 0


def _images(arguments: argparse.Namespace) -> tuple[list[NDArray[np.uint8]], str]:
    """The images to measure with, and what to call them."""
    if arguments.image:
        from ovsr_ros.cli.segment import read_image

        return [read_image(path) for path in arguments.image], ", ".join(path.name for path in arguments.image)
    from ovsr_ros.benchmark.rooms import parse_size, render_scenes

    images = render_scenes(parse_size(arguments.size or DEFAULT_SIZE))
    return images, f"{len(images)} rendered rooms"


def _shown_config(config: str) -> str:
    return Path(config).name


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got '{text}'")
    return int(text)
