"""Memory: how much is used at the worst moment, what can be given back, and whether it ran out."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path
from types import TracebackType

import cv2
import torch

MEBIBYTE = 2.0**20
_PAGE_BYTES = resource.getpagesize()

# glibc's; other C libraries have none.
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None

# PyTorch has a class of its own for a GPU's allocator only; its CPU allocator, the libraries below it, and OpenCV raise
# what they raise for everything else.
_TEXTS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
)
# oneDNN, below PyTorch on a CPU, gives no reason: its kernels and scratch memory are made here. What it cannot compute
# at all it says in more words ("... a primitive descriptor for ...").
_WHOLE_TEXTS = ("could not create a primitive", "could not execute a primitive", "could not create a memory object")


class PeakMemory:
    """While it is open, watches the peaks; once closed, has them.

    process_mib: the most resident memory of this process, MiB, as the kernel keeps it. device_mib: the most memory of
    tensors on the GPU, 0 on a CPU. Where the kernel cannot begin anew (not Linux), process_mib is the peak since start.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.process_mib = 0.0
        self.device_mib = 0.0

    def __enter__(self) -> PeakMemory:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process_mib = _peak_mib()
        if self._device.type == "cuda":
            self.device_mib = torch.cuda.max_memory_allocated(self._device) / MEBIBYTE


def _peak_mib() -> float:
    with contextlib.suppress(OSError):  # not Linux
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def resident_bytes() -> int:
    """What this process holds in memory now; 0 where the kernel does not say (not Linux)."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    return 0


def free_unused_memory() -> None:
    """Give memory that nothing uses any more back: of reference cycles, of PyTorch's GPU cache, of the C library.

    glibc keeps what is freed between blocks in use, an arena for each thread: models that are loaded by one thread and
    then by another would leave hundreds of megabytes behind.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if _malloc_trim is not None:
        _malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the device or on the machine."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    if isinstance(error, cv2.error):
        return bool(error.code == cv2.Error.STS_NO_MEM)
    if not isinstance(error, RuntimeError):
        return False
    return any(text in str(error) for text in _TEXTS) or str(error).strip() in _WHOLE_TEXTS


def describe_shortage(error: BaseException) -> str:
    """In one line: that memory ran out, and what the allocator said."""
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"out of memory: {first_line}"
