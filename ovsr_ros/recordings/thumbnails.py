"""Hits as pictures: each thing cut out of its image, with a little around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import RecordingError
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.pictures import read_images
from ovsr_ros.recordings.search import Hit

_AROUND = 0.3
_LINE_RGB = (255, 128, 0)


def draw_hit(hit: Hit, bag: Bag) -> NDArray[np.uint8]:
    """A hit's thumbnail, (H, W, 3) uint8 RGB. bag: the hit's. Raises RecordingError where its image is not there."""
    image = next(read_images(bag, hit.topic, [(hit.stamp_ns, hit.log_ns)]))
    if image is None:
        raise RecordingError(f"{hit.bag} has no such image any more")
    return cut_out(image, hit.box_xyxy)


def cut_out(image: NDArray[np.uint8], box_xyxy: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A part of an image (H, W, 3) uint8 RGB: the box, framed, and a third of its size around it; a copy."""
    left, top, right, bottom = box_xyxy
    margin = round(_AROUND * max(right - left, bottom - top)) + 2
    framed = image.copy()
    framed[top:bottom, [left, right - 1]] = _LINE_RGB
    framed[[top, bottom - 1], left:right] = _LINE_RGB
    cut: NDArray[np.uint8] = framed[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
    return cut
