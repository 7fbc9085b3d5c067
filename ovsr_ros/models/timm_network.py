"""timm's networks, built from a hub's name or from a folder with its description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm

from ovsr_ros.errors import ConfigError, ModelFormatError
from ovsr_ros.models.weights import ResolvedModel


def create_network(resolved: ResolvedModel, **arguments: Any) -> Any:
    """The network that a resolved model names, without its weights. Raises ModelFormatError where timm cannot."""
    name = resolved.architecture if resolved.folder is None else f"local-dir:{resolved.folder}"
    try:
        return timm.create_model(name, pretrained=False, **arguments)
    except Exception as error:  # a config file can make any constructor fail in any way
        raise ModelFormatError(f"{resolved.name}: timm cannot build {resolved.architecture}: {error}") from error


def check_levels(levels: Sequence[int], num_levels: int, name: str) -> tuple[int, ...]:
    """The levels that are asked for of a network's. name: the model, for messages. Raises ConfigError for others."""
    if not levels or len(set(levels)) != len(levels) or not all(0 <= level < num_levels for level in levels):
        raise ConfigError(f"levels: expected one or more of 0 to {num_levels - 1} for {name}, once each, got {levels}")
    return tuple(levels)
