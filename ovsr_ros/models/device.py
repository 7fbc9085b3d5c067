"""Which device a network runs on, and in which number format."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import torch

from ovsr_ros.config import parse_device_index
from ovsr_ros.errors import ConfigError

PRECISIONS = ("auto", "fp32", "bf16", "fp16")

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` stands for; auto is the first GPU, the CPU where there is none.

    Raises ConfigError when the name is no such name, or this machine has no such GPU.
    """
    index = parse_device_index(name)
    num_gpus = torch.cuda.device_count() if name != "cpu" and torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and num_gpus == 0):
        return torch.device("cpu")
    if index >= num_gpus:
        known = ", ".join(["auto", "cpu", *(f"cuda:{n}" for n in range(num_gpus))])
        raise ConfigError(f"device: PyTorch sees {num_gpus} GPUs here, got {name!r}; possible: {known}")
    return torch.device("cuda", index)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The number format of a network's matrix products: fp32, bf16 or fp16.

    auto: fp16 on a GPU; on a CPU bf16 where it computes in that (see `has_fast_bf16`), else fp32.

    Raises ConfigError for another name.
    """
    if name not in PRECISIONS:
        raise ConfigError(f"precision: expected one of {', '.join(PRECISIONS)}, got {name!r}")
    if name == "auto":
        if device.type == "cuda":
            return torch.float16
        return torch.bfloat16 if has_fast_bf16() else torch.float32
    return _DTYPES[name]


@lru_cache(maxsize=1)
def has_fast_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU multiplies matrices of bf16: with AVX-512 BF16 or AMX; False where that cannot be found out.

    Others compute in float32 and convert, which takes longer than float32 alone.
    """
    try:
        flags = re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    except OSError:  # not Linux
        return False
    return flags is not None and not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags[1].split())


def training_precision(device: torch.device) -> torch.autocast:
    """A context for a training's products: bf16 where the device computes in that, else float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu" or has_fast_bf16())


@contextlib.contextmanager
def inference(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """No gradients, and matrix products in `dtype`: weights stay float32, what needs the range is computed in it."""
    with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        yield
