"""The newest item is processed, once; nothing is lost without being counted."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from ovsr_ros.nodes.worker import NewestItemWorker

TIMEOUT_S = 10.0


class Recorder:
    """Processes items one by one, each when `go` is released."""

    def __init__(self):
        self.items, self.errors = [], []
        self.busy, self.go, self.done = threading.Semaphore(0), threading.Semaphore(0), threading.Semaphore(0)
        self.worker = NewestItemWorker("test", self.process, self.failed)

    def process(self, item, arrival, wait_for_turn):
        self.busy.release()
        assert self.go.acquire(timeout=TIMEOUT_S)
        self.items.append(item)
        self.done.release()
        if isinstance(item, Exception):
            raise item

    def failed(self, error):
        self.errors.append(error)

    def finish_one(self):
        self.go.release()
        assert self.done.acquire(timeout=TIMEOUT_S)


@pytest.fixture
def recorder():
    recorder = Recorder()
    recorder.worker.start()
    yield recorder
    for _ in range(10):
        recorder.go.release()
    assert recorder.worker.stop(TIMEOUT_S)


def test_an_item_waits_for_the_wake(recorder):
    recorder.worker.offer("a", key=1)
    assert not recorder.busy.acquire(timeout=0.05)
    recorder.worker.wake()
    assert recorder.busy.acquire(timeout=TIMEOUT_S)


def test_a_wake_waits_for_the_item(recorder):
    recorder.worker.wake()
    recorder.worker.offer("a", key=1)
    assert recorder.busy.acquire(timeout=TIMEOUT_S)


def test_items_that_come_while_it_is_busy_are_dropped_but_the_newest(recorder):
    worker = recorder.worker
    worker.offer(0, key=0)
    worker.wake()
    assert recorder.busy.acquire(timeout=TIMEOUT_S)
    for number in range(1, 6):
        worker.offer(number, key=number)
        worker.wake()
    recorder.finish_one()
    recorder.finish_one()
    assert recorder.items == [0, 5]
    recorder.worker.stop(TIMEOUT_S)
    counts = worker.counts
    assert (counts.received, counts.processed, counts.dropped) == (6, 2, 4)


def test_one_item_is_processed_once_however_often_it_is_woken(recorder):
    recorder.worker.offer("a", key=1)
    recorder.worker.wake()
    recorder.finish_one()
    for _ in range(5):
        recorder.worker.wake()
    assert recorder.busy.acquire(timeout=TIMEOUT_S)
    assert not recorder.busy.acquire(timeout=0.05)


def test_the_same_key_is_not_taken_again_but_no_key_always_is(recorder):
    worker = recorder.worker
    for key, count in ((7, 1), (7, 1), (None, 2), (None, 3)):
        worker.offer(key, key=key)
        worker.wake()
        if len(recorder.items) < count:
            recorder.finish_one()
        assert len(recorder.items) == count
    assert worker.counts.repeated == 1


def test_it_rests_until_the_next_wake_and_keeps_the_newest_item(recorder):
    worker = recorder.worker
    worker.wake()
    worker.rest()
    assert worker.is_resting
    for number in range(3):
        worker.offer(number, key=number)
    assert not recorder.busy.acquire(timeout=0.05)
    assert (worker.counts.received, worker.counts.rested, worker.counts.dropped) == (3, 2, 0)
    worker.wake()
    assert not worker.is_resting
    recorder.finish_one()
    assert recorder.items == [2]


def test_a_rest_takes_back_the_wake_that_came_while_it_was_busy(recorder):
    worker = recorder.worker
    worker.offer("a", key=1)
    worker.wake()
    assert recorder.busy.acquire(timeout=TIMEOUT_S)
    worker.offer("b", key=2)
    worker.wake()
    worker.rest()
    recorder.finish_one()
    assert not recorder.busy.acquire(timeout=0.05)
    assert recorder.items == ["a"]


def test_an_error_is_reported_and_the_next_item_tried(recorder):
    error = ValueError("spoilt")
    for item in (error, "good"):
        recorder.worker.offer(item, key=None)
        recorder.worker.wake()
        recorder.finish_one()
    assert recorder.worker.stop(TIMEOUT_S)
    assert recorder.errors == [error]
    assert recorder.items == [error, "good"]
    assert (recorder.worker.counts.failed, recorder.worker.counts.processed) == (1, 1)


def test_an_error_while_reporting_does_not_end_the_thread(capsys):
    processed = threading.Event()

    def process(item, arrival, wait_for_turn):
        if item == "bad":
            raise ValueError("spoilt")
        processed.set()

    def report(error):
        raise RuntimeError("the log is full")

    worker = NewestItemWorker("test", process, report)
    worker.start()
    for item in ("bad", "good"):
        worker.offer(item, key=None)
        worker.wake()
        while item == "bad" and not worker.counts.failed:
            threading.Event().wait(0.005)
    assert processed.wait(TIMEOUT_S)
    assert worker.stop(TIMEOUT_S)
    assert "the log is full" in capsys.readouterr().err


def test_it_starts_again_after_a_stop_without_what_was_left(recorder):
    worker = recorder.worker
    worker.offer("left", key=1)
    assert worker.stop(TIMEOUT_S)
    assert not worker.is_alive
    worker.start()
    worker.wake()
    assert not recorder.busy.acquire(timeout=0.05)
    worker.offer("new", key=1)
    worker.wake()
    recorder.finish_one()
    assert recorder.items == ["new"]
    assert worker.counts.dropped == 1


def test_stop_says_when_an_item_is_still_in_work(recorder):
    recorder.worker.offer("slow", key=1)
    recorder.worker.wake()
    assert recorder.busy.acquire(timeout=TIMEOUT_S)
    assert not recorder.worker.stop(0.02)
    with pytest.raises(RuntimeError, match="already started"):
        recorder.worker.start()
    recorder.finish_one()
    assert recorder.worker.stop(TIMEOUT_S)


class Pair:
    """Two threads; each item waits for `go[item]`, then for its turn, and is noted."""

    def __init__(self, *items):
        self.begun, self.done, self.errors = [], [], []
        self.started = threading.Semaphore(0)
        self.finished = threading.Semaphore(0)
        self.go = {item: threading.Event() for item in items}
        self.prepared = []
        self.worker = NewestItemWorker("test", self.process, self.errors.append)
        self.worker.start(2, lambda: self.prepared.append(threading.get_ident()))

    def process(self, item, arrival, wait_for_turn):
        self.begun.append((item, threading.get_ident()))
        self.started.release()
        assert self.go[item].wait(TIMEOUT_S)
        try:
            if item.startswith("bad"):
                raise ValueError(item)
            wait_for_turn()
            self.done.append(item)
        finally:
            self.finished.release()

    def offer(self, item):
        self.worker.offer(item, key=None)
        self.worker.wake()
        assert self.started.acquire(timeout=TIMEOUT_S)

    def finish(self, *items):
        for item in items:
            self.go[item].set()


@pytest.fixture
def pair():
    pair = Pair("a", "b", "c", "bad")
    yield pair
    pair.finish(*pair.go)
    assert pair.worker.stop(TIMEOUT_S)


def test_two_items_are_in_work_at_once_and_end_in_their_order(pair):
    pair.offer("a")
    pair.offer("b")
    (_, first), (_, second) = pair.begun
    assert {first, second} == set(pair.prepared)
    pair.finish("b")
    assert not pair.finished.acquire(timeout=0.1)  # it waits for "a"
    pair.finish("a")
    for _ in range(2):
        assert pair.finished.acquire(timeout=TIMEOUT_S)
    assert pair.done == ["a", "b"]
    pair.worker.stop(TIMEOUT_S)
    assert pair.worker.counts.processed == 2


def test_a_third_item_waits_for_a_thread_and_a_newer_one_takes_its_place(pair):
    pair.offer("a")
    pair.offer("b")
    pair.worker.offer("bad", key=None)
    pair.worker.wake()
    pair.worker.offer("c", key=None)
    pair.worker.wake()
    assert not pair.started.acquire(timeout=0.1)
    pair.finish("a", "b", "c")
    for _ in range(3):
        assert pair.finished.acquire(timeout=TIMEOUT_S)
    pair.worker.stop(TIMEOUT_S)
    assert pair.done == ["a", "b", "c"]
    assert pair.worker.counts.dropped == 1


def test_an_item_that_fails_holds_up_nobody(pair):
    pair.offer("bad")
    pair.offer("b")
    pair.finish("b")
    assert not pair.finished.acquire(timeout=0.1)
    pair.finish("bad")
    for _ in range(2):
        assert pair.finished.acquire(timeout=TIMEOUT_S)
    pair.worker.stop(TIMEOUT_S)
    assert pair.done == ["b"]
    assert [str(error) for error in pair.errors] == ["bad"]
    assert (pair.worker.counts.processed, pair.worker.counts.failed) == (1, 1)


def test_stopping_waits_for_all_in_work_and_it_can_be_started_again(pair):
    pair.offer("a")
    pair.offer("b")
    assert not pair.worker.stop(0.05)
    with pytest.raises(RuntimeError, match="already started"):
        pair.worker.start(2)
    pair.finish("a", "b")
    assert pair.worker.stop(TIMEOUT_S)
    assert not pair.worker.is_alive
    pair.worker.start(1)
    pair.offer("c")
    pair.finish("c")
    assert pair.worker.stop(TIMEOUT_S)
    assert pair.done == ["a", "b", "c"]


def test_items_are_begun_at_even_distances():
    begun, done = [], threading.Semaphore(0)

    def process(item, arrival, wait_for_turn):
        begun.append(time.monotonic())
        time.sleep(0.1)  # never less, however busy the machine is
        wait_for_turn()
        done.release()
        worker.offer("next", key=None)
        worker.wake()

    worker = NewestItemWorker("test", process, pytest.fail)
    worker.start(2)
    for _ in range(2):
        worker.offer("first", key=None)
        worker.wake()
    for _ in range(12):
        worker.offer("more", key=None)
        worker.wake()
        assert done.acquire(timeout=TIMEOUT_S)
    assert worker.stop(TIMEOUT_S)
    gaps = [after - before for before, after in itertools.pairwise(begun)][3:]
    assert min(gaps) > 0.04, gaps
