"""Hits as pictures: each thing cut out of its image, with a little around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import RecordingError
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.pictures import draw_sheet, read_images, write_jpeg
from ovsr_ros.recordings.search import Hit

_AROUND = 0.3
_LINE_RGB = (255, 128, 0)


def draw_hits(hits: Sequence[Hit], path: Path) -> list[str]:
    """Write the hits as a sheet, a JPEG, those of which the bag can be read; what could not be drawn, in words.

    Raises OSError.
    """
    tiles: list[tuple[NDArray[np.uint8], str]] = []
    problems: list[str] = []
    for number, hit in enumerate(hits, start=1):
        try:
            with Bag(Path(hit.bag)) as bag:
                image = next(read_images(bag, hit.topic, [(hit.stamp_ns, hit.log_ns)]))
        except RecordingError as error:
            problems.append(f"no thumbnail of hit {number}: {error}")
            continue
        if image is None:
            problems.append(f"no thumbnail of hit {number}: {hit.bag} has no such image any more")
            continue
        tiles.append((cut_out(image, hit.box_xyxy), f"{number}: {hit.score:.3f}  {hit.stamp_ns / 1e9:.2f} s"))
    write_jpeg(path, draw_sheet(tiles))
    return problems


def cut_out(image: NDArray[np.uint8], box_xyxy: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A part of an image (H, W, 3) uint8 RGB: the box, framed, and a third of its size around it; a copy."""
    left, top, right, bottom = box_xyxy
    margin = round(_AROUND * max(right - left, bottom - top)) + 2
    framed = image.copy()
    framed[top:bottom, [left, right - 1]] = _LINE_RGB
    framed[[top, bottom - 1], left:right] = _LINE_RGB
    cut: NDArray[np.uint8] = framed[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
    return cut
