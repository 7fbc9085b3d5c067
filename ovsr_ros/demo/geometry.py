"""Rays against the few solids that every object of the demo scenes is built from.

A solid is a unit shape in its own local frame, placed by an affine transform. All functions take rays in that local
frame, `point = origin + t * direction`, and answer the smallest positive t per ray; t is unchanged by the affine
transform, so it orders hits along the world's ray as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
FAR = np.float32(1e9)
_EPSILON = np.float32(1e-7)


@dataclass(frozen=True)
class Shape:
    """A unit solid.

    intersect: (origins (N, 3) or (3,), directions (N, 3) or (3,)) -> (t (N,), FAR where missed).
    normals: points (N, 3) on the surface -> (N, 3) outward, not normalised.
    bounds: (lower (3,), upper (3,)) corners of the local box that holds the solid.
    planar: whether texture coordinates follow the faces (boxes) and not the angle around the vertical axis.
    """

    intersect: Callable[[Array, Array], Array]
    normals: Callable[[Array], Array]
    bounds: tuple[tuple[float, float, float], tuple[float, float, float]]
    planar: bool = False


def _components(vectors: Array) -> tuple[Any, Any, Any]:
    return vectors[..., 0], vectors[..., 1], vectors[..., 2]


def _nearest_root(a: Array, half_b: Array, c: Array) -> tuple[Array, Array, Mask]:
    """Both roots of a t^2 + 2 half_b t + c, in order, and where they are real."""
    discriminant = half_b * half_b - a * c
    real = discriminant > 0
    root = np.sqrt(np.maximum(discriminant, 0))
    safe_a = np.where(np.abs(a) < _EPSILON, _EPSILON, a)
    first, second = (-half_b - root) / safe_a, (-half_b + root) / safe_a
    return np.minimum(first, second), np.maximum(first, second), real


def sphere() -> Shape:
    """The unit ball, |p| = 1."""

    def intersect(origins: Array, directions: Array) -> Array:
        a = (directions * directions).sum(-1)
        half_b = (origins * directions).sum(-1)
        c = (origins * origins).sum(-1) - 1
        near, _, real = _nearest_root(a, half_b, c)
        return np.where(real & (near > 0), near, FAR).astype(np.float32)

    return Shape(intersect, lambda points: points, ((-1, -1, -1), (1, 1, 1)))


def dome() -> Shape:
    """The upper half of the unit ball, closed by a disc at y = 0."""

    def intersect(origins: Array, directions: Array) -> Array:
        a = (directions * directions).sum(-1)
        half_b = (origins * directions).sum(-1)
        c = (origins * origins).sum(-1) - 1
        near, _, real = _nearest_root(a, half_b, c)
        oy, dy = origins[..., 1], directions[..., 1]
        shell = real & (near > 0) & (oy + near * dy >= 0)
        disc_t = -oy / np.where(np.abs(dy) < _EPSILON, _EPSILON, dy)
        disc_point = origins + disc_t[..., None] * directions
        on_disc = (disc_t > 0) & ((disc_point[..., (0, 2)] ** 2).sum(-1) < 1)
        t = np.where(shell, near, FAR)
        return np.where(on_disc & (disc_t < t), disc_t, t).astype(np.float32)

    def normals(points: Array) -> Array:
        below = np.array([0, -1, 0], np.float32)
        return np.where((points[:, 1] < 1e-3)[:, None], below, points)

    return Shape(intersect, normals, ((-1, 0, -1), (1, 1, 1)))


def box(bevel: float = 0.12) -> Shape:
    """The cube |x|, |y|, |z| <= 1; normals turn within `bevel` of an edge, which shades it as if it were rounded."""

    def intersect(origins: Array, directions: Array) -> Array:
        safe = np.where(np.abs(directions) < _EPSILON, _EPSILON, directions)
        first, second = (-1 - origins) / safe, (1 - origins) / safe
        near = np.minimum(first, second).max(-1)
        far = np.maximum(first, second).min(-1)
        return np.asarray(np.where((near < far) & (near > 0), near, FAR), np.float32)

    def normals(points: Array) -> Array:
        return np.asarray(np.sign(points) * np.clip((np.abs(points) - (1 - bevel)) / bevel, 0, 1), np.float32)

    return Shape(intersect, normals, ((-1, -1, -1), (1, 1, 1)), planar=True)


def convex(planes: list[tuple[float, float, float, float]]) -> Shape:
    """The intersection of half-spaces n . p <= offset within the cube |p| <= 1; each plane is (nx, ny, nz, offset)."""
    array = np.array(planes, np.float32)
    outward, offsets = array[:, :3], array[:, 3]

    def intersect(origins: Array, directions: Array) -> Array:
        slope = directions @ outward.T  # (N, P)
        gap = offsets - origins @ outward.T
        t = gap / np.where(np.abs(slope) < _EPSILON, _EPSILON, slope)
        near = np.where(slope < 0, t, -FAR).max(-1)
        far = np.where(slope > 0, t, FAR).min(-1)
        outside = ((np.abs(slope) < _EPSILON) & (gap < 0)).any(-1)
        return np.asarray(np.where((near < far) & (near > 0) & ~outside, near, FAR), np.float32)

    def normals(points: Array) -> Array:
        return np.asarray(outward[np.argmin(np.abs(points @ outward.T - offsets), axis=1)], np.float32)

    return Shape(intersect, normals, ((-1, -1, -1), (1, 1, 1)), planar=True)


def prism() -> Shape:
    """A gable roof: triangle in x and y (ridge at y = 1), straight along z."""
    return convex([(0, -1, 0, 1), (0, 0, 1, 1), (0, 0, -1, 1), (2, 1, 0, 1), (-2, 1, 0, 1)])


def trapezoid(slope: float = 0.5) -> Shape:
    """A cube whose sides lean inwards towards the top in z, as a car's cabin."""
    return convex([(0, 1, 0, 1), (0, -1, 0, 1), (1, 0.15, 0, 1), (-1, 0.15, 0, 1), (0, slope, 1, 1), (0, slope, -1, 1)])


