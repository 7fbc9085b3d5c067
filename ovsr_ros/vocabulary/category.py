"""Categories, how they are asked for and written, and what is wrong with a request; ids are given by registry.py."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.names import clean_name, name_key, name_problem, shown
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.example import Example
from ovsr_ros.vocabulary.palette import Rgb, default_color

MAX_CATEGORIES = 254
"""Most categories at once, and most ids over a registry's life: 0 to 253."""

MAX_SYNONYMS = 32
_MOST_TOLD = 20

_SEPARATOR = re.compile("[;\u037e]")  # the Greek question mark is a semicolon to Unicode
_COLOR_PATTERN = re.compile(r"#[0-9a-fA-F]{6}")
_ID_PATTERN = re.compile(r"[+-]?[0-9]+")
_MOST_DIGITS = 9

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

    name: 1 to 200 characters; "mug=12; cup; #ff8000" gives a name, its id, its synonyms and its colour at once.
    synonyms: further names of the same category.
    color_rgb: 0 to 255 each; None keeps the name's present colour, or leaves the choice to the palette.
    id: 0 to 253, of the operator's own label space; None keeps the name's present id, or leaves the choice to us.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    color_rgb: Rgb | None = None
    id: int | None = None


@dataclass(frozen=True)
class Category:
    """A category in force.

    id: 0 to 253, the value in label maps. color_rgb: 0 to 255 each. examples: by id. is_id_chosen: whether an operator
    chose the id.
    """

    id: int
    name: str
    synonyms: tuple[str, ...]
    color_rgb: Rgb
    examples: tuple[Example, ...] = ()
    is_id_chosen: bool = False


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

    @property
    def examples(self) -> tuple[Example, ...]:
        """The categories' examples, ascending by id."""
        every = (example for category in self.categories for example in category.examples)
        return tuple(sorted(every, key=lambda example: example.id))

    def examples_of_others(self, model_id: str) -> tuple[Example, ...]:
        """Those of other models than this one, which count for nothing; of no model at all where it is empty."""
        return tuple(example for example in self.examples if example.model_id != model_id)

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
    """A request from "name", "name=id" or "name=id; synonym; #rrggbb", in any order after the name; nothing is checked.

    What begins with # and is no colour, or a second one, stays among the synonyms, to be refused there.
    """
    name, *others = _SEPARATOR.split(text)
    name, id = _split_id(name)
    for place, other in enumerate(others):
        color = clean_name(other)
        if _COLOR_PATTERN.fullmatch(color):
            return CategoryRequest(name, (*others[:place], *others[place + 1 :]), parse_color(color), id)
    return CategoryRequest(name, tuple(others), id=id)


def _split_id(text: str) -> tuple[str, int | None]:
    """("mug", 12) of "mug=12"; a text that does not end so is all name."""
    name, _, end = text.rpartition("=")
    digits = end.strip()
    if "=" not in text or not _ID_PATTERN.fullmatch(digits):
        return text, None
    return name, int(digits[: 1 + _MOST_DIGITS])  # out of range all the same


def format_category(category: Category) -> str:
    """The text from which `parse_category` makes the category again; a colour of the palette's is left out, and so is
    an id that nobody chose.
    """
    name = f"{category.name}={category.id}" if category.is_id_chosen else category.name
    parts = [name, *category.synonyms]
    if category.color_rgb != default_color(category.id):
        parts.append(format_color(category.color_rgb))
    return "; ".join(parts)


def parse_color(text: str) -> Rgb:
    """(255, 128, 0) from "#ff8000". Raises ValueError for any other form."""
    if not _COLOR_PATTERN.fullmatch(text):
        raise ValueError(f"expected a colour such as #ff8000, got {text!r}")
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def format_color(color_rgb: Rgb) -> str:
    """Such as "#ff8000"."""
    return f"#{bytes(color_rgb).hex()}"


