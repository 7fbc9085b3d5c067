"""Changes of a vocabulary as an operator makes them: what is to be asked of the node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ovsr_ros.errors import VocabularyError
from ovsr_ros.names import name_key, shown
from ovsr_ros.vocabulary.category import Category, CategoryRequest, Operation, Vocabulary, format_category
from ovsr_ros.vocabulary.palette import Rgb, default_color


@dataclass(frozen=True)
class Edit:
    """A category becomes another one; None leaves a part as it is. The name is that of a category in force.

    was: the category as the operator saw it; None: as it is.
    """

    name: str
    new_name: str | None = None
    synonyms: tuple[str, ...] | None = None
    color_rgb: Rgb | None = None
    was: Category | None = None


@dataclass(frozen=True)
class Request:
    """What to ask of the node. base: the version it was made from, where another one would make it wrong; 0: any."""

    operation: Operation
    categories: tuple[CategoryRequest, ...]
    base: int = 0


def add(text: str) -> Request:
    """Add "mug=12; cup; #ff8000", or several, one a line."""
    return Request(Operation.ADD, tuple(CategoryRequest(line) for line in text.splitlines() if line.strip()))


def remove(names: Iterable[str]) -> Request:
    """Take categories away."""
    return Request(Operation.REMOVE, tuple(CategoryRequest(name) for name in names))


def replace(requests: Sequence[CategoryRequest], base: int) -> Request:
    """These categories and no others, in the place of those of the version that the operator saw."""
    return Request(Operation.REPLACE, tuple(requests), base)


def change(vocabulary: Vocabulary, edit: Edit) -> Request:
    """The whole vocabulary with one category changed, which is one change where removing and adding would be two.

    What others did to the other categories meanwhile stays.

    Raises VocabularyError where the category is not in force any more, or not as the operator saw it.
    """
    found = [category for category in vocabulary.categories if name_key(category.name) == name_key(edit.name)]
    if not found:
        raise VocabularyError(f"'{shown(edit.name)}' is not in force any more: somebody has removed or renamed it")
    if edit.was not in (None, found[0]):
        raise VocabularyError(
            f"somebody has changed '{shown(edit.name)}' meanwhile, it is \"{format_category(found[0])}\" now: close "
            "this, look at it, and change that"
        )
    requests = [
        _edited(category, edit) if name_key(category.name) == name_key(edit.name) else to_request(category)
        for category in vocabulary.categories
    ]
    return Request(Operation.REPLACE, tuple(requests), vocabulary.version)


def undo(before: Vocabulary, after: Vocabulary) -> Request:
    """The words of `before` again, where `after` is in force."""
    return Request(Operation.REPLACE, tuple(to_request(category) for category in before.categories), after.version)


def to_request(category: Category) -> CategoryRequest:
    """The category as it would be asked for, its colour and its chosen id included."""
    return CategoryRequest(category.name, category.synonyms, category.color_rgb, _chosen_id(category))


def _chosen_id(category: Category) -> int | None:
    return category.id if category.is_id_chosen else None


def _edited(category: Category, edit: Edit) -> CategoryRequest:
    name = category.name if edit.new_name is None else edit.new_name
    color: Rgb | None = category.color_rgb
    if edit.color_rgb is not None:
        color = edit.color_rgb
    elif name_key(name) != name_key(category.name) and category.color_rgb == default_color(category.id):
        color = None  # a palette's colour belongs to the id, and another name has another id
    id = _chosen_id(category) if name_key(name) == name_key(category.name) else None  # never another name's
    return CategoryRequest(name, category.synonyms if edit.synonyms is None else edit.synonyms, color, id)
