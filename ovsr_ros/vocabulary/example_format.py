"""Examples as a vocabulary's file keeps them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.vocabulary.example import MAX_EXAMPLES, Example

_MAX_ID = 2**32 - 1
_FLOAT = np.dtype("<f4")
_MAX_WIDTH = 65536
_JPEG = b"\xff\xd8"


def write_examples(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """For JSON. The embedding's float32 values, little-endian, and the jpeg are base64."""
    return [
        {
            "id": example.id,
            "model": example.model_id,
            "embedding": _encode(example.embedding.astype(_FLOAT).tobytes()),
            "thumbnail": _encode(example.thumbnail),
        }
        for example in examples
    ]


def read_examples(entries: Any) -> tuple[Example, ...]:
    """What `write_examples` wrote. Raises KeyError, TypeError, ValueError or VocabularyError for anything else."""
    if not isinstance(entries, list) or len(entries) > MAX_EXAMPLES:
        raise ValueError(f"examples: expected a list of at most {MAX_EXAMPLES}")
    return tuple(map(_read_example, entries))


def _read_example(entry: Any) -> Example:
    id, model_id = entry["id"], entry["model"]
    if not isinstance(id, int) or isinstance(id, bool) or not 1 <= id <= _MAX_ID:
        raise ValueError(f"example: id: expected 1 to {_MAX_ID}, got {id!r}")
    if not isinstance(model_id, str) or not model_id:
        raise ValueError(f"example {id}: model: expected a model's id, got {model_id!r}")
    thumbnail = _decode(entry["thumbnail"], f"example {id}: thumbnail")
    if thumbnail and not thumbnail.startswith(_JPEG):
        raise ValueError(f"example {id}: thumbnail: expected a jpeg")
    return Example(
        _read_embedding(entry["embedding"], f"example {id}: embedding"),
        model_id,
        id,
        thumbnail,
    )


def _read_embedding(text: Any, what: str) -> NDArray[np.float32]:
    data = _decode(text, what)
    if not data or len(data) % _FLOAT.itemsize or len(data) > _MAX_WIDTH * _FLOAT.itemsize:
        raise ValueError(f"{what}: expected values of {_FLOAT.itemsize} bytes, got {len(data)} bytes")
    return np.frombuffer(data, _FLOAT).astype(np.float32)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: Any, what: str) -> bytes:
    if not isinstance(text, str):
        raise ValueError(f"{what}: expected base64, got {text!r}")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"{what}: expected base64: {error}") from error
