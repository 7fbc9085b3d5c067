"""Which message belongs to a stamp, whichever comes first."""

from __future__ import annotations

import threading
import time

import pytest
from hand_clock import HandClock

from ovsr_ros.nodes.input.stamp_buffer import Match, StampBuffer


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


def test_what_nobody_holds_any_more_is_not_kept(buffer):
    kept, dropped, taken = buffer.want(1), buffer.want(1), buffer.want(1)
    buffer.take(taken, None, wait_s=0.0)
    del dropped
    buffer.add(1, "item")
    assert (kept.nearest, taken.nearest) == (Match("item", 0), None)
    assert len(buffer._wanted) == 1


# --- Stamps that step back: rounds of a recording ---


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def rounds(clock):
    """A buffer that holds several rounds."""
    return StampBuffer[str](100, clock=clock)


def found(buffer, wanted):
    """What belongs to a frame, at its own stamp; None where it has none."""
    match = buffer.take(wanted, 0, wait_s=0.0)
    return match.item if match is not None and match.offset_ns == 0 else None


def test_after_a_step_back_the_round_before_is_nobodys(rounds):
    for stamp in (0, 10, 20):
        rounds.want(stamp)
        rounds.add(stamp, f"first {stamp}")
    rounds.add(0, "second 0")
    frames = [rounds.want(stamp) for stamp in (0, 10)]
    assert [found(rounds, frame) for frame in frames] == ["second 0", None]


@pytest.mark.parametrize(
    ("length", "ahead", "lost"),
    [
        (2, 0, {}),
        (3, 0, {}),
        (10, 0, {(1, 0), (3, 9), (4, 1)}),
        (10, 2, {(1, 0), (3, 9), (4, 1)}),
        (10, -2, {(1, 0), (3, 9), (4, 1)}),
    ],
)
@pytest.mark.parametrize("items_first", [True, False])
def test_every_frame_has_its_own_rounds_item(rounds, length, ahead, lost, items_first):
    """Every round has the same stamps; items come before or after their frames, and some are lost."""
    frames = [(number, index) for number in range(6) for index in range(length)]
    wanted = {}
    for at in range(-2, len(frames) + 2):
        events = [("item", at + ahead), ("frame", at)]
        for kind, place in events if items_first else reversed(events):
            if not 0 <= place < len(frames):
                continue
            number, index = frames[place]
            if kind == "frame":
                wanted[number, index] = rounds.want(100 + 10 * index)
            elif (number, index) not in lost:
                rounds.add(100 + 10 * index, f"round {number}")
    for (number, index), frame in wanted.items():
        assert found(rounds, frame) == (None if (number, index) in lost else f"round {number}")


def test_a_frame_that_waits_for_its_turn_keeps_what_it_found_before_the_step(rounds):
    waiting = rounds.want(20)
    for number, stamp in enumerate((10, 20, 0, 10, 20)):
        rounds.add(stamp, f"item {number}")
    assert found(rounds, waiting) == "item 1"


def test_a_frame_of_the_round_before_waits_no_longer_once_items_have_stepped_back(rounds):
    frame = rounds.want(30)
    for stamp in (10, 20, 0):
        rounds.add(stamp, f"at {stamp}")
    begin = time.monotonic()
    assert rounds.take(frame, 0, wait_s=20.0) == Match("at 20", -10)
    assert time.monotonic() - begin < 10.0


def test_a_frame_of_the_new_round_waits_though_later_stamps_of_the_old_one_come():
    buffer = StampBuffer[str](100)
    for stamp in (0, 10, 20):
        buffer.want(stamp)
        buffer.add(stamp, "first")
    frame = buffer.want(0)
    buffer.add(30, "late, of the first")
    timer = threading.Timer(0.05, lambda: buffer.add(0, "second"))
    timer.start()
    assert buffer.take(frame, 0, wait_s=20.0) == Match("second", 0)
    timer.join()


@pytest.mark.parametrize("who", ["frames", "items"])
def test_if_only_one_of_them_steps_back_the_other_goes_on_after_a_moment(rounds, clock, who):
    for stamp in (100, 110, 120):
        rounds.want(stamp)
        rounds.add(stamp, "before")
    step = (lambda: rounds.want(0)) if who == "frames" else (lambda: rounds.add(0, "the other clock"))
    step()
    clock.now += 3.0
    for stamp in (200, 210):
        rounds.add(stamp, "after")
        assert found(rounds, rounds.want(stamp)) == "after"


def test_stamps_slightly_out_of_order_begin_nothing_anew(rounds):
    for stamp in (0, 100, 200, 150, 300, 260):
        frame = rounds.want(stamp)
        rounds.add(stamp, f"at {stamp}")
        assert found(rounds, frame) == f"at {stamp}"
    assert len(rounds) == 6


def test_items_that_hold_for_every_round_are_kept():
    buffer = StampBuffer[str](100, has_rounds=False)
    buffer.add(100, "once for all")
    for stamp in (100, 110, 120, 0, 10, 120):
        match = buffer.take(buffer.want(stamp), None, wait_s=0.0)
        assert match is not None
        assert match.item == "once for all"
