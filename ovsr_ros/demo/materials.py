"""Colours, surface patterns and the textures of walls and floors."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.80, 0.10, 0.09),
    "orange": (0.95, 0.45, 0.06),
    "yellow": (0.95, 0.80, 0.12),
    "green": (0.16, 0.55, 0.20),
    "blue": (0.12, 0.27, 0.76),
    "purple": (0.45, 0.16, 0.60),
    "pink": (0.96, 0.52, 0.68),
    "brown": (0.42, 0.24, 0.12),
    "white": (0.92, 0.92, 0.90),
    "black": (0.08, 0.08, 0.09),
}
"""sRGB in [0, 1] of each named colour; scenes vary them a little."""

PATTERNS = ("plain", "striped", "dotted", "checkered")
WALLS = ("painted wall", "brick wall", "tiled wall", "wallpapered wall", "wooden wall", "concrete wall")
FLOORS = ("wooden floor", "tiled floor", "carpeted floor", "concrete floor", "checkered floor", "marble floor")

TILE_PX = 384
"""Side of a surface texture, pixels; it repeats without a seam."""


def to_linear(srgb: Array) -> Array:
    """sRGB in [0, 1] to linear light, with the exponent 2.2."""
    return np.asarray(np.power(np.maximum(srgb, 0), np.float32(2.2)), np.float32)


def vary_color(name: str, rng: np.random.Generator) -> Array:
    """A shade that people would still call by the name: (3,) linear light."""
    srgb = np.array(COLORS[name], np.float32)
    srgb = srgb * np.float32(rng.uniform(0.88, 1.08)) + rng.normal(0, 0.018, 3).astype(np.float32)
    return to_linear(np.clip(srgb, 0.02, 0.98))


def pattern_amount(pattern: str, u: Array, v: Array, scale: float, slant: float) -> Array:
    """How much of the second colour shows at texture coordinates (u, v): (N,) in [0, 1].

    scale: periods per unit of u and v; slant: radians by which stripes lean.
    """
    if pattern == "striped":
        phase = (u * np.sin(slant) + v * np.cos(slant)) * scale
        return _soft_step(np.asarray(np.sin(2 * np.pi * phase), np.float32), 0.25)
    if pattern == "dotted":
        row = np.floor(v * scale)
        x = (u * scale + 0.5 * (row % 2)) % 1 - 0.5
        y = (v * scale) % 1 - 0.5
        return _soft_step(0.30 - np.hypot(x, y), 0.06)
    if pattern == "checkered":
        product = np.sin(np.pi * u * scale * 1.1) * np.sin(np.pi * v * scale * 1.1)
        return _soft_step(product, 0.12)
    return np.zeros_like(u)


def _soft_step(signed: Array, width: float) -> Array:
    return np.asarray(np.clip(signed / width * 0.5 + 0.5, 0, 1), np.float32)


def periodic_noise(rng: np.random.Generator, roughness: float, stretch: float = 1.0, size: int = TILE_PX) -> Array:
    """Noise that repeats without a seam: (size, size), mean 0, deviation 1.

    roughness: exponent of the spectrum's decay, 0 white, 2 cloudy; stretch: how much longer features are along x.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    fy = np.fft.fftfreq(size)[:, None]
    fx = np.fft.rfftfreq(size)[None, :] * stretch
    decay = np.hypot(fx, fy) + 1.5 / size
    noise = np.fft.irfft2(spectrum / decay**roughness, s=(size, size))
    noise -= noise.mean()
    return np.asarray(noise / (noise.std() + 1e-9), np.float32)


def _grid(count_u: int, count_v: int, stagger: float) -> tuple[Array, Array, NDArray[np.int64], NDArray[np.int64]]:
    """Position within its cell (0 to 1, each way) and the cell's column and row, for a tile of cells."""
    axis = (np.arange(TILE_PX, dtype=np.float32) + 0.5) / TILE_PX
    v = np.broadcast_to(axis[:, None] * count_v, (TILE_PX, TILE_PX))
    row = np.floor(v).astype(np.int64)
    u = axis[None, :] * count_u + stagger * (row % 2)
    column = np.floor(u).astype(np.int64) % count_u
    return np.asarray(u % 1, np.float32), np.asarray(v % 1, np.float32), column, row


def _cells(rng: np.random.Generator, base: Array, spread: float, layout: tuple[int, int, float], joint: float) -> Array:
    """Bricks, tiles, planks: a shade per cell, darker joints. layout: cells along u, along v, stagger of odd rows."""
    count_u, count_v, stagger = layout
    u, v, column, row = _grid(count_u, count_v, stagger)
    shade = rng.normal(1, spread, (count_v, count_u)).astype(np.float32)[row % count_v, column]
    edge_u = np.minimum(u, 1 - u) / count_u
    edge_v = np.minimum(v, 1 - v) / count_v
    inside = _soft_step(np.asarray(np.minimum(edge_u, edge_v) - joint, np.float32), 0.004)
    joint_color = base * 0.45 + 0.12
    return base * shade[..., None] * inside[..., None] + joint_color * (1 - inside[..., None])


