"""Parameters as an operator reads and writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from ovsr_ros.config import read_words
from ovsr_ros.console.link import ParameterInfo

OFTEN = (
    "score_threshold",
    "rate_hz",
    "num_runners_up",
    "tracking.enabled",
    "text.something_else",
    "text.background_names",
    "overlay_jpeg_quality",
    "memory_budget_mib",
)
"""Those that come first."""

_CHOICES = re.compile(r"one of (.+)")
_OF_ROS = ("use_sim_time", "start_type_description_service", "qos_overrides.")
_ELSEWHERE = ("categories",)


def live(infos: Sequence[ParameterInfo]) -> list[ParameterInfo]:
    """Those that can be set while the node runs and have no place of their own on the page, by name."""
    found = [info for info in infos if not info.is_read_only and not info.name.startswith((*_OF_ROS, *_ELSEWHERE))]
    return sorted(found, key=lambda info: info.name)


def group_of(name: str) -> str:
    """What a parameter is listed under: what stands before its first dot."""
    return name.partition(".")[0] if "." in name else "node"


def choices_of(info: ParameterInfo) -> list[str]:
    """The values that a text parameter can have; empty where it is free."""
    match = _CHOICES.fullmatch(info.constraints.strip())
    return [choice.strip() for choice in match[1].split(",")] if match and info.kind == "str" else []


def describe(info: ParameterInfo) -> str:
    """What it means and which values it takes."""
    limits = ""
    if info.low is not None and info.high is not None:
        limits = f"{info.low:g} to {info.high:g}"
    elif info.low is not None:
        limits = f"at least {info.low:g}"
    elif info.high is not None:
        limits = f"at most {info.high:g}"
    return "; ".join(part for part in (info.help, limits or ("" if choices_of(info) else info.constraints)) if part)


def to_text(value: object) -> str:
    """A value as it is written in a field: a list as [a, b]."""
    if isinstance(value, list):
        return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6).strip()
    return f"{value:g}" if isinstance(value, float) else str(value)


def from_text(kind: str, text: str) -> object:
    """The value that a field holds. Raises ValueError with what was expected."""
    if kind.endswith("[]"):
        try:
            words = read_words(text) if text.strip() else []
        except yaml.YAMLError:
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"expected a list such as [1, 2] or [wall, sky], got {text.strip()!r}")
        return [from_text(kind[:-2], word) for word in words]
    if kind == "bool":
        if text.strip().lower() not in ("true", "false"):
            raise ValueError(f"expected true or false, got {text.strip()!r}")
        return text.strip().lower() == "true"
    try:
        return {"int": int, "float": float}[kind](text.strip()) if kind in ("int", "float") else text
    except ValueError:
        wanted = "a whole number" if kind == "int" else "a number"
        raise ValueError(f"expected {wanted}, got {text.strip()!r}") from None
