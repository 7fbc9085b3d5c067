"""Work that is to leave the processor to others."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_NICENESS = 10
"""Added to the thread's: it gets about a tenth of a core that another thread wants, and all of one that none does."""


_changed = threading.Condition()
_in_work = 0
_num_ended = 0


@contextlib.contextmanager
def urgent_work() -> Iterator[None]:
    """Around work that others are to leave the processor to: a frame."""
    global _in_work, _num_ended
    with _changed:
        _in_work += 1
    try:
        yield
    finally:
        with _changed:
            _in_work -= 1
            _num_ended += 1
            _changed.notify_all()


def wait_for_a_gap(timeout_s: float = 1.0) -> None:
    """Return when no urgent work is in progress, or some of it has just ended; at the latest after `timeout_s`.

    To be called before each piece of work that is not urgent: one piece of urgent work is delayed by one of it at most.
    """
    with _changed:
        before = _num_ended
        _changed.wait_for(lambda: not _in_work or _num_ended != before, timeout_s)


def run_at_low_priority(function: Callable[[], T]) -> T:
    """`function()`, in a thread of its own that gives way to the caller's others; returns and raises what it does.

    What PyTorch starts for its operations gives way, too: threads inherit it. Only Linux has it for single threads;
    elsewhere the function runs as any other.
    """
    with ThreadPoolExecutor(1, "low_priority", initializer=_give_way) as executor:
        return executor.submit(function).result()


def _give_way() -> None:
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):  # a system that forbids even this
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS))
