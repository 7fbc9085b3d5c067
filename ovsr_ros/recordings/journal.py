"""The frames of a bag that is in work, as they are found: each is on disk before the next one begins.

Killed at any time, the work goes on behind the last frame whose checkpoint was written.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from ovsr_ros.atomic_file import write_atomically
from ovsr_ros.models.tensors import arrays_from_bytes, arrays_to_bytes
from ovsr_ros.recordings.compression import zstd_compress, zstd_decompress
from ovsr_ros.recordings.frames import Oddities
from ovsr_ros.recordings.table import SCHEMA, FrameRow, to_batch
from ovsr_ros.tracking.stream_state import Arrays

ROWS, CHECKPOINT = ".frames.journal", ".frames.checkpoint"

_HEAD = struct.Struct("<II")
_ABOUT = "about"
_NUMBERS = ("taken", "frames", "num_bytes", "next_id", "size_hw", "lead_in")


@dataclass
class Checkpoint:
    """Where the work stands after a frame.

    taken: images that are done, those left out counted in. frames: rows in the journal, which has num_bytes. stream:
    the tracker's snapshot, packed; None: nothing. next_id: of the next track. size_hw: of the bag's images. oddities:
    of decoding so far. lead_in: how many of the rows belong to the piece before it; see `Chunk`.
    """

    taken: int = 0
    frames: int = 0
    num_bytes: int = 0
    stream: tuple[Arrays, dict[str, Any]] | None = None
    next_id: int = 1
    size_hw: tuple[int, int] | None = None
    oddities: Oddities = field(default_factory=Oddities)
    lead_in: int = 0


class Journal:
    """The file of rows and that of the newest checkpoint, for one process; use it as a context manager.

    key: names the work; what another one has left is thrown away. when_kept: called once a checkpoint is written.
    Raises OSError.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._rows_path, self._checkpoint_path = folder / ROWS, folder / CHECKPOINT
        self._key = key
        self.when_kept: Callable[[], object] = lambda: None
        self.checkpoint = self._read_checkpoint()
        self._rows: BinaryIO = self._open_rows()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *raised: object) -> None:
        self._rows.close()

    def append(self, row: FrameRow) -> None:
        """Add a row; it counts once `keep` has been called. Raises OSError, as on a full disk."""
        payload = to_batch([row]).serialize().to_pybytes()
        self._rows.write(_HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
        self._rows.flush()
        self.checkpoint.frames += 1
        self.checkpoint.num_bytes = self._rows.tell()

    def keep(self) -> None:
        """Write `checkpoint`, as it stands now. Raises OSError."""
        content = zstd_compress(_to_bytes(self._key, self.checkpoint))
        with write_atomically(self._checkpoint_path) as file:
            file.write(content)
        self.when_kept()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows so far, one by one."""
        with self._rows_path.open("rb") as file:
            for _ in range(self.checkpoint.frames):
                length, _ = _HEAD.unpack(file.read(_HEAD.size))
                yield pa.ipc.read_record_batch(pa.py_buffer(file.read(length)), SCHEMA)

    def remove(self) -> None:
        """Take both files away: what they held lies elsewhere by now."""
        self._rows.close()
        for path in (self._checkpoint_path, self._rows_path):
            path.unlink(missing_ok=True)

    def _read_checkpoint(self) -> Checkpoint:
        try:
            key, checkpoint = _from_bytes(zstd_decompress(self._checkpoint_path.read_bytes()))
        except (FileNotFoundError, ValueError, EOFError, KeyError, TypeError):
            return Checkpoint()
        return checkpoint if key == self._key else Checkpoint()

    def _open_rows(self) -> BinaryIO:
        """The file of rows, cut behind the last one that counts; where one of these is damaged, all begins anew."""
        self._rows_path.parent.mkdir(parents=True, exist_ok=True)
        self._rows_path.touch()
        rows = self._rows_path.open("r+b")
        if not self._is_whole(rows):
            self.checkpoint = Checkpoint()
        rows.truncate(self.checkpoint.num_bytes)
        rows.seek(self.checkpoint.num_bytes)
        return rows

    def _is_whole(self, rows: BinaryIO) -> bool:
        for _ in range(self.checkpoint.frames):
            head = rows.read(_HEAD.size)
            if len(head) < _HEAD.size:
                return False
            length, checksum = _HEAD.unpack(head)
            if zlib.crc32(rows.read(length)) != checksum:
                return False
        return rows.tell() == self.checkpoint.num_bytes


def _to_bytes(key: str, checkpoint: Checkpoint) -> bytes:
    """Arrays and JSON: nothing that could run when it is read."""
    arrays, stream = checkpoint.stream or ({}, None)
    numbers = {name: getattr(checkpoint, name) for name in _NUMBERS}
    noticed = {name: getattr(checkpoint.oddities, name) for name in ("jumps", "left_out", "doubts")}
    about = {"key": key, **numbers, "oddities": noticed, "stream": stream}
    return arrays_to_bytes({**arrays, _ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8)})


def _from_bytes(content: bytes) -> tuple[str, Checkpoint]:
    """Raises ValueError, KeyError or TypeError for anything else."""
    arrays = arrays_from_bytes(content)
    about = json.loads(arrays.pop(_ABOUT).tobytes())
    key, stream, found = about.pop("key"), about.pop("stream"), about.pop("oddities")
    oddities = Oddities(list(found["jumps"]), Counter(found["left_out"]), Counter(found["doubts"]))
    height_width = about.pop("size_hw")
    size_hw = None if height_width is None else (int(height_width[0]), int(height_width[1]))
    return key, Checkpoint(
        **about, size_hw=size_hw, oddities=oddities, stream=None if stream is None else (arrays, stream)
    )
