"""Work that is done while what came before is still in use."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def one_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next of which is made on a thread of its own meanwhile.

    What making one raises is raised where it would have come.
    """
    pool = ThreadPoolExecutor(1)
    try:
        pending = pool.submit(_next, items)
        while item := pending.result():
            pending = pool.submit(_next, items)
            yield item[0]
    finally:
        pool.shutdown(cancel_futures=True)


def _next(items: Iterator[T]) -> list[T]:
    """The next item, alone; nothing at the end."""
    for item in items:
        return [item]
    return []
