"""Overlay colours: one per class id, the first ones far apart, the same in every run."""

from __future__ import annotations

import colorsys

Rgb = tuple[int, int, int]

# Twenty colours that people tell apart, strong enough to be seen on a picture.
_FIRST: tuple[Rgb, ...] = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (0, 130, 200),
    (245, 130, 48),
    (145, 30, 180),
    (70, 240, 240),
    (240, 50, 230),
    (210, 245, 60),
    (250, 190, 212),
    (0, 128, 128),
    (220, 190, 255),
    (170, 110, 40),
    (255, 250, 200),
    (128, 0, 0),
    (170, 255, 195),
    (128, 128, 0),
    (255, 215, 180),
    (0, 0, 128),
    (128, 128, 128),
)
_GOLDEN_ANGLE = 0.618033988749895  # of a turn: successive hues never come close to the last few
_TIERS = ((0.85, 0.95), (0.55, 0.85), (0.95, 0.65))  # saturation and value


def default_color(id: int) -> Rgb:
    """The colour, 0 to 255 each, of a class id from 0 to 253."""
    if id < len(_FIRST):
        return _FIRST[id]
    place = id - len(_FIRST)
    saturation, value = _TIERS[place % len(_TIERS)]
    red, green, blue = colorsys.hsv_to_rgb((place * _GOLDEN_ANGLE) % 1.0, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)
