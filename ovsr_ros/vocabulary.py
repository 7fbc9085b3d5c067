"""Categories with stable ids and colours, and the registry through which every change of them goes.

A change is proposed first (validated whole, nothing changed) and committed later, so that the slow part between the
two, text encoding, can run beside the frame loop.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import VocabularyError
from ovsr_ros.palette import Rgb, default_color
from ovsr_ros.results import UNLABELED_ID

MAX_CATEGORIES = 254
"""Most categories at once, and most ids over a registry's life: 0 to 253."""

MAX_NAME_CHARACTERS = 200
MAX_SYNONYMS = 32

SOMETHING_ELSE = "something else"
"""The built-in name of whatever no category describes; it labels nothing and cannot be a category."""


class Operation(IntEnum):
    """What a change does with its categories; the numbers of ovsr_ros/srv/SetVocabulary."""

    REPLACE = 0
    ADD = 1
    REMOVE = 2


@dataclass(frozen=True)
class CategoryRequest:
    """A category as an operator asks for it.

    name: 1 to 200 characters; "mug; cup" gives a name and its synonyms at once.
    synonyms: further names of the same category.
    color_rgb: 0 to 255 each; None keeps the name's present colour, or leaves the choice to the palette.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    color_rgb: Rgb | None = None


@dataclass(frozen=True)
class Category:
    """A category in force. id: 0 to 253, the value in label maps; color_rgb: 0 to 255 each."""

    id: int
    name: str
    synonyms: tuple[str, ...]
    color_rgb: Rgb


@dataclass(frozen=True)
class Vocabulary:
    """A snapshot of the categories. version: 0 before the first change; categories: ascending by id."""

    version: int = 0
    categories: tuple[Category, ...] = ()

    def __len__(self) -> int:
        return len(self.categories)

    @property
    def names(self) -> tuple[str, ...]:
        """The categories' names, ascending by id."""
        return tuple(category.name for category in self.categories)

    def by_id(self, id: int) -> Category:
        """The category of that id. Raises KeyError when there is none."""
        return self._by_id[id]

    @cached_property
    def colors(self) -> NDArray[np.uint8]:
        """(256, 3) uint8 RGB: the overlay colour of each value of a label map; 255 (unlabeled) is black."""
        colors = np.zeros((256, 3), np.uint8)
        for id in range(MAX_CATEGORIES):
            colors[id] = default_color(id)
        for category in self.categories:
            colors[category.id] = category.color_rgb
        colors[UNLABELED_ID] = 0
        colors.flags.writeable = False
        return colors

    @cached_property
    def _by_id(self) -> Mapping[int, Category]:
        return {category.id: category for category in self.categories}


def parse_category(text: str) -> CategoryRequest:
    """A request from "name" or "name; synonym; synonym"; nothing is checked yet."""
    name, *synonyms = text.split(";")
    return CategoryRequest(name, tuple(synonyms))


def name_key(name: str) -> str:
    """What two spellings of one name have in common: case folded, white space normalised."""
    return unicodedata.normalize("NFC", _normalise(name).casefold())


