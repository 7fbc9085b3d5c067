"""Images on their way to a GPU, through memory of the host that is pinned once and used again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NUM_BUFFERS = 2
"""Of each shape: one is filled while the other is still being copied from."""
MAX_SHAPES = 4
"""Shapes whose buffers are kept: cameras of a process have few, and pinned memory is nobody else's."""


class Event(Protocol):
    """A moment in the device's work."""

    def synchronize(self) -> object:
        """Wait until it has passed."""
        ...


class _Buffer:
    def __init__(self, shape: tuple[int, ...], pin: bool) -> None:
        self.host = torch.empty(shape, dtype=torch.uint8, pin_memory=pin)
        self.array = self.host.numpy()
        self.copied: Event | None = None


class UploadPool:
    """Copies uint8 arrays to a device through reused buffers, without waiting for the copy. Thread-safe.

    Pinning memory costs more than a frame's copy, and a copy from memory that is not pinned goes through the driver's
    own buffer while the host waits.

    pin: whether the buffers are pinned, which needs a GPU.
    mark: an event after the work that the device has been given so far; None: `torch.cuda`'s on the current stream.
    """

    def __init__(self, device: torch.device, pin: bool = True, mark: Callable[[], Event] | None = None) -> None:
        self._device = device
        self._pin = pin
        self._mark = mark or self._record
        self._lock = threading.Lock()
        self._buffers: OrderedDict[tuple[int, ...], list[_Buffer]] = OrderedDict()  # the next to be filled first

    def upload(self, array: NDArray[np.uint8]) -> Tensor:
        """The array as a tensor of its own on the device; of any shape and memory layout, and free to change at once.

        The copy is in the order of the current stream: whatever is queued there later sees it.
        """
        with self._lock:
            buffers = self._take(array.shape)
            buffer = buffers.pop(0)
            buffers.append(buffer)
            if buffer.copied is not None:
                buffer.copied.synchronize()  # what it held last time may be on its way still
            np.copyto(buffer.array, array)
            tensor = torch.empty(array.shape, dtype=torch.uint8, device=self._device)
            tensor.copy_(buffer.host, non_blocking=True)
            buffer.copied = self._mark()
            return tensor

    def _take(self, shape: tuple[int, ...]) -> list[_Buffer]:
        if shape not in self._buffers:
            self._buffers[shape] = [_Buffer(shape, self._pin) for _ in range(NUM_BUFFERS)]
        self._buffers.move_to_end(shape)
        if len(self._buffers) > MAX_SHAPES:
            _, forgotten = self._buffers.popitem(last=False)
            for buffer in forgotten:
                if buffer.copied is not None:
                    buffer.copied.synchronize()
        return self._buffers[shape]

    def _record(self) -> Event:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch has no types for it
        event.record(torch.cuda.current_stream(self._device))
        return event


@cache
def pool_of(device: torch.device) -> UploadPool:
    """The pool of a GPU, one for all that upload to it."""
    return UploadPool(device)
