"""What can still be read of a bag whose file is cut short, or has no index: record by record, from its beginning.

A recorder that is killed leaves such files, and so does a disk that is full. Everything up to the damage is read.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from ovsr_ros.errors import RecordingError
from ovsr_ros.recordings.compression import UNPACKERS

_MCAP_MAGIC, _ROS1_MAGIC = b"\x89MCAP0\r\n", b"#ROSBAG V2.0\n"
_MOST_BYTES = 1 << 32
"""A record that claims to be longer is none."""


@dataclass(frozen=True)
class Record:
    """One message as it lies in a bag. log_ns: when it was recorded. data: ROS 1's serialization, or CDR."""

    topic: str
    message_type: str
    log_ns: int
    data: bytes


class DamageError(RecordingError):
    """The file cannot be read on from here; what came before is whole."""


def salvage(path: Path) -> Iterator[Record]:
    """The messages of a .bag, .mcap or .db3 file in the order in which they lie there.

    Raises DamageError behind the last one that can be read, unless the file ends as it should.
    """
    if path.suffix == ".db3":
        return _read_sqlite3(path)
    return _read_file(path, _read_ros1 if path.suffix == ".bag" else _read_mcap)


def _read_file(path: Path, read: Callable[[BinaryIO], Iterator[Record]]) -> Iterator[Record]:
    try:
        with path.open("rb") as file:
            yield from read(file)
    except DamageError as error:
        raise DamageError(f"{path}: {error}") from error
    except (OSError, EOFError, ValueError, KeyError, IndexError, struct.error, RuntimeError) as error:
        raise DamageError(f"{path}: cannot be read on: {error}") from error


def _exactly(file: BinaryIO, count: int) -> bytes:
    place = file.tell()
    data = file.read(count) if count < _MOST_BYTES else b""
    if len(data) != count:
        raise DamageError(f"cut short: expected {count} bytes at byte {place}, got {len(data)}")
    return data


# --- MCAP ---

_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 3, 4, 5, 6, 15


def _read_mcap(file: BinaryIO) -> Iterator[Record]:
    if file.read(len(_MCAP_MAGIC)) != _MCAP_MAGIC:
        raise DamageError("expected an MCAP file, got something else")
    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}
    while True:
        code, length = struct.unpack("<BQ", _exactly(file, 9))
        if code == _DATA_END:
            return
        if code == _CHUNK:
            body = file.read(min(length, _MOST_BYTES))
            yield from _in_records(_unpack_chunk(body), schemas, channels)
            _check_whole(body, length, file)
        else:
            yield from _in_record(code, _exactly(file, length), schemas, channels)


def _unpack_chunk(body: bytes) -> bytes:
    """A chunk's records; of one that is cut short as many as can be unpacked."""
    compression, place = _text(body, 28)
    return _unpack(body[place + 8 :], compression)


def _unpack(packed: bytes, compression: str) -> bytes:
    if compression not in UNPACKERS:
        raise DamageError(f"expected chunks packed by {', '.join(UNPACKERS)}, got '{compression}'")
    return UNPACKERS[compression](packed)


def _check_whole(body: bytes, length: int, file: BinaryIO) -> None:
    if len(body) != length:
        raise DamageError(f"cut short at byte {file.tell()}: expected a chunk of {length} bytes, got {len(body)}")


def _in_records(data: bytes, schemas: dict[int, str], channels: dict[int, tuple[str, str]]) -> Iterator[Record]:
    place = 0
    while place < len(data):
        if len(data) < place + 9:
            return
        code, length = struct.unpack_from("<BQ", data, place)
        if len(data) < place + 9 + length:
            return
        yield from _in_record(code, data[place + 9 : place + 9 + length], schemas, channels)
        place += 9 + length


def _in_record(
    code: int, body: bytes, schemas: dict[int, str], channels: dict[int, tuple[str, str]]
) -> Iterator[Record]:
    if code == _SCHEMA:
        schemas[struct.unpack_from("<H", body)[0]] = _text(body, 2)[0]
    elif code == _CHANNEL:
        channel, schema = struct.unpack_from("<HH", body)
        channels[channel] = (_text(body, 4)[0], schemas.get(schema, ""))
    elif code == _MESSAGE:
        channel, _, log_ns = struct.unpack_from("<HIQ", body)
        if channel in channels:
            yield Record(*channels[channel], log_ns, body[22:])


