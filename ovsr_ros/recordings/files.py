"""The files of a bag's work: where they lie on this machine, and, where they belong to a store, how they get there."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ovsr_ros.errors import RecordingError
from ovsr_ros.recordings.fetching import drop, fetched_files, scratch_folder, scratch_for
from ovsr_ros.recordings.job import LabelJob
from ovsr_ros.recordings.journal import CHECKPOINT, ROWS
from ovsr_ros.recordings.labels import FRAMES, OUTPUTS
from ovsr_ros.recordings.locks import LOCK
from ovsr_ros.recordings.outside_names import is_below
from ovsr_ros.recordings.storage import Store, is_url

CHUNKS = ".chunks"
OURS = {FRAMES, *OUTPUTS, CHUNKS, ROWS, CHECKPOINT}
"""What may be of an earlier run in a bag's folder, and is taken away then. Anything else there is not ours."""

_PIECE = re.compile("[0-9]{15}")

_KEEP_EVERY_S = 20.0
"""So much work is done again at most, where a machine that writes to a store is lost."""


@dataclass(frozen=True)
class Files:
    """bag: the recording. folder: what is written of it, by name relative to it; both on this machine."""

    bag: Path
    folder: Path

    def has(self, name: str) -> bool:
        """Whether a file is there. Raises RecordingError where nobody can tell."""
        return (self.folder / name).exists()

    def get(self, name: str) -> Path:
        """A file, on this machine where it exists. Raises RecordingError and OSError."""
        return self.folder / name

    def publish(self, name: str) -> None:
        """A file is written: others may read it. Raises RecordingError."""

    def resume(self, part: str) -> None:
        """Bring the journal of a part, a folder's name, onto this machine. Raises RecordingError and OSError."""

    def keeper(self, part: str) -> Callable[[], None]:
        """To be called after each frame that is in the part's journal, which is open: what does not count is cut off.

        Raises RecordingError and OSError.
        """
        return lambda: None

    def forget(self, part: str) -> None:
        """The journal of a part is of no use any more, or the part. Raises RecordingError."""

    def finish(self, last: str, ours: Collection[str] = OURS) -> None:
        """All is written; the file `last` says so. What else is `ours` is taken away. Raises RecordingError."""

    def clear(self) -> None:
        """What is but a copy is of no use: it goes, and the work begins with an empty folder. Raises OSError."""

    def leave(self) -> None:
        """Nothing more is to be done: what is but a copy goes."""


@dataclass(frozen=True)
class StoredFiles(Files):
    """Files that belong to a store: what is on this machine is a copy, or about to get there."""

    store: Store = field(kw_only=True)

    def has(self, name: str) -> bool:
        return self.store.within(name).exists()

    def get(self, name: str) -> Path:
        path, source = self.folder / name, self.store.within(name)
        if source.exists():
            source.fetch(path)
        else:
            path.unlink(missing_ok=True)
        return path

    def publish(self, name: str) -> None:
        self.store.within(name).put(self.folder / name)

    def resume(self, part: str) -> None:
        """Rows come in pieces, each named by the byte with which it begins."""
        folder, store = self.folder / part, self.store.within(part) if part else self.store
        folder.mkdir(parents=True, exist_ok=True)
        for name in (ROWS, CHECKPOINT):
            (folder / name).unlink(missing_ok=True)
        checkpoint = store.within(CHECKPOINT)
        if not checkpoint.exists():
            return
        checkpoint.fetch(folder / CHECKPOINT)
        with (folder / ROWS).open("wb") as rows:
            for name in store.within(ROWS).names():
                if not _PIECE.fullmatch(name):
                    raise RecordingError(
                        f"{store.within(ROWS, name).url!r}: expected keys of 15 digits there; remove that one"
                    )
                rows.seek(int(name))
                rows.write(store.within(ROWS, name).read() or b"")

    def keeper(self, part: str) -> Callable[[], None]:
        folder, store = self.folder / part, self.store.within(part) if part else self.store
        done = (folder / ROWS).stat().st_size
        last_s = time.monotonic()
        for name in store.within(ROWS).names():
            if _PIECE.fullmatch(name) and int(name) >= done:
                store.within(ROWS, name).remove()  # rows of which no checkpoint tells, or of another work

        def keep() -> None:
            nonlocal done, last_s
            if time.monotonic() - last_s < _KEEP_EVERY_S:
                return
            with (folder / ROWS).open("rb") as rows:
                rows.seek(done)
                store.within(ROWS, f"{done:015d}").write(rows.read())
                done = rows.tell()
            store.within(CHECKPOINT).put(folder / CHECKPOINT)
            last_s = time.monotonic()

        return keep

    def forget(self, part: str) -> None:
        store = self.store.within(part) if part else self.store
        for name in (CHECKPOINT, ROWS):
            store.within(name).remove()

    def finish(self, last: str, ours: Collection[str] = OURS) -> None:
        own = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}
        own = {name for name in own if not name.startswith(".")}
        for name in sorted(own - {last}):
            self.publish(name)
        self.publish(last)
        for name in self.store.names():
            if name not in own and name.partition("/")[0] in ours and is_below(name):
                self.store.within(name).remove()

    def clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()

    def leave(self) -> None:
        shutil.rmtree(self.folder.parent, ignore_errors=True)


def open_files(job: LabelJob) -> Files:
    """A job's files; a recording that is in a store is not fetched yet. Raises ConfigError and RecordingError."""
    bag = scratch_for(job.bag, scratch_folder(job.scratch)) if is_url(job.bag) else Path(job.bag)
    return open_folder(job.folder, bag, job.scratch)


def open_folder(place: str, bag: Path, scratch: str) -> Files:
    """The files of a bag at a path or URL. scratch: see `scratch_folder`. Raises ConfigError and RecordingError."""
    if not is_url(place):
        return Files(bag, Path(place))
    return StoredFiles(bag, scratch_for(place, scratch_folder(scratch)), store=Store.at(place))


_at_hand: dict[Path, str] = {}


@contextlib.contextmanager
def fetched(job: LabelJob) -> Iterator[None]:
    """While it lasts, the job's recording is on this machine. The one that this process had before is dropped.

    Raises RecordingError, ConfigError and OSError.
    """
    if not is_url(job.bag):
        yield
        return
    scratch = scratch_folder(job.scratch)
    before = _at_hand.get(scratch)
    if before is not None and before != job.bag:
        drop(before, scratch)
    _at_hand[scratch] = job.bag
    with fetched_files(job.bag, scratch):
        yield


def drop_fetched(job: LabelJob) -> None:
    """Take away what was fetched of a job's recording, unless another process uses it."""
    if is_url(job.bag):
        drop(job.bag, scratch_folder(job.scratch))
