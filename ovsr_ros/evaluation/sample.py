"""One image with its truth, and what a data set of such images is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

IGNORED = 255
"""Truth value of a pixel that is not judged."""

NO_CLASS = -1
"""Class of a word that is no class of the data set."""


@dataclass(frozen=True)
class Sample:
    """An image to be judged.

    name: unique within the data set and the same in every run, such as "2007_000033" or "val-17".
    image: (H, W, 3) uint8 RGB.
    truth: (h, w) uint8, index into the data set's classes, 255 ignored; at its own resolution, which need not be the
        image's: predictions are resized to it, nearest.
    words: the vocabulary to label the image with, without background, each as `parse_category` reads it ("mug; cup").
    word_classes: words[i] stands for class word_classes[i]; -1 where it is no class of the data set (a distractor).
    instance_map: (h, w) uint16, index into instance_names, or None where instances are not known. 0 and 1 are the
        surroundings, the objects follow.
    instance_names: what each instance is called, as one of the words says it.
    """

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    words: tuple[str, ...]
    word_classes: tuple[int, ...]
    instance_map: NDArray[np.uint16] | None = None
    instance_names: tuple[str, ...] = ()


class Dataset(Protocol):
    """Images with their truth, by index. Can be pickled: each worker process gets a copy.

    name, split: such as "voc21" and "val".
    classes: names as shown in tables; the index is the truth's value.
    background: the class that unlabeled pixels count as; None: they are of no class.
    background_names: what to call the background, for the option `text.background_names`; () where there is none.
    names_used: "engineered" or "plain", which class names the words are.
    """

    @property
    def name(self) -> str: ...

    @property
    def split(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def background(self) -> int | None: ...

    @property
    def background_names(self) -> tuple[str, ...]: ...

    @property
    def names_used(self) -> str: ...

    def __len__(self) -> int: ...

    def name_of(self, index: int) -> str:
        """The name of sample `index`, without reading it."""
        ...

    def load(self, index: int) -> Sample:
        """Read sample `index`. Raises SampleError when its image or mask cannot be used."""
        ...