def _text(body: bytes, place: int) -> tuple[str, int]:
    """A text that begins with its length, and where it ends."""
    (length,) = struct.unpack_from("<I", body, place)
    return body[place + 4 : place + 4 + length].decode(), place + 4 + length


# --- ROS 1 ---

_ROS1_MESSAGE, _ROS1_CHUNK, _ROS1_CONNECTION = 2, 5, 7


def _read_ros1(file: BinaryIO) -> Iterator[Record]:
    if file.read(len(_ROS1_MAGIC)) != _ROS1_MAGIC:
        raise DamageError("expected a ROS 1 bag of version 2.0, got something else")
    connections: dict[int, tuple[str, str]] = {}
    while start := file.read(4):
        header = _fields(_exactly(file, _length(start)))
        length = _length(_exactly(file, 4))
        if header["op"][0] == _ROS1_CHUNK:
            body = file.read(length)
            compression = header["compression"].decode()
            yield from _in_ros1_chunk(_unpack(body, "" if compression == "none" else compression), connections)
            _check_whole(body, length, file)
        else:
            yield from _in_ros1_record(header, _exactly(file, length), connections)


def _length(data: bytes) -> int:
    if len(data) != 4:
        raise DamageError("cut short within a record's length")
    return int(struct.unpack("<I", data)[0])


def _in_ros1_chunk(data: bytes, connections: dict[int, tuple[str, str]]) -> Iterator[Record]:
    place = 0
    while len(data) >= place + 4:
        (length,) = struct.unpack_from("<I", data, place)
        if len(data) < place + 8 + length:
            return
        header = _fields(data[place + 4 : place + 4 + length])
        place += 4 + length
        (length,) = struct.unpack_from("<I", data, place)
        if len(data) < place + 4 + length:
            return
        yield from _in_ros1_record(header, data[place + 4 : place + 4 + length], connections)
        place += 4 + length


def _in_ros1_record(header: dict[str, bytes], body: bytes, connections: dict[int, tuple[str, str]]) -> Iterator[Record]:
    if header["op"][0] == _ROS1_CONNECTION:
        package, _, name = _fields(body)["type"].decode().partition("/")
        (number,) = struct.unpack("<I", header["conn"])
        connections[number] = (header["topic"].decode(), f"{package}/msg/{name}")
    elif header["op"][0] == _ROS1_MESSAGE:
        (number,) = struct.unpack("<I", header["conn"])
        seconds, nanoseconds = struct.unpack("<II", header["time"])
        yield Record(*connections[number], seconds * 1_000_000_000 + nanoseconds, body)


def _fields(data: bytes) -> dict[str, bytes]:
    """The fields of a record's header: each its length, its name, "=" and its value."""
    fields, place = {}, 0
    while place < len(data):
        (length,) = struct.unpack_from("<I", data, place)
        name, _, value = data[place + 4 : place + 4 + length].partition(b"=")
        fields[name.decode()] = value
        place += 4 + length
    return fields


# --- sqlite3 ---

# By row number and without an index, whose pages may be missing: messages lie in the order of their rows.
_MESSAGES = "SELECT topic_id, timestamp, data FROM messages NOT INDEXED ORDER BY rowid"


def _read_sqlite3(path: Path) -> Iterator[Record]:
    try:
        uri = f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1"  # or a name with % or ? would be another file's
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            # Or SQLite refuses a file that has fewer pages than it says, whatever is asked for.
            connection.execute("PRAGMA writable_schema = ON")
            topics = {id: (name, kind) for id, name, kind in connection.execute("SELECT id, name, type FROM topics")}
            for topic_id, log_ns, data in connection.execute(_MESSAGES):
                if topic_id in topics:
                    yield Record(*topics[topic_id], log_ns, data)
    except sqlite3.Error as error:
        raise DamageError(f"{path}: cannot be read on: {error}") from error
