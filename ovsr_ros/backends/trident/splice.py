"""Stage 3: the windows' maps become one map of the whole image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ovsr_ros.ops.tiling import Window, average


def splice(maps: Tensor, windows: Sequence[Window], grid_hw: tuple[int, int], patch_size: int) -> Tensor:
    """Maps (B, C, h, w) of windows, which are in pixels, as one (C, rows, columns): the mean where they overlap.

    grid_hw: CLIP's patches along the image's sides. The maps may be finer than these by a whole factor.
    """
    if len(windows) == 1:
        return maps[0]
    factor = maps.shape[2] * patch_size // (windows[0].bottom - windows[0].top)
    places = [window.scaled(factor, patch_size) for window in windows]
    return average(maps, places, (grid_hw[0] * factor, grid_hw[1] * factor))
