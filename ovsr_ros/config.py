"""Configurations, which set options: presets and YAML files, in a plain layout or ROS's, and KEY=VALUE texts."""

from __future__ import annotations

import difflib
import logging
import re
import sys
from collections.abc import Collection, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from ovsr_ros.errors import ConfigError
from ovsr_ros.names import shown, undecoded
from ovsr_ros.options import flatten
from ovsr_ros.yaml_text import load_yaml

_ROS_PARAMETERS = "ros__parameters"
_NODE_NAME = "ovsr"
_ALL_NODES = "/**"
_MISSPELT, _SURELY_MISSPELT = 0.75, 0.85
"""Likeness from which a name that is not known may be, or is, a misspelt one."""
_log = logging.getLogger(__name__)


def read_config(path_or_preset: str | Path, known: Collection[str] | None = None) -> dict[str, object]:
    """The keys and values of a YAML file, or of a preset of this package.

    A file is a plain mapping, or has ROS's layout (`/**: ros__parameters: ...`, or `ovsr:` for the node of that name).

    known: the options' names; of what a file has for all nodes (`/**`), what is none of ours is left out, with a
        warning. None: nothing is left out.

    Raises ConfigError when there is no such file or preset, or it is not a YAML mapping.
    """
    path = find_config(path_or_preset)
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise ConfigError(f"{path}{line}: not YAML: {error.problem or error.context or 'unreadable'}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(content).__name__}")
    return _without_ros_layout(content, path, known)


def find_config(path_or_preset: str | Path) -> Path:
    """The file that a path, or the name of a preset, stands for. Raises ConfigError when there is none."""
    path = Path(path_or_preset).expanduser()
    if path.is_file():
        return path
    presets = find_presets()
    if str(path_or_preset) in presets:
        return presets[str(path_or_preset)]
    if path.is_dir():
        raise ConfigError(f"{path}: expected a YAML file, this is a folder")
    known = ", ".join(presets) or "none found"
    raise ConfigError(f"{path}: no such config file, nor a preset of that name; presets: {known}")


def find_presets() -> dict[str, Path]:
    """The presets that came with the package, by name, in alphabetical order."""
    folder = find_shared("config")
    return {} if folder is None else {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_shared(name: str) -> Path | None:
    """A folder that came with the package, such as "config" or "msg"; None where it is not to be found."""
    # Not resolved: in a symlinked install, this file's link tells where the install is; its target is the checkout.
    for parent in (*Path(__file__).absolute().parents, Path(sys.prefix)):
        is_checkout = (parent / "package.xml").is_file()
        folder = parent / name if is_checkout else parent / "share" / "ovsr_ros" / name
        if folder.is_dir():
            return folder
    return None


def _without_ros_layout(content: dict[str, Any], path: Path, known: Collection[str] | None) -> dict[str, object]:
    nodes = {key: value for key, value in content.items() if isinstance(value, dict) and _ROS_PARAMETERS in value}
    if not nodes:
        return content
    if len(nodes) != len(content):
        stray = next(key for key in content if key not in nodes)
        raise ConfigError(f"{path}: '{stray}' stands beside a node's {_ROS_PARAMETERS}; put it under them")
    merged: dict[str, object] = {}
    for pattern in sorted(nodes, key=len):  # the more special pattern wins, as in ROS
        if pattern == _ALL_NODES or pattern.rpartition("/")[2] == _NODE_NAME:
            parameters = nodes[pattern][_ROS_PARAMETERS] or {}
            if not isinstance(parameters, dict):
                raise ConfigError(f"{path}: {pattern}: {_ROS_PARAMETERS}: expected keys and values")
            found = flatten(parameters, set(), str(path))
            if pattern == _ALL_NODES and known is not None:
                foreign = find_foreign(found, known)
                if foreign:
                    _log.warning(f"{path}: {describe_foreign(foreign, known)}")
                found = {name: value for name, value in found.items() if name not in foreign}
            merged |= found
    return merged


def find_foreign(names: Iterable[str], known: Collection[str]) -> list[str]:
    """Of names that were given to all nodes, those that may be meant for another: not known, nor in a known section."""
    sections = {name.partition(".")[0] for name in known if "." in name}
    return [name for name in names if name not in known and name.partition(".")[0] not in sections]


def is_misspelt(name: str, known: Iterable[str]) -> bool:
    """Whether a name that is not known is so like a known one, or as long and much like it, that this is meant."""
    for near in difflib.get_close_matches(name, known, n=3, cutoff=_MISSPELT):
        if abs(len(near) - len(name)) <= 1 or difflib.SequenceMatcher(None, name, near).ratio() >= _SURELY_MISSPELT:
            return True
    return False


def describe_foreign(foreign: Sequence[str], known: Collection[str]) -> str:
    """In words: these parameters of all nodes are not ours."""

    def describe(name: str) -> str:
        near = difflib.get_close_matches(name, known, n=1, cutoff=_MISSPELT)
        return f"'{name}'" + (f" (did you mean '{near[0]}'?)" if near else "")

    listed = ", ".join(map(describe, foreign[:5]))
    more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
    return f"given to all nodes and unknown here, left to the others: {listed}{more}"


def parse_overrides(assignments: Iterable[str]) -> dict[str, object]:
    """Options by dotted name from KEY=VALUE texts, the value in YAML; the last one counts where a key comes twice.

    Raises ConfigError for a text without "=", that was not UTF-8, or whose value is not YAML.
    """
    overrides: dict[str, object] = {}
    for assignment in assignments:
        problem = undecoded(assignment)
        if problem:
            raise ConfigError(f"--set {shown(assignment)} {problem}")
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {assignment}: expected KEY=VALUE, such as score_threshold=0.5")
        try:
            value = load_yaml(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment}: the value is not YAML; lists are written [1, 2, 3]") from error
        overrides[key.strip()] = "" if value is None else value
    return overrides


def read_words(text: str) -> object:
    """What YAML text holds, every scalar as the words that were written: y, 08, 1e5 and ~ are text like any other.

    Raises yaml.YAMLError when it is not YAML, or has a key more than once.
    """
    return load_yaml(text, _WordLoader)


def parse_device_index(name: str) -> int:
    """The number of the GPU in auto, cpu, cuda or cuda:N, 0 where it has none. Raises ConfigError for another name."""
    match = re.fullmatch(r"auto|cpu|cuda(?::([0-9]+))?", name)
    if match is None:
        raise ConfigError(f"device: expected auto, cpu, cuda or cuda:N (N from 0), got {name!r}")
    return int(match[1] or 0)


class _WordLoader(yaml.BaseLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            keys = [key.value for key, _ in node.value]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"{twice} more than once", node.start_mark)
        return mapping
