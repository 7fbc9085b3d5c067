"""What stands in a process's ROS arguments, of which rclpy tells the outcome only. Needs no ROS to be read."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ovsr_ros.yaml_text import load_yaml

_BEGIN, _END = "--ros-args", "--"
_REMAP, _PARAMETER, _FILE = ("-r", "--remap"), ("-p", "--param"), ("--params-file",)
_WITH_VALUE = (*_REMAP, *_PARAMETER, *_FILE, "-e", "--enclave", "--log-level", "--log-config-file")
_RULE = re.compile(r"(?:(?P<node>[A-Za-z_]\w*):(?!//|=))?(?P<match>.*?):=(?P<value>.*)", re.DOTALL)
_TOPIC_SCHEME, _SERVICE_SCHEME = "rostopic://", "rosservice://"
_ROS_PARAMETERS = "ros__parameters"


@dataclass(frozen=True)
class _Rule:
    """NODE:MATCH:=VALUE; node: the only node that it is for, or empty for every node of the process."""

    node: str
    match: str
    value: str


def is_remapped(arguments: Sequence[str], node_name: str, topic: str, expand: Callable[[str], str]) -> bool:
    """Whether a remapping rule names this topic of the node, whatever it makes of it: the topic itself, for one.

    Where the outcome is the name that the topic would have without a rule, the outcome does not tell.

    arguments: the process's and then the node's own. topic: as the node calls it, "image". expand: a name's full one,
    not remapped.

    Raises whatever `expand` raises for what is no name.
    """
    wanted = expand(topic)
    for rule in _rules(arguments, _REMAP):
        if rule.node in ("", node_name) and not rule.match.startswith(("__", _SERVICE_SCHEME)):
            match = rule.match.removeprefix(_TOPIC_SCHEME)
            if match == topic or expand(match) == wanted:
                return True
    return False


@dataclass(frozen=True)
class SharedNames:
    """Names of parameters that are given to all nodes, and not to this one by its name.

    in_files: in parameter files, under `/**`. on_command_line: as `-p NAME:=VALUE`, which is how launch hands on what
    its SetParameter sets, and how one writes what is meant for this process.
    """

    in_files: frozenset[str]
    on_command_line: frozenset[str]


def find_shared_names(arguments: Sequence[str]) -> SharedNames:
    """What ROS arguments give to all nodes; of a name that they give to this one as well, it is not told."""
    for_one, in_files, on_command_line = set[str](), set[str](), set[str]()
    for rule in _rules(arguments, _PARAMETER):
        (for_one if rule.node else on_command_line).add(rule.match)
    for path in _values(arguments, _FILE):
        for pattern, names in _read_sections(path):
            is_wildcard = pattern.rpartition("/")[2] in ("*", "**")
            (in_files if is_wildcard else for_one).update(names)
    return SharedNames(frozenset(in_files - for_one), frozenset(on_command_line - for_one))


def _rules(arguments: Sequence[str], options: Sequence[str]) -> Iterator[_Rule]:
    for text in _values(arguments, options):
        found = _RULE.fullmatch(text)
        if found is not None:
            yield _Rule(found["node"] or "", found["match"], found["value"])


def _values(arguments: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    """The values of these options, in order, of every part between --ros-args and --."""
    is_ros = False
    words = iter(arguments)
    for word in words:
        if word == _BEGIN:
            is_ros = True
        elif word == _END:
            is_ros = False
        elif is_ros and word in _WITH_VALUE:
            value = next(words, None)
            if value is not None and word in options:
                yield value


def _read_sections(path: str) -> Iterator[tuple[str, list[str]]]:
    """Each section of a parameter file with its parameters' names; nothing of a file that rcl could not read either."""
    content: Any = None
    with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
        content = load_yaml(Path(path).read_text(encoding="utf-8"))

    def walk(prefix: str, node: Any) -> Iterator[tuple[str, list[str]]]:
        if not isinstance(node, dict):
            return
        for key, value in node.items():
            if key == _ROS_PARAMETERS:
                yield prefix, list(_flat_names(value))
            else:
                yield from walk(f"{prefix}/{str(key).strip('/')}", value)

    yield from walk("", content)


def _flat_names(parameters: Any, prefix: str = "") -> Iterator[str]:
    for key, value in parameters.items() if isinstance(parameters, dict) else ():
        if isinstance(value, dict):
            yield from _flat_names(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
