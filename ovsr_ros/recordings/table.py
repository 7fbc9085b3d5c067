"""What is kept of each frame, in a Parquet file a bag: segment map and segments' embeddings, without words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ovsr_ros.atomic_file import write_atomically
from ovsr_ros.errors import RecordingError
from ovsr_ros.ops.spatial import SegmentLocations
from ovsr_ros.recordings.ahead import one_ahead
from ovsr_ros.recordings.run_lengths import paint_runs

ROWS_AT_ONCE = 32
_ROWS_PER_GROUP = 64
_ABOUT = b"ovsr"

_LISTS = {
    "run_values": pa.uint16(),
    "run_lengths": pa.uint16(),
    "track_ids": pa.uint32(),
    "boxes_xyxy": pa.int32(),
    "areas_px": pa.int32(),
    "centroids_xy": pa.float32(),
    "embeddings": pa.float16(),
    "depth_counts": pa.int64(),
    "locations_m": pa.float32(),
}
SCHEMA = pa.schema(
    [
        ("stamp_ns", pa.int64()),
        ("log_ns", pa.int64()),
        ("frame_id", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        *((name, pa.list_(kind)) for name, kind in _LISTS.items()),
    ]
)
"""A row a frame. Of N segments, boxes_xyxy has 4 N values, centroids_xy 2 N, embeddings N times their width;
locations_m (distance, position, box_min, box_max) 10 N, or none where there was no depth."""


@dataclass(frozen=True)
class FrameRow:
    """A frame without words. Arrays as in `Segmentation` and `Segments`, N segments with the ids 1 to N.

    stamp_ns: of the image's header. log_ns: when the image was recorded. run_values, run_lengths: see `to_runs`.
    embeddings: (N, D) float16. locations: where the segments are; None: unknown.
    """

    stamp_ns: int
    log_ns: int
    frame_id: str
    size_hw: tuple[int, int]
    run_values: NDArray[np.uint16]
    run_lengths: NDArray[np.uint16]
    track_ids: NDArray[np.uint32]
    boxes_xyxy: NDArray[np.int32]
    areas_px: NDArray[np.int32]
    centroids_xy: NDArray[np.float32]
    embeddings: NDArray[np.float16]
    locations: SegmentLocations | None = None

    def __len__(self) -> int:
        return len(self.track_ids)

    def segment_map(self) -> NDArray[np.uint16]:
        """(H, W) uint16: segment id per pixel, 0 none. Raises ValueError for runs of another size."""
        return paint_runs(self.run_values, self.run_lengths, self.size_hw)


def to_batch(rows: Sequence[FrameRow]) -> pa.RecordBatch:
    """Rows as Arrow has them."""
    plain: list[list[Any]] = [
        [row.stamp_ns for row in rows],
        [row.log_ns for row in rows],
        [row.frame_id for row in rows],
        [row.size_hw[0] for row in rows],
        [row.size_hw[1] for row in rows],
    ]
    columns = [pa.array(values, kind.type) for values, kind in zip(plain, SCHEMA, strict=False)]
    for name, kind in _LISTS.items():
        parts = [_part(row, name) for row in rows]
        ends = np.cumsum([0, *(part.size for part in parts)]).astype(np.int32)
        flat = np.concatenate([part.reshape(-1) for part in parts])
        columns.append(pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat, kind)))
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def from_batch(batch: pa.RecordBatch) -> Iterator[FrameRow]:
    """The rows of a batch."""
    plain = [batch.column(name).to_pylist() for name in SCHEMA.names[:5]]
    lists = {name: _split(batch.column(name)) for name in _LISTS}
    for index, (stamp_ns, log_ns, frame_id, height, width) in enumerate(zip(*plain, strict=True)):
        part = {name: values[index] for name, values in lists.items()}
        count = len(part["track_ids"])
        yield FrameRow(
            stamp_ns,
            log_ns,
            frame_id,
            (height, width),
            part["run_values"],
            part["run_lengths"],
            part["track_ids"],
            part["boxes_xyxy"].reshape(count, 4),
            part["areas_px"],
            part["centroids_xy"].reshape(count, 2),
            part["embeddings"].reshape(count, -1 if count else 0),
            _locations(part["depth_counts"], part["locations_m"]),
        )


def write_table(path: Path, batches: Iterator[pa.RecordBatch], about: Mapping[str, object]) -> int:
    """All rows into one file, whole or not at all; how many they were. about: kept with them, as JSON.

    Raises OSError.
    """
    schema = SCHEMA.with_metadata({_ABOUT: json.dumps(about, sort_keys=True).encode()})
    count, pending, num_pending = 0, [], 0
    with write_atomically(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in batches:
            pending.append(batch)
            num_pending += batch.num_rows
            count += batch.num_rows
            if num_pending >= _ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_batches(pending, SCHEMA).cast(schema))
                pending, num_pending = [], 0
        if pending:
            writer.write_table(pa.Table.from_batches(pending, SCHEMA).cast(schema))
    return count


class FrameTable:
    """A bag's file of frames. Raises RecordingError where it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pq.ParquetFile(path)
            self.about: dict[str, Any] = json.loads((self._file.schema_arrow.metadata or {})[_ABOUT])
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise RecordingError(f"{path}: expected the frames that `ovsr bags label` keeps: {error}") from error

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def __enter__(self) -> FrameTable:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def rows(self) -> Iterator[FrameRow]:
        """Row by row, a few in memory at a time."""
        for batch in one_ahead(iter(self._file.iter_batches(ROWS_AT_ONCE, use_threads=False))):
            yield from from_batch(batch)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some of the columns, a row group at a time."""
        for group in range(self._file.num_row_groups):
            yield from self._file.read_row_group(group, list(columns)).combine_chunks().to_batches()


def _part(row: FrameRow, name: str) -> NDArray[Any]:
    if name not in ("depth_counts", "locations_m"):
        return np.asarray(getattr(row, name))
    place = row.locations
    if place is None:
        return np.zeros(0, _LISTS[name].to_pandas_dtype())
    if name == "depth_counts":
        return place.depth_counts.astype(np.int64)
    return np.concatenate(
        (place.distances_m[:, None], place.positions_m, place.box_min_m, place.box_max_m), 1, dtype=np.float32
    )


def _locations(counts: NDArray[np.int64], values: NDArray[np.float32]) -> SegmentLocations | None:
    if not len(counts):
        return None
    columns = values.reshape(len(counts), 10)
    return SegmentLocations(counts, columns[:, 0], columns[:, 1:4], columns[:, 4:7], columns[:, 7:10])


def _split(column: pa.ListArray) -> list[NDArray[Any]]:
    """Each row's values, views of the column's."""
    ends = column.offsets.to_numpy()
    values = column.values.to_numpy(zero_copy_only=False)
    return [values[begin:end] for begin, end in pairwise(ends)]
