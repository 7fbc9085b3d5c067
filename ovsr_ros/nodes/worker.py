"""Threads that process the newest item, in order; older ones are dropped and counted. Knows nothing of ROS."""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

T = TypeVar("T")

_NEWEST = 0.2
"""Weight of the newest item in the mean of how long they take."""

_EVENNESS = 0.9
"""Least distance between the beginnings of two items, of what it is when all threads are busy all the time."""

WaitForTurn = Callable[[], None]
"""Returns when every item taken before this one has been dealt with."""


@dataclass(frozen=True)
class WorkerCounts:
    """What became of the items.

    received = processed + failed + dropped + rested + repeated, and at most one per thread in work and one that waits.
    """

    received: int = 0
    processed: int = 0
    failed: int = 0
    dropped: int = 0
    """Replaced by a newer item before their turn came."""
    rested: int = 0
    """Replaced or forgotten while the worker was told to rest."""
    repeated: int = 0
    """Had the key of the item received before them."""


class CountHistory:
    """What a worker's counts were some seconds ago. clock: the time in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: deque[tuple[float, WorkerCounts]] = deque()

    def remember(self, counts: WorkerCounts, window_s: float) -> tuple[float, WorkerCounts]:
        """Seconds since the window began, and the counts then; since they were first told, if that is less.

        To be called regularly, with the counts now.
        """
        now = self._clock()
        self._told.append((now, counts))
        while len(self._told) > 1 and self._told[1][0] <= now - window_s:
            self._told.popleft()
        begin, before = self._told[0]
        return now - begin, before

    def clear(self) -> None:
        """Begin anew."""
        self._told.clear()


class NewestItemWorker(Generic[T]):
    """Keeps the newest item offered; each `wake` lets a thread process it, once, and `rest` takes the wake back.

    With several threads, several items are in work, none twice. Each comes with a function that waits until those taken
    before it are done: what `process` does before it calls that runs beside them, what it does after, in order. They
    are begun at even distances, not in bunches.

    process: called on a worker's thread with (item, monotonic time of its arrival, wait for its turn).
    on_error: called on a worker's thread with what `process` raised; the thread goes on with the next item.
    """

    def __init__(
        self, name: str, process: Callable[[T, float, WaitForTurn], None], on_error: Callable[[Exception], None]
    ) -> None:
        self._name = name
        self._process = process
        self._on_error = on_error
        self._condition = threading.Condition()
        self._waiting: tuple[T, float] | None = None
        self._last_key: Hashable = None
        self._awake = False
        self._resting = False
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._in_work: set[int] = set()
        self._num_taken = 0
        self._taken_at = 0.0
        self._work_s = 0.0  # mean of the last few
        self._counts = WorkerCounts()

    @property
    def counts(self) -> WorkerCounts:
        """A snapshot of the counters since construction."""
        with self._condition:
            return self._counts

    @property
    def is_resting(self) -> bool:
        """Whether the last word was to rest, not to wake."""
        with self._condition:
            return self._resting

    @property
    def is_alive(self) -> bool:
        """Whether its threads run, all of them."""
        threads = self._threads
        return bool(threads) and all(thread.is_alive() for thread in threads)

    def offer(self, item: T, key: Hashable) -> None:
        """Store an item as the newest one, unless its key is that of the last item offered (None: never repeated)."""
        arrival = time.monotonic()
        with self._condition:
            if key is not None and key == self._last_key:
                self._count(received=1, repeated=1)
                return
            self._last_key = key
            self._count(received=1)
            self._forget_waiting()
            self._waiting = (item, arrival)
            if self._awake:
                self._condition.notify_all()

    def wake(self) -> None:
        """Let the thread process the newest item; a wake that comes while it is busy, or before the item, is kept."""
        with self._condition:
            self._awake, self._resting = True, False
            self._condition.notify_all()

    def rest(self) -> None:
        """Process nothing after the item in work until the next wake; the newest item is kept for that."""
        with self._condition:
            self._awake, self._resting = False, True

    def start(self, num_threads: int = 1, prepare: Callable[[], None] | None = None) -> None:
        """Start the threads. An item that waited since before the start is forgotten: it is old.

        prepare: called first on each of them.
        """
        if any(thread.is_alive() for thread in self._threads):
            raise RuntimeError(f"{self._name}: already started")
        with self._condition:
            self._stopping = False
            self._awake = False
            self._forget_waiting()
            self._resting = False
            self._last_key = None
            self._in_work.clear()
        self._threads = [
            threading.Thread(target=self._run, args=(prepare,), name=f"{self._name}_{number}", daemon=True)
            for number in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Stop after the items in work. Returns False when one was still in work after `timeout_s` seconds."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if deadline is None else max(deadline - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, prepare: Callable[[], None] | None) -> None:
        if prepare is not None:
            prepare()
        while True:
            with self._condition:
                while not self._stopping and (delay_s := self._delay_s()) != 0:
                    self._condition.wait(delay_s)
                if self._stopping:
                    self._forget_waiting()
                    return
                assert self._waiting is not None
                item, arrival = self._waiting
                self._taken_at = begin = time.monotonic()
                self._waiting = None
                self._awake = False
                number = self._num_taken
                self._num_taken += 1
                self._in_work.add(number)
            try:
                self._process(item, arrival, functools.partial(self._wait_for_turn, number))
            except Exception as error:
                self._add(failed=1)
                self._report(error)
            else:
                self._add(processed=1)
            finally:
                with self._condition:
                    self._in_work.discard(number)
                    work_s = time.monotonic() - begin
                    self._work_s += (work_s - self._work_s) * (_NEWEST if self._work_s else 1.0)
                    self._condition.notify_all()

    def _delay_s(self) -> float | None:
        """How long until the next item may be taken; None: until something happens."""
        if not self._awake or self._waiting is None:
            return None
        if not self._in_work:
            return 0.0
        return max(0.0, self._taken_at + _EVENNESS * self._work_s / len(self._threads) - time.monotonic())

    def _wait_for_turn(self, number: int) -> None:
        with self._condition:
            self._condition.wait_for(lambda: min(self._in_work, default=number) >= number)

    def _report(self, error: Exception) -> None:
        try:
            self._on_error(error)
        except Exception:
            # Whatever goes wrong while reporting, the next item must still be tried.
            traceback.print_exc()

    def _forget_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting = None
            self._count(**{"rested" if self._resting else "dropped": 1})

    def _add(self, **increments: int) -> None:
        with self._condition:
            self._count(**increments)

    def _count(self, **increments: int) -> None:
        self._counts = replace(
            self._counts, **{name: getattr(self._counts, name) + number for name, number in increments.items()}
        )
