"""What a run has judged so far, on disk, so that a run that was killed goes on where it stopped.

JSON lines: the first says of what run this is, each other holds what one image added to the figures. A line counts when
it is whole; the last one is torn when the run was killed while writing it, and that image is judged again.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.protocols import ImageRow

_logger = logging.getLogger(__name__)

FORMAT = 1


class Journal:
    """The rows of one run. Open it by `open`; close it, or use it as a context, to let another run have it.

    rows: what was found, by index; and what was added since.
    """

    def __init__(self, file: IO[bytes], rows: dict[int, ImageRow]) -> None:
        self._file = file
        self.rows = rows

    @classmethod
    def open(cls, path: Path, header: Mapping[str, object]) -> Journal:
        """Open a journal, or begin one. header: everything that decides what a row holds, as JSON can say it.

        A journal with another header is of another run: it is put aside as PATH.old, with a warning, and a new one is
        begun, so that figures are never mixed.

        Raises ConfigError when the file cannot be written, or when another process is writing it.
        """
        header = {"format": FORMAT, **json.loads(json.dumps(header))}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = _locked(path)
            found = file.read()
            first, _, rest = found.partition(b"\n")
            if b"\n" in found and _parse(first) != header:
                aside = path.with_name(f"{path.name}.old")
                differing = ", ".join(_differing(_parse(first), header))
                _logger.warning("%s: of a run with other %s; put aside as %s", path, differing, aside.name)
                path.replace(aside)
                file.close()
                file, found, rest = _locked(path), b"", b""
            file.truncate(found.rfind(b"\n") + 1)  # a torn last line goes
            if b"\n" not in found:
                _append(file, header)
        except OSError as error:
            raise ConfigError(f"journal: {path}: cannot be written: {error.strerror or error}") from error
        return cls(file, _read_rows(rest))

    def add(self, row: ImageRow) -> None:
        """Write one row down; it is in the file when this returns. A row that is there already is not written twice."""
        if row.index not in self.rows:
            self.rows[row.index] = row
            _append(self._file, dataclasses.asdict(row))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _locked(path: Path) -> IO[bytes]:
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigError(f"journal: {path}: another run is writing it; wait for it, or write elsewhere") from None
    file.seek(0)
    return file


def _append(file: IO[bytes], content: Mapping[str, object]) -> None:
    file.write(json.dumps(content, separators=(",", ":")).encode() + b"\n")
    file.flush()


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _read_rows(content: bytes) -> dict[int, ImageRow]:
    rows: dict[int, ImageRow] = {}
    names = {field.name for field in dataclasses.fields(ImageRow)}
    whole, _, _ = content.rpartition(b"\n")
    for line in whole.split(b"\n"):
        values = _parse(line)
        if isinstance(values, dict) and values.keys() == names:
            rows.setdefault(values["index"], ImageRow(**{name: _tuples(value) for name, value in values.items()}))
    return rows


def _tuples(value: Any) -> Any:
    """Lists, which JSON made of tuples, as tuples again, nested ones too."""
    return tuple(_tuples(element) for element in value) if isinstance(value, list) else value


def _differing(old: Any, new: Any, name: str = "") -> list[str]:
    """Dotted names of what differs between two headers."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if old == new else [name or "header"]
    prefix = f"{name}." if name else ""
    return [found for key in {**old, **new} for found in _differing(old.get(key), new.get(key), f"{prefix}{key}")]
