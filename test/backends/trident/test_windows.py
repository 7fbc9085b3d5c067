"""Windows: they cover everything, stay inside, and what they say is averaged with weights that sum to one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovsr_ros.backends.trident.windows import Window, average, cover, cut

lengths = st.integers(1, 60)


@given(height=lengths, width=lengths, size=st.integers(4, 64), data=st.data())
def test_windows_cover_every_place_and_none_lies_outside(height, width, size, data):
    stride = data.draw(st.integers(1, size))
    windows = cover((height, width), size, stride)
    covered = torch.zeros(height, width, dtype=torch.int)
    for w in windows:
        assert 0 <= w.top < w.bottom <= height
        assert 0 <= w.left < w.right <= width
        assert (w.bottom - w.top, w.right - w.left) == (min(size, height), min(size, width))
        covered[w.top : w.bottom, w.left : w.right] += 1
    assert covered.min() >= 1
    assert len(set(windows)) == len(windows)


@pytest.mark.parametrize(
    ("length", "spans"),
    [(336, [(0, 336)]), (337, [(0, 336), (1, 337)]), (560, [(0, 336), (224, 560)]), (100, [(0, 100)])],
)
def test_the_last_window_is_moved_back_to_the_border(length, spans):
    assert [(w.left, w.right) for w in cover((10, length), 336, 224)] == spans


def test_windows_come_row_by_row():
    assert [(w.top, w.left) for w in cover((5, 7), 4, 3)] == [(0, 0), (0, 3), (1, 0), (1, 3)]


@given(height=st.integers(4, 40), width=st.integers(4, 40), stride=st.integers(1, 4))
def test_weights_sum_to_one_everywhere(height, width, stride):
    windows = cover((height, width), 4, stride)
    ones = torch.ones(len(windows), 2, 4, 4)
    torch.testing.assert_close(average(ones, windows, (height, width)), torch.ones(2, height, width))


def test_an_average_is_that_of_the_windows_over_a_place():
    generator = torch.Generator().manual_seed(0)
    windows = cover((9, 11), 5, 3)
    maps = torch.randn(len(windows), 3, 5, 5, generator=generator)
    found = average(maps, windows, (9, 11))
    for y in range(9):
        for x in range(11):
            said = [
                maps[i, :, y - w.top, x - w.left]
                for i, w in enumerate(windows)
                if w.top <= y < w.bottom and w.left <= x < w.right
            ]
            torch.testing.assert_close(found[:, y, x], torch.stack(said).mean(0))


def test_cutting_and_averaging_gives_the_image_back():
    image = torch.randn(1, 3, 23, 17, generator=torch.Generator().manual_seed(0))
    windows = cover((23, 17), 8, 5)
    torch.testing.assert_close(average(cut(image, windows), windows, (23, 17)), image[0])


def test_a_window_in_patches():
    assert Window(16, 32, 352, 368).scaled(1, 16) == Window(1, 2, 22, 23)
    assert Window(16, 32, 352, 368).scaled(2, 16) == Window(2, 4, 44, 46)
