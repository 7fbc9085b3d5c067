"""The segmentation systems, by name: each one folder, one line here, one shared contract test."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ovsr_ros.errors import ConfigError
from ovsr_ros.options import OptionValue

if TYPE_CHECKING:
    import torch

    from ovsr_ros.backends.contract import Backend, Segmenter
    from ovsr_ros.models.hub import Kind

# The first is the default. Each module has BACKEND, a `BackendType`; imported on demand, for torch takes seconds.
BACKENDS = {
    "ovsr": "ovsr_ros.backends.ovsr.backend",
    "trident": "ovsr_ros.backends.trident.backend",
}


def _as_they_are(_: str) -> tuple[str | None, Mapping[str, OptionValue]]:
    return None, {}


@dataclass(frozen=True)
class SegmenterType:
    """The stages of a backend that find segments before any word is looked at, for who wants no more than these.

    load, models_of: as those of `BackendType`, with the models of these stages alone.
    sections: of the backend's options, those that decide the segments.
    """

    load: Callable[[Any, torch.device, str, bool], Segmenter]
    models_of: Callable[[Any], dict[str, tuple[Kind, str]]]
    sections: tuple[str, ...]


@dataclass(frozen=True)
class BackendType:
    """What a backend's folder declares.

    options: its options' dataclass, a section for each stage. at_top: whether these stand among the options that all
        backends share, before them; else in a section of the backend's name, after them.
    load: the backend of these options, on a device, in a precision; whether models may be downloaded.
        Raises ModelError when a model cannot be used, ConfigError for options that do not fit.
    models_of: the models that these options use: by section, the library's kind and the name.
    memory_options: dotted names of the options that an operator lowers where memory, or time, is short.
    fills_cpu: whether one image alone keeps all cores of a CPU busy, so that two at once gain nothing.
    unused: sections that all backends share and this one makes no use of.
    for_dataset: the configuration in which `ovsr evaluate` judges a data set if not told otherwise, None for the
        options' defaults; and what comes on top where the backend was asked for by name.
    segmenter: its stages before words; None where words decide the segments.
    """

    options: type[Any]
    load: Callable[[Any, torch.device, str, bool], Backend[Any]]
    models_of: Callable[[Any], dict[str, tuple[Kind, str]]]
    memory_options: tuple[str, ...]
    fills_cpu: bool = False
    at_top: bool = False
    unused: tuple[str, ...] = ()
    for_dataset: Callable[[str], tuple[str | None, Mapping[str, OptionValue]]] = _as_they_are
    segmenter: SegmenterType | None = None


def backend_type(name: str) -> BackendType:
    """What the backend of this name declares. Raises ConfigError for an unknown name."""
    if name not in BACKENDS:
        raise ConfigError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
    declared: BackendType = importlib.import_module(BACKENDS[name]).BACKEND
    return declared


def segmenter_type(name: str) -> SegmenterType:
    """A backend's stages before words. Raises ConfigError for an unknown name, or for one that has none."""
    declared = backend_type(name).segmenter
    if declared is None:
        able = [other for other in BACKENDS if backend_type(other).segmenter is not None]
        raise ConfigError(f"backend: finding segments without words needs one of {', '.join(able)}, got {name!r}")
    return declared


def load_backend(name: str, options: Any, device: torch.device, precision: str, allow_download: bool) -> Backend[Any]:
    """Load a backend's models on a device. options: the backend's own options dataclass.

    Raises ConfigError for an unknown name, and as `BackendType.load`.
    """
    return backend_type(name).load(options, device, precision, allow_download)
