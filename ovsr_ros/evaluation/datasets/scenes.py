"""The rendered scenes as data sets, drawn when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ovsr_ros.demo.materials import COLORS, PATTERNS
from ovsr_ros.demo.scenes import CATEGORIES, HELD_OUT, KINDS, SPLITS, ObjectName, Scene
from ovsr_ros.evaluation.datasets.files import check_split
from ovsr_ros.evaluation.sample import NO_CLASS, Sample

NUM_DISTRACTORS = 8
NUM_SCENES, NUM_HELD_OUT_SCENES = 200, 100


@dataclass(frozen=True)
class ScenesDataset:
    """Scenes to be labelled with category words: those in the scene and 8 that are not, in chance order.

    split: train, val or test. count: how many scenes. size_wh: pixels of each image. See `sample.Dataset`.
    """

    split: str = "val"
    count: int = NUM_SCENES
    size_wh: tuple[int, int] = (640, 480)

    name: ClassVar[str] = "scenes"
    classes: ClassVar[tuple[str, ...]] = CATEGORIES
    background: ClassVar[int | None] = None
    background_names: ClassVar[tuple[str, ...]] = ()
    names_used: ClassVar[str] = "plain"

    def __post_init__(self) -> None:
        check_split(self.name, self.split, tuple(SPLITS))

    def __len__(self) -> int:
        return self.count

    def name_of(self, index: int) -> str:
        """Such as "val-17"."""
        return f"{self.split}-{range(self.count)[index]}"

    def load(self, index: int) -> Sample:
        """Draw scene `index`."""
        seed = range(self.count)[index]
        rng = np.random.default_rng([11, seed])
        scene = Scene(seed, split=self.split)
        frame = scene.render(float(rng.uniform(0, 60)), self.size_wh)
        absent = [category for category in CATEGORIES if category not in scene.categories]
        distractors = rng.choice(absent, NUM_DISTRACTORS, replace=False)
        words = tuple(str(word) for word in rng.permutation(np.array([*scene.categories, *distractors])))
        return Sample(
            name=self.name_of(seed),
            image=frame.image,
            truth=frame.category_map,
            words=words,
            word_classes=tuple(CATEGORIES.index(word) for word in words),
            instance_map=frame.instance_map,
            instance_names=frame.instance_names,
        )


@dataclass(frozen=True)
class HeldOutScenesDataset:
    """Scenes of held-out combinations only, to be labelled with full names ("striped red mug").

    Each has 8 distractors: for every object one that differs in a single attribute, as far as they reach, then others.
    Classes are the wall, the floor, and every held-out combination; a distractor that is none of them has class -1.
    split: "test", the only one in which these combinations occur.
    """

    split: str = "test"
    count: int = NUM_HELD_OUT_SCENES
    size_wh: tuple[int, int] = (640, 480)

    name: ClassVar[str] = "scenes-held-out"
    classes: ClassVar[tuple[str, ...]] = ("wall", "floor", *map(str, HELD_OUT))
    background: ClassVar[int | None] = None
    background_names: ClassVar[tuple[str, ...]] = ()
    names_used: ClassVar[str] = "plain"

    def __post_init__(self) -> None:
        check_split(self.name, self.split, ("test",))

    def __len__(self) -> int:
        return self.count

    def name_of(self, index: int) -> str:
        """Such as "held-out-17"."""
        return f"held-out-{range(self.count)[index]}"

    def load(self, index: int) -> Sample:
        """Draw scene `index`."""
        seed = range(self.count)[index]
        rng = np.random.default_rng([13, seed])
        scene = Scene(seed, split="test", only_held_out=True)
        frame = scene.render(float(rng.uniform(0, 60)), self.size_wh)
        present = [str(name) for name in dict.fromkeys(scene.names)]
        near = [_neighbour(name, rng) for name in dict.fromkeys(scene.names)]
        distractors = [name for name in dict.fromkeys(near) if name not in present][:NUM_DISTRACTORS]
        while len(distractors) < NUM_DISTRACTORS:
            other = str(ObjectName(*(str(rng.choice(values)) for values in (PATTERNS, list(COLORS), KINDS))))
            if other not in present and other not in distractors:
                distractors.append(other)
        words = tuple(str(word) for word in rng.permutation(np.array(["wall", "floor", *present, *distractors])))
        index_of = {title: number for number, title in enumerate(self.classes)}
        instances = np.array([index_of[name] for name in ("wall", "floor", *frame.instance_names[2:])], np.uint8)
        return Sample(
            name=self.name_of(seed),
            image=frame.image,
            truth=instances[frame.instance_map],
            words=words,
            word_classes=tuple(index_of.get(word, NO_CLASS) for word in words),
            instance_map=frame.instance_map,
            instance_names=frame.instance_names,
        )


def _neighbour(name: ObjectName, rng: np.random.Generator) -> str:
    """A name that differs in one attribute, whichever comes up."""
    parts = [name.pattern, name.color, name.kind]
    place = int(rng.integers(3))
    choices = [value for value in (PATTERNS, tuple(COLORS), KINDS)[place] if value != parts[place]]
    parts[place] = str(rng.choice(choices))
    return " ".join(parts)
