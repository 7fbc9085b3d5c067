"""Which message belongs to a stamp, whichever comes first."""

from __future__ import annotations

import threading
import time

import pytest

from ovsr_ros.nodes.stamp_buffer import Match, StampBuffer


@pytest.fixture
def buffer():
    return StampBuffer[str](3)


def test_an_empty_buffer_has_nothing_and_does_not_wait(buffer):
    buffer.want(10)
    begin = time.monotonic()
    assert buffer.take(0, wait_s=20.0) is None
    assert time.monotonic() - begin < 10.0


@pytest.mark.parametrize("wanted_first", [True, False])
def test_the_same_stamp_is_found_in_either_order(buffer, wanted_first):
    steps = [lambda: buffer.want(20), lambda: [buffer.add(stamp, f"at {stamp}") for stamp in (10, 20, 30)]]
    for step in steps if wanted_first else reversed(steps):
        step()
    assert buffer.take(0, wait_s=0.0) == Match("at 20", 0)


def test_the_nearest_is_found_and_of_equals_the_later_to_arrive(buffer):
    for stamp, name in ((7, "seven"), (12, "first"), (8, "second")):
        buffer.add(stamp, name)
    buffer.want(10)
    assert buffer.take(5, wait_s=0.0) == Match("second", -2)


def test_what_is_wanted_is_kept_however_many_come_after_it(buffer):
    buffer.add(1, "one")
    buffer.want(1)
    for stamp in range(2, 20):
        buffer.add(stamp, "later")
    assert len(buffer) == 3
    assert buffer.take(0, wait_s=0.0) == Match("one", 0)
    buffer.want(1)
    assert buffer.take(0, wait_s=0.0) == Match("later", 16), "what is too far away is answered all the same"


def test_an_item_that_is_on_its_way_is_waited_for(buffer):
    buffer.add(1, "earlier")
    buffer.want(5)
    timer = threading.Timer(0.1, lambda: buffer.add(5, "late"))
    timer.start()
    assert buffer.take(0, wait_s=20.0) == Match("late", 0)
    timer.join()


def test_after_a_later_stamp_nothing_is_waited_for(buffer):
    buffer.add(9, "later")
    buffer.want(5)
    begin = time.monotonic()
    assert buffer.take(0, wait_s=20.0) == Match("later", 4)
    assert time.monotonic() - begin < 10.0


def test_the_wait_ends(buffer):
    buffer.add(1, "earlier")
    buffer.want(5)
    assert buffer.take(0, wait_s=0.05) == Match("earlier", -4)


def test_it_can_be_resized_and_cleared(buffer):
    for stamp in range(5):
        buffer.add(stamp, str(stamp))
    buffer.resize(2)
    assert len(buffer) == 2
    buffer.want(0)
    assert buffer.take(None, wait_s=0.0) == Match("3", 3)
    buffer.clear()
    buffer.want(0)
    assert buffer.take(None, wait_s=0.0) is None
