"""A job's words: categories and ids as they are written, or a vocabulary with all that it was taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ovsr_ros.recordings.words import make_vocabulary
from ovsr_ros.vocabulary.category import Category, Vocabulary
from ovsr_ros.vocabulary.file import from_content, to_content
from ovsr_ros.vocabulary.palette import default_color
from ovsr_ros.vocabulary.registry import KnownName, RegistryState


def to_words(vocabulary: Vocabulary) -> dict[str, Any]:
    """A vocabulary as `LabelJob` has it: what its file would hold, for JSON, of all that labels depend on.

    It is version 1, whatever came before it, without names that are not in force and without the examples' pictures.
    """
    categories = tuple(map(_without_pictures, vocabulary.categories))
    known = tuple(
        KnownName(
            category.id,
            category.name,
            None if category.color_rgb == default_color(category.id) else category.color_rgb,
            examples=category.examples,
            is_id_chosen=category.is_id_chosen,
        )
        for category in categories
    )
    num_examples = max((example.id for example in vocabulary.examples), default=0)
    return to_content(RegistryState(Vocabulary(1, categories), known, num_examples))


def _without_pictures(category: Category) -> Category:
    return replace(category, examples=tuple(replace(example, thumbnail=b"") for example in category.examples))


def read_words(categories: Sequence[str], ids: Sequence[tuple[int, str]], vocabulary: Mapping[str, Any]) -> Vocabulary:
    """The words of a job's three fields, as version 1.

    Raises VocabularyError, VocabularyFileError and ConfigError with what cannot be used.
    """
    if not vocabulary:
        return make_vocabulary(categories, ids)
    return from_content(vocabulary, Path("the job's vocabulary"))[0].vocabulary
