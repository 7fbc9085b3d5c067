"""Arguments of `demo.launch.py` that are the camera's, and what follows from them for the node. Needs no ROS."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ovsr_ros.demo.sources.kinds import ROOMS, Kind, default_config, default_words, find_kind, list_images
from ovsr_ros.demo.sources.opening import SourceOptions
from ovsr_ros.demo.sources.photographs import find_photographs
from ovsr_ros.errors import ConfigError, SourceError
from ovsr_ros.nodes.launch_arguments import ParameterValue, check_text
from ovsr_ros.options import check_value, iter_options


@dataclass(frozen=True)
class DemoLaunch:
    """What the camera is started with, and what takes the place of the node's arguments.

    camera: parameters. node: arguments of `ovsr.launch.py`. has_depth: whether the camera has a depth image.
    """

    camera: Mapping[str, ParameterValue]
    node: Mapping[str, str]
    has_depth: bool


def read_demo_launch(values: Mapping[str, str]) -> DemoLaunch:
    """What `source`, `seed`, `config` and `categories` ask for.

    Raises ConfigError that names the argument, what was expected and what came; what is in a file the camera tells.
    """
    source = values.get("source", "").strip() or ROOMS
    check_text("source", source)
    try:
        kind = find_kind(source)
        if kind is Kind.FOLDER:
            list_images(Path(source).expanduser())
        elif kind is Kind.PHOTOS:
            find_photographs()
    except SourceError as error:
        raise ConfigError(f"source: {str(error).removeprefix('source: ')}") from error
    node = {"config": values.get("config", "").strip() or default_config(source)}
    words = default_words(source)
    if words and not values.get("categories", "").strip():
        node["categories"] = json.dumps(words)
    return DemoLaunch({"source": source, "seed": read_seed(values["seed"])}, node, has_depth=kind is Kind.ROOMS)


def read_seed(text: str) -> int:
    """The seed of the demo's camera. Raises ConfigError when it is no whole number that the demo camera takes."""
    info = next(info for info in iter_options(SourceOptions) if info.name == "seed")
    is_number = re.fullmatch(r"\s*[0-9]+\s*", text)
    check_value(info, int(text) if is_number else text)
    return int(text)
