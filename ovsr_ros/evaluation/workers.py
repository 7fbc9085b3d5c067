"""Worker processes for work that is the same for many numbers: one pool serves several such tasks in turn."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from types import TracebackType
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import cv2
import torch

from ovsr_ros.errors import ConfigError

T = TypeVar("T", covariant=True)
Made = TypeVar("Made")


class Task(Protocol[T]):
    """Work that can be pickled."""

    def begin(self) -> Callable[[int], T]:
        """Load what is needed, once in each process; what is returned does the work of one number."""
        ...


class WorkerPool:
    """Processes that keep what they have loaded until the pool is closed; a context manager.

    num_workers: each has its share of this process's threads. They start with the first task, and end with this process
    however it ends.
    """

    def __init__(self, num_workers: int) -> None:
        self.num_workers = num_workers
        self._executor: ProcessPoolExecutor | None = None
        self._tasks = itertools.count()

    def work(self, task: Task[T], numbers: Sequence[int]) -> Iterator[tuple[int, T]]:
        """The results by number, in the order in which they are done.

        Raises what the task does, ConfigError where a process ended by itself.
        """
        if not numbers:
            return
        if self._executor is None:
            workers = min(self.num_workers, len(numbers))
            threads = max(1, torch.get_num_threads() // workers)
            self._executor = ProcessPoolExecutor(
                workers, mp_context=get_context("spawn"), initializer=_set_up, initargs=(threads,)
            )
        pickled, name = pickle.dumps(task), next(self._tasks)
        futures = {}
        try:
            for number in numbers:
                futures[self._executor.submit(_work, name, pickled, number)] = number
            for future in as_completed(list(futures)):
                yield futures.pop(future), future.result()
        except BrokenProcessPool as error:
            raise ConfigError(
                f"--workers {self.num_workers}: a worker process ended by itself, perhaps for want of memory; "
                "try fewer workers"
            ) from error
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the processes, once each has done what it is doing."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


# --- What tasks share ---


def new_key() -> str:
    """A key for `one_per_process`."""
    return uuid4().hex


def one_per_process(key: str, make: Callable[[], Made]) -> Made:
    """What `make` gave in this process for this key: what is unpickled so in task after task stays the same object."""
    if key not in _made:
        _made[key] = make()
    made: Made = _made[key]
    return made


_made: dict[str, Any] = {}


# --- In the worker processes ---

_current: tuple[int, Callable[[int], Any]] | None = None


def _set_up(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the run
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def _end_with_parent() -> None:
    """A parent that was killed cannot tell its workers; they would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(name: int, pickled: bytes, number: int) -> Any:
    global _current
    if _current is None or _current[0] != name:
        _current = None  # what the task before holds is freed first
        task: Task[Any] = pickle.loads(pickled)
        _current = name, task.begin()
    return _current[1](number)