def normalise_requests(
    requests: Sequence[CategoryRequest], names_only: bool
) -> tuple[list[CategoryRequest], list[str]]:
    """Requests with "mug=12; cup" taken apart and names cleaned, and what is wrong with them.

    Of more categories than there can be nothing is looked at, nor the names of one that has too many synonyms: a
    request of megabytes is not to keep the node from its work.

    names_only: synonyms, colours and ids do not count.
    """
    if len(requests) > MAX_CATEGORIES:
        return [], [
            f"{len(requests)} categories are more than the {MAX_CATEGORIES} that a label map can hold; send fewer"
        ]
    wanted: list[CategoryRequest] = []
    problems: list[str] = []
    seen: dict[str, str] = {}  # by key, whose name it is
    owners: dict[int, str] = {}  # by chosen id
    for number, request in enumerate(requests, start=1):
        parsed = parse_category(request.name)
        texts = (parsed.name, *(() if names_only else (*parsed.synonyms, *request.synonyms)))
        if len(texts) > 1 + MAX_SYNONYMS:
            problems.append(
                f"category {number} ('{shown(clean_name(texts[0]))}'): {len(texts) - 1} synonyms; at most "
                f"{MAX_SYNONYMS} synonyms are possible"
            )
            texts = texts[:1]
        names = [clean_name(text) for text in texts]
        color = None if names_only else request.color_rgb or parsed.color_rgb
        id = None if names_only else request.id if request.id is not None else parsed.id
        wanted.append(CategoryRequest(names[0], tuple(names[1:]), color, id))
        for place, (name, text) in enumerate(zip(names, texts, strict=True)):
            what = f"category {number}" if place == 0 else f"category {number} ('{shown(names[0])}'), synonym {place}"
            problem = word_problem(text, is_synonym=place > 0)
            if problem:
                problems.append(f"{what}: {problem}")
            elif name_key(name) in seen:
                problems.append(f"{what}: '{shown(name)}' is a duplicate: {seen[name_key(name)]} has it already")
            else:
                seen[name_key(name)] = what
        if color is not None and (len(color) != 3 or not all(0 <= value <= 255 for value in color)):
            problems.append(f"category {number} ('{shown(names[0])}'): colour {color}: expected three values, 0 to 255")
        what = f"category {number} ('{shown(names[0])}')"
        if id is not None and (problem := _id_problem(id, parsed.id, owners)):
            problems.append(f"{what}: {problem}")
        elif id is not None:
            owners[id] = what
    return wanted, problems


def _id_problem(id: int, written: int | None, owners: Mapping[int, str]) -> str:
    """What is wrong with a chosen id by itself, or beside those before it. written: the one behind the name."""
    if written not in (None, id):
        return f"ids {written} and {id}: expected one at most"
    if not 0 <= id < MAX_CATEGORIES:
        return f"id {id}: expected 0 to {MAX_CATEGORIES - 1} ({UNLABELED_ID} is unlabeled)"
    return f"id {id}: {owners[id]} has it already" if id in owners else ""


def join_problems(problems: Sequence[str]) -> str:
    """The reasons in one text; of many, the first ones and how many more there are."""
    more = f"; and {len(problems) - _MOST_TOLD} more" if len(problems) > _MOST_TOLD else ""
    return "; ".join(problems[:_MOST_TOLD]) + more


def word_problem(text: str, is_synonym: bool) -> str:
    """Why a text cannot be a category's name, or its synonym, and what to do about it; empty: it can."""
    problem = name_problem(text)
    if problem:
        return problem
    name, key = clean_name(text), name_key(text)
    if key == name_key(SOMETHING_ELSE):
        return f"'{SOMETHING_ELSE}' is built in and labels nothing; choose another name"
    if key.startswith("#") and is_synonym:
        return f"'{shown(name)}' is not a colour, or a second one; at most one, # and six hexadecimal digits (#ff8000)"
    if _split_id(key)[1] is not None:
        return f"'{shown(name)}' ends as an id does: one at most, in digits 0 to 9, behind a category's name ('mug=12')"
    if key.startswith("#") and " " not in key[1:].strip():
        return f"'{shown(name)}' is read as a colour, which needs a name before it: 'mug; #ff8000'"
    return ""
