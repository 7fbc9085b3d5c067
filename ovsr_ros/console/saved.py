"""Vocabularies saved by name, and as text and YAML for import and export."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from ovsr_ros.atomic_file import write_atomically
from ovsr_ros.config import read_words
from ovsr_ros.errors import VocabularyError
from ovsr_ros.vocabulary.category import CategoryRequest, Vocabulary, format_category, join_problems, normalise_requests

MOST_BYTES = 2**18
"""Of a file to import: 254 categories with 32 synonyms of ordinary length take a tenth of it."""

_NAME = re.compile(r"[\w][\w .-]{0,63}")
_MOST_SAVED = 200


def to_text(vocabulary: Vocabulary) -> str:
    """A category a line: "mug; cup; #ff8000", with "mug=12" where the id was chosen."""
    return "".join(f"{format_category(category)}\n" for category in vocabulary.categories)


def to_yaml(vocabulary: Vocabulary) -> str:
    """As a configuration file has it: {categories: ["mug; cup; #ff8000"]}."""
    return _dump([format_category(category) for category in vocabulary.categories])


def read_vocabulary(content: bytes, name: str = "") -> list[CategoryRequest]:
    """The categories in a text file or YAML.

    Text: one a line; a line that begins with "# " is a comment. YAML: a list, or {categories: list}. name: the
    file's; .yaml and .yml are read as YAML, and so is what has a line "categories:".

    Raises VocabularyError with what is wrong, where.
    """
    if len(content) > MOST_BYTES:
        raise VocabularyError(f"expected at most {MOST_BYTES // 1024} kB, got {len(content) // 1024} kB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise VocabularyError(f"expected text in UTF-8; byte {error.start + 1} is none") from error
    is_yaml = name.lower().endswith((".yaml", ".yml")) or re.search(r"^categories\s*:", text, re.MULTILINE)
    lines = _read_yaml(text) if is_yaml else [line for line in text.splitlines() if _is_entry(line)]
    requests = [CategoryRequest(line) for line in lines]
    problems = normalise_requests(requests, names_only=False)[1]
    if problems:
        raise VocabularyError(join_problems(problems))
    if not requests:
        raise VocabularyError("expected categories, one a line, or YAML with a list under 'categories'; got none")
    return requests


class SavedVocabularies:
    """A folder of them, a YAML file each. Operators may save at the same time; the last one counts.

    revision: changes with what is saved and removed here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.revision = 0

    def names(self) -> list[str]:
        """Sorted."""
        with contextlib.suppress(OSError):
            return sorted((path.stem for path in self._folder.glob("*.yaml")), key=str.casefold)
        return []

    def save(self, name: str, vocabulary: Vocabulary) -> None:
        """Raises VocabularyError where the name is none for a file, or it cannot be written."""
        path = self._path(name)
        if not vocabulary.categories:
            raise VocabularyError("there are no words to save")
        if not path.exists() and len(self.names()) >= _MOST_SAVED:
            raise VocabularyError(f"{_MOST_SAVED} vocabularies are saved already: remove some")
        try:
            with write_atomically(path, is_shared=True) as file:
                file.write(to_yaml(vocabulary).encode())
            self.revision += 1
        except OSError as error:
            raise VocabularyError(f"'{name}' cannot be saved in {self._folder}: {error.strerror or error}") from error

    def load(self, name: str) -> list[CategoryRequest]:
        """Raises VocabularyError where there is none, or it cannot be read."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise VocabularyError(f"'{name}' cannot be read: {error.strerror or error}") from error
        return read_vocabulary(content, path.name)

    def remove(self, name: str) -> None:
        """Raises VocabularyError where that cannot be."""
        try:
            self._path(name).unlink(missing_ok=True)
            self.revision += 1
        except OSError as error:
            raise VocabularyError(f"'{name}' cannot be removed: {error.strerror or error}") from error

    def _path(self, name: str) -> Path:
        name = name.strip()
        if not _NAME.fullmatch(name) or name.endswith("."):
            raise VocabularyError(
                f"'{name[:80]}': expected a name of 1 to 64 letters, digits, spaces, dots, - and _, which begins with "
                "a letter or digit"
            )
        return self._folder / f"{name}.yaml"


def describe_difference(vocabulary: Vocabulary, requests: Sequence[CategoryRequest]) -> str:
    """What putting these categories in force would do: "adds mug, ball; removes chair"; by names alone."""
    wanted = [request.name for request in normalise_requests(requests, names_only=False)[0]]
    present = list(vocabulary.names)
    keys = {name.casefold() for name in wanted}, {name.casefold() for name in present}
    added = [name for name in wanted if name.casefold() not in keys[1]]
    removed = [name for name in present if name.casefold() not in keys[0]]
    parts = [f"adds {_listed(added)}"] if added else []
    parts += [f"removes {_listed(removed)}"] if removed else []
    return "; ".join(parts) or "the same names; synonyms and colours become those that were saved"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _is_entry(line: str) -> bool:
    return bool(line.strip()) and line.strip() != "#" and not line.lstrip().startswith("# ")


def _read_yaml(text: str) -> list[str]:
    try:
        content = read_words(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise VocabularyError(f"not YAML: {' '.join(str(error).split())[:300]}") from error
    if isinstance(content, dict):
        content = content.get("categories")
    if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
        raise VocabularyError("expected a YAML list of texts such as \"mug; cup\", or one under 'categories'")
    return content


def _dump(lines: Sequence[str]) -> str:
    listed = yaml.safe_dump(list(lines), allow_unicode=True, default_style='"', width=10**6)
    return f"categories:\n{listed}"
