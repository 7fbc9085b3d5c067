"""Crops of segments: square, undistorted, of one size, as one batch for an image encoder."""

from __future__ import annotations

import torch
from torch import Tensor

from ovsr_ros.ops.image import interpolate_antialiased

STYLES = ("box", "blur", "mean")

_BLUR_SIGMA_FRACTION = 0.06
"""Standard deviation of the blur outside a mask, as a fraction of the crop's side."""


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
    for index, (left, top, right, bottom) in enumerate(squares_xyxy):
        inside = image[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
        if left < 0 or top < 0 or right > width or bottom > height:
            padded = fill.view(1, channels, 1, 1).repeat(1, 1, bottom - top, right - left)
            y, x = max(-top, 0), max(-left, 0)
            padded[:, :, y : y + inside.shape[2], x : x + inside.shape[3]] = inside
            inside = padded
        crops[index] = interpolate_antialiased(inside, (size, size), mode)[0]
    return crops


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
    masks = crop_masks(segment_map, squares, size, ids)  # (N, 1, S, S)
    is_blur = style == "blur"
    around = gaussian_blur(crops, _BLUR_SIGMA_FRACTION * size) if is_blur else fill.float().view(1, 3, 1, 1)
    return around + masks * (crops - around)


def crop_masks(segment_map: Tensor, squares_xyxy: list[list[int]], size: int, ids: list[int] | None = None) -> Tensor:
    """Each segment's own mask within its square, (N, 1, size, size) float32 in [0, 1]; soft where pixels are shared.

    ids: the segments' ids, N; None: 1 to N.
    """
    ids = list(range(1, len(squares_xyxy) + 1)) if ids is None else ids
    height, width = segment_map.shape
    none = torch.zeros(1, dtype=torch.uint8, device=segment_map.device)
    masks = []
    for id, (left, top, right, bottom) in zip(ids, squares_xyxy, strict=True):
        x, y = max(left, 0), max(top, 0)
        inside = segment_map[y : min(bottom, height), x : min(right, width)] == id
        square = [left - x, top - y, right - x, bottom - y]
        masks.append(crop_and_resize(inside.to(torch.uint8)[None, None] * 255, [square], size, none, "bilinear"))
    return torch.cat(masks).float() / 255.0


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