class VocabularyRegistry:
    """The vocabulary in force, and the ids ever given.

    A name (case folded, white space normalised) is given an id once, at its first commit; the id is never given to
    another name, and a removed name that is added again has its old one. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current = Vocabulary()
        self._ids: dict[str, int] = {}  # by name key
        self._colors: dict[str, Rgb] = {}  # chosen by an operator, by name key

    @property
    def current(self) -> Vocabulary:
        """The vocabulary in force: an immutable snapshot."""
        return self._current

    def propose(self, operation: Operation, requests: Sequence[CategoryRequest]) -> Vocabulary:
        """The vocabulary that the change would lead to, one version after the current; nothing is changed.

        Raises VocabularyError with every reason for which the change is refused.
        """
        with self._lock:
            wanted, problems = _normalise_requests(requests, names_only=operation == Operation.REMOVE)
            present = {name_key(category.name): category for category in self._current.categories}
            if operation == Operation.REMOVE:
                unknown = [request.name for request in wanted if request.name and name_key(request.name) not in present]
                problems += [_unknown(name, present) for name in unknown]
                gone = {name_key(request.name) for request in wanted}
                kept = [category for key, category in present.items() if key not in gone]
                new: list[CategoryRequest] = []
            else:
                kept = list(present.values()) if operation == Operation.ADD else []
                problems += _clashes(wanted, kept)
                new = wanted
            if len(kept) + len(new) > MAX_CATEGORIES:
                problems.append(
                    f"{len(kept) + len(new)} categories are more than the {MAX_CATEGORIES} that a label map can hold; "
                    "remove some"
                )
            if problems:
                raise VocabularyError("; ".join(problems))
            categories = kept + self._with_ids(new)
            return Vocabulary(self._current.version + 1, tuple(sorted(categories, key=lambda category: category.id)))

    def commit(self, vocabulary: Vocabulary) -> Vocabulary:
        """Put a proposed vocabulary in force, and return it.

        Raises VocabularyError when it was not proposed from the vocabulary in force: another change came first.
        """
        with self._lock:
            if vocabulary.version != self._current.version + 1:
                raise VocabularyError(
                    f"the vocabulary has changed meanwhile (it is version {self._current.version}, the change was "
                    f"prepared for version {vocabulary.version - 1}); send the change again"
                )
            given = {id: key for key, id in self._ids.items()}
            for category in vocabulary.categories:
                key = name_key(category.name)
                if self._ids.get(key, category.id) != category.id or given.get(category.id, key) != key:
                    raise VocabularyError(f"'{category.name}': id {category.id} contradicts the ids given before")
            for category in vocabulary.categories:
                key = name_key(category.name)
                self._ids[key] = category.id
                if category.color_rgb != default_color(category.id) or key in self._colors:
                    self._colors[key] = category.color_rgb
            self._current = vocabulary
            return vocabulary

    def _with_ids(self, requests: Sequence[CategoryRequest]) -> list[Category]:
        ids = dict(self._ids)
        for request in requests:
            ids.setdefault(name_key(request.name), len(ids))
        if len(ids) > MAX_CATEGORIES:
            raise VocabularyError(
                f"the change needs {len(ids) - len(self._ids)} new ids and {MAX_CATEGORIES - len(self._ids)} of the "
                f"{MAX_CATEGORIES} are left (an id is never reused for another name); use earlier names, or restart"
            )
        categories = []
        for request in requests:
            key = name_key(request.name)
            color = request.color_rgb or self._colors.get(key) or default_color(ids[key])
            categories.append(Category(ids[key], request.name, request.synonyms, color))
        return categories


def _normalise_requests(
    requests: Sequence[CategoryRequest], names_only: bool
) -> tuple[list[CategoryRequest], list[str]]:
    """Requests with "mug; cup" taken apart and white space normalised, and what is wrong with them."""
    wanted: list[CategoryRequest] = []
    problems: list[str] = []
    seen: dict[str, str] = {}  # by key, whose name it is
    for number, request in enumerate(requests, start=1):
        parsed = parse_category(request.name)
        raw = (parsed.name, *(() if names_only else (*parsed.synonyms, *request.synonyms)))
        names = [_normalise(name) for name in raw]
        wanted.append(CategoryRequest(names[0], tuple(names[1:]), request.color_rgb))
        for place, (name, text) in enumerate(zip(names, raw, strict=True)):
            what = f"category {number}" if place == 0 else f"category {number} ('{_shown(names[0])}'), synonym {place}"
            problem = _name_problem(name, text)
            if problem:
                problems.append(f"{what}: {problem}")
            elif name_key(name) in seen:
                problems.append(f"{what}: '{_shown(name)}' is a duplicate: {seen[name_key(name)]} has it already")
            else:
                seen[name_key(name)] = what
        if len(names) > 1 + MAX_SYNONYMS:
            problems.append(f"category {number} ('{_shown(names[0])}'): at most {MAX_SYNONYMS} synonyms")
        color = request.color_rgb
        if color is not None and (len(color) != 3 or not all(0 <= value <= 255 for value in color)):
            problems.append(
                f"category {number} ('{_shown(names[0])}'): colour {color}: expected three values, 0 to 255"
            )
    return wanted, problems


def _name_problem(name: str, text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        return "has control characters (such as a tab or a line break); leave them out"
    if not any(unicodedata.category(character) != "Cf" for character in name):
        return "is empty; give it a name"
    if len(name) > MAX_NAME_CHARACTERS:
        return f"'{_shown(name)}' has {len(name)} characters; at most {MAX_NAME_CHARACTERS} are possible"
    if name.casefold() == SOMETHING_ELSE:
        return f"'{SOMETHING_ELSE}' is built in and labels nothing; choose another name"
    return ""


def _clashes(wanted: Iterable[CategoryRequest], kept: Iterable[Category]) -> list[str]:
    owners = {name_key(name): category.name for category in kept for name in (category.name, *category.synonyms)}
    problems = []
    for request in wanted:
        for name in (request.name, *request.synonyms):
            owner = owners.get(name_key(name))
            if owner is not None:
                is_owner = name_key(owner) == name_key(name)
                whose = "is present already" if is_owner else f"is a synonym of '{owner}' already"
                problems.append(f"'{_shown(name)}' is a duplicate: it {whose}; remove that first, or replace the list")
    return problems


def _unknown(name: str, present: Mapping[str, Category]) -> str:
    for category in present.values():
        if name_key(name) in (name_key(synonym) for synonym in category.synonyms):
            return f"'{_shown(name)}' is a synonym of '{category.name}', not a category; remove '{category.name}'"
    listed = ", ".join(f"'{category.name}'" for category in list(present.values())[:10]) or "none"
    more = f" and {len(present) - 10} more" if len(present) > 10 else ""
    return f"'{_shown(name)}' is unknown and cannot be removed; present: {listed}{more}"


def _normalise(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())


def _shown(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:37]}..."
