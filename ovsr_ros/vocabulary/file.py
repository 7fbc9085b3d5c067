"""The file in which a registry's ids, names, colours and vocabulary outlive the process. Knows nothing of ROS."""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import re
import threading
from pathlib import Path
from typing import Any

from ovsr_ros.atomic_file import write_atomically
from ovsr_ros.errors import VocabularyError, VocabularyFileError
from ovsr_ros.vocabulary.category import MAX_SYNONYMS, Category, Vocabulary, format_color, parse_color
from ovsr_ros.vocabulary.example_format import read_examples, write_examples
from ovsr_ros.vocabulary.former_names import adapt
from ovsr_ros.vocabulary.palette import default_color
from ovsr_ros.vocabulary.registry import KnownName, RegistryState, VocabularyRegistry

FORMAT = "ovsr_ros vocabulary"
FORMAT_VERSION = 3
_WITHOUT_CHOSEN_IDS = 2
_WITHOUT_EXAMPLES = 1
"""The formats of files without chosen ids, and without examples besides: those of earlier versions, which would lose
them, or take them for damage."""
_MAX_VERSION = 2**32 - 1
_NEVER_WRITTEN = re.compile("[;\ud800-\udfff]")  # in a name, by no version
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class VocabularyFile:
    """A registry's memory on disk, written whole and atomically: a crash leaves the file as it was. Thread-safe.

    path: its folder is made when it is first written. Nobody else may use it meanwhile: see `claim`.
    left_out: what of the loaded vocabulary an earlier version took and this one does not, with the reasons.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.realpath(Path(path).expanduser()))  # a link stays a link
        self.left_out: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._saved_version = -1
        self._problem = ""
        self._claim = -1

    def claim(self) -> None:
        """Reserve the file for this object, until `close` or the end of the process.

        Raises VocabularyFileError when another object or process has reserved it, or it is no regular file.
        """
        if self.path.exists() and not self.path.is_file():
            raise VocabularyFileError(f"{self.path}: expected a file, this is something else; name another one")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._claim = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o644)
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise VocabularyFileError(
                f"{self.path}: in use by another node; give each node a file of its own"
            ) from None
        except OSError:
            pass  # a folder that cannot be written to, or locks that its file system lacks: saving will tell

    def load(self) -> RegistryState | None:
        """What the file holds; None when there is no file.

        Raises VocabularyFileError naming why it cannot be read: no permission, not of this format, of a newer one, cut
        short, or contradicting itself.
        """
        try:
            text = self.path.read_text(
                encoding="utf-8-sig"
            )  # whoever mended it by hand may have an editor that marks it
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VocabularyFileError(f"{self.path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise VocabularyFileError(f"{self.path}: expected JSON, got bytes that are no text in UTF-8") from error
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise VocabularyFileError(f"{self.path}: expected JSON, got something else: {error}") from error
        state, left_out = from_content(content, self.path)
        self.left_out = tuple(left_out)
        with self._lock:
            self._saved_version = state.vocabulary.version
        return state

    def set_aside(self) -> Path:
        """Rename an unusable file to NAME.bad, NAME.bad.1 ..., so that it is never overwritten; returns the new path.

        `claim` comes first: it refuses folders and devices.

        Raises OSError when that is impossible.
        """
        for number in itertools.count():
            aside = self.path.with_name(f"{self.path.name}.bad{f'.{number}' if number else ''}")
            if not os.path.lexists(aside):
                self.path.rename(aside)
                return aside
        raise AssertionError("unreachable")

    def save(self, registry: VocabularyRegistry) -> str:
        """Write what the registry remembers now; returns why that was impossible and what to do, or "".

        Of changes that wait for each other's writing, one write serves all.
        """
        wanted = registry.current.version
        with self._lock:
            if self._saved_version < wanted or self._problem:
                state = registry.state
                try:
                    with write_atomically(self.path, is_durable=True) as file:
                        file.write((json.dumps(to_content(state), indent=1, ensure_ascii=False) + "\n").encode())
                except OSError as error:
                    self._problem = _explain(self.path, error)
                else:
                    self._problem, self._saved_version = "", state.vocabulary.version
            return self._problem

    def close(self) -> None:
        """Let others use the file."""
        if self._claim >= 0:
            os.close(self._claim)
            self._claim = -1


def to_content(state: RegistryState) -> dict[str, Any]:
    """What a file holds, for JSON."""
    return {
        "format": FORMAT,
        "format_version": _format_version(state),
        "version": state.vocabulary.version,
        **({"examples_given": state.num_examples} if state.num_examples else {}),
        "categories": [
            {"id": category.id, "name": category.name, "synonyms": list(category.synonyms)}
            for category in state.vocabulary.categories
        ],
        "names": [
            {
                "id": known.id,
                "name": known.name,
                "color": None if known.color_rgb is None else format_color(known.color_rgb),
                **({"retired": True} if known.is_retired else {}),
                **({"id_chosen": True} if known.is_id_chosen else {}),
                **({"examples": write_examples(known.examples)} if known.examples else {}),
            }
            for known in state.known
        ],
    }


def _format_version(state: RegistryState) -> int:
    """The lowest that holds all of it, so that whoever goes back to an earlier version can, where that is possible."""
    if any(name.is_id_chosen for name in state.known):
        return FORMAT_VERSION
    return _WITHOUT_CHOSEN_IDS if state.num_examples else _WITHOUT_EXAMPLES


def from_content(content: Any, path: Path) -> tuple[RegistryState, list[str]]:
    """What `to_content` made of a state, and what of it had to be left out, and why. path: where it is from.

    Raises VocabularyFileError for anything else.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise VocabularyFileError(f"{path}: expected a file that this node wrote, with 'format': '{FORMAT}'")
    if content.get("format_version") not in range(_WITHOUT_EXAMPLES, FORMAT_VERSION + 1):
        raise VocabularyFileError(
            f"{path}: expected format_version {_WITHOUT_EXAMPLES} to {FORMAT_VERSION}, got "
            f"{content.get('format_version')!r}: a newer version of ovsr_ros wrote it; use that one, or another file"
        )
    try:
        state, left_out = adapt(_read_state(content))
        VocabularyRegistry().restore(state)
    except (KeyError, TypeError, ValueError, VocabularyError) as error:
        cause = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise VocabularyFileError(f"{path}: damaged: {cause}") from error
    return state, left_out


