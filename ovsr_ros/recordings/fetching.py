"""What has a URL, on this machine for as long as it is needed: fetched once, whoever needs it, and taken away again."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ovsr_ros.errors import ConfigError, RecordingError
from ovsr_ros.recordings.locks import LOCK, locked
from ovsr_ros.recordings.outside_names import path_below
from ovsr_ros.recordings.storage import Store, is_url, name_of

_USE, _VERSIONS = ".use", ".versions"
_PARTS = "parts"
"""Where a place is of which not all files are wanted: nobody is to take it for whole."""

_PATIENCE_S = 3600.0


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
    return path_below(_home_of(place, scratch), "" if name in (LOCK, _USE, _VERSIONS) else name, place)


def _home_of(place: str, scratch: Path) -> Path:
    return scratch / hashlib.sha256(place.encode(errors="surrogatepass")).hexdigest()[:16]


@contextlib.contextmanager
def at_hand(place: str, scratch: str, names: Sequence[str] = (), stays: bool = False) -> Iterator[Path]:
    """A place as a path of this machine, while it lasts: a path is itself, what has a URL is fetched.

    scratch: as `scratch_folder` takes it. names: of the files in the place that are wanted; empty: all of them. stays:
    whether what was fetched is left there for who needs it next.

    Raises RecordingError, which tells of the place and not of where it is meanwhile, ConfigError and OSError.
    """
    if not is_url(place):
        yield Path(place)
        return
    root = scratch_folder(scratch) / _PARTS if names else scratch_folder(scratch)
    try:
        with fetched_files(place, root, names) as path:
            yield path
    except RecordingError as error:
        raise RecordingError(str(error).replace(f"{_home_of(place, root)}/{name_of(place)}", place)) from error
    finally:
        if not stays:
            drop(place, root)


@contextlib.contextmanager
def fetched_files(url: str, scratch: Path, names: Sequence[str] = ()) -> Iterator[Path]:
    """A file, a folder or some files of one, on this machine while it lasts; what is there is not fetched again.

    names: see `at_hand`.

    Raises RecordingError, before anything is fetched where a name would lead elsewhere, ConfigError and OSError.
    """
    store, target = Store.at(url), scratch_for(url, scratch)
    home = target.parent
    use = -1
    try:
        with locked(home, _PATIENCE_S):
            use = os.open(home / _USE, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(use, fcntl.LOCK_SH)
            wanted = names or store.names()
            if not wanted:
                raise RecordingError(f"{url}: no such file or folder")
            paths = [path_below(target, name, f"{url}/{name}") if name else target for name in wanted]
            if not names:
                _remove_others(target, paths)
            for name, path in zip(wanted, paths, strict=True):
                source = store.within(name) if name else store
                _fetch_once(source, path, home / _VERSIONS / path.relative_to(home))
        yield target
    finally:
        if use >= 0:
            os.close(use)


def _remove_others(folder: Path, paths: Collection[Path]) -> None:
    """What an earlier fetch has left, and the store has no more, is no part of the place."""
    for path in folder.rglob("*") if folder.is_dir() else ():
        if path.is_file() and path not in paths:
            path.unlink()


def _fetch_once(source: Store, path: Path, mark: Path) -> None:
    version = source.version()
    if path.exists() and mark.exists() and mark.read_text(encoding="utf-8") == version:
        return
    mark.unlink(missing_ok=True)
    source.fetch(path)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(version, encoding="utf-8")


def drop(url: str, scratch: Path) -> None:
    """Take away what was fetched of a place, unless another process fetches or uses it."""
    home = _home_of(url, scratch)
    if not home.exists():
        return
    with contextlib.suppress(RecordingError, OSError), locked(home, patience_s=0.0):
        use = os.open(home / _USE, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(home, ignore_errors=True)
        finally:
            os.close(use)
