"""How much memory is used at the worst moment: of the process, and of the GPU by its tensors."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path
from types import TracebackType

import torch

MEBIBYTE = 2.0**20
_PAGE_BYTES = resource.getpagesize()


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
