"""Which message belongs to a stamp, whichever comes first."""

from __future__ import annotations

import threading
import time

import pytest

from ovsr_ros.nodes import stamp_buffer
from ovsr_ros.nodes.stamp_buffer import Match, StampBuffer


@pytest.fixture
def buffer():
    return StampBuffer[str](3)


def test_an_empty_buffer_has_nothing_and_does_not_wait(buffer):
    wanted = buffer.want(10)
    begin = time.monotonic()
    assert buffer.take(wanted, 0, wait_s=20.0) is None
    assert time.monotonic() - begin < 10.0


@pytest.mark.parametrize("wanted_first", [True, False])
def test_the_same_stamp_is_found_in_either_order(buffer, wanted_first):
    wanted = buffer.want(20) if wanted_first else None
    for stamp in (10, 20, 30):
        buffer.add(stamp, f"at {stamp}")
    assert buffer.take(wanted or buffer.want(20), 0, wait_s=0.0) == Match("at 20", 0)


def test_the_nearest_is_found_and_of_equals_the_later_to_arrive(buffer):
    for stamp, name in ((7, "seven"), (8, "first"), (12, "second")):
        buffer.add(stamp, name)
    assert buffer.take(buffer.want(10), 5, wait_s=0.0) == Match("second", 2)


def test_what_is_wanted_is_kept_however_many_come_after_it(buffer):
    buffer.add(1, "one")
    wanted = buffer.want(1)
    for stamp in range(2, 20):
        buffer.add(stamp, "later")
    assert len(buffer) == 3
    assert buffer.take(wanted, 0, wait_s=0.0) == Match("one", 0)
    assert buffer.take(buffer.want(1), 0, wait_s=0.0) == Match("later", 16), (
        "what is too far away is answered all the same"
    )


def test_an_item_that_is_on_its_way_is_waited_for(buffer):
    buffer.add(1, "earlier")
    wanted = buffer.want(5)
    timer = threading.Timer(0.1, lambda: buffer.add(5, "late"))
    timer.start()
    assert buffer.take(wanted, 0, wait_s=20.0) == Match("late", 0)
    timer.join()


def test_after_a_later_stamp_nothing_is_waited_for(buffer):
    buffer.add(9, "later")
    begin = time.monotonic()
    assert buffer.take(buffer.want(5), 0, wait_s=20.0) == Match("later", 4)
    assert time.monotonic() - begin < 10.0


def test_the_wait_ends(buffer):
    buffer.add(1, "earlier")
    assert buffer.take(buffer.want(5), 0, wait_s=0.05) == Match("earlier", -4)


def test_it_can_be_resized_and_cleared(buffer):
    for stamp in range(5):
        buffer.add(stamp, str(stamp))
    buffer.resize(2)
    assert len(buffer) == 2
    assert buffer.take(buffer.want(0), None, wait_s=0.0) == Match("3", 3)
    wanted = buffer.want(0)
    buffer.clear()
    assert buffer.take(wanted, None, wait_s=0.0) is None
    assert buffer.take(buffer.want(0), None, wait_s=0.0) is None


# --- Several frames in work ---


def test_each_frame_in_work_has_its_own_item(buffer):
    buffer.add(0, "first")
    buffer.add(100, "second")
    one, other = buffer.want(0), buffer.want(100)
    assert buffer.take(one, 0, wait_s=0.0) == Match("first", 0)
    assert buffer.take(other, 0, wait_s=0.0) == Match("second", 0)


def test_frames_whose_items_come_later_and_pass_by_are_served_in_any_order(buffer):
    wanted = {stamp: buffer.want(stamp) for stamp in (10, 20, 30, 40)}
    for stamp in range(10, 100, 10):
        buffer.add(stamp, f"at {stamp}")
    for stamp in (30, 10, 40, 20):
        assert buffer.take(wanted[stamp], 0, wait_s=0.0) == Match(f"at {stamp}", 0)


def test_what_nobody_takes_is_not_kept(buffer):
    forgotten, taken = buffer.want(1), buffer.want(1)
    buffer.forget(forgotten)
    buffer.take(taken, None, wait_s=0.0)
    buffer.add(1, "item")
    assert (forgotten.nearest, taken.nearest) == (None, None)


# --- Stamps that step back ---


@pytest.fixture
def patient(monkeypatch):
    """However slow the machine is, topics that step back together do so in time."""
    monkeypatch.setattr(stamp_buffer, "_STEP_TOGETHER_S", 60.0)


def test_a_step_back_forgets_the_round_before():
    buffer = StampBuffer[str](100)
    for stamp in (0, 10, 20):
        buffer.add(stamp, f"first round {stamp}")
    buffer.add(0, "second round 0")
    assert len(buffer) == 1
    assert buffer.take(buffer.want(10), 0, wait_s=0.0) == Match("second round 0", -10)
    assert buffer.take(buffer.want(0), 0, wait_s=0.0) == Match("second round 0", 0)


def test_a_frame_in_work_keeps_what_it_found_before_the_step():
    buffer = StampBuffer[str](100)
    wanted = buffer.want(20)
    for stamp in (10, 20, 0, 10):
        buffer.add(stamp, f"at {stamp}")
    assert buffer.take(wanted, 0, wait_s=0.0) == Match("at 20", 0)


def test_frames_that_step_back_first_do_not_get_the_round_before_and_wait_for_theirs(patient):
    buffer = StampBuffer[str](100)
    for stamp in (0, 10, 20):
        buffer.add(stamp, "first round")
    buffer.step_back()
    wanted = buffer.want(0)
    buffer.add(30, "late, of the first round")
    timer = threading.Timer(0.05, lambda: buffer.add(0, "second round"))
    timer.start()
    assert buffer.take(wanted, 0, wait_s=20.0) == Match("second round", 0)
    timer.join()
    assert len(buffer) == 1, "what came late is of the round before, too"


def test_items_that_step_back_first_are_kept_for_the_frames_that_follow(patient):
    buffer = StampBuffer[str](100)
    for stamp in (20, 0, 10):
        buffer.add(stamp, f"at {stamp}")
    buffer.step_back()
    assert buffer.take(buffer.want(0), 0, wait_s=0.0) == Match("at 0", 0)


@pytest.mark.parametrize("frames_first", [True, False])
def test_round_after_round_each_step_counts_once(patient, frames_first):
    """Loops shorter than the time in which two topics count as stepping together."""
    buffer = StampBuffer[str](100)
    for number in range(4):
        if number and frames_first:
            buffer.step_back()
        for stamp in (0, 10, 20):
            buffer.add(stamp, f"round {number}")
            if number and stamp == 0 and not frames_first:
                buffer.step_back()
            assert buffer.take(buffer.want(stamp), 0, wait_s=0.0) == Match(f"round {number}", 0)
