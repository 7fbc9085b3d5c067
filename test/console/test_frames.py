"""Pictures and maps of segments as browsers get them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsr_ros.console.frames import Newest, Picture, from_runs, pack, to_runs, unpack


@given(
    st.integers(1, 20),
    st.integers(1, 30),
    st.integers(0, 3),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 99),
)
def test_a_map_is_the_same_after_it_was_runs(height, width, most, dtype, seed):
    segment_map = np.random.default_rng(seed).integers(0, most + 1, (height, width)).astype(dtype)
    assert np.array_equal(from_runs(to_runs(segment_map), height, width), segment_map)


def test_runs_longer_than_a_number_are_several():
    segment_map = np.zeros((400, 500), np.uint16)
    segment_map[300:] = 7
    runs = to_runs(segment_map)
    assert len(runs) == 4 * (3 + 1)
    assert np.array_equal(from_runs(runs, 400, 500), segment_map)
    assert to_runs(np.zeros((1, 65535), np.uint8)) == b"\0\0\xff\xff"


def test_a_picture_is_unpacked_as_it_was_packed():
    packed = pack({"stamp": "17", "name": "é"}, b"jpeg", b"", b"\0\1")
    assert unpack(packed) == ({"stamp": "17", "name": "é"}, [b"jpeg", b"", b"\0\1"])
    with pytest.raises(ValueError, match="bytes"):
        unpack(packed + b"!")


def test_only_the_newest_picture_is_there_and_each_is_told_of():
    newest, told = Newest(), []
    end = newest.listen(lambda: told.append(newest.take(0)))
    assert newest.take(0) is None
    for number in range(3):
        newest.put(Picture(number, b"%d" % number))
    assert newest.take(0) == (3, Picture(2, b"2"))
    assert newest.take(3) is None
    assert [number for number, _ in told] == [1, 2, 3]
    end()
    end()
    newest.put(Picture(9, b"9"))
    assert len(told) == 3
    assert newest.take(3) == (4, Picture(9, b"9"))
    newest.clear()
    assert newest.take(0) is None
