"""Files that are replaced whole: whoever reads one finds what it held before or what it holds now, never a part."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def write_atomically(path: Path, *, is_shared: bool = False, is_durable: bool = False) -> Iterator[IO[bytes]]:
    """A file to write to, beside `path`, whose place it takes at the end; where that fails, it is removed.

    is_shared: others may be writing the same file. is_durable: what was written is to survive a power cut.

    Raises OSError where that cannot be; the folder is made where there is none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f".{os.getpid()}-{threading.get_ident()}" if is_shared else ""
    part = path.with_name(f".{path.name}{own}.part")
    try:
        with part.open("wb") as file:
            yield file
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    if is_durable:
        entry = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(entry)  # the renaming, too
        finally:
            os.close(entry)
