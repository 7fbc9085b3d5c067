"""A bag's messages: ROS 1 or ROS 2, whatever its storage and compression, and as far as it can be read."""

from __future__ import annotations

import heapq
import re
import struct
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from ovsr_ros.errors import RecordingError
from ovsr_ros.messages.stamps import read_stamp_ns
from ovsr_ros.recordings.salvage import DamageError, Record, salvage

_ROS2 = get_typestore(Stores.ROS2_HUMBLE)
BAG_SUFFIXES = (".bag", ".mcap", ".db3")


@dataclass(frozen=True)
class Topic:
    """What a bag has of a topic."""

    name: str
    message_type: str
    count: int


class Bag:
    """A bag that is open for reading; use it as a context manager.

    topics: by name. damage: what cannot be read and why; empty: nothing so far. It is known at once where the bag has
    no whole index, else when the reading has come there.

    Raises RecordingError where nothing can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ""
        self._stack = ExitStack()
        self._files = _files_of(path)
        self.is_ros1 = self._files[0].suffix == ".bag"
        self._store = get_typestore(Stores.ROS1_NOETIC) if self.is_ros1 else _ROS2
        self._reader: AnyReader | None = None
        try:
            _check_uri(path)
            reader = AnyReader([path], default_typestore=self._store)
            self._reader = self._stack.enter_context(reader)
        except Exception as error:  # its own, sqlite's, struct's, yaml's: whatever is wrong, what there is may be read
            self.damage = f"{path}: has no whole index: {error}"
        if self._reader is None:
            self.topics = self._scan()
        else:
            counts: dict[str, Topic] = {}
            for connection in self._reader.connections:
                before = counts[connection.topic].count if connection.topic in counts else 0
                name, kind = connection.topic, connection.msgtype
                counts[name] = Topic(name, kind, before + connection.msgcount)
            self.topics = counts

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    @property
    def duration_s(self) -> float:
        """From the first message to the last; 0 where there is no index that says so."""
        return 0.0 if self._reader is None or not self._reader.message_count else self._reader.duration / 1e9

    def messages(
        self, topics: Collection[str], start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[Record]:
        """The messages of these topics, in the order in which they were recorded.

        start_ns, stop_ns: only those recorded from then on, and before then. Ends where nothing more can be read;
        `damage` says so.
        """
        if self._reader is None:
            for record in self._salvaged(topics):
                if (start_ns is None or record.log_ns >= start_ns) and (stop_ns is None or record.log_ns < stop_ns):
                    yield record
            return
        connections = [connection for connection in self._reader.connections if connection.topic in topics]
        if not connections:
            return
        try:
            for connection, log_ns, data in self._reader.messages(connections, start_ns, stop_ns):
                yield Record(connection.topic, connection.msgtype, log_ns, bytes(data))
        except GeneratorExit:
            raise
        except Exception as error:  # as above: a chunk, a page, a file that is damaged
            self.damage = f"{self.path}: cannot be read on: {error}"

    def deserialize(self, record: Record) -> Any:
        """The message, with the fields of its ROS. Raises RecordingError when it is damaged."""
        try:
            if self.is_ros1:
                return self._store.deserialize_ros1(record.data, record.message_type)
            return self._store.deserialize_cdr(record.data, record.message_type)
        except Exception as error:
            raise RecordingError(f"{record.topic}: not a whole {record.message_type}: {error}") from error

    def to_cdr(self, record: Record) -> bytes:
        """The message's bytes as ROS 2 has them."""
        return bytes(_ROS2.ros1_to_cdr(record.data, record.message_type)) if self.is_ros1 else record.data

    def stamp_ns(self, record: Record) -> int:
        """The stamp of a message that begins with a header, nanoseconds, without reading the rest.

        Raises RecordingError when it is damaged.
        """
        try:
            if not self.is_ros1:
                return read_stamp_ns(record.data)
            seconds, nanoseconds = struct.unpack_from("<II", record.data, 4)
        except (struct.error, IndexError) as error:
            raise RecordingError(f"{record.topic}: a message of {len(record.data)} bytes has no header") from error
        return int(seconds) * 1_000_000_000 + int(nanoseconds)

    def _scan(self) -> dict[str, Topic]:
        topics: dict[str, Topic] = {}
        for record in self._salvaged(None):
            before = topics[record.topic].count if record.topic in topics else 0
            topics[record.topic] = Topic(record.topic, record.message_type, before + 1)
        if not topics:
            raise RecordingError(f"{self.damage}; nothing of it can be read")
        return topics

    def _salvaged(self, topics: Collection[str] | None) -> Iterator[Record]:
        """What can be read of each file; those of a split bag one after the other."""
        for file in self._files:
            pending: list[tuple[int, int, Record]] = []
            try:
                for number, record in enumerate(salvage(file)):
                    if topics is not None and record.topic not in topics:
                        continue
                    # Recorders write in nearly the order of the log's time.
                    heapq.heappush(pending, (record.log_ns, number, record))
                    if len(pending) > _MOST_OUT_OF_ORDER:
                        yield heapq.heappop(pending)[2]
            except DamageError as error:
                self.damage = str(error)
            while pending:
                yield heapq.heappop(pending)[2]


_MOST_OUT_OF_ORDER = 16


def _files_of(path: Path) -> list[Path]:
    """A bag's storage files, in the order in which they were written. Raises RecordingError where there is none."""
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix in BAG_SUFFIXES and file.is_file()]
        packed = [file for file in path.iterdir() if file.suffix in (".zstd", ".zst")]
        if not files and not packed:
            raise RecordingError(
                f"{path}: expected a bag (a folder with .mcap or .db3 files, or a .bag, .mcap or .db3 file), got a "
                "folder without such files"
            )
        return sorted(files or packed, key=_natural)
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    if path.suffix not in BAG_SUFFIXES:
        raise RecordingError(f"{path}: expected a bag ({', '.join(BAG_SUFFIXES)}, or a folder of a ROS 2 bag)")
    return [path]


def _check_uri(path: Path) -> None:
    """Raises RecordingError for a bag in SQLite that rosbags would look for by another name: it opens files by URI,
    where "%2e%2e%2fx.db3" is "../x.db3".
    """
    names = [str(path), *(file.name for file in path.iterdir())] if path.is_dir() else [str(path)]
    if any(set(name) & {"%", "?", "#"} for name in names) and _may_be_sqlite(path):
        raise RecordingError("expected a .db3 without %, ? and # in its name and its folders' names; rename it")


def _may_be_sqlite(path: Path) -> bool:
    if not path.is_dir():
        return path.suffix == ".db3"
    try:
        metadata = yaml.safe_load((path / "metadata.yaml").read_text(encoding="utf-8"))
        return bool(metadata["rosbag2_bagfile_information"]["storage_identifier"] != "mcap")
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError):
        return True


def _natural(path: Path) -> list[tuple[int, str]]:
    """So that bag_2 comes before bag_10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)]
