"""Every option of a configuration, and where it comes from: a preset, a file, the caller."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ovsr_ros.backends import BACKENDS, backend_type, segmenter_type
from ovsr_ros.config import read_config
from ovsr_ros.models.device import PRECISIONS
from ovsr_ros.models.hub import Kind
from ovsr_ros.node_options import NodeOptions
from ovsr_ros.options import OptionInfo, OptionValue, from_dict_split, iter_options, option, to_flat_dict
from ovsr_ros.tracking import TrackingOptions
from ovsr_ros.vocabulary.text_embeddings import TextOptions

T = TypeVar("T")


def _with_backends(shared: type[T]) -> type[T]:
    """A class of options with those of all backends added, each where the backend says."""
    declared = {name: backend_type(name) for name in BACKENDS}
    at_top = [own.options for own in declared.values() if own.at_top]
    sections = [
        (name, own.options, field(default_factory=own.options)) for name, own in declared.items() if not own.at_top
    ]
    namespace = {"__module__": shared.__module__, "__doc__": shared.__doc__}
    return dataclasses.make_dataclass(
        shared.__name__, sections, bases=(shared, *at_top), namespace=namespace, frozen=True
    )


@_with_backends
@dataclass(frozen=True)
class PipelineOptions:
    """Every option of the pipeline: what all backends share, and the stages of each."""

    backend: str = option(next(iter(BACKENDS)), help="segmentation system", choices=tuple(BACKENDS), read_only=True)
    device: str = option("auto", help="where the networks run: auto, cpu, cuda or cuda:N", read_only=True)
    precision: str = option(
        "auto",
        help="arithmetic of the networks; auto: fp16 on a GPU; on a CPU fp32, for CLIP bf16 where it has that",
        choices=PRECISIONS,
    )
    allow_download: bool = option(
        False, help="whether a model that is not on this machine may be downloaded while loading", read_only=True
    )
    score_threshold: float = option(
        0.3,
        help="what has less probability of its best category is unlabeled: a segment with ovsr, a pixel with trident",
        min=0.0,
        max=1.0,
    )
    num_runners_up: int = option(3, help="how many next best categories each segment lists", min=0, max=20)
    text: TextOptions = field(default_factory=TextOptions)
    tracking: TrackingOptions = field(default_factory=TrackingOptions)


BEFORE_WORDS = ("backend", "device", "precision", "allow_download")
"""The options shared by all backends that a backend's stages before words depend on."""


def options_in_use(backend: str, before_words: bool = False) -> list[OptionInfo]:
    """The pipeline's options without the stages of the other backends.

    before_words: those alone that decide the segments. Raises ConfigError for a backend that finds none before words.
    """
    if before_words:
        prefix = "" if backend_type(backend).at_top else f"{backend}."
        sections = tuple(f"{prefix}{section}." for section in segmenter_type(backend).sections)
        return [
            info
            for info in iter_options(PipelineOptions)
            if info.name in BEFORE_WORDS or info.name.startswith(sections)
        ]
    others = {section for name in BACKENDS if name != backend for section in _sections_of(name)}
    absent = {*others, *backend_type(backend).unused}
    return [info for info in iter_options(PipelineOptions) if info.name.partition(".")[0] not in absent]


def _sections_of(backend: str) -> tuple[str, ...]:
    own = backend_type(backend)
    return tuple(section.name for section in dataclasses.fields(own.options)) if own.at_top else (backend,)


def values_in_use(options: PipelineOptions, before_words: bool = False) -> dict[str, OptionValue]:
    """The values of `options_in_use`, by dotted name."""
    flat = to_flat_dict(options)
    return {info.name: flat[info.name] for info in options_in_use(options.backend, before_words)}


def models_of(options: PipelineOptions, before_words: bool = False) -> dict[str, tuple[Kind, str]]:
    """The models that these options use: by section, the library's kind and the name.

    before_words: those alone that find segments. Raises ConfigError for a backend that finds none before words.
    """
    own = backend_type(options.backend)
    prefix = "" if own.at_top else f"{options.backend}."
    declared = segmenter_type(options.backend) if before_words else own
    return {f"{prefix}{section}": model for section, model in declared.models_of(backend_options(options)).items()}


@dataclass(frozen=True)
class Settings:
    """What one configuration holds: the options of the pipeline and of the node around it."""

    pipeline: PipelineOptions = field(default_factory=PipelineOptions)
    node: NodeOptions = field(default_factory=NodeOptions)


def load_settings(config: str | Path | None = None, overrides: Mapping[str, object] | None = None) -> Settings:
    """Settings from a preset's name or a YAML file (None: the defaults), then overrides by dotted option name.

    Raises ConfigError for a missing file, an unknown key (naming the nearest known one) or an unusable value.
    """
    classes = (PipelineOptions, NodeOptions)
    where = "" if config is None else str(config)
    known = [info.name for options in classes for info in iter_options(options)]
    values = from_dict_split(classes, {} if config is None else read_config(config, known), where)
    if overrides:
        flat = {name: value for part in values for name, value in to_flat_dict(part).items()}
        values = from_dict_split(classes, {**flat, **overrides})
    return Settings(*values)


def backend_options(options: PipelineOptions) -> Any:
    """The options of the backend in use, as its own dataclass."""
    own = backend_type(options.backend)
    if not own.at_top:
        return getattr(options, options.backend)
    return own.options(**{name: getattr(options, name) for name in _sections_of(options.backend)})
