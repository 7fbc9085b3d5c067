"""Images: from a decoded array to the tensor that a network takes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.errors import ImageError

MIN_SIDE_PX = 16
"""Shortest side of an image that can be segmented, in pixels."""

MAX_PIXELS = 2**26
"""Most pixels of an image that can be segmented: 67 million, eight times 4K."""

NUM_BUFFERS = 2
"""Of each shape: one is filled while the other is still being copied from."""
MAX_SHAPES = 4
"""Shapes whose buffers are kept: cameras of a process have few, and pinned memory is nobody else's."""


def check_image(image_rgb: NDArray[Any]) -> None:
    """Check that an array is an RGB image of a usable size: (H, W, 3) uint8, both sides at least 16 pixels.

    Raises ImageError naming what was expected and what came.
    """
    expected = "image: expected an array of shape (H, W, 3), dtype uint8, RGB"
    if not isinstance(image_rgb, np.ndarray):
        raise ImageError(f"{expected}; got {type(image_rgb).__name__}")
    if image_rgb.dtype != np.uint8:
        raise ImageError(f"{expected}; got dtype {image_rgb.dtype}")
    if image_rgb.ndim == 2 or (image_rgb.ndim == 3 and image_rgb.shape[2] == 1):
        raise ImageError(f"{expected}; got one channel, shape {image_rgb.shape}: repeat it three times")
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise ImageError(f"{expected}; got shape {image_rgb.shape}")
    height, width = image_rgb.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise ImageError(f"image: expected both sides to be at least {MIN_SIDE_PX} pixels; got {width}x{height}")
    if height * width > MAX_PIXELS:
        raise ImageError(f"image: expected at most {MAX_PIXELS} pixels; got {width}x{height}")


