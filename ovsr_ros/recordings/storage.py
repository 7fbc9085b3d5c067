"""Recordings and labels by URL, as fsspec has them: fetched to this machine's disk, and put back whole."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import hashlib
import importlib
import os
import posixpath
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsr_ros.errors import ConfigError, RecordingError
from ovsr_ros.recordings.locks import locked
from ovsr_ros.recordings.outside_names import path_below

_WHOLE_AT_ONCE = {"s3", "s3a", "gs", "gcs", "abfs", "az"}
"""Stores in which an object appears once all of it is there."""

_LOCK, _USE, _VERSIONS = ".lock", ".use", ".versions"
_FETCH_PATIENCE_S = 3600.0


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


def scratch_folder(chosen: str) -> Path:
    """Where this machine keeps what it has fetched, and what is to be put back.

    Raises ConfigError where the one among temporary files is somebody else's, whose links we would follow.
    """
    if chosen:
        return Path(chosen)
    folder = Path(tempfile.gettempdir()) / f"ovsr-scratch-{getpass.getuser()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made: {error.strerror or error}; name a folder: --scratch") from error
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        raise ConfigError(f"{folder}: is a link, or not this user's; name another folder: --scratch")
    return folder


def scratch_for(place: str, scratch: Path) -> Path:
    """The path in a scratch folder that belongs to a place; its name is the place's.

    Raises RecordingError for a place whose last part is no file's name, such as "..".
    """
    name = name_of(place)
    return path_below(_home_of(place, scratch), "" if name in (_LOCK, _USE, _VERSIONS) else name, place)


def _home_of(place: str, scratch: Path) -> Path:
    return scratch / hashlib.sha256(place.encode(errors="surrogatepass")).hexdigest()[:16]


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
        return sorted(name[len(self.path) :].removeprefix("/") for name in self._find())

    def sizes(self) -> list[tuple[str, int]]:
        """Every file's name and bytes; a file's own, where it is one. Raises RecordingError."""
        return sorted((posixpath.basename(name), int(info["size"])) for name, info in self._find().items())

    def _find(self) -> dict[str, Any]:
        with self._told():
            try:
                found = self.fs.find(self.path, detail=True)
            except FileNotFoundError:
                return {}
            return {name: info for name, info in found.items() if not name.endswith("/")}  # that is a folder's mark

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


@contextlib.contextmanager
def fetched_bag(url: str, scratch: Path) -> Iterator[Path]:
    """A recording, a file or a folder, on this machine while it lasts; what is there already is not fetched again.

    Raises RecordingError and OSError.
    """
    store, target = Store.at(url), scratch_for(url, scratch)
    home = target.parent
    with locked(home, _FETCH_PATIENCE_S):
        names = store.names()
        if not names:
            raise RecordingError(f"{url}: no such file or folder")
        paths = [path_below(target, name, f"{url}/{name}") if name else target for name in names]
        for name, path in zip(names, paths, strict=True):
            source = store.within(name) if name else store
            _fetch_once(source, path, home / _VERSIONS / path.relative_to(home))
        use = os.open(home / _USE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(use, fcntl.LOCK_SH)
        yield target
    finally:
        os.close(use)


def _fetch_once(source: Store, path: Path, mark: Path) -> None:
    version = source.version()
    if path.exists() and mark.exists() and mark.read_text(encoding="utf-8") == version:
        return
    mark.unlink(missing_ok=True)
    source.fetch(path)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(version, encoding="utf-8")


def drop(url: str, scratch: Path) -> None:
    """Take away what was fetched of a recording, unless another process uses it."""
    home = _home_of(url, scratch)
    try:
        use = os.open(home / _USE, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(home, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(use)


def sizes_of(place: str) -> list[tuple[str, int]]:
    """The files of a recording and their bytes; none where there is none. Raises RecordingError."""
    if is_url(place):
        return Store.at(place).sizes()
    path = Path(place)
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    return [(file.name, file.stat().st_size) for file in files if file.is_file()]
