"""Pictures on their way to browsers: the newest only, packed once for all of them."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Picture:
    """One picture for browsers. stamp_ns: the image's. packed: see `pack`."""

    stamp_ns: int
    packed: bytes


class Newest:
    """Holds the newest picture of one kind, and tells listeners when there is a newer one. Thread-safe.

    Nothing is queued: who is slow finds the newest when he asks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._picture: Picture | None = None
        self._listeners: list[Callable[[], None]] = []

    def put(self, picture: Picture) -> None:
        """Put a picture in the place of the one before."""
        with self._lock:
            self._number += 1
            self._picture = picture
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def take(self, after: int) -> tuple[int, Picture] | None:
        """The newest picture and its number, if that is over `after`; numbers count from 1."""
        with self._lock:
            return None if self._picture is None or self._number <= after else (self._number, self._picture)

    def clear(self) -> None:
        """Forget the picture, as when its node is gone; numbers go on."""
        with self._lock:
            self._picture = None

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called, in the thread of `put`, after each picture; returns what ends that."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end


def pack(header: dict[str, object], *parts: bytes) -> bytes:
    """A message for the browser: the header's length (uint32, little endian), the header as JSON, then the parts.

    The header gains "parts", their lengths in bytes.
    """
    text = json.dumps({**header, "parts": [len(part) for part in parts]}, separators=(",", ":")).encode()
    return b"".join((_LENGTH.pack(len(text)), text, *parts))


def unpack(packed: bytes) -> tuple[dict[str, object], list[bytes]]:
    """What `pack` was given. Raises ValueError where the lengths do not fit."""
    (length,) = _LENGTH.unpack_from(packed)
    header = json.loads(packed[_LENGTH.size : _LENGTH.size + length])
    parts, begin = [], _LENGTH.size + length
    for size in header.pop("parts"):
        parts.append(packed[begin : begin + size])
        begin += size
    if begin != len(packed):
        raise ValueError(f"expected {begin} bytes, got {len(packed)}")
    return header, parts


def to_runs(segment_map: NDArray[np.generic]) -> bytes:
    """A map of segments as runs of equal values, row after row: pairs of uint16, value and length, little endian.

    segment_map: (H, W) uint8 or uint16. A run is at most 65535 long: a longer one is several.
    """
    values = segment_map.ravel()
    if not values.size:
        return b""
    begins = np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1))
    lengths = np.diff(begins, append=values.size)
    if lengths.max() > 65535:
        whole, rest = np.divmod(lengths, 65535)
        repeats = whole + (rest > 0)
        split: NDArray[np.int64] = np.full(int(repeats.sum()), 65535, np.int64)
        split[np.cumsum(repeats) - 1] = np.where(rest > 0, rest, 65535)
        begins, lengths = begins.repeat(repeats), split
    runs = np.stack((values[begins].astype("<u2"), lengths.astype("<u2")), axis=1)  # (R, 2)
    return bytes(runs.tobytes())


def from_runs(runs: bytes, height: int, width: int) -> NDArray[np.uint16]:
    """The (height, width) map that `to_runs` was given. Raises ValueError where it is of another size."""
    pairs = np.frombuffer(runs, "<u2").reshape(-1, 2)
    return pairs[:, 0].repeat(pairs[:, 1]).reshape(height, width)
