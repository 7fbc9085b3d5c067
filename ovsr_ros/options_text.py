"""Options written as text: `--set features.levels=[1,2,3]`."""

from __future__ import annotations

from collections.abc import Iterable

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
