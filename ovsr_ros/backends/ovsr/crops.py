"""Stage 5: a square crop of each segment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovsr_ros.backends.contract import Regions
from ovsr_ros.ops.image import interpolate_antialiased
from ovsr_ros.options import option

STYLES = ("box", "blur", "mean")

_BLUR_SIGMA_FRACTION = 0.06
"""Standard deviation of the blur outside a mask, as a fraction of the crop's side."""

_PIXELS_AT_ONCE = 2**19
"""Of a square that are resized at once: about as many as stay in a cache."""


@dataclass(frozen=True)
class CropOptions:
    """What the image encoder sees of a segment."""

    style: str = option(
        "box",
        help="what surrounds the segment in its crop: the image (box), the image blurred, CLIP's mean colour",
        choices=STYLES,
    )
    margin: float = option(
        0.1, help="room around the segment on each side, as a fraction of its longer side", min=0.0, max=2.0
    )
    centered: bool = option(
        False, help="whether a crop stays centred on a segment at the image's border, or moves inside the image"
    )


def cut_crops(
    image: Tensor,
    regions: Regions,
    size: int,
    fill: Tensor,
    options: CropOptions,
    rows: NDArray[np.int64] | None = None,
) -> Tensor:
    """Crops (N, 3, size, size) float32 in [0, 255] of an image (1, 3, H, W) uint8; fill: (3,) uint8 outside of it.

    rows: (N,), the segments to cut, from 0; None: all.
    """
    boxes, ids = torch.from_numpy(regions.boxes_xyxy), None
    if rows is not None:
        boxes, ids = boxes[torch.from_numpy(rows)], (rows + 1).tolist()
    segment_map = regions.segment_map
    return crop_segments(image, segment_map, boxes, size, options.style, options.margin, fill, options.centered, ids)


def square_boxes(boxes_xyxy: Tensor, size_hw: tuple[int, int], margin: float, centered: bool = False) -> Tensor:
    """Squares (N, 4) int64 around boxes (N, 4), with a margin that is a fraction of the longer side, on each side.

    A square is centred on its box. Unless it is to stay `centered`, it is then moved into the image as far as it fits;
    what is larger than the image sticks out evenly on both sides.
    """
    boxes = boxes_xyxy.double()
    side = (boxes[:, 2:] - boxes[:, :2]).amax(1) * (1 + 2 * margin)  # (N,)
    side = side.round().clamp_min(1).long()
    lengths = torch.tensor((size_hw[1], size_hw[0]), device=boxes.device)  # (2,) x, y
    start = ((boxes[:, :2] + boxes[:, 2:] - side[:, None]) / 2).round().long()  # (N, 2)
    room = lengths - side[:, None]  # (N, 2), negative where the square is larger than the image
    if centered:
        return torch.cat((start, start + side[:, None]), 1)
    inside = torch.minimum(start.clamp_min(0), room)
    start = torch.where(room >= 0, inside, torch.div(room, 2, rounding_mode="floor"))
    return torch.cat((start, start + side[:, None]), 1)


def crop_and_resize(image: Tensor, squares_xyxy: list[list[int]], size: int, fill: Tensor, mode: str) -> Tensor:
    """Cut squares out of (1, C, H, W) uint8 and resize each, antialiased: (N, C, size, size) uint8.

    fill: (C,) uint8, the colour of what lies outside the image. mode: "bicubic" or "bilinear".
    """
    _, channels, height, width = image.shape
    crops = fill.view(1, channels, 1, 1).repeat(len(squares_xyxy), 1, size, size)
    for index, square in enumerate(squares_xyxy):
        left, top, right, bottom = square
        if left < 0 or top < 0 or right > width or bottom > height:
            everything = [0, 0, width, height]
            crops[index] = _resize_padded(partial(_pixels, image), everything, square, size, fill, mode)
        else:
            crops[index] = interpolate_antialiased(image[:, :, top:bottom, left:right], (size, size), mode)[0]
    return crops


def _pixels(image: Tensor, rows: slice, columns: slice) -> Tensor:
    return image[:, :, rows, columns]


def _mask_pixels(segment_map: Tensor, id: int, rows: slice, columns: slice) -> Tensor:
    return (segment_map[rows, columns] == id).to(torch.uint8)[None, None] * 255


