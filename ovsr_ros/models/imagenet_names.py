"""What ImageNet's classes are called and what they are, as timm's package has it from WordNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from timm.data.imagenet_info import ImageNetInfo


@dataclass(frozen=True)
class Synset:
    """A class: its names, the usual one first, and its definition."""

    names: tuple[str, ...]
    definition: str


def imagenet_synsets(subset: str) -> list[Synset]:
    """The classes of "imagenet-1k" (1000) or "imagenet-21k" (21843), in the order of their indices."""
    info: Any = ImageNetInfo(subset)
    described = (info.label_name_to_description(label, detailed=True) for label in info.label_names())
    parts = (text.partition(": ") for text in described)
    return [Synset(tuple(name.strip() for name in names.split(",")), definition) for names, _, definition in parts]
