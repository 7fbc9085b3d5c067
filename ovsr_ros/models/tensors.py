"""Tensors and arrays to and from safetensors, a format that can hold nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from ovsr_ros.atomic_file import write_atomically


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a safetensors file; the file is replaced whole."""
    with write_atomically(path) as file:
        file.write(save(dict(tensors), metadata={"format": "pt"}))


def arrays_to_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays by name, of any number and shape."""
    return bytes(safetensors.numpy.save({name: np.ascontiguousarray(values) for name, values in arrays.items()}))


def arrays_from_bytes(content: bytes) -> dict[str, NDArray[Any]]:
    """What `arrays_to_bytes` made; each can be written into. Raises ValueError for anything else."""
    try:
        return {name: values.copy() for name, values in safetensors.numpy.load(content).items()}
    except safetensors.SafetensorError as error:
        raise ValueError(f"expected arrays as safetensors has them: {error}") from error