def _resize_padded(
    read: Callable[[slice, slice], Tensor],
    box_xyxy: list[int],
    square_xyxy: list[int],
    size: int,
    fill: Tensor,
    mode: str,
) -> Tensor:
    """A square resized, antialiased: (C, size, size) uint8. fill: (C,) uint8, what it holds outside of a box.

    read: the box's pixels (1, C, h, w) uint8 in these rows and columns, of the same frame as square and box.
    """
    left, top, right, bottom = square_xyxy
    side, outside = bottom - top, fill.view(1, -1, 1, 1)
    first, end = max(top, box_xyxy[1]), min(bottom, box_xyxy[3])
    columns = slice(max(left, box_xyxy[0]), min(right, box_xyxy[2]))
    within = slice(columns.start - left, columns.stop - left)
    if fill.device.type != "cpu":
        padded = outside.repeat(1, 1, side, side)
        padded[:, :, first - top : end - top, within] = read(slice(first, end), columns)
        return interpolate_antialiased(padded, (size, size), mode)[0]
    # On a CPU PyTorch resizes the rows, then the columns of what that gave. Here a few rows at a time, to the same
    # bits: a copy of a large image's square would be memory that the kernel has to find anew in each frame.
    at_once = min(max(1, _PIXELS_AT_ONCE // side), end - first)
    strip = outside.repeat(1, 1, at_once, side).contiguous(memory_format=torch.channels_last)
    narrow = outside.repeat(1, 1, side, size)
    for start in range(first, end, at_once):
        stop = min(start + at_once, end)
        rows = strip[:, :, : stop - start]
        rows[..., within] = read(slice(start, stop), columns)
        narrow[:, :, start - top : stop - top] = interpolate_antialiased(rows, (stop - start, size), mode)
    return interpolate_antialiased(narrow, (size, size), mode)[0]


def crop_segments(
    image: Tensor,
    segment_map: Tensor,
    boxes_xyxy: Tensor,
    size: int,
    style: str,
    margin: float,
    fill: Tensor,
    centered: bool = False,
    ids: list[int] | None = None,
) -> Tensor:
    """One crop of each segment: (N, 3, size, size) float32 in [0, 255], RGB, on the image's device.

    image: (1, 3, H, W) uint8. segment_map: (H, W), segment ids[i] has box i of boxes_xyxy (N, 4); ids None: 1 to N.
    fill: (3,) uint8, the colour of what lies outside the image. margin, centered: see `square_boxes`.

    style: what surrounds the segment within its square. "box": what is there; "blur": the same, blurred (as FGVP,
    arXiv 2306.04356); "mean": fill, which should be the mean colour that the encoder was normalised by.
    """
    if style not in STYLES:
        raise ValueError(f"style: expected one of {', '.join(STYLES)}, got {style!r}")
    squares = square_boxes(boxes_xyxy, (image.shape[2], image.shape[3]), margin, centered).tolist()
    crops = crop_and_resize(image, squares, size, fill, "bicubic").float()
    if style == "box" or not squares:
        return crops
    masks = crop_masks(segment_map, boxes_xyxy.tolist(), squares, size, ids)  # (N, 1, S, S)
    is_blur = style == "blur"
    around = gaussian_blur(crops, _BLUR_SIGMA_FRACTION * size) if is_blur else fill.float().view(1, 3, 1, 1)
    return around + masks * (crops - around)


def crop_masks(
    segment_map: Tensor,
    boxes_xyxy: list[list[int]],
    squares_xyxy: list[list[int]],
    size: int,
    ids: list[int] | None = None,
) -> Tensor:
    """Each segment's own mask within its square, (N, 1, size, size) float32 in [0, 1]; soft where pixels are shared.

    boxes_xyxy: the segments', N. ids: theirs; None: 1 to N.
    """
    ids = list(range(1, len(squares_xyxy) + 1)) if ids is None else ids
    none = torch.zeros(1, dtype=torch.uint8, device=segment_map.device)
    masks = [
        _resize_padded(partial(_mask_pixels, segment_map, id), box, square, size, none, "bilinear")
        for id, box, square in zip(ids, boxes_xyxy, squares_xyxy, strict=True)
    ]
    return torch.stack(masks).float() / 255.0


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Blur (N, C, H, W) float32 by a Gaussian of standard deviation sigma pixels; borders are repeated."""
    rows, columns = (_gaussian_matrix(length, sigma, images.device) for length in images.shape[2:])
    # As two products with banded matrices: a convolution per channel takes four times as long on a CPU.
    return rows @ images @ columns.T


def _gaussian_matrix(length: int, sigma: float, device: torch.device) -> Tensor:
    """What each of `length` places of a blurred line takes of each of the line's, (length, length) float32."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, device=device)
    kernel = torch.exp(-0.5 * (offsets.float() / sigma) ** 2)
    places = (torch.arange(length, device=device)[:, None] + offsets).clamp(0, length - 1)  # (length, taps)
    shares = (kernel / kernel.sum()).expand(length, -1)
    return torch.zeros(length, length, device=device).scatter_add_(1, places, shares)