def to_tensor(image_rgb: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Upload an image, (H, W, 3) uint8, as (1, 3, H, W) uint8 in channels_last memory order.

    On the CPU a writable array's memory is shared, not copied. To a GPU it goes by an `UploadPool`.
    """
    if device.type == "cuda":
        return pool_of(device).upload(image_rgb).permute(2, 0, 1)[None]
    if not image_rgb.flags.c_contiguous or not image_rgb.flags.writeable:
        image_rgb = image_rgb.copy()
    return torch.from_numpy(image_rgb).to(device).permute(2, 0, 1)[None]


def scaled_size_hw(size_hw: tuple[int, int], short_side: int, max_aspect: float) -> tuple[int, int]:
    """Height and width of an image scaled to a short side, so that neither side is 0.

    An image longer than max_aspect to 1 is scaled to the long side max_aspect * short_side instead, which bounds the
    result's area for any input.
    """
    height, width = size_hw
    scale = min(short_side / min(height, width), max_aspect * short_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(image: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize (B, 3, H, W), uint8 or float32 in [0, 255], to (B, 3, h, w) of the same type, bilinear and antialiased."""
    if tuple(image.shape[-2:]) == size_hw:
        return image
    return interpolate_antialiased(image, size_hw, "bilinear")


def interpolate_antialiased(image: Tensor, size_hw: tuple[int, int], mode: str) -> Tensor:
    """`interpolate` with antialiasing, of uint8 on any device: only the CPU has kernels for uint8."""
    if image.dtype != torch.uint8 or image.device.type == "cpu":
        return functional.interpolate(image, size_hw, mode=mode, antialias=True, align_corners=False)
    resized = functional.interpolate(image.float(), size_hw, mode=mode, antialias=True, align_corners=False)
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def normalize(image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalise (B, 3, H, W), uint8 or float32 in [0, 255], by a mean and deviation (3,) that are given for [0, 1]."""
    scale = (1.0 / (255.0 * std)).view(1, 3, 1, 1)
    return image.float() * scale - (mean / std).view(1, 3, 1, 1)


def has_contrast(image: Tensor, min_range: float = 2.0) -> Tensor:
    """Whether any channel of (B, 3, H, W) spans more than min_range of 255 levels: (B,) bool."""
    flat = image.flatten(2)  # (B, 3, H*W)
    span = flat.amax(2).float() - flat.amin(2).float()  # (B, 3)
    return span.amax(1) > min_range


def rgb_to_lab(image: Tensor) -> Tensor:
    """sRGB (B, 3, H, W), uint8 or float in [0, 255], to CIE L*a*b* (D65): float32, L in [0, 100].

    Equal distances there look about equally different. Formulas: IEC 61966-2-1 and CIE 15.
    """
    srgb = image.float() / 255
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    matrix = linear.new_tensor(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    white = matrix.sum(1).view(1, 3, 1, 1)
    xyz = torch.einsum("ij,bjhw->bihw", matrix, linear) / white
    f = torch.where(xyz > 216 / 24389, xyz.clamp_min(1e-9) ** (1 / 3), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f.unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)


def shifted(grid: Tensor, dilations: tuple[int, ...]) -> Iterator[Tensor]:
    """A grid (C, H, W) seen from each cell's eight neighbours at each distance, one view after another.

    Beyond the border the border is repeated.
    """
    height, width = grid.shape[1:]
    for reach in dilations:
        padded = functional.pad(grid[None], (reach, reach, reach, reach), mode="replicate")[0]
        for row in (0, reach, 2 * reach):
            for column in (0, reach, 2 * reach):
                if (row, column) != (reach, reach):
                    yield padded[:, row : row + height, column : column + width]


class Event(Protocol):
    """A moment in the device's work."""

    def synchronize(self) -> object:
        """Wait until it has passed."""
        ...


class _Buffer:
    def __init__(self, shape: tuple[int, ...], pin: bool) -> None:
        self.host = torch.empty(shape, dtype=torch.uint8, pin_memory=pin)
        self.array = self.host.numpy()
        self.copied: Event | None = None


class UploadPool:
    """Copies uint8 arrays to a device through reused buffers, without waiting for the copy. Thread-safe.

    Pinning memory costs more than a frame's copy, and a copy from memory that is not pinned goes through the driver's
    own buffer while the host waits.

    pin: whether the buffers are pinned, which needs a GPU.
    mark: an event after the work that the device has been given so far; None: `torch.cuda`'s on the current stream.
    """

    def __init__(self, device: torch.device, pin: bool = True, mark: Callable[[], Event] | None = None) -> None:
        self._device = device
        self._pin = pin
        self._mark = mark or self._record
        self._lock = threading.Lock()
        self._buffers: OrderedDict[tuple[int, ...], list[_Buffer]] = OrderedDict()  # the next to be filled first

    def upload(self, array: NDArray[np.uint8]) -> Tensor:
        """The array as a tensor of its own on the device; of any shape and memory layout, and free to change at once.

        The copy is in the order of the current stream: whatever is queued there later sees it.
        """
        with self._lock:
            buffers = self._take(array.shape)
            buffer = buffers.pop(0)
            buffers.append(buffer)
            if buffer.copied is not None:
                buffer.copied.synchronize()  # what it held last time may be on its way still
            np.copyto(buffer.array, array)
            tensor = torch.empty(array.shape, dtype=torch.uint8, device=self._device)
            tensor.copy_(buffer.host, non_blocking=True)
            buffer.copied = self._mark()
            return tensor

    def _take(self, shape: tuple[int, ...]) -> list[_Buffer]:
        if shape not in self._buffers:
            self._buffers[shape] = [_Buffer(shape, self._pin) for _ in range(NUM_BUFFERS)]
        self._buffers.move_to_end(shape)
        if len(self._buffers) > MAX_SHAPES:
            _, forgotten = self._buffers.popitem(last=False)
            for buffer in forgotten:
                if buffer.copied is not None:
                    buffer.copied.synchronize()
        return self._buffers[shape]

    def _record(self) -> Event:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch has no types for it
        event.record(torch.cuda.current_stream(self._device))
        return event


@cache
def pool_of(device: torch.device) -> UploadPool:
    """The pool of a GPU, one for all that upload to it."""
    return UploadPool(device)