def _read_state(content: dict[str, Any]) -> RegistryState:
    known = tuple(
        KnownName(
            _read_int("id", entry["id"], 253),
            _read_name(entry["name"]),
            None if entry["color"] is None else parse_color(entry["color"]),
            entry.get("retired") is True,
            read_examples(entry.get("examples", [])),
            entry.get("id_chosen") is True,
        )
        for entry in content["names"]
    )
    colors = {name.id: name.color_rgb or default_color(name.id) for name in known}
    examples = {name.id: name.examples for name in known}
    chosen = {name.id for name in known if name.is_id_chosen}
    categories = tuple(
        Category(
            entry["id"],
            _read_name(entry["name"]),
            _read_synonyms(entry["synonyms"]),
            colors[entry["id"]],
            examples[entry["id"]],
            entry["id"] in chosen,
        )
        for entry in content["categories"]
    )
    version = _read_int("version", content["version"], _MAX_VERSION)
    num_examples = _read_int("examples_given", content.get("examples_given", 0), _MAX_VERSION)
    by_id = tuple(sorted(categories, key=lambda category: category.id))
    return RegistryState(Vocabulary(version, by_id), known, num_examples)


def _read_int(name: str, value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{name}: expected 0 to {most}, got {value!r}")
    return value


def _read_name(value: Any) -> str:
    if not isinstance(value, str) or _NEVER_WRITTEN.search(value):
        raise ValueError(f"name: expected a category's name, got {value!r}")
    return value


def _read_synonyms(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or len(values) > MAX_SYNONYMS:
        raise ValueError(f"synonyms: expected a list of at most {MAX_SYNONYMS}, got {values!r}")
    return tuple(map(_read_name, values))


def _explain(path: Path, error: OSError) -> str:
    if error.errno in _FULL:
        remedy = "free space there"
    else:
        remedy = f"let the node write to {path.parent}, or start it with another vocabulary_file"
    return f"{path}: {error.strerror or error}; {remedy}"
