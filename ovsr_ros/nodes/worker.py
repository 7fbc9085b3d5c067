"""One thread that processes the newest item; older ones are dropped and counted. Knows nothing of ROS."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class WorkerCounts:
    """What became of the items.

    received = processed + failed + dropped + rested + repeated, and at most one in work and one still waiting.
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


class NewestItemWorker(Generic[T]):
    """Keeps the newest item offered; each `wake` lets the thread process it, once, and `rest` takes the wake back.

    process: called on the worker's thread with (item, monotonic time of its arrival).
    on_error: called on the worker's thread with what `process` raised; the thread goes on with the next item.
    """

    def __init__(self, name: str, process: Callable[[T, float], None], on_error: Callable[[Exception], None]) -> None:
        self._name = name
        self._process = process
        self._on_error = on_error
        self._condition = threading.Condition()
        self._waiting: tuple[T, float] | None = None
        self._last_key: Hashable = None
        self._awake = False
        self._resting = False
        self._stopping = False
        self._thread: threading.Thread | None = None
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
        """Whether the thread runs."""
        thread = self._thread
        return thread is not None and thread.is_alive()

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

    def start(self) -> None:
        """Start the thread. An item that waited since before the start is forgotten: it is old."""
        if self.is_alive:
            raise RuntimeError(f"{self._name}: already started")
        with self._condition:
            self._stopping = False
            self._awake = False
            self._forget_waiting()
            self._resting = False
            self._last_key = None
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Stop after the item in work. Returns False when it was still in work after `timeout_s` seconds."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        thread = self._thread
        if thread is None:
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or (self._awake and self._waiting is not None))
                if self._stopping:
                    self._forget_waiting()
                    return
                assert self._waiting is not None
                item, arrival = self._waiting
                self._waiting = None
                self._awake = False
            try:
                self._process(item, arrival)
            except Exception as error:
                self._add(failed=1)
                self._report(error)
            else:
                self._add(processed=1)

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
