"""How many bytes a row of an image message has: `step`, or what the data's length says where `step` cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import ImageError

Warn = Callable[[str], object]
"""Takes what is wrong with a message that is used all the same, and what to do."""

_CLEARLY = 0.95
"""Neighbouring rows must differ less by this factor before the data's length is believed and not `step`."""

_REMEDY = "the publisher must set it to the bytes of a row, padding included"
_SEND_ALL = "the publisher must send every row whole, and its padding"


def no_warning(text: str) -> None:
    """For callers who have nobody to tell."""


def find_row_bytes(message: Any, data: NDArray[np.uint8], row_bytes: int, num_planes: float, warn: Warn) -> int:
    """The bytes from one row to the next.

    data: (N,) the message's. row_bytes: of a row without padding. num_planes: as in `Encoding`.

    Data may go on behind the last row, or lack that row's padding. Where `step` is too short for a row, or the data for
    `step`, and the data has the same whole number of bytes for every row, that number counts. Where two readings are
    possible (such rows, or shorter ones and something behind the image) the one counts in which neighbouring rows are
    alike.

    Raises ImageError naming the field at fault.
    """
    step, height, num_rows = int(message.step), int(message.height), int(message.height * num_planes)
    planes = "" if num_planes == 1 else f" x {num_planes:g} for the planes of {message.encoding}"
    told, remainder = divmod(data.size, num_rows)
    if remainder or told < row_bytes:
        told = 0
    missing = f"data: expected {step * num_rows} bytes (step {step} x height {height}{planes}), got {data.size}"
    plausible = row_bytes
    if step >= row_bytes and data.size >= step * num_rows:
        if not told:
            _check_rows_between_planes(message, data.size, num_planes, warn)
        if not told or told == step:
            return step
        plausible = step
    elif step < row_bytes:
        if not told:
            raise ImageError(
                f"step: expected at least {row_bytes} (width {message.width} x {row_bytes // message.width} bytes of "
                f"{message.encoding}), got {step}; {_REMEDY}"
            )
    elif 0 < step * num_rows - data.size <= step - row_bytes:
        warn(f"{missing}: the last row is taken without its padding; {_SEND_ALL}")
        return step
    # Where the data is whole rows of `step`, some may be missing.
    elif not told or not (data.size % step or _is_smoother(data, told, step, height)):
        raise ImageError(f"{missing}; {_SEND_ALL}")
    # What is declared, or else what the length says, unless the other reading is clearly the better.
    first, second = (step, told) if plausible == step else (told, plausible)
    taken = second if _is_smoother(data, second, first, height) else first
    warn(
        f"step: expected {told}, as data's {data.size} bytes / (height {height}{planes}) is, got {step}: rows of "
        f"{taken} bytes are taken; {_REMEDY}, and send nothing else in data"
    )
    return taken


def _check_rows_between_planes(message: Any, num_bytes: int, num_planes: float, warn: Warn) -> None:
    """Buffers of more rows than the image's (1088 for 1080) have the colours elsewhere than the message says."""
    num_rows, remainder = divmod(num_bytes, message.step * num_planes)
    if num_planes > 1 and not remainder and num_rows > message.height:
        warn(
            f"data: expected the planes of {message.height} rows, got bytes for {num_rows:g}: if rows lie between the "
            "planes, colours are wrong; the publisher must send the planes one behind the other"
        )


def _is_smoother(data: NDArray[np.uint8], row_bytes: int, other_row_bytes: int, height: int) -> bool:
    """Whether, in rows of so many bytes, neighbours are clearly more alike than in rows of the other number."""
    surely_image = data[: min(row_bytes, other_row_bytes) * height]
    return _roughness(surely_image, row_bytes) < _CLEARLY * _roughness(surely_image, other_row_bytes)


def _roughness(data: NDArray[np.uint8], row_bytes: int) -> float:
    """How much rows differ, on average, from the next, and the second next, in which a mosaic has the same colours."""
    rows = data[: data.size // row_bytes * row_bytes].reshape(-1, row_bytes).astype(np.int16)
    return sum(float(np.abs(rows[n:] - rows[:-n]).mean()) for n in (1, 2) if len(rows) > n)
