"""The journal holds every row that was written whole, and nothing of another run."""

import dataclasses
import json

import pytest

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.journal import Journal
from ovsr_ros.evaluation.protocols import ImageRow

HEADER = {"predictor": {"options": {"a": 1, "b": [1, 2]}}, "code": "x"}


def row_of(index, **changes):
    row = ImageRow(
        index=index,
        name=f"image {index}",
        labelled=((0, 1, 30), (1, 2, 4)),
        hungarian=None,
        boundary=(0.1 + 0.2, 1 / 3),
        class_boundary=((0, 0.7), (1, 0.0)),
        cluster_boundary=None,
        objects=(3, 2, 1),
        num_segments=8,
        seconds=0.1,
    )
    return dataclasses.replace(row, **changes)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "out" / "journal.jsonl"
    with Journal.open(path, HEADER) as journal:
        for index in (4, 0, 2):
            journal.add(row_of(index))
    return path


def read(path, header=HEADER):
    with Journal.open(path, header) as journal:
        return dict(journal.rows)


def test_rows_come_back_as_they_were(path):
    assert read(path) == {index: row_of(index) for index in (4, 0, 2)}


def test_a_row_is_in_the_file_at_once(path):
    with Journal.open(path, HEADER) as journal:
        journal.add(row_of(7))
        assert json.loads(path.read_text().splitlines()[-1])["index"] == 7


def test_a_row_is_counted_once(path):
    with Journal.open(path, HEADER) as journal:
        journal.add(row_of(4, num_segments=99))
    assert len(path.read_text().splitlines()) == 4
    assert read(path)[4].num_segments == 8
    with path.open("a") as file:
        file.write(path.read_text().splitlines()[1].replace('"num_segments":8', '"num_segments":99') + "\n")
    assert read(path)[4].num_segments == 8


@pytest.mark.parametrize("kept", [1, 20, -2, -1])
def test_a_torn_last_line_is_dropped_and_the_next_row_is_whole(path, kept):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    assert set(read(path)) == {4, 0}
    with Journal.open(path, HEADER) as journal:
        journal.add(row_of(2))
        journal.add(row_of(3))
    assert set(read(path)) == {4, 0, 2, 3}


def test_a_damaged_line_is_judged_again(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b'{"index": 5}\n', b"\xff\xfe\n", b"[]\n", *lines[2:]]))
    assert set(read(path)) == {4, 0, 2}


@pytest.mark.parametrize("left_out", [1, 20])
def test_a_torn_header_begins_anew(path, left_out):
    header = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(header[:-left_out])
    assert read(path) == {}
    with Journal.open(path, HEADER) as journal:
        journal.add(row_of(1))
    assert set(read(path)) == {1}


def test_another_runs_journal_is_put_aside_with_a_message(path, caplog):
    before = path.read_bytes()
    other = {"predictor": {"options": {"a": 1, "b": [1, 3]}}, "code": "y"}
    assert read(path, other) == {}
    assert "other predictor.options.b, code; put aside as journal.jsonl.old" in caplog.text
    assert (path.parent / "journal.jsonl.old").read_bytes() == before
    assert read(path, other) == {}
    assert set(read(path.rename(path.with_name("x")).with_name("journal.jsonl.old"))) == {4, 0, 2}


def test_tuples_and_lists_are_one_header(path):
    assert set(read(path, {"predictor": {"options": {"a": 1, "b": (1, 2)}}, "code": "x"})) == {4, 0, 2}


def test_two_runs_do_not_share_a_journal(path):
    with Journal.open(path, HEADER) as journal:
        with pytest.raises(ConfigError, match="another run is writing it"):
            Journal.open(path, HEADER)
        journal.add(row_of(9))
    assert set(read(path)) == {4, 0, 2, 9}


def test_a_journal_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"journal: .*journal\.jsonl: cannot be written"):
        Journal.open(tmp_path / "file" / "journal.jsonl", HEADER)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        Journal.open(tmp_path / "folder", HEADER)
