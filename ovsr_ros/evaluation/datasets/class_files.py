"""Class files: what the classes of a data set are called, one class a line.

    # a comment
    background: sky; wall; tree
    mug; cup
    ball

A line holds a class's name and its synonyms, separated by "; ". The line that starts with "background:" is the class
that unlabeled pixels count as; its names are what to call the background. Values in masks count from 0 in the order of
the lines, unless each line starts with its value:

    ignored: 255 254
    0: background: sky; wall
    7: mug; cup
    12: ball

"ignored:" lists the values of pixels that are not judged, 255 when there is no such line; with nothing behind it every
pixel is judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from ovsr_ros.errors import DatasetError, VocabularyError
from ovsr_ros.evaluation.sample import IGNORED
from ovsr_ros.names import clean_name
from ovsr_ros.vocabulary.category import Operation, parse_category
from ovsr_ros.vocabulary.registry import VocabularyRegistry

Names = Literal["engineered", "plain"]
"""engineered: as published with open-vocabulary methods. plain: the data set's own, without synonyms."""

BACKGROUND = "background"
_MAX_VALUE = 0xFFFF
_VALUE = re.compile(r"(\d+)\s*:\s*(.*)")


@dataclass(frozen=True)
class ClassList:
    """The classes of a data set.

    words: what each class is called, as `parse_category` reads it, names cleaned; the background's names under its own
        index.
    background: index of the class that unlabeled pixels count as; None without one.
    values: the value of each class in masks, 0 to 65535.
    ignored: values of pixels that are not judged.
    has_values: whether the file says values of its own, of classes or ignored ones.
    """

    words: tuple[str, ...]
    background: int | None
    values: tuple[int, ...]
    ignored: tuple[int, ...] = (IGNORED,)
    has_values: bool = False

    @property
    def titles(self) -> tuple[str, ...]:
        """One name a class, for tables: the first one; "background" for the background."""
        return tuple(
            BACKGROUND if index == self.background else word.partition(";")[0].strip()
            for index, word in enumerate(self.words)
        )

    @property
    def background_names(self) -> tuple[str, ...]:
        """What to call the background; () without one."""
        if self.background is None:
            return ()
        return tuple(name.strip() for name in self.words[self.background].split(";"))

    def without_background(self) -> ClassList:
        """The other classes, their values counted from 0."""
        words = tuple(word for index, word in enumerate(self.words) if index != self.background)
        return ClassList(words, None, tuple(range(len(words))), self.ignored, self.has_values)


def builtin_classes(family: str, names: Names) -> ClassList:
    """The class file that comes with the package, such as ("voc", "plain").

    Raises DatasetError for other `names`.
    """
    if names not in get_args(Names):
        raise DatasetError(f"names: expected one of {', '.join(get_args(Names))}, got {names!r}")
    file = f"{family}_{names}.txt"
    text = (resources.files("ovsr_ros.evaluation") / "classes" / file).read_text(encoding="utf-8")
    return parse_classes(text, file)


def read_classes(path: Path) -> ClassList:
    """A class file of one's own. Raises DatasetError, naming the line at fault."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path}: expected a class file, one class a line (UTF-8): {getattr(error, 'strerror', None) or error}"
        ) from error
    return parse_classes(text, str(path))


def parse_classes(text: str, source: str) -> ClassList:
    """A class list from a file's text; `source` names the file in errors.

    Raises DatasetError for a line that cannot be read, a name or value that occurs twice, a vocabulary that is refused.
    """
    words: list[str] = []
    values: list[int | None] = []
    ignored: tuple[int, ...] | None = None
    background: int | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        # Files that were put together have byte order marks in the middle.
        line, place = raw.replace("\ufeff", "").strip(), f"{source}, line {number}"
        if not line or line.startswith("#"):
            continue
        key, colon, rest = line.partition(":")
        if colon and key.strip() == "ignored":
            if ignored is not None:
                raise DatasetError(f"{place}: expected one line of ignored values, came a second")
            ignored = tuple(_value(part, place) for part in rest.replace(",", " ").split())
            continue
        match = _VALUE.fullmatch(line)
        values.append(_value(match[1], place) if match else None)
        name = match[2] if match else line
        key, colon, rest = name.partition(":")
        if colon and key.strip() == BACKGROUND:
            if background is not None:
                raise DatasetError(f"{place}: expected one background, came a second")
            background, name = len(words), rest.strip()
        words.append(name)
    given = [value for value in values if value is not None]
    if given and len(given) < len(words):
        raise DatasetError(f"{source}: expected a value on each line or on none, came {len(given)} on {len(words)}")
    _check_names(words, background, source)
    numbers = tuple(given) if given else tuple(range(len(words)))
    doubled = sorted({value for value in numbers if numbers.count(value) > 1})
    if doubled:
        raise DatasetError(f"{source}: expected a value of its own for each class, came {doubled[0]} twice")
    has_values = bool(given) or ignored is not None
    if ignored is None:
        ignored = (IGNORED,) if IGNORED not in numbers else ()
    both = sorted(set(ignored) & set(numbers))
    if both:
        raise DatasetError(f"{source}: value {both[0]} is a class and ignored; take it from one of them")
    cleaned = tuple("; ".join(map(clean_name, word.split(";"))) for word in words)
    return ClassList(cleaned, background, numbers, ignored, has_values)


def _value(text: str, place: str) -> int:
    if not text.isdecimal() or int(text) > _MAX_VALUE:
        raise DatasetError(f"{place}: expected values of 0 to {_MAX_VALUE}, came {text!r}")
    return int(text)


def _check_names(words: Sequence[str], background: int | None, source: str) -> None:
    """The classes must be a vocabulary, and so must the background's names; they may share names."""
    classes = [word for index, word in enumerate(words) if index != background]
    if not classes:
        raise DatasetError(f"{source}: expected at least one class that is not the background, came none")
    backgrounds = [] if background is None else words[background].split(";")
    for group in (classes, backgrounds):
        try:
            VocabularyRegistry().propose(Operation.REPLACE, [parse_category(word) for word in group])
        except VocabularyError as error:
            raise DatasetError(f"{source}: {error}") from error