def frustum(bottom_radius: float, top_radius: float) -> Shape:
    """A closed cone section around the y axis: the given radii at y = -1 and y = +1."""
    mean = np.float32((bottom_radius + top_radius) / 2)
    slope = np.float32((top_radius - bottom_radius) / 2)
    widest = max(bottom_radius, top_radius)

    def intersect(origins: Array, directions: Array) -> Array:
        ox, oy, oz = _components(origins)
        dx, dy, dz = _components(directions)
        radius, growth = mean + slope * oy, slope * dy
        first, second, real = _nearest_root(
            dx * dx + dz * dz - growth * growth,
            ox * dx + oz * dz - radius * growth,
            ox * ox + oz * oz - radius * radius,
        )
        t = np.full(real.shape, FAR, np.float32)
        for root in (second, first):
            y = oy + root * dy
            t = np.where(real & (root > 0) & (np.abs(y) <= 1) & (root < t), root, t)
        safe_dy = np.where(np.abs(dy) < _EPSILON, _EPSILON, dy)
        for height, cap_radius in ((-1.0, bottom_radius), (1.0, top_radius)):
            root = (height - oy) / safe_dy
            x, z = ox + root * dx, oz + root * dz
            t = np.where((root > 0) & (x * x + z * z <= cap_radius**2) & (root < t), root, t)
        return t.astype(np.float32)

    def normals(points: Array) -> Array:
        side = points.copy()
        side[:, 1] = -slope * np.hypot(points[:, 0], points[:, 2])
        side[:, 1] /= max(widest, 1e-3)
        on_cap = np.abs(points[:, 1]) > 0.999
        cap = np.zeros_like(points)
        cap[:, 1] = np.sign(points[:, 1])
        return np.where(on_cap[:, None], cap, side)

    return Shape(intersect, normals, ((-widest, -1, -widest), (widest, 1, widest)))


def torus(tube_radius: float) -> Shape:
    """A ring of radius 1 in the x-y plane with the given tube radius, found by sphere tracing."""
    reach = 1 + tube_radius

    def distance(points: Array) -> Array:
        ring = np.hypot(points[..., 0], points[..., 1]) - 1
        return np.asarray(np.hypot(ring, points[..., 2]) - tube_radius)

    def intersect(origins: Array, directions: Array) -> Array:
        length = np.sqrt((directions * directions).sum(-1))
        unit = directions / length[..., None]
        half_b = (origins * unit).sum(-1)
        gap = (origins * origins).sum(-1) - reach * reach
        s = np.maximum(-half_b - np.sqrt(np.maximum(half_b * half_b - gap, 0)), 0)  # enter at the bounding ball
        for _ in range(18):
            s = s + distance(origins + s[..., None] * unit)
        hit = (distance(origins + s[..., None] * unit) < 0.02) & (half_b * half_b > gap)
        return np.asarray(np.where(hit & (s > 0), s / length, FAR), np.float32)

    def normals(points: Array) -> Array:
        ring = np.maximum(np.hypot(points[:, 0], points[:, 1]), 1e-6)
        centre = points / ring[:, None]
        centre[:, 2] = 0
        return np.asarray(points - centre, np.float32)

    return Shape(intersect, normals, ((-reach, -reach, -tube_radius), (reach, reach, tube_radius)))
