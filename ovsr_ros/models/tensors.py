"""Tensors to and from safetensors files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a safetensors file; the file is replaced whole."""
    temporary = path.with_suffix(".tmp")
    save_file(dict(tensors), temporary, metadata={"format": "pt"})
    temporary.chmod(0o644)  # safetensors makes it readable by its owner only
    temporary.replace(path)
