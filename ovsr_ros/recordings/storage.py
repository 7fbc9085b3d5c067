"""Recordings and labels by URL, as fsspec has them: each file is read and written whole."""

from __future__ import annotations

import contextlib
import errno
import importlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsr_ros.errors import ConfigError, RecordingError

_WHOLE_AT_ONCE = {"s3", "s3a", "gs", "gcs", "abfs", "az"}
"""Stores in which an object appears once all of it is there."""


def is_url(place: str) -> bool:
    """Whether a place is named by URL, and not by a path of this machine."""
    return "://" in place and not place.startswith("file://")


def to_place(text: str) -> str:
    """A place as it is kept: a URL without a slash at its end, or an absolute path."""
    if is_url(text):
        return text.rstrip("/")
    return str(Path(text.removeprefix("file://")).expanduser().absolute())


def name_of(place: str) -> str:
    """The last part of a place."""
    return posixpath.basename(place)


def join(place: str, *names: str) -> str:
    """A place within another."""
    return posixpath.join(place, *names)


@dataclass(frozen=True)
class Store:
    """A file system, and the URL of a file or folder in it."""

    url: str
    fs: Any
    path: str

    @classmethod
    def at(cls, url: str) -> Store:
        """Raises ConfigError where the packages for its kind are not installed, or nobody knows the kind."""
        try:
            fsspec = importlib.import_module("fsspec")
            fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f"{url}: {error}; URLs need the packages fsspec and, for s3://, s3fs: pip install s3fs"
            ) from error
        return cls(url, fs, path)

    def within(self, *names: str) -> Store:
        return Store(join(self.url, *names), self.fs, join(self.path, *names))

    def names(self) -> list[str]:
        """Every file below, by its name from here, "" for this one itself; none where there is none.

        As the store has them: see `outside_names`. Raises RecordingError.
        """
        return sorted(map(self._from_here, self._find()))

    def sizes(self) -> list[tuple[str, int]]:
        """Every file's name and bytes; a file's own, where it is one. Raises RecordingError."""
        return sorted((posixpath.basename(name), int(info["size"])) for name, info in self._find().items())

    def folders(self) -> list[str]:
        """The names of the folders in this one, as the store has them, or none. Raises RecordingError."""
        with self._told():
            try:
                found = self.fs.ls(self.path, detail=True)
            except FileNotFoundError:
                return []
            names = [str(each["name"]).rstrip("/") for each in found if each["type"] == "directory"]
            return sorted(self._from_here(name) for name in names if self._is_below(name))

    def _find(self) -> dict[str, Any]:
        with self._told():
            try:
                found = self.fs.find(self.path, detail=True)
            except FileNotFoundError:
                return {}
        # A name that ends with / is a folder's mark; one from elsewhere, a link on a page say, is not ours.
        return {name: info for name, info in found.items() if not name.endswith("/") and self._is_below(name)}

    def _is_below(self, name: str) -> bool:
        root = self.path.rstrip("/")
        return not root or name == root or name.startswith(f"{root}/")

    def _from_here(self, name: str) -> str:
        return name[len(self.path.rstrip("/")) :].removeprefix("/")

    def matching(self) -> list[str]:
        """The URLs that the path, as a pattern with * and the like, stands for. Raises RecordingError."""
        with self._told():
            return sorted(str(self.fs.unstrip_protocol(name)) for name in self.fs.glob(self.path))

    def exists(self) -> bool:
        """Raises RecordingError."""
        with self._told():
            return bool(self.fs.exists(self.path))

    def read(self) -> bytes | None:
        """A file's content; None where there is none. Raises RecordingError."""
        with self._told():
            try:
                return bytes(self.fs.cat_file(self.path))
            except FileNotFoundError:
                return None

    def fetch(self, path: Path) -> None:
        """A file onto this machine, whole or not at all. Raises RecordingError and OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            with self._told():
                self.fs.get_file(self.path, str(part))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def put(self, path: Path) -> None:
        """A file from this machine, which appears whole or not at all. Raises RecordingError."""
        protocols = {self.fs.protocol} if isinstance(self.fs.protocol, str) else set(self.fs.protocol)
        with self._told():
            if protocols & _WHOLE_AT_ONCE:
                self.fs.put_file(str(path), self.path)
                return
            part = f"{posixpath.dirname(self.path)}/.{posixpath.basename(self.path)}.part"
            self.fs.makedirs(posixpath.dirname(self.path), exist_ok=True)
            self.fs.put_file(str(path), part)
            self.fs.mv(part, self.path)

    def write(self, content: bytes) -> None:
        """A file's content, whole or not at all where the store is such. Raises RecordingError."""
        with self._told():
            self.fs.pipe_file(self.path, content)

    def version(self) -> str:
        """What changes when a file does. Raises RecordingError."""
        with self._told():
            return str(self.fs.ukey(self.path))

    def remove(self) -> None:
        """A file, or a folder with all below; it need not be there. Raises RecordingError."""
        with self._told(), contextlib.suppress(FileNotFoundError):
            self.fs.rm(self.path, recursive=True)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise RecordingError(f"{self.url}: no such file or folder") from error
        except Exception as error:  # the store's own: no rights, no network, a bucket that is not there
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            raise RecordingError(f"{self.url}: cannot be read or written: {error}") from error


def sizes_of(place: str) -> list[tuple[str, int]]:
    """The files of a recording and their bytes; none where there is none. Raises RecordingError."""
    if is_url(place):
        return Store.at(place).sizes()
    path = Path(place)
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    return [(file.name, file.stat().st_size) for file in files if file.is_file()]
