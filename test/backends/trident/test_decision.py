"""Upsampling in bands gives what upsampling whole gives."""

import pytest
import torch
from torch.nn.functional import interpolate

from ovsr_ros.backends.trident.decision import bands, upsample_rows


@pytest.mark.parametrize("size_hw", [(48, 64), (7, 5), (61, 33), (3, 90), (6, 8)])
@pytest.mark.parametrize("step", [1, 4, 1000])
def test_bands_are_rows_of_the_whole(size_hw, step):
    maps = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0))
    whole = interpolate(maps[None], size_hw, mode="bilinear", align_corners=False)[0]
    parts = [upsample_rows(maps, size_hw, first, min(first + step, size_hw[0])) for first in range(0, size_hw[0], step)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)


def test_bands_cover_the_rows_within_the_budget():
    assert list(bands(10, (7, 100), 4 * 10 * 100 * 3)) == [(0, 3), (3, 6), (6, 7)]
    assert list(bands(10, (2, 100), 1)) == [(0, 1), (1, 2)]
    assert list(bands(1, (5, 5), 2**20)) == [(0, 5)]
