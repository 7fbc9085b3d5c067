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

from ovsr_ros.backends.contract import Frame
from ovsr_ros.backends.memory_budget import MemoryBudget
from ovsr_ros.backends.reduction import FULL, Reduction, halve
from ovsr_ros.errors import OvsrError
from ovsr_ros.models.device import free_unused_memory
from ovsr_ros.nodes.out_of_memory import describe_shortage, is_out_of_memory, remedy
from ovsr_ros.pipeline import Pipeline

if TYPE_CHECKING:
    from rclpy.node import Node

T = TypeVar("T")

_GPU_SLOTS: dict[str, threading.Semaphore] = defaultdict(threading.Semaphore)
_NUM_THREADS = torch.get_num_threads()
"""Of an operation, as the process was started: what a node's frames share."""


class ModelAccess:
    """Lets images to a pipeline's models: as many at once as is worth it, in less memory where that is short.

    frames_in_flight: how many images may be in work at once; 0: two on a CPU, whose cores one image alone does not
    fill, if it has two and the backend is not Trident, else one.
    budget_mib: asked before each frame; see `memory_budget_mib`.

    memory: what frames take, and how they are reduced.
    """

    def __init__(
        self, node: Node, pipeline: Pipeline, frames_in_flight: int = 0, budget_mib: Callable[[], int] = lambda: 0
    ) -> None:
        self._node = node
        self._pipeline = pipeline
        self._budget_mib = budget_mib
        self._budget_lock = threading.Lock()
        self.memory = MemoryBudget(
            pipeline.device, pipeline.reduce_further, lambda text: node.get_logger().warning(text)
        )
        on_gpu = pipeline.device.type == "cuda"
        if not frames_in_flight:
            several = not on_gpu and pipeline.options.backend != "trident" and len(os.sched_getaffinity(0)) > 1
            frames_in_flight = 2 if several else 1
        self.frames_in_flight = frames_in_flight
        # The models of a GPU serve one image at a time, whatever the camera: two at once would need twice the memory
        # and be no faster. What else there is to a frame, decoding and publishing, goes on beside it.
        self._num_slots = 1 if on_gpu else frames_in_flight
        self._slots = _GPU_SLOTS[str(pipeline.device)] if on_gpu else threading.Semaphore(frames_in_flight)

    @property
    def has_budget(self) -> bool:
        """Whether memory is to stay within a budget. Images then have to come one by one, each as one piece of work."""
        return self._budget_mib() > 0

    def describe_reduction(self) -> str:
        """How frames are reduced for the budget's sake, and what to do about it; empty when they are not."""
        budget_mib = self._budget_mib()
        if not budget_mib or not self.memory.reduction:
            return ""
        return f"{self.memory.reduction}, for memory_budget_mib is {budget_mib}; raise it, or {self._remedy()}"

    def prepare_thread(self) -> None:
        """Share the processor's cores among the images in flight; called on each thread that works on one."""
        torch.set_num_threads(max(1, _NUM_THREADS // self.frames_in_flight))

    def use(self, image: NDArray[np.uint8], work: Callable[[NDArray[np.uint8], Reduction], T]) -> T | Frame:
        """What `work` returns; where memory runs out, the image embedded at half the resolution instead.

        work: called with the image, and with how it is to be reduced; by a budget, which halves the image as well.

        Raises OvsrError when memory runs out a second time, and whatever `work` raises else.
        """
        todo = self._remedy()
        with self._slots:
            try:
                return self._within_budget(image, work, todo)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                reason = describe_shortage(error)
            # Outside the except clause: until it ends, the exception keeps the failed call's tensors alive.
            free_unused_memory()
            if self.has_budget:
                with self._budget_lock:
                    self.memory.step(reason, todo)
            self._node.get_logger().warning(
                f"{reason}; this image is labelled at half the resolution; {todo}", throttle_duration_sec=10.0
            )
            try:
                return self._pipeline.embed_reduced(halve(image), Reduction(size=1))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                reason = describe_shortage(error)
            free_unused_memory()
        raise OvsrError(f"{reason}; at half the resolution as well; {todo}")

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Within it, no image is in work; waits until those that are have ended."""
        with contextlib.ExitStack() as held:
            for _ in range(self._num_slots):
                held.enter_context(self._slots)
            yield

    def _remedy(self) -> str:
        return remedy(self._pipeline.device, self._pipeline.options.backend)

    def _within_budget(
        self, image: NDArray[np.uint8], work: Callable[[NDArray[np.uint8], Reduction], T], todo: str
    ) -> T:
        budget_mib = self._budget_mib()
        if not budget_mib:
            return work(image, FULL)
        with self._budget_lock:
            reduction = self.memory.begin(image.shape[:2], (budget_mib, self._pipeline.options))
            for _ in range(reduction.size):
                image = halve(image)
            with self.memory.watch(budget_mib, f"raise it, or {todo}"):
                return work(image, reduction)
