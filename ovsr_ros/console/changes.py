"""Who changed what and when: the log, and what can be undone."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ovsr_ros.vocabulary.category import Vocabulary
from ovsr_ros.vocabulary.change import VocabularyChange

ELSEWHERE = "not by this page"
"""Who changed something where that was a service call or parameter from elsewhere."""

_KEPT = 500
_KEPT_FILE_BYTES = 2**20


@dataclass(frozen=True)
class Entry:
    """A line of the log. time_s: seconds since 1970. version: of the vocabulary afterwards; 0 where it is none's.

    refused: the reason, empty where it was done.
    """

    time_s: float
    node: str
    who: str
    what: str
    version: int = 0
    refused: str = ""


class ChangeLog:
    """The newest entries, in a file too where there is one. Thread-safe.

    A change of the vocabulary is known by its version: `announce` says who asked for it before the node tells of it,
    or after.
    """

    def __init__(self, path: Path | None = None, now: Callable[[], float] = time.time) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._now = now
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self._versions: dict[tuple[str, int], Entry] = {}
        self._done: dict[str, deque[VocabularyChange]] = {}
        self._undoing: dict[str, VocabularyChange] = {}
        self.revision = 0
        self.problem = ""
        if path is not None:
            self._read(path)

    def entries(self) -> list[Entry]:
        """The newest first."""
        with self._lock:
            return list(reversed(self._entries))

    def say(self, node: str, who: str, what: str, refused: str = "") -> None:
        """Add what is no change of a vocabulary, or one that was refused."""
        with self._lock:
            self._add(Entry(self._now(), node, who, what, 0, refused))

    def announce(self, node: str, who: str, what: str, version: int) -> None:
        """Say who asked for the change that led to this version."""
        with self._lock:
            known = self._versions.get((node, version))
            if known is None or known.who == ELSEWHERE:
                entry = Entry(self._now(), node, who, what, version)
                if known is not None and known in self._entries:
                    self._entries[self._entries.index(known)] = entry
                    self._versions[(node, version)] = entry
                    self.revision += 1
                    self._write(entry)
                else:
                    self._add(entry)

    def saw(self, node: str, before: Vocabulary, after: Vocabulary) -> None:
        """The node told of a vocabulary: by somebody else, unless it is announced."""
        with self._lock:
            is_next = before.version > 0 and after.version > before.version
            if is_next and before.categories != after.categories:
                self._remember(node, VocabularyChange(before, after))
            if is_next and (node, after.version) not in self._versions:
                self._add(
                    Entry(self._now(), node, ELSEWHERE, VocabularyChange(before, after).describe(), after.version)
                )
            if after.version < before.version:  # the node has begun anew
                self._done.pop(node, None)
                for key in [key for key in self._versions if key[0] == node]:
                    del self._versions[key]

    def last_change(self, node: str, vocabulary: Vocabulary) -> VocabularyChange | None:
        """The change that led to these words, and is not undone; None where it is not known."""
        with self._lock:
            changes = self._done.get(node)
            return changes[-1] if changes and changes[-1].after.categories == vocabulary.categories else None

    def undoes(self, node: str, change: VocabularyChange) -> None:
        """Say that this change is about to be undone: what leads back is none to be undone in its turn."""
        with self._lock:
            self._undoing[node] = change

    def _remember(self, node: str, change: VocabularyChange) -> None:
        done = self._done.setdefault(node, deque(maxlen=_KEPT))
        undone = self._undoing.pop(node, None)
        if undone is not None and undone in done and change.after.categories == undone.before.categories:
            done.remove(undone)
        else:
            done.append(change)
        self.revision += 1

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        if entry.version:
            self._versions[(entry.node, entry.version)] = entry
            while len(self._versions) > _KEPT:
                del self._versions[next(iter(self._versions))]
        self.revision += 1
        self._write(entry)

    def _write(self, entry: Entry) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._path.exists() and self._path.stat().st_size > _KEPT_FILE_BYTES:
                self._path.replace(self._path.with_suffix(".old"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(entry), ensure_ascii=False) + "\n")
            self.problem = ""
        except OSError as error:
            self.problem = f"{self._path}: the log is not kept: {error.strerror or error}"

    def _read(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_KEPT:]
        except FileNotFoundError:
            return
        except OSError as error:
            self.problem = f"{path}: the log of earlier runs cannot be read: {error.strerror or error}"
            return
        for line in lines:
            try:
                self._entries.append(Entry(**json.loads(line)))
            except (ValueError, TypeError):
                continue  # a line that was cut off