def wall_texture(name: str, rng: np.random.Generator) -> Array:
    """One repeating tile of a wall: (TILE_PX, TILE_PX, 3) linear light."""
    muted = _muted(rng)
    if name == "brick wall":
        base = to_linear(np.array([0.62, 0.33, 0.25], np.float32) * np.float32(rng.uniform(0.8, 1.15)))
        texture = _cells(rng, base, 0.13, (4, 10, 0.5), 0.006)
        return _grain(texture, periodic_noise(rng, 0.8), 0.10)
    if name == "tiled wall":
        count = int(rng.integers(4, 8))
        return _grain(_cells(rng, muted * 1.1, 0.04, (count, count, 0.0), 0.004), periodic_noise(rng, 1.5), 0.02)
    if name == "wallpapered wall":
        axis = (np.arange(TILE_PX, dtype=np.float32) + 0.5) / TILE_PX
        bands = _soft_step(np.asarray(np.sin(2 * np.pi * axis * int(rng.integers(4, 9))), np.float32), 0.3)[
            None, :, None
        ]
        second = muted * np.float32(rng.uniform(0.65, 0.85))
        texture = np.broadcast_to(muted * bands + second * (1 - bands), (TILE_PX, TILE_PX, 3)).astype(np.float32)
        return _grain(texture, periodic_noise(rng, 0.5), 0.02)
    if name == "wooden wall":
        base = to_linear(np.array([0.62, 0.45, 0.28], np.float32) * np.float32(rng.uniform(0.75, 1.15)))
        texture = _cells(rng, base, 0.08, (6, 1, 0.0), 0.003)
        return _grain(texture, periodic_noise(rng, 1.2, 0.06).T, 0.14)
    if name == "concrete wall":
        gray = np.full(3, rng.uniform(0.25, 0.5), np.float32)
        return _grain(np.broadcast_to(gray, (TILE_PX, TILE_PX, 3)), periodic_noise(rng, 1.3), 0.09)
    return _grain(np.broadcast_to(muted, (TILE_PX, TILE_PX, 3)), periodic_noise(rng, 0.6), 0.025)


def floor_texture(name: str, rng: np.random.Generator) -> Array:
    """One repeating tile of a floor: (TILE_PX, TILE_PX, 3) linear light."""
    muted = _muted(rng)
    if name == "wooden floor":
        base = to_linear(np.array([0.58, 0.40, 0.24], np.float32) * np.float32(rng.uniform(0.7, 1.2)))
        texture = _cells(rng, base, 0.12, (8, 2, 0.5), 0.002)
        return _grain(texture, periodic_noise(rng, 1.2, 0.05).T, 0.13)
    if name == "tiled floor":
        count = int(rng.integers(3, 6))
        return _grain(_cells(rng, muted, 0.05, (count, count, 0.0), 0.004), periodic_noise(rng, 1.2), 0.03)
    if name == "carpeted floor":
        shade = to_linear(np.clip(rng.uniform(0.25, 0.65, 3), 0, 1).astype(np.float32))
        return _grain(np.broadcast_to(shade, (TILE_PX, TILE_PX, 3)), periodic_noise(rng, 0.15), 0.16)
    if name == "checkered floor":
        _, _, column, row = _grid(4, 4, 0.0)
        odd = ((column + row) % 2).astype(np.float32)[..., None]
        dark = muted * np.float32(rng.uniform(0.18, 0.4))
        return _grain(muted * odd + dark * (1 - odd), periodic_noise(rng, 1.4), 0.04)
    if name == "marble floor":
        base = np.full(3, rng.uniform(0.45, 0.75), np.float32) * np.array([1, 0.98, 0.94], np.float32)
        veins = np.exp(-np.abs(periodic_noise(rng, 1.6)) * 9)[..., None]
        return _grain(base * (1 - 0.45 * veins), periodic_noise(rng, 1.6), 0.05)
    gray = np.full(3, rng.uniform(0.15, 0.4), np.float32)
    return _grain(np.broadcast_to(gray, (TILE_PX, TILE_PX, 3)), periodic_noise(rng, 1.1), 0.10)


def _muted(rng: np.random.Generator) -> Array:
    """A colour that walls and floors have: light, little saturated. (3,) linear light."""
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(0.03, 0.28), rng.uniform(0.62, 0.95)]]], np.float32)
    return to_linear(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0])


def _grain(texture: Array, noise: Array, amount: float) -> Array:
    return np.asarray(np.clip(texture * (1 + amount * noise[..., None]), 0.003, 1), np.float32)
