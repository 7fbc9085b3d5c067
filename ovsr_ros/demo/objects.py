"""The kinds of object in the demo scenes: each function builds one, about one unit tall, with chance variations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ovsr_ros.demo import geometry
from ovsr_ros.demo.parts import Builder, Part

Rng = np.random.Generator


def _mug(b: Builder, rng: Rng) -> None:
    radius = rng.uniform(0.36, 0.46)
    b.round(0, 1, radius * rng.uniform(0.8, 1.0), radius, "main", gloss=0.5, hollow=True)
    b.ring((radius + 0.10, 0.5, 0), (0.24, 0.28, 0.24), 0.24, "main")


def _bottle(b: Builder, rng: Rng) -> None:
    radius, shoulder = rng.uniform(0.15, 0.21), rng.uniform(0.52, 0.64)
    b.round(0, shoulder, radius, radius, "main", gloss=0.6)
    b.round(shoulder, shoulder + 0.14, radius, 0.065, "main", gloss=0.6)
    b.round(shoulder + 0.14, 0.92, 0.065, 0.06, "main", gloss=0.6)
    b.round(0.90, 1.0, 0.075, 0.075, "dark")


def _ball(b: Builder, rng: Rng) -> None:
    b.add(
        geometry.sphere(),
        (0, 0.5, 0),
        (0.5, 0.5, 0.5),
        "main",
        (rng.uniform(-0.6, 0.6), 0, rng.uniform(-0.6, 0.6)),
        0.5,
    )


def _book(b: Builder, rng: Rng) -> None:
    width, depth = rng.uniform(0.32, 0.42), rng.uniform(0.06, 0.13)
    b.block((0.015, 0.5, 0), (width - 0.02, 0.475, depth - 0.015), "paper")
    for side in (-1, 1):
        b.block((0, 0.5, side * depth), (width, 0.5, 0.018), "main")
    b.block((-width, 0.5, 0), (0.018, 0.5, depth), "main")


def _lamp(b: Builder, rng: Rng) -> None:
    b.round(0, 0.06, 0.24, 0.20, "main")
    b.round(0.06, 0.65, 0.03, 0.03, "metal", gloss=0.8)
    b.round(rng.uniform(0.52, 0.60), 1.0, rng.uniform(0.34, 0.42), rng.uniform(0.16, 0.24), "main", glow=0.25)


def _chair(b: Builder, rng: Rng) -> None:
    seat, half = rng.uniform(0.42, 0.5), 0.27
    b.block((0, seat, 0), (half, 0.035, half), "main")
    b.block((0, (seat + 1) / 2 + 0.08, half - 0.03), (half, (1 - seat) / 2 - 0.08, 0.035), "main", (0.08, 0, 0))
    for x in (-1, 1):
        b.round(0, seat, 0.03, 0.035, "main", (x * (half - 0.04), -half + 0.04))
        b.round(0, 0.75, 0.03, 0.035, "main", (x * (half - 0.04), half - 0.04))


def _table(b: Builder, rng: Rng) -> None:
    half_x, half_z = rng.uniform(0.7, 0.9), rng.uniform(0.45, 0.6)
    b.block((0, 0.95, 0), (half_x, 0.05, half_z), "main")
    for x in (-1, 1):
        for z in (-1, 1):
            b.block((x * (half_x - 0.08), 0.45, z * (half_z - 0.08)), (0.05, 0.45, 0.05), "main")


def _plant(b: Builder, rng: Rng) -> None:
    b.round(0, 0.42, 0.18, 0.28, "main", gloss=0.3)
    b.round(0.38, 0.44, 0.30, 0.30, "main", gloss=0.3)
    b.round(0.43, 0.45, 0.27, 0.27, "soil")
    for i in range(int(rng.integers(7, 11))):
        angle, lean = i * 2.4 + rng.uniform(-0.3, 0.3), rng.uniform(0.15, 0.75)
        length = rng.uniform(0.22, 0.30)
        x, z = np.sin(angle) * lean * 0.30, np.cos(angle) * lean * 0.30
        tilt = (lean * np.cos(angle), 0, -lean * np.sin(angle))
        b.ball((x, 0.44 + length * 0.95 * np.cos(lean * 0.7), z), (0.085, length, 0.05), "leaf", tilt)


def _car(b: Builder, rng: Rng) -> None:
    length = rng.uniform(0.95, 1.15)
    b.block((0, 0.42, 0), (length, 0.22, 0.44), "main")
    b.add(geometry.trapezoid(), (-0.1, 0.80, 0), (length * 0.55, 0.20, 0.40), "glass", gloss=0.9)
    b.block((-0.1, 0.99, 0), (length * 0.42, 0.03, 0.22), "main")
    for x in (-0.58, 0.58):
        for z in (-0.42, 0.42):
            b.disc((x * length, 0.2, z), 0.2, 0.07, "dark")
            b.disc((x * length, 0.2, z * 1.12), 0.09, 0.04, "metal")
    for z in (-0.28, 0.28):
        b.ball((length, 0.45, z), 0.08, "glow")


def _bear(b: Builder, rng: Rng) -> None:
    b.ball((0, 0.33, 0), (0.25, 0.30, 0.22), "main")
    b.ball((0, 0.74, 0), (0.22, 0.21, 0.20), "main")
    b.ball((0, 0.69, -0.18), (0.10, 0.08, 0.08), "cream")
    b.ball((0, 0.72, -0.26), 0.03, "dark")
    for x in (-1, 1):
        b.ball((x * 0.17, 0.92, 0), (0.09, 0.09, 0.05), "main")
        b.ball((x * 0.08, 0.79, -0.175), 0.027, "dark")
        b.ball((x * 0.27, 0.43, -0.06), (0.08, 0.17, 0.08), "main", (-0.5, 0, x * 0.6))
        b.ball((x * 0.17, 0.10, -0.14), (0.10, 0.10, 0.17), "main")


def _vase(b: Builder, rng: Rng) -> None:
    belly, waist = rng.uniform(0.27, 0.36), rng.uniform(0.10, 0.14)
    b.round(0, 0.08, 0.17, 0.15, "main", gloss=0.6)
    b.add(geometry.sphere(), (0, 0.38, 0), (belly, 0.35, belly), "main", gloss=0.6)
    b.round(0.62, 0.84, waist * 1.35, waist, "main", gloss=0.6)
    b.round(0.84, 1.0, waist, rng.uniform(0.18, 0.25), "main", gloss=0.6, hollow=True)


def _bowl(b: Builder, rng: Rng) -> None:
    b.round(0, 0.14, 0.42, 0.42, "main")
    b.round(0.1, 0.5, 0.45, 0.85, "main", gloss=0.5)
    b.round(0.5, 1.0, 0.85, rng.uniform(1.0, 1.1), "main", gloss=0.5, hollow=True)


def _cone(b: Builder, rng: Rng) -> None:
    b.block((0, 0.035, 0), (0.36, 0.035, 0.36), "main")
    b.round(0.07, 1.0, 0.27, 0.045, "main")
    for low in (0.36, 0.64):
        radius = 0.27 - 0.225 * (low - 0.07) / 0.93
        b.round(low, low + 0.13, radius + 0.008, radius + 0.008 - 0.225 * 0.13 / 0.93, "paper")


def _bucket(b: Builder, rng: Rng) -> None:
    top = rng.uniform(0.40, 0.46)
    b.round(0, 0.72, top * 0.72, top, "main", gloss=0.3, hollow=True)
    b.ring((0, 0.66, 0), (top, rng.uniform(0.28, 0.34), top), 0.05, "metal", (0, 0, 0))


def _drum(b: Builder, rng: Rng) -> None:
    radius = rng.uniform(0.62, 0.75)
    b.round(0.04, 0.94, radius, radius, "main")
    for low in (0.0, 0.88):
        b.round(low, low + 0.12, radius + 0.03, radius + 0.03, "metal", gloss=0.8)
    b.round(0.98, 1.01, radius, radius, "cream")


def _rocket(b: Builder, rng: Rng) -> None:
    radius = rng.uniform(0.15, 0.19)
    b.round(0.14, 0.66, radius, radius, "main", gloss=0.4)
    b.round(0.66, 1.0, radius, 0.01, "paper", gloss=0.4)
    b.round(0.04, 0.14, radius * 0.6, radius * 0.8, "dark")
    b.disc((0, 0.52, -radius), 0.075, 0.03, "sky")
    for i in range(3):
        angle = i * 2.0944 + 0.5
        x, z = np.cos(angle) * radius * 1.45, np.sin(angle) * radius * 1.45
        b.block((x, 0.16, z), (0.12, 0.15, 0.02), "shade", (0, -angle, 0.0))


def _house(b: Builder, rng: Rng) -> None:
    half_x, half_z = rng.uniform(0.42, 0.52), rng.uniform(0.40, 0.55)
    b.block((0, 0.31, 0), (half_x, 0.31, half_z), "main")
    b.add(geometry.prism(), (0, 0.80, 0), (half_x * 1.2, 0.20, half_z * 1.12), "roof")
    b.block((0.0, 0.17, -half_z), (0.10, 0.17, 0.015), "wood")
    for x in (-0.28, 0.28):
        b.block((x, 0.40, -half_z), (0.08, 0.08, 0.015), "sky")


def _robot(b: Builder, rng: Rng) -> None:
    b.block((0, 0.42, 0), (0.22, 0.20, 0.15), "main")
    b.block((0, 0.78, 0), (0.17, 0.14, 0.13), "main")
    b.round(0.60, 0.66, 0.06, 0.06, "metal")
    b.round(0.92, 0.98, 0.015, 0.015, "metal")
    b.ball((0, 0.98, 0), 0.035, "glow")
    b.block((0, 0.44, -0.15), (0.12, 0.07, 0.01), "metal")
    for x in (-1, 1):
        b.ball((x * 0.07, 0.80, -0.13), 0.04, "glow")
        b.round(0, 0.23, 0.085, 0.065, "dark", (x * 0.11, 0))
        b.block((x * 0.285, 0.43, 0), (0.05, 0.17, 0.06), "metal", (0, 0, x * rng.uniform(0.0, 0.35)))


def _duck(b: Builder, rng: Rng) -> None:
    b.ball((0, 0.34, 0), (0.52, 0.34, 0.38), "main")
    b.ball((0.42, 0.42, 0), (0.22, 0.12, 0.2), "main", (0, 0, 0.7))
    b.ball((-0.30, 0.75, 0), 0.25, "main")
    b.ball((-0.56, 0.70, 0), (0.14, 0.05, 0.11), "beak")
    for z in (-1, 1):
        b.ball((-0.42, 0.82, z * 0.18), 0.04, "dark")


def _mushroom(b: Builder, rng: Rng) -> None:
    b.round(0, 0.62, 0.17, 0.13, "cream")
    b.add(geometry.dome(), (0, 0.52, 0), (rng.uniform(0.42, 0.55), 0.48, rng.uniform(0.42, 0.55)), "main", gloss=0.4)


def _clock(b: Builder, rng: Rng) -> None:
    b.disc((0, 0.47, 0), 0.40, 0.13, "main", gloss=0.4)
    b.disc((0, 0.47, -0.12), 0.33, 0.02, "paper")
    for angle, length in ((rng.uniform(0, 6.28), 0.20), (rng.uniform(0, 6.28), 0.28)):
        x, y = np.sin(angle) * length / 2, np.cos(angle) * length / 2
        b.block((x, 0.47 + y, -0.145), (0.02, length / 2, 0.006), "dark", (0, 0, -angle))
    for x in (-1, 1):
        b.add(geometry.dome(), (x * 0.21, 0.83, 0), (0.15, 0.13, 0.13), "shade", (0, 0, -x * 0.5), gloss=0.7)
        b.ball((x * 0.22, 0.07, 0), (0.05, 0.09, 0.05), "dark", (0, 0, x * 0.4))


def _hat(b: Builder, rng: Rng) -> None:
    brim, crown = rng.uniform(0.95, 1.15), rng.uniform(0.50, 0.6)
    b.round(0, 0.09, brim, brim * 0.97, "main")
    b.round(0.09, 1.0, crown, crown * rng.uniform(0.8, 0.95), "main")
    b.round(0.10, 0.30, crown + 0.02, crown + 0.01, "dark")


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    build: fills a Builder with its parts, about one unit tall, its front towards -z.
    width: of the object, in units of its height.
    yaw: radians by which it may be turned either way from facing the camera.
    synonyms: other names, used in training; unseen_synonyms: names that never occur in training.
    """

    build: Callable[[Builder, Rng], None]
    width: float
    yaw: float
    synonyms: tuple[str, ...] = ()
    unseen_synonyms: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {
    "mug": Kind(_mug, 1.1, 1.2, ("cup",), ("coffee mug",)),
    "bottle": Kind(_bottle, 0.4, 3.1, ("flask",)),
    "ball": Kind(_ball, 1.0, 3.1, ("sphere",), ("beach ball",)),
    "book": Kind(_book, 0.8, 0.8, ("notebook",), ("picture book",)),
    "lamp": Kind(_lamp, 0.8, 3.1, ("light",)),
    "chair": Kind(_chair, 0.6, 2.6, ("seat",), ("kitchen chair",)),
    "table": Kind(_table, 1.8, 0.7, ("desk",)),
    "plant": Kind(_plant, 0.8, 3.1, ("houseplant",), ("potted plant",)),
    "car": Kind(_car, 2.1, 0.8, ("automobile",), ("toy car",)),
    "bear": Kind(_bear, 0.75, 0.7, ("teddy",), ("stuffed bear",)),
    "vase": Kind(_vase, 0.7, 3.1, ("urn",)),
    "bowl": Kind(_bowl, 2.1, 3.1, ("dish",)),
    "cone": Kind(_cone, 0.75, 0.8, ("pylon",), ("traffic cone",)),
    "bucket": Kind(_bucket, 0.95, 0.8, ("pail",)),
    "drum": Kind(_drum, 1.4, 3.1),
    "rocket": Kind(_rocket, 0.6, 0.8, ("spaceship",)),
    "house": Kind(_house, 1.2, 0.8, ("cottage",), ("toy house",)),
    "robot": Kind(_robot, 0.7, 0.7, ("android",)),
    "duck": Kind(_duck, 1.2, 0.7, (), ("rubber duck",)),
    "mushroom": Kind(_mushroom, 1.0, 3.1, ("toadstool",)),
    "clock": Kind(_clock, 0.8, 0.7, ("timepiece",), ("alarm clock",)),
    "hat": Kind(_hat, 2.1, 3.1, (), ("straw hat",)),
}
"""Every kind of object, by name."""


def build(kind: str, rng: Rng) -> list[Part]:
    """The parts of one object of a kind (a key of KINDS), with its own proportions."""
    builder = Builder()
    KINDS[kind].build(builder, rng)
    return builder.parts
