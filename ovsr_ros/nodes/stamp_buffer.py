"""The newest messages of a topic, found by their stamps. Knows nothing of ROS."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_ALIVE_S = 2.0


@dataclass(frozen=True)
class Match(Generic[T]):
    """The item whose stamp is nearest to the one that was wanted.

    offset_ns: its stamp minus the wanted one.
    """

    item: T
    offset_ns: int


class StampBuffer(Generic[T]):
    """Keeps the newest `size` items, and the one nearest to the stamp that is wanted at the moment, however many come.

    Of items that are equally near, the later to arrive counts. Thread-safe; one thread wants and takes.
    """

    def __init__(self, size: int) -> None:
        self._condition = threading.Condition()
        self._items: deque[tuple[int, T]] = deque(maxlen=size)
        self._wanted_ns: int | None = None
        self._nearest: Match[T] | None = None
        self._last_arrival = -float("inf")

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
            self._items.append((stamp_ns, item))
            self._last_arrival = time.monotonic()
            self._consider(stamp_ns, item)
            self._condition.notify_all()

    def want(self, stamp_ns: int) -> None:
        """From now until `take`, keep the item nearest to this stamp, be it there already or still to come."""
        with self._condition:
            self._wanted_ns, self._nearest = stamp_ns, None
            for item_stamp_ns, item in self._items:
                self._consider(item_stamp_ns, item)

    def take(self, within_ns: int | None, wait_s: float) -> Match[T] | None:
        """The item nearest to the wanted stamp, or None where there is no item at all; the caller looks at its offset.

        Waits up to `wait_s` seconds for one that is at most `within_ns` away (None: any is near enough), unless there
        is none to wait for: a later stamp has come already, or nothing has come for two seconds.
        """
        deadline = time.monotonic() + wait_s
        with self._condition:
            while not self._is_decided(within_ns):
                remaining = deadline - time.monotonic()
                if remaining <= 0 or time.monotonic() - self._last_arrival > _ALIVE_S:
                    break
                self._condition.wait(remaining)
            nearest, self._wanted_ns, self._nearest = self._nearest, None, None
            return nearest

    def clear(self) -> None:
        """Forget everything."""
        with self._condition:
            self._items.clear()
            self._nearest = None
            self._last_arrival = -float("inf")

    def _consider(self, stamp_ns: int, item: T) -> None:
        if self._wanted_ns is None:
            return
        offset_ns = stamp_ns - self._wanted_ns
        if self._nearest is None or abs(offset_ns) <= abs(self._nearest.offset_ns):
            self._nearest = Match(item, offset_ns)

    def _is_decided(self, within_ns: int | None) -> bool:
        """Whether an item is near enough, or none that comes can be nearer: stamps arrive in order."""
        if self._wanted_ns is None:
            return True
        if self._nearest is not None and (within_ns is None or abs(self._nearest.offset_ns) <= within_ns):
            return True
        return bool(self._items) and self._items[-1][0] >= self._wanted_ns
