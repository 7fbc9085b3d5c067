"""The models at work on one image or several: how many at once, in how much memory, and what if that runs out."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends import backend_type
from ovsr_ros.backends.contract import Frame
from ovsr_ros.backends.reduction import FULL, Reduction
from ovsr_ros.errors import OvsrError
from ovsr_ros.models.memory import (
    MEBIBYTE,
    PeakMemory,
    describe_shortage,
    free_unused_memory,
    is_out_of_memory,
    resident_bytes,
)
from ovsr_ros.nodes.health.throttle import ThrottledLog
from ovsr_ros.pipeline import FoundImage, Pipeline
from ovsr_ros.teaching import Pointed, point_at_mask
from ovsr_ros.tracking import Tracker

if TYPE_CHECKING:
    from rclpy.node import Node

T = TypeVar("T")

_GPU_SLOTS: dict[str, threading.Semaphore] = defaultdict(threading.Semaphore)
_NUM_THREADS = torch.get_num_threads()
"""Of an operation, as the process was started: what a node's frames share."""

_MAX_SIZES = 16
_WARNING_PERIOD_S = 10.0


class ModelAccess:
    """Lets images to a pipeline's models: as many at once as is worth it, in less memory where that is short.

    Whatever the reason, less memory is one thing: the same work with another `Reduction`. Work that runs out of memory
    is done again at half the resolution, this once. Work that takes more than the budget is done, and images of its
    size are reduced from then on.

    frames_in_flight: how many images may be in work at once; 0: two on a CPU, whose cores one image alone does not
    fill, if it has two and the backend leaves them idle, else one.
    budget_mib: asked before each piece of work; see `MemoryBudget`.
    """

    def __init__(
        self, node: Node, pipeline: Pipeline, frames_in_flight: int = 0, budget_mib: Callable[[], int] = lambda: 0
    ) -> None:
        self._pipeline = pipeline
        self._backend_type = backend_type(pipeline.options.backend)
        self._budget_mib = budget_mib
        self._budget_lock = threading.Lock()
        self._budget = MemoryBudget(pipeline, lambda text: node.get_logger().warning(text))
        self._log_shortage = ThrottledLog(lambda text: node.get_logger().warning(text), _WARNING_PERIOD_S)
        on_gpu = pipeline.device.type == "cuda"
        if not frames_in_flight:
            several = not on_gpu and not self._backend_type.fills_cpu and len(os.sched_getaffinity(0)) > 1
            frames_in_flight = 2 if several else 1
        self.frames_in_flight = frames_in_flight
        # The models of a GPU serve one image at a time, whatever the camera: two at once would need twice the memory
        # and be no faster. What else there is to a frame, decoding and publishing, goes on beside it.
        self._num_slots = 1 if on_gpu else frames_in_flight
        self._slots = _GPU_SLOTS[str(pipeline.device)] if on_gpu else threading.Semaphore(frames_in_flight)

    @property
    def peak_mib(self) -> float:
        """The most that a frame took since the last change, MiB; NaN where there is no budget."""
        return self._budget.peak_mib

    @property
    def remedy(self) -> str:
        """What an operator can do about memory that runs out, or about frames that take too long."""
        lower = f"lower {', '.join(self._backend_type.memory_options)} or the image's size"
        elsewhere = "end what else uses memory here"
        if self._pipeline.device.type == "cpu":
            return f"{lower}, or {elsewhere}"
        return f"{lower}, {elsewhere} (nvidia-smi lists it), or restart the node with device:=cpu"

    def describe_reduction(self) -> str:
        """How frames are reduced for the budget's sake, and what to do about it; empty when they are not."""
        budget_mib, reduction = self._budget_mib(), self._budget.reduction
        if not (budget_mib and reduction):
            return ""
        return f"{reduction}, for memory_budget_mib is {budget_mib}; raise it, or {self.remedy}"

    def prepare_thread(self) -> None:
        """Share the processor's cores among the images in flight; called on each thread that works on one."""
        torch.set_num_threads(max(1, _NUM_THREADS // self.frames_in_flight))

    def find(self, image_rgb: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None) -> FoundImage:
        """See `Pipeline.find`. Raises OvsrError when memory runs out even at half the resolution, here and below."""
        return self._within_memory(
            image_rgb.shape[:2], lambda reduction: self._pipeline.find(image_rgb, reduction, ignored)
        )

    def join(self, found: FoundImage, tracker: Tracker, time_s: float) -> Frame:
        """See `Pipeline.join`."""

        def join(reduction: Reduction) -> Frame:
            if reduction == found.reduction:
                return self._pipeline.join(found, tracker, time_s)
            again = self._pipeline.find(found.image_rgb, reduction, found.ignored)
            return self._pipeline.join(again, tracker, time_s)

        return self._within_memory(found.image_rgb.shape[:2], join, found.reduction)

    def embed(self, image_rgb: NDArray[np.uint8]) -> Frame:
        """See `Pipeline.embed`."""
        return self._within_memory(image_rgb.shape[:2], lambda reduction: self._pipeline.embed(image_rgb, reduction))

    def point_at(self, image_rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Pointed:
        """See `point_at_mask`."""
        return self._within_memory(
            image_rgb.shape[:2], lambda reduction: point_at_mask(self._pipeline, image_rgb, mask, reduction)
        )

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Within it, no image is in work; waits until those that are have ended."""
        with contextlib.ExitStack() as held:
            for _ in range(self._num_slots):
                held.enter_context(self._slots)
            yield

    def _within_memory(
        self, size_hw: tuple[int, ...], work: Callable[[Reduction], T], begun: Reduction | None = None
    ) -> T:
        """What `work` returns. begun: how the image was reduced so far; None: it is new."""
        todo, reduction, budget_mib = self.remedy, begun or FULL, self._budget_mib()
        with self._slots:
            try:
                if not budget_mib:
                    return work(reduction)
                with self._budget_lock:  # what a frame takes cannot be told while another one is in work
                    if begun is None:
                        reduction = self._budget.begin(size_hw, budget_mib)
                    with self._budget.watched(budget_mib, f"raise it, or {todo}"):
                        return work(reduction)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                reason = describe_shortage(error)
            # Outside the except clause: until it ends, the exception keeps the failed call's tensors alive.
            free_unused_memory()
            if budget_mib:
                with self._budget_lock:
                    self._budget.step(reason, todo)
            self._log_shortage(f"{reason}; this image is labelled at half the resolution; {todo}")
            try:
                return work(reduction.coarser())
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                reason = describe_shortage(error)
            free_unused_memory()
        raise OvsrError(f"{reason}; at half the resolution as well; {todo}")


class MemoryBudget:
    """Reduces the images of a size, step by step, once one of them took more than the budget. Not thread-safe.

    What counts: on a GPU the most memory that its tensors held during a frame, models included; on a CPU how much the
    process grew, at most, over what it held before. Another budget or another option begins in full.

    warn: where words about a step go, once for each.
    """

    def __init__(self, pipeline: Pipeline, warn: Callable[[str], object]) -> None:
        self._pipeline = pipeline
        self._warn = warn
        self._reductions: dict[tuple[int, ...], Reduction] = {}
        self._ended: set[tuple[int, ...]] = set()  # sizes of which nothing is left to reduce
        self._size_hw: tuple[int, ...] = (0, 0)
        self._context: object = None
        self._baseline_mib = 0.0
        self._stepped = False
        self._peak_is_old = True  # of a frame that was reduced less
        self.peak_mib = float("nan")

    @property
    def reduction(self) -> Reduction:
        """Of the last frame's size."""
        return self._reductions.get(self._size_hw, FULL)

    def begin(self, size_hw: tuple[int, ...], budget_mib: int) -> Reduction:
        """How an image of this size is to be reduced."""
        context = (budget_mib, self._pipeline.options)
        if context != self._context or len(self._reductions) >= _MAX_SIZES:
            self._context = context
            self._reductions.clear()
            self._ended.clear()
            free_unused_memory()  # the frame is to take its memory anew, instead of what is kept of earlier ones
            self._peak_is_old = True
        self._size_hw, self._stepped = size_hw, False
        self._baseline_mib = resident_bytes() / MEBIBYTE
        return self.reduction

    @contextlib.contextmanager
    def watched(self, budget_mib: int, todo: str) -> Iterator[None]:
        """Around a piece of work on the image that was begun. todo: what an operator can do, in words."""
        device = self._pipeline.device
        with PeakMemory(device) as peak:
            yield
        mib = peak.device_mib if device.type == "cuda" else peak.process_mib - self._baseline_mib
        self.peak_mib = mib if self._peak_is_old else max(mib, self.peak_mib)
        self._peak_is_old = False
        if mib > budget_mib and not self._stepped:  # at most one step for each image
            self.step(f"a frame took {mib:.0f} MiB, memory_budget_mib is {budget_mib}", todo)

    def step(self, reason: str, todo: str) -> None:
        """Reduce images of the last one's size further from now on, and say so."""
        self._stepped = self._peak_is_old = True
        if self._size_hw in self._ended:
            return
        free_unused_memory()
        further = self.reduction.more(self._pipeline.state.backend)
        if further is None:
            self._ended.add(self._size_hw)
            self._warn(f"{reason}, and nothing is left to reduce ({self.reduction}); {todo}")
        else:
            self._reductions[self._size_hw] = further
            self._warn(f"{reason}: from now on, {further}; {todo}")
