"""How many threads PyTorch takes for a piece of work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within it, PyTorch's operations that this thread calls on the CPU run in it alone, LAPACK's with them.

    For what is too small to be shared out: waking other threads takes longer. Other threads that run keep their own
    number; one that calls PyTorch for the first time meanwhile starts with one thread.
    """
    num_threads = torch.get_num_threads()
    if num_threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
