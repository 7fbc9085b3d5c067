"""Options written as text: `--set features.levels=[1,2,3]`, `categories:="[mug, ball]"`."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Any

import yaml

from ovsr_ros.errors import ConfigError
from ovsr_ros.names import shown, undecoded


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
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment}: the value is not YAML; lists are written [1, 2, 3]") from error
        overrides[key.strip()] = "" if value is None else value
    return overrides


def read_words(text: str) -> object:
    """What YAML text holds, every scalar as the words that were written: y, 08, 1e5 and ~ are text like any other.

    Raises yaml.YAMLError when it is not YAML, or has a key more than once.
    """
    return yaml.load(text, _WordLoader)


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
