"""timm's networks, built from a hub's name or from a folder with its description."""

from __future__ import annotations

from typing import Any

import timm

from ovsr_ros.errors import ModelFormatError
from ovsr_ros.models.weights import ResolvedModel


def create_network(resolved: ResolvedModel, **arguments: Any) -> Any:
    """The network that a resolved model names, without its weights. Raises ModelFormatError where timm cannot."""
    name = resolved.architecture if resolved.folder is None else f"local-dir:{resolved.folder}"
    try:
        return timm.create_model(name, pretrained=False, **arguments)
    except Exception as error:  # a config file can make any constructor fail in any way
        raise ModelFormatError(f"{resolved.name}: timm cannot build {resolved.architecture}: {error}") from error
