"""Work that is to leave the processor to others."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_NICENESS = 10
"""Added to the thread's: it gets about a tenth of a core that another thread wants, and all of one that none does."""


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
