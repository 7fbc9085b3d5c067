"""Several cameras, a node each: what the operator writes, and what each node is told. Needs no ROS to be read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from ovsr_ros.config import read_words
from ovsr_ros.errors import ConfigError
from ovsr_ros.nodes.topic_names import find_namespace_problem, find_topic_problem

TOPICS = ("image", "depth", "camera_info", "ignore_mask")
"""The node's inputs, each of which a camera may name."""

_NOTHING = (None, "", "~", "null")
"""A camera's value in YAML where it has none."""
_EXPECTED = (
    'cameras: expected "front=/front/image_raw, rear=/rear/image_raw", or YAML: '
    "{front: /front/image_raw, rear: {image: /rear/image_raw, camera_info: /rear/camera_info}}"
)


@dataclass(frozen=True)
class Camera:
    """name: the namespace of its node, below the process's own unless it begins with a slash.

    topics: by the input's name, where it comes from; one that is relative is in the camera's namespace.
    """

    name: str
    topics: Mapping[str, str] = field(default_factory=dict)

    def namespace_in(self, namespace: str) -> str:
        """The camera's namespace below another: "/" for the root; a relative one, or "", gives a relative one."""
        if self.name.startswith("/") or not namespace:
            return self.name
        return f"{namespace.rstrip('/')}/{self.name}"

    def node_arguments(self, namespace: str) -> list[str]:
        """Arguments for the camera's node alone, which win over those of the process."""
        rules = {"__ns": self.namespace_in(namespace), **self.topics}
        return ["--ros-args", *(part for name, topic in rules.items() for part in ("-r", f"{name}:={topic}"))]


def parse_cameras(text: str) -> tuple[Camera, ...]:
    """The cameras in "front=/front/image_raw, rear=/rear/image_raw", or in a YAML list of such, or in a YAML mapping.

    A name alone, as in "front, rear", is a camera whose topics are called as every camera's are, in its namespace. In a
    mapping, a camera's value is its image topic, or a mapping of input to topic. All of it is text: a camera may be
    called `on`.

    Raises ConfigError that says what cannot be read.
    """
    content: object = text
    if text.strip().startswith(("[", "{")):
        try:
            content = read_words(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{_EXPECTED}; got what is no YAML: {text} ({_problem(error)})") from error
    if isinstance(content, str):
        content = [part for part in content.split(",") if part.strip()]
    if isinstance(content, dict):
        cameras = [_to_camera(name, topics) for name, topics in content.items()]
    elif isinstance(content, list):
        cameras = [_to_camera(*_split(item)) for item in content]
    else:
        raise ConfigError(f"{_EXPECTED}; got {text}")
    if not cameras:
        raise ConfigError(f"{_EXPECTED}; got no camera")
    _check_distinct(cameras)
    return tuple(cameras)


def format_cameras(cameras: Sequence[Camera]) -> str:
    """The cameras as `parse_cameras` reads them."""
    return json.dumps({camera.name: dict(camera.topics) for camera in cameras})


def find_namespace(arguments: Sequence[str]) -> str:
    """The namespace that ROS arguments give to every node of a process; "/" where they give none."""
    for option, rule in itertools.pairwise(arguments):
        if option in ("-r", "--remap") and rule.startswith("__ns:="):
            return rule.removeprefix("__ns:=")
    return "/"


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or "unreadable")


def _split(item: object) -> tuple[object, object]:
    if not isinstance(item, str):
        raise ConfigError(f"{_EXPECTED}; got {item!r} in a list")
    name, equals, topic = (part.strip() for part in item.partition("="))
    if equals and name and not topic:
        raise ConfigError(f"cameras: {name}: expected an image topic after '=', got nothing{_hint(item)}")
    return name, topic or None


def _to_camera(name: object, topics: object) -> Camera:
    problem = find_namespace_problem(name) if isinstance(name, str) else "it is no text"
    if problem or name == "/":
        raise ConfigError(
            "cameras: expected a name of letters, digits and _, parts apart by /, "
            f"got {name!r}: {problem or 'it names nothing'}{_hint(name)}"
        )
    if topics in _NOTHING:
        topics = {}
    elif isinstance(topics, str):
        topics = {"image": topics}
    if not isinstance(topics, dict) or not all(isinstance(topic, str) for topic in topics.values()):
        raise ConfigError(f"cameras: {name}: expected an image topic or {{image: TOPIC, ...}}, got {topics!r}")
    for known, topic in topics.items():
        if known not in TOPICS:
            raise ConfigError(f"cameras: {name}: expected {', '.join(TOPICS)}, got '{known}'")
        problem = find_topic_problem(topic)
        if problem:
            raise ConfigError(
                f"cameras: {name}: {known}: expected a topic such as /{str(name).strip('/')}/image_raw, "
                f"got {topic!r}: {problem}{_hint(topic)}"
            )
    return Camera(str(name), topics)


def _hint(text: object) -> str:
    """What was probably meant by a name or topic that cannot be one."""
    if not isinstance(text, str):
        return ""
    if ";" in text or any(character.isspace() for character in text):
        return "; put a comma between two cameras"
    if ":" in text:
        return "; put = between a camera and its topic, or braces around YAML"
    return ""


def _check_distinct(cameras: Sequence[Camera]) -> None:
    namespaces = [camera.name.lstrip("/") for camera in cameras]
    twice = sorted({name for name in namespaces if namespaces.count(name) > 1})
    if twice:
        raise ConfigError(f"cameras: each needs a name of its own, got {', '.join(twice)} more than once")
