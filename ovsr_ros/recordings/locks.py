"""Whose work a folder is: one process's at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

from ovsr_ros.errors import RecordingError

LOCK = ".lock"
_PATIENCE_S = 30.0


@contextlib.contextmanager
def locked(folder: Path, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """While it lasts, no other process works in the folder, which is made where there is none.

    A process that is ended loses its lock; one that is about to end is waited for.

    Raises RecordingError where another one holds it for longer, OSError where nothing can be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, until = folder / LOCK, time.monotonic() + patience_s
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if _try_lock(lock) and _is_at(lock, path):
                try:
                    os.pwrite(lock, f"{os.getpid()} {platform.node()}\n".encode(), 0)
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
        finally:
            os.close(lock)
        if time.monotonic() > until:
            raise RecordingError(
                f"{folder}: another process is labelling there ({_owner_of(path)}); wait until it is done, or end it"
            )
        time.sleep(0.1)


def _owner_of(path: Path) -> str:
    """Of a lock: its process and machine, as far as it says."""
    try:
        return path.read_text(encoding="utf-8").strip() or "unknown"
    except OSError:
        return "unknown"


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            return True  # a file system that knows no locks
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def _is_at(lock: int, path: Path) -> bool:
    """Whether the file is still the one of that name: who held it before may have taken it away."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False
