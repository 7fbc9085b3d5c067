"""The newest messages of a topic, found by their stamps. Knows nothing of ROS."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_ALIVE_S = 2.0

_STEP_TOGETHER_S = 1.0
"""Topics of one recording step back together, within this time."""


@dataclass(frozen=True)
class Match(Generic[T]):
    """The item whose stamp is nearest to the one that was wanted.

    offset_ns: its stamp minus the wanted one.
    """

    item: T
    offset_ns: int


class Wanted(Generic[T]):
    """One frame's wish for the item nearest to its stamp, from `StampBuffer.want` until `take` or `forget`."""

    def __init__(self, stamp_ns: int) -> None:
        self.stamp_ns = stamp_ns
        self.nearest: Match[T] | None = None

    def consider(self, stamp_ns: int, item: T) -> None:
        """Keep the item if none is nearer; of equals, the later to arrive."""
        offset_ns = stamp_ns - self.stamp_ns
        if self.nearest is None or abs(offset_ns) <= abs(self.nearest.offset_ns):
            self.nearest = Match(item, offset_ns)


class StampBuffer(Generic[T]):
    """Keeps the newest `size` items, and for each frame in work the one nearest to its stamp, however many come.

    Stamps that step back, as those of a recording that is played in a loop do, begin a new round: what was kept of the
    round before is forgotten, so that no frame meets an item of the same stamp of another time. Thread-safe.
    """

    def __init__(self, size: int) -> None:
        self._condition = threading.Condition()
        self._items: deque[tuple[int, T]] = deque(maxlen=size)
        self._wanted: set[Wanted[T]] = set()
        self._last_arrival = -float("inf")
        self._stepped_back_at = -float("inf")
        self._awaits_step_until = -float("inf")

    def __len__(self) -> int:
        with self._condition:
            return len(self._items)

    def resize(self, size: int) -> None:
        """Keep that many from now on."""
        with self._condition:
            if size != self._items.maxlen:
                self._items = deque(self._items, maxlen=size)

    def add(self, stamp_ns: int, item: T) -> None:
        """An item arrived."""
        with self._condition:
            now = time.monotonic()
            if self._items and stamp_ns < self._items[-1][0]:
                self._items.clear()
                self._stepped_back_at = -float("inf") if now < self._awaits_step_until else now
                self._awaits_step_until = -float("inf")
            self._items.append((stamp_ns, item))
            self._last_arrival = now
            for wanted in self._wanted:
                wanted.consider(stamp_ns, item)
            self._condition.notify_all()

    def step_back(self) -> None:
        """The stamps of the frames stepped back: forget the round before, unless the items' have just done so, too.

        To be called in the order in which frames and items arrive.
        """
        with self._condition:
            now = time.monotonic()
            if now - self._stepped_back_at < _STEP_TOGETHER_S:
                self._stepped_back_at = -float("inf")
            else:
                self._items.clear()
                self._awaits_step_until = now + _STEP_TOGETHER_S

    def want(self, stamp_ns: int) -> Wanted[T]:
        """From now until `take` or `forget`, keep the item nearest to this stamp, there already or still to come."""
        wanted = Wanted[T](stamp_ns)
        with self._condition:
            for item_stamp_ns, item in self._items:
                wanted.consider(item_stamp_ns, item)
            self._wanted.add(wanted)
        return wanted

    def take(self, wanted: Wanted[T], within_ns: int | None, wait_s: float) -> Match[T] | None:
        """The item nearest to the wanted stamp, or None where there is no item at all; the caller looks at its offset.

        Waits up to `wait_s` seconds for one that is at most `within_ns` away (None: any is near enough), unless there
        is none to wait for: a later stamp has come already, or nothing has come for two seconds.
        """
        deadline = time.monotonic() + wait_s
        with self._condition:
            while not self._is_decided(wanted, within_ns):
                now = time.monotonic()
                if now >= deadline or now - self._last_arrival > _ALIVE_S:
                    break
                self._condition.wait(deadline - now)
            self._wanted.discard(wanted)
            return wanted.nearest

    def forget(self, wanted: Wanted[T]) -> None:
        """Nobody will take it."""
        with self._condition:
            self._wanted.discard(wanted)

    def clear(self) -> None:
        """Forget every item, those kept for frames in work as well."""
        with self._condition:
            self._items.clear()
            for wanted in self._wanted:
                wanted.nearest = None
            self._last_arrival = self._stepped_back_at = self._awaits_step_until = -float("inf")

    def _is_decided(self, wanted: Wanted[T], within_ns: int | None) -> bool:
        """Whether an item is near enough, or none that comes can be nearer: within a round, stamps arrive in order."""
        nearest = wanted.nearest
        if nearest is not None and (within_ns is None or abs(nearest.offset_ns) <= within_ns):
            return True
        if time.monotonic() < self._awaits_step_until:
            return False
        return bool(self._items) and self._items[-1][0] >= wanted.stamp_ns
