"""The rendered scenes as a data set: each image with its truth and the words it is to be labelled with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo.materials import COLORS, PATTERNS
from ovsr_ros.demo.scenes import CATEGORIES, KINDS, Frame, ObjectName, Scene

NUM_DISTRACTORS = 8


@dataclass(frozen=True)
class Sample:
    """An image to be judged.

    name: which image it is. image: (H, W, 3) uint8 RGB. words: the vocabulary to label it with, those that are in view
    and the distractors, in chance order. truth: (H, W) uint8, index into `classes`.
    classes: names that the truth's values stand for. instance_map, instance_names: see `scenes.Frame`.
    """

    name: str
    image: NDArray[np.uint8]
    words: tuple[str, ...]
    truth: NDArray[np.uint8]
    classes: tuple[str, ...]
    instance_map: NDArray[np.uint16]
    instance_names: tuple[str, ...]


def category_samples(split: str, count: int, size_wh: tuple[int, int] = (640, 480)) -> Iterator[Sample]:
    """Scenes to be labelled with category words: those in the scene and 8 distractors that are not in it."""
    for seed in range(count):
        rng = np.random.default_rng([11, seed])
        scene = Scene(seed, split=split)
        frame = scene.render(float(rng.uniform(0, 60)), size_wh)
        absent = [category for category in CATEGORIES if category not in scene.categories]
        distractors = rng.choice(absent, NUM_DISTRACTORS, replace=False)
        words = rng.permutation(np.array([*scene.categories, *distractors]))
        yield _sample(f"{split}-{seed}", frame, tuple(str(word) for word in words), frame.category_map, CATEGORIES)


def held_out_samples(count: int, size_wh: tuple[int, int] = (640, 480)) -> Iterator[Sample]:
    """Scenes of held-out combinations only, to be labelled with full names ("striped red mug").

    Each has 8 distractors: for every object one that differs in a single attribute, as far as they reach, then others.
    """
    for seed in range(count):
        rng = np.random.default_rng([13, seed])
        scene = Scene(seed, split="test", only_held_out=True)
        frame = scene.render(float(rng.uniform(0, 60)), size_wh)
        present = [str(name) for name in dict.fromkeys(scene.names)]
        near = [_neighbour(name, rng) for name in dict.fromkeys(scene.names)]
        distractors = [name for name in dict.fromkeys(near) if name not in present][:NUM_DISTRACTORS]
        while len(distractors) < NUM_DISTRACTORS:
            other = str(ObjectName(*(str(rng.choice(values)) for values in (PATTERNS, list(COLORS), KINDS))))
            if other not in present and other not in distractors:
                distractors.append(other)
        classes = tuple(str(word) for word in rng.permutation(np.array(["wall", "floor", *present, *distractors])))
        index = [classes.index(name) for name in ("wall", "floor", *frame.instance_names[2:])]
        truth = np.array(index, np.uint8)[frame.instance_map]
        yield _sample(f"held-out-{seed}", frame, classes, truth, classes)


def _neighbour(name: ObjectName, rng: np.random.Generator) -> str:
    """A name that differs in one attribute, whichever comes up."""
    parts = [name.pattern, name.color, name.kind]
    place = int(rng.integers(3))
    choices = [value for value in (PATTERNS, tuple(COLORS), KINDS)[place] if value != parts[place]]
    parts[place] = str(rng.choice(choices))
    return " ".join(parts)


def _sample(
    name: str, frame: Frame, words: tuple[str, ...], truth: NDArray[np.uint8], classes: tuple[str, ...]
) -> Sample:
    return Sample(name, frame.image, words, truth, classes, frame.instance_map, frame.instance_names)
