"""The newest messages of a topic, found by their stamps. Knows nothing of ROS."""

from __future__ import annotations

import statistics
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_ALIVE_S = 2.0

_STEP_TOGETHER_S = 2.0
"""Topics of one recording step back together, within this time."""

_STEP_PERIODS = 0.75
"""Stamps that go back by less than this many of their usual distances are out of order; by more, they begin anew."""

_NUM_GAPS = 9


@dataclass(frozen=True)
class Match(Generic[T]):
    """The item whose stamp is nearest to the one that was wanted.

    offset_ns: its stamp minus the wanted one.
    """

    item: T
    offset_ns: int


class Wanted(Generic[T]):
    """One frame's wish for the item nearest to its stamp, for as long as somebody holds it. See `StampBuffer.want`."""

    def __init__(self, stamp_ns: int, round: int) -> None:
        self.stamp_ns = stamp_ns
        self.round = round
        self.nearest: Match[T] | None = None

    def consider(self, stamp_ns: int, item: T) -> None:
        """Keep the item if none is nearer; of equals, the later to arrive."""
        offset_ns = stamp_ns - self.stamp_ns
        if self.nearest is None or abs(offset_ns) <= abs(self.nearest.offset_ns):
            self.nearest = Match(item, offset_ns)


class _Stream:
    """The stamps of frames, or of items, in the order in which they come. round: how often they have begun anew."""

    def __init__(self) -> None:
        self.round = 0
        self._last_ns: int | None = None
        self._gaps_ns: deque[int] = deque(maxlen=_NUM_GAPS)

    def begins_anew(self, stamp_ns: int) -> bool:
        """Whether the stamp is so far before the last one that a recording has begun anew."""
        gap_ns = 0 if self._last_ns is None else stamp_ns - self._last_ns
        self._last_ns = stamp_ns
        if gap_ns > 0:
            self._gaps_ns.append(gap_ns)
        usual_ns = statistics.median(self._gaps_ns) if self._gaps_ns else 0
        return gap_ns < 0 and -gap_ns >= _STEP_PERIODS * usual_ns


class StampBuffer(Generic[T]):
    """Keeps the newest `size` items, and for each frame in work the one nearest to its stamp, however many come.

    Stamps that step back, as those of a recording that is played in a loop do, begin a new round: a frame meets the
    items of its own round only, not one of the same stamp of another time. Frames and items of one recording step back
    within a moment of each other, in whichever order; if only one of them does, the other is taken to have done so.
    Thread-safe.

    has_rounds: False for items that hold for every round alike.
    clock: the time in seconds.
    """

    def __init__(self, size: int, has_rounds: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._condition = threading.Condition()
        self._clock = clock
        self._has_rounds = has_rounds
        self._items: deque[tuple[int, int, T]] = deque(maxlen=size)  # round, stamp, item
        self._wanted: weakref.WeakSet[Wanted[T]] = weakref.WeakSet()
        self._frame_stream, self._item_stream = _Stream(), _Stream()
        self._ahead_until = -float("inf")
        self._last_arrival = -float("inf")

    def __len__(self) -> int:
        with self._condition:
            return len(self._items)

    @property
    def newest_ns(self) -> int | None:
        """The stamp of the item that came last; None where there is none."""
        with self._condition:
            return self._items[-1][1] if self._items else None

    def resize(self, size: int) -> None:
        """Keep that many from now on."""
        with self._condition:
            if size != self._items.maxlen:
                self._items = deque(self._items, maxlen=size)

    def add(self, stamp_ns: int, item: T) -> None:
        """An item arrived."""
        with self._condition:
            self._follow(self._item_stream, self._frame_stream, stamp_ns)
            self._items.append((self._item_stream.round, stamp_ns, item))
            self._last_arrival = self._clock()
            for wanted in self._wanted:
                if wanted.round == self._item_stream.round:
                    wanted.consider(stamp_ns, item)
            self._condition.notify_all()

    def want(self, stamp_ns: int) -> Wanted[T]:
        """A frame arrived: from now on, keep for it the item nearest to its stamp, there already or still to come.

        To be called for each frame in the order of their arrival; whoever drops a frame drops what this returns.
        """
        with self._condition:
            self._follow(self._frame_stream, self._item_stream, stamp_ns)
            wanted = Wanted[T](stamp_ns, self._frame_stream.round)
            for round, item_stamp_ns, item in self._items:
                if round == wanted.round:
                    wanted.consider(item_stamp_ns, item)
            self._wanted.add(wanted)
            return wanted

    def take(self, wanted: Wanted[T], within_ns: int | None, wait_s: float) -> Match[T] | None:
        """The item nearest to the wanted stamp, or None where there is no item at all; the caller looks at its offset.

        Waits up to `wait_s` seconds for one that is at most `within_ns` away (None: any is near enough), unless there
        is none to wait for: a later stamp has come already, or nothing has come for two seconds.
        """
        deadline = self._clock() + wait_s
        with self._condition:
            while not self._is_decided(wanted, within_ns):
                now = self._clock()
                if now >= deadline or now - self._last_arrival > _ALIVE_S:
                    break
                self._condition.wait(deadline - now)
            self._wanted.discard(wanted)
            return wanted.nearest

    def clear(self) -> None:
        """Forget every item, those kept for frames in work as well."""
        with self._condition:
            self._items.clear()
            for wanted in self._wanted:
                wanted.nearest = None
            self._last_arrival = -float("inf")

    def _follow(self, stream: _Stream, other: _Stream, stamp_ns: int) -> None:
        """Count the rounds of one stream so that both streams' agree once both have stepped."""
        if not self._has_rounds:
            return
        now = self._clock()
        begins_anew = stream.begins_anew(stamp_ns)
        if now > self._ahead_until or (begins_anew and stream.round > other.round):
            stream.round = other.round = max(stream.round, other.round)  # the other one does not step
        if not begins_anew:
            return
        if stream.round < other.round:
            stream.round = other.round
        else:
            stream.round += 1
            self._ahead_until = now + _STEP_TOGETHER_S

    def _is_decided(self, wanted: Wanted[T], within_ns: int | None) -> bool:
        """Whether an item is near enough, or none that comes can be nearer: within a round, stamps arrive in order."""
        nearest = wanted.nearest
        if nearest is not None and (within_ns is None or abs(nearest.offset_ns) <= within_ns):
            return True
        if not self._items:
            return False
        round, stamp_ns, _ = self._items[-1]
        return round > wanted.round or (round == wanted.round and stamp_ns >= wanted.stamp_ns)
