"""What is kept of a bag's frames survives its file, and what of the journal is whole survives a kill."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_masks

from ovsr_ros.errors import RecordingError
from ovsr_ros.ops.spatial import SegmentLocations
from ovsr_ros.recordings import files
from ovsr_ros.recordings.ahead import one_ahead
from ovsr_ros.recordings.coco import encode
from ovsr_ros.recordings.compression import zstd_compress
from ovsr_ros.recordings.journal import CHECKPOINT, Journal
from ovsr_ros.recordings.run_lengths import paint_runs, to_runs
from ovsr_ros.recordings.storage import Store
from ovsr_ros.recordings.table import FrameRow, FrameTable, to_batch, write_table

MAPS = arrays.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))


@given(MAPS)
def test_runs_are_the_map(segment_map: np.ndarray) -> None:
    values, lengths = to_runs(segment_map)
    np.testing.assert_array_equal(paint_runs(values, lengths, segment_map.shape), segment_map)
    assert (values[1:] != values[:-1]).all()


def test_runs_longer_than_16_bits_are_cut() -> None:
    segment_map = np.ones((300, 700), np.uint16)
    segment_map[-1, -1] = 2
    values, lengths = to_runs(segment_map)
    np.testing.assert_array_equal(paint_runs(values, lengths, segment_map.shape), segment_map)
    with pytest.raises(ValueError, match="expected 210000 pixels in all, got 209999"):
        paint_runs(values[:-1], lengths[:-1], segment_map.shape)


@given(MAPS)
def test_masks_are_what_pycocotools_reads(segment_map: np.ndarray) -> None:
    ids = np.arange(1, 5, dtype=np.uint16)
    for id, counts in zip(ids, encode(segment_map, ids), strict=True):
        mask = np.asfortranarray((segment_map == id).astype(np.uint8))
        assert counts == coco_masks.encode(mask)["counts"].decode()


def new_row(number: int, count: int = 3, has_places: bool = False) -> FrameRow:
    rng = np.random.default_rng(number)
    segment_map = np.sort(rng.integers(0, count + 1, (6, 8))).astype(np.uint16)
    values, lengths = to_runs(segment_map)
    place = None
    if has_places:
        points = [rng.random((count, 3), np.float32) for _ in range(3)]
        place = SegmentLocations(np.arange(count), np.array([np.nan, *rng.random(count - 1)], np.float32), *points)
    return FrameRow(
        stamp_ns=10**18 + number,
        log_ns=10**18 + 2 * number,
        frame_id="kamera-ö",
        size_hw=(6, 8),
        run_values=values,
        run_lengths=lengths,
        track_ids=rng.integers(0, 2**32, count, np.uint32),
        boxes_xyxy=rng.integers(0, 8, (count, 4), np.int32),
        areas_px=rng.integers(0, 48, count, np.int32),
        centroids_xy=rng.random((count, 2), np.float32),
        embeddings=rng.standard_normal((count, 5)).astype(np.float16),
        locations=place,
    )


def assert_same(first: FrameRow, second: FrameRow) -> None:
    for name in FrameRow.__dataclass_fields__:
        if name != "locations":
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name), name)
    assert (first.locations is None) == (second.locations is None)
    if first.locations is not None:
        for name in SegmentLocations.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(first.locations, name), getattr(second.locations, name), name)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [new_row(number, has_places=number % 2 == 1) for number in range(130)]
    rows.append(empty_row())
    assert write_table(tmp_path / "a.parquet", iter([to_batch(rows[:70]), to_batch(rows[70:])]), {"clip": "x"}) == 131
    with FrameTable(tmp_path / "a.parquet") as table:
        assert (len(table), table.about) == (131, {"clip": "x"})
        for first, second in zip(rows[:-1], table.rows(), strict=False):
            assert_same(first, second)
        assert len(list(table.rows())[-1]) == 0
        np.testing.assert_array_equal(rows[0].segment_map(), next(table.rows()).segment_map())


def empty_row() -> FrameRow:
    return FrameRow(
        0,
        0,
        "",
        (6, 8),
        np.zeros(1, np.uint16),
        np.full(1, 48, np.uint16),
        np.zeros(0, np.uint32),
        np.zeros((0, 4), np.int32),
        np.zeros(0, np.int32),
        np.zeros((0, 2), np.float32),
        np.zeros((0, 5), np.float16),
    )


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text(json.dumps({}))
    with pytest.raises(RecordingError, match="expected the frames that `ovsr bags label` keeps"):
        FrameTable(tmp_path / "a.parquet")


def rows_of(journal: Journal) -> int:
    return sum(batch.num_rows for batch in journal.batches())


def test_the_journal_goes_on_behind_the_last_frame_that_was_kept(tmp_path: Path) -> None:
    with Journal(tmp_path, "key") as journal:
        for number in range(3):
            journal.append(new_row(number))
            journal.checkpoint.taken += 1
            journal.keep()
        journal.append(new_row(3))  # and killed before it is kept
    file = tmp_path / ".frames.journal"
    file.write_bytes(file.read_bytes() + b"half a record")
    with Journal(tmp_path, "key") as journal:
        assert (journal.checkpoint.taken, journal.checkpoint.frames, rows_of(journal)) == (3, 3, 3)
        journal.append(new_row(3))
        journal.keep()
        assert rows_of(journal) == 4
    with Journal(tmp_path, "another key") as journal:
        assert (journal.checkpoint.frames, rows_of(journal)) == (0, 0)
        journal.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [".frames.journal", ".frames.checkpoint"])
def test_a_journal_that_is_damaged_begins_anew(tmp_path: Path, name: str) -> None:
    with Journal(tmp_path, "key") as journal:
        for number in range(3):
            journal.append(new_row(number))
            journal.keep()
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / name).write_bytes(content)
    with Journal(tmp_path, "key") as journal:
        assert (journal.checkpoint.frames, rows_of(journal)) == (0, 0)


def test_rows_of_which_no_checkpoint_told_are_not_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may be lost between a piece of the rows and the checkpoint that counts them."""
    monkeypatch.setattr(files, "_KEEP_EVERY_S", 0.0)
    store = Store.at("memory://resumed/room")

    def work(machine: str, key: str, *rows: FrameRow) -> int:
        """Go on as a machine does; returns how many rows it found."""
        here = files.StoredFiles(tmp_path, tmp_path / machine, store=store)
        here.resume("")
        with Journal(here.folder, key) as journal:
            found = journal.checkpoint.frames
            journal.when_kept = here.keeper("")
            for row in rows:
                journal.append(row)
                journal.keep()
        return found

    assert work("first", "key", new_row(0), new_row(1)) == 0
    told = store.within(CHECKPOINT).read()
    assert work("second", "key", new_row(9, count=400)) == 2
    store.within(CHECKPOINT).write(told)  # its last one never came
    assert work("third", "key", new_row(2), new_row(3)) == 2
    assert work("fourth", "key") == 4
    assert work("fifth", "another key", new_row(7)) == 0
    assert work("sixth", "another key") == 1


