"""Every option of a configuration, and where it comes from: a preset, a file, the caller."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovsr_ros.backends import BACKENDS
from ovsr_ros.backends.ovsr.backend import OvsrOptions
from ovsr_ros.backends.trident.aggregation import NO_MODEL
from ovsr_ros.backends.trident.backend import TridentOptions
from ovsr_ros.config import read_config
from ovsr_ros.models.device import PRECISIONS
from ovsr_ros.models.hub import Kind
from ovsr_ros.node_options import NodeOptions
from ovsr_ros.options import OptionInfo, OptionValue, from_dict_split, iter_options, option, to_flat_dict
from ovsr_ros.tracking import TrackingOptions
from ovsr_ros.vocabulary.text_embeddings import TextOptions


@dataclass(frozen=True)
class PipelineOptions(OvsrOptions):
    """Every option of the pipeline: OVSR's stages, a section each, what all backends share, and Trident's stages."""

    backend: str = option("ovsr", help="segmentation system", choices=BACKENDS, read_only=True)
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
    trident: TridentOptions = field(default_factory=TridentOptions)


def options_in_use(backend: str) -> list[OptionInfo]:
    """The pipeline's options without the stages of the other backends."""
    of_ovsr = ("tracking", *(section.name for section in dataclasses.fields(OvsrOptions)))
    others = {"ovsr": ("trident",), "trident": of_ovsr}
    return [info for info in iter_options(PipelineOptions) if info.name.partition(".")[0] not in others[backend]]


def values_in_use(options: PipelineOptions) -> dict[str, OptionValue]:
    """The values of `options_in_use`, by dotted name."""
    flat = to_flat_dict(options)
    return {info.name: flat[info.name] for info in options_in_use(options.backend)}


def models_of(options: PipelineOptions) -> dict[str, tuple[Kind, str]]:
    """The models that these options use: by section, the library's kind and the name."""
    if options.backend == "trident":
        trident = options.trident
        models: dict[str, tuple[Kind, str]] = {
            "trident.clip": ("open_clip", trident.clip.model),
            "trident.proxy": ("timm", trident.proxy.model),
        }
        return models if trident.sam.model == NO_MODEL else {**models, "trident.sam": ("sam", trident.sam.model)}
    return {"features": ("timm", options.features.model), "clip": ("open_clip", options.clip.model)}


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
    if options.backend == "trident":
        return options.trident
    return OvsrOptions(**{section.name: getattr(options, section.name) for section in dataclasses.fields(OvsrOptions)})
