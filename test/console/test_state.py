"""What a node says, as the page shows it."""

from __future__ import annotations

import pytest
from hand_clock import HandClock

from ovsr_ros.console.state import ERROR, OK, WARN, FrameSegments, Health, NodeRecord, SegmentInfo, describe_seconds
from ovsr_ros.vocabulary.category import CategoryRequest, Operation
from ovsr_ros.vocabulary.registry import VocabularyRegistry


@pytest.fixture
def clock():
    return HandClock(50.0)


@pytest.fixture
def record(clock):
    """Of a node that is there, watched, and has two words."""
    record = NodeRecord("/a", clock)
    registry = VocabularyRegistry()
    requests = [CategoryRequest("mug"), CategoryRequest("ball")]
    record.set_present(True)
    record.set_watched(True)
    record.set_vocabulary(registry.commit(registry.propose(Operation.REPLACE, requests)))
    return record


def frame(**areas):
    segments = tuple(
        SegmentInfo(number, 0, int(id.removeprefix("c")), "", 0.5, (), (0, 0, 1, 1), area)
        for number, (id, area) in enumerate(areas.items(), start=1)
    )
    return FrameSegments(1, 1, 10, 10, segments)


def test_shares_are_those_of_the_last_frame_and_unseen_words_say_for_how_long(record, clock):
    assert record.snapshot().uses[0].unseen_s == 0.0
    record.set_segments(frame(c0=25, c255=75))
    clock.now += 7.0
    record.set_segments(frame(c1=10))
    uses = record.snapshot().uses
    assert (uses[0].share, uses[0].unseen_s) == (0.0, 7.0)
    assert (uses[1].share, uses[1].unseen_s) == (0.1, 0.0)
    clock.now += 5.0
    assert record.snapshot().uses[0].unseen_s == 12.0
    assert record.snapshot().picture_age_s == 5.0


def test_a_word_that_comes_back_counts_from_then(record, clock):
    registry = VocabularyRegistry()
    both = registry.commit(registry.propose(Operation.REPLACE, [CategoryRequest("mug"), CategoryRequest("ball")]))
    one = registry.commit(registry.propose(Operation.REMOVE, [CategoryRequest("mug")]))
    record.set_vocabulary(both)
    record.snapshot()
    clock.now += 100.0
    record.set_vocabulary(one)
    record.snapshot()
    clock.now += 100.0
    record.set_vocabulary(both)
    assert record.snapshot().uses[0].unseen_s == 0.0


def test_what_is_wrong_is_told_the_worst_first(record):
    record.set_health(
        [Health("vocabulary", WARN, "no words"), Health("name", OK, "fine"), Health("worker", ERROR, "x")]
    )
    state = record.snapshot()
    assert state.problems() == ["worker: x", "vocabulary: no words"]
    assert state.worst == ERROR
    record.set_health([Health("worker", OK, "y"), Health("vocabulary", OK, "z")])
    assert record.snapshot().problems() == []


def test_a_node_that_goes_silent_is_told_and_one_that_is_gone(record, clock):
    record.set_health([Health("image input", OK, "fine", (("topic", "/cam"),))])
    assert record.snapshot().find_health("image input").value("topic") == "/cam"
    clock.now += 6.0
    assert record.snapshot().problems() == ["/a has said nothing for 6 s: it is stuck or gone"]
    record.set_present(False)
    clock.now += 90.0
    state = record.snapshot()
    assert "/a is not on the network, since 2 min" in state.problems()[0]
    assert state.health == ()
    record.set_present(True)
    assert record.snapshot().problems() == []


def test_every_change_is_another_revision_and_time_is_none(record, clock):
    revisions = [record.snapshot().revision]
    for change in (
        lambda: record.set_segments(frame(c0=1)),
        lambda: record.set_health([]),
        lambda: record.set_present(False),
    ):
        change()
        clock.now += 1.0
        revisions.append(record.snapshot().revision)
    assert len(set(revisions)) == 4
    record.set_present(False)
    assert record.snapshot().revision == revisions[-1]


def test_durations_are_in_words():
    assert [describe_seconds(seconds) for seconds in (0.4, 59, 61, 3599, 7200)] == [
        "0 s",
        "59 s",
        "1 min",
        "60 min",
        "2 h",
    ]
