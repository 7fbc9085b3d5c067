"""Parts: a solid, where it sits in its object, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo import geometry

Array = NDArray[np.float32]
Triple = tuple[float, float, float]

MATERIALS: dict[str, Triple] = {
    "dark": (0.035, 0.035, 0.04),
    "metal": (0.42, 0.43, 0.45),
    "cream": (0.83, 0.77, 0.62),
    "paper": (0.86, 0.84, 0.78),
    "glass": (0.10, 0.16, 0.22),
    "sky": (0.35, 0.62, 0.80),
    "leaf": (0.06, 0.26, 0.05),
    "soil": (0.07, 0.04, 0.025),
    "wood": (0.30, 0.16, 0.07),
    "beak": (0.90, 0.36, 0.02),
    "glow": (0.95, 0.82, 0.45),
    "roof": (0.28, 0.07, 0.05),
}
"""Fixed materials, linear light; "main" is the object's own colour and pattern, "shade" its own colour, darker."""


@dataclass(frozen=True)
class Part:
    """A solid placed in its object's frame (x right, y up, z away, the base at y = 0).

    to_object: (3, 4) affine, the solid's local frame to the object's.
    material: "main", "shade" or a key of MATERIALS.
    gloss: strength of the highlight, 0 to 1. glow: share of light it emits itself, 0 to 1.
    hollow: whether the top is an opening: a dark inside within a rim.
    """

    shape: geometry.Shape
    to_object: Array
    material: str
    gloss: float = 0.15
    glow: float = 0.0
    hollow: bool = False


@dataclass
class Builder:
    """Collects the parts of one object."""

    parts: list[Part] = field(default_factory=list)

    def add(
        self,
        shape: geometry.Shape,
        center: Triple,
        half: Triple,
        material: str,
        tilt: Triple = (0.0, 0.0, 0.0),
        gloss: float = 0.15,
        glow: float = 0.0,
        hollow: bool = False,
    ) -> None:
        """Place a unit solid: scaled by `half`, turned by `tilt` (radians about x, y, z in turn), moved to `center`."""
        linear = rotation(tilt) @ np.diag(np.array(half, np.float32))
        to_object = np.concatenate([linear, np.array(center, np.float32)[:, None]], axis=1)
        self.parts.append(Part(shape, to_object.astype(np.float32), material, gloss, glow, hollow))

    def ball(self, center: Triple, half: Triple | float, material: str, tilt: Triple = (0, 0, 0)) -> None:
        """A ball or ellipsoid."""
        radii = (half, half, half) if isinstance(half, (int, float)) else half
        self.add(geometry.sphere(), center, radii, material, tilt)

    def block(self, center: Triple, half: Triple, material: str, tilt: Triple = (0, 0, 0)) -> None:
        """A box."""
        self.add(geometry.box(), center, half, material, tilt)

    def round(
        self,
        y_low: float,
        y_high: float,
        r_low: float,
        r_high: float,
        material: str,
        at_xz: tuple[float, float] = (0.0, 0.0),
        gloss: float = 0.15,
        glow: float = 0.0,
        hollow: bool = False,
    ) -> None:
        """An upright cylinder or cone section between two heights."""
        center = (at_xz[0], (y_low + y_high) / 2, at_xz[1])
        half = (1.0, (y_high - y_low) / 2, 1.0)
        self.add(geometry.frustum(r_low, r_high), center, half, material, gloss=gloss, glow=glow, hollow=hollow)

    def disc(self, center: Triple, radius: float, half_depth: float, material: str, gloss: float = 0.15) -> None:
        """A flat cylinder whose axis is z: a wheel seen from the side, a clock's face."""
        half = (radius, half_depth, radius)
        self.add(geometry.frustum(1, 1), center, half, material, (np.pi / 2, 0, 0), gloss=gloss)

    def ring(self, center: Triple, radius: Triple, tube: float, material: str, tilt: Triple = (0, 0, 0)) -> None:
        """A ring in the x-y plane, stretched by `radius`; tube is relative to it."""
        self.add(geometry.torus(tube), center, radius, material, tilt)


def rotation(tilt: Triple) -> Array:
    """Turn about x, then y, then z, radians: (3, 3)."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(tilt), np.cos(tilt)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, np.float32)