class Bomb:
    """What a pickle can do when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("content", [pickle.dumps, lambda bomb: zstd_compress(pickle.dumps(bomb))])
def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, content) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".frames.checkpoint").write_bytes(content(Bomb(tmp_path / "ran")))
    with Journal(tmp_path / "work", "key") as journal:
        assert journal.checkpoint.taken == 0
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.uint32).reshape(2, 3), "none": np.zeros((0, 4), np.float32)}
    with Journal(tmp_path, "key") as journal:
        checkpoint = journal.checkpoint
        checkpoint.taken, checkpoint.next_id, checkpoint.size_hw, checkpoint.lead_in = 7, 9, (6, 8), 2
        checkpoint.stream = (arrays, {"time_s": 0.1 + 0.2, "never": -math.inf})
        checkpoint.oddities.left_out["torn"] += 2
        checkpoint.oddities.jumps.append("back")
        journal.keep()
    with Journal(tmp_path, "key") as journal:
        found = journal.checkpoint
    kept, plain = found.stream
    assert plain == checkpoint.stream[1]
    for name, values in arrays.items():
        np.testing.assert_array_equal(kept[name], values)
        assert kept[name].dtype == values.dtype
    found.stream = checkpoint.stream
    assert found == checkpoint


def test_what_is_made_ahead_comes_in_order_and_fails_where_it_would_have() -> None:
    def items():
        yield from range(5)
        raise OSError("torn")

    found = []
    with pytest.raises(OSError, match="torn"):
        found.extend(one_ahead(items()))
    assert list(one_ahead(iter(range(5)))) == list(range(5))
    assert next(one_ahead(items())) == 0
    taken = one_ahead(items())
    assert [next(taken) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="torn"):
        next(taken)
