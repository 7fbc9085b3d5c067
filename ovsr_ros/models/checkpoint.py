"""Weight files: read without unpickling, compared with the architecture they are meant for."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ovsr_ros.errors import ModelFormatError, ModelNotFoundError

WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")

# Training scripts put the weights under one of these keys, and wrappers put these in front of the names.
_NESTED_KEYS = ("state_dict_ema", "model_ema", "state_dict", "model")
_WRAPPER_PREFIXES = ("module.", "_orig_mod.")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Weights by name, on the CPU, as stored. Pickled objects other than tensors are refused, never executed.

    Raises ModelNotFoundError when there is no such file, ModelFormatError when it is cut short or holds no weights.
    """
    if not path.is_file():
        raise ModelNotFoundError(f"{path}: no such weight file")
    if path.suffix not in WEIGHT_SUFFIXES:
        raise ModelFormatError(f"{path}: expected a file ending in {', '.join(WEIGHT_SUFFIXES)}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    state = _unwrap(content)
    if not state or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise ModelFormatError(f"{path}: expected tensors by name, got {_describe(content)}")
    return state


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def load_weights(network: nn.Module, state: Mapping[str, Tensor], what: str, ignored: Collection[str] = ()) -> None:
    """Copy all of a network's weights into it, converted to its number format.

    what: the model, for messages. ignored: prefixes of names that the file may hold besides.

    Raises ModelFormatError, beginning with `what`, saying which names are missing, unknown, of another shape, or not
    finite.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unknown = [name for name in state if name not in own and not name.startswith(tuple(ignored))]
    reshaped = [
        f"{name} (expected {tuple(own[name].shape)}, file {tuple(value.shape)})"
        for name, value in state.items()
        if name in own and own[name].shape != value.shape
    ]
    problems = {"missing": missing, "not in this architecture": unknown, "of another shape": reshaped}
    if any(problems.values()):
        parts = [f"{len(names)} {problem}: {_first(names)}" for problem, names in problems.items() if names]
        raise ModelFormatError(
            f"{what}: the weights are another architecture's, or incomplete; of {len(own)} tensors, {'; '.join(parts)}"
        )
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise ModelFormatError(f"{what}: {len(broken)} tensors hold values that are not finite: {_first(broken)}")
    network.load_state_dict({name: value for name, value in state.items() if name in own}, strict=False)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFormatError(_damaged(path, error)) from error
    return weights


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged or hostile file makes the reader raise is not bounded
        if "TorchScript" in str(error):
            raise ModelFormatError(
                f"{path}: is a TorchScript program, which is not executed; get the same weights as safetensors"
            ) from error
        raise ModelFormatError(_damaged(path, error)) from error


def _damaged(path: Path, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    size = path.stat().st_size
    return f"{path}: cut short, damaged, or not a weight file ({size} bytes): {reason}; get it again"


def _unwrap(content: object) -> dict[str, Any]:
    while isinstance(content, Mapping):
        nested = next((content[key] for key in _NESTED_KEYS if isinstance(content.get(key), Mapping)), None)
        if nested is None:
            return {_without_wrapper(name): value for name, value in content.items()}
        content = nested
    return {}


def _without_wrapper(name: Any) -> Any:
    while isinstance(name, str) and name.startswith(_WRAPPER_PREFIXES):
        name = name.partition(".")[2]
    return name


def _describe(content: object) -> str:
    if not isinstance(content, Mapping):
        return type(content).__name__
    return "nothing" if not content else f"keys {_first([str(key) for key in content])}"


def _first(names: list[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
