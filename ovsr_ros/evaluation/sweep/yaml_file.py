"""A YAML file of keys that are known: what is wrong in it is said with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ovsr_ros.errors import ConfigError
from ovsr_ros.yaml_text import load_yaml


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a file holds. Raises ConfigError for a file that cannot be read, or holds anything else."""
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: the sweep file cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys such as `config` and `groups`, got {type(content).__name__}")
    return content


def check_keys(mapping: Mapping[Any, Any], known: Mapping[str, type], where: str) -> None:
    """Raises ConfigError for an unknown key, naming the nearest, or a value of another type; None stands for absent."""
    for key, value in mapping.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{key}'; the nearest known key is '{nearest(str(key), known)}'")
        expected = known[key]
        if value is not None and (not isinstance(value, expected) or isinstance(value, bool)):
            raise ConfigError(f"{where}: {key}: expected {expected.__name__}, got {value!r} ({type(value).__name__})")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like another."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]
