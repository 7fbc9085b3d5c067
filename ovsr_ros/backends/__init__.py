"""The segmentation systems, by name: each one folder, one entry here, one shared contract test."""

from __future__ import annotations

from typing import Any

import torch

from ovsr_ros.backends.contract import Backend, FoundSegments, Frame, FrameEmbeddings, SegmentFinder
from ovsr_ros.errors import ConfigError

__all__ = ["BACKENDS", "Backend", "FoundSegments", "Frame", "FrameEmbeddings", "SegmentFinder", "load_backend"]

BACKENDS = ("ovsr", "trident")


def load_backend(name: str, options: Any, device: torch.device, precision: str, allow_download: bool) -> Backend[Any]:
    """Load a backend's models on a device. options: the backend's own options dataclass.

    Raises ConfigError for an unknown name, ModelError when a model cannot be used.
    """
    # Imported here: what one backend needs is not loaded for another.
    if name == "ovsr":
        from ovsr_ros.backends.ovsr.backend import load as load_ovsr

        return load_ovsr(options, device, precision, allow_download)
    if name == "trident":
        from ovsr_ros.backends.trident.backend import load as load_trident

        return load_trident(options, device, precision, allow_download)
    raise ConfigError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
