"""Tensors to and from safetensors files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from ovsr_ros.atomic_file import write_atomically


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a safetensors file; the file is replaced whole."""
    with write_atomically(path) as file:
        file.write(save(dict(tensors), metadata={"format": "pt"}))
