"""`ovsr segment --example`: pictures of things, which count beside the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ovsr_ros.errors import ConfigError, ImageError
from ovsr_ros.image_files import decode_upright
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, parse_category
from ovsr_ros.vocabulary.registry import VocabularyRegistry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ovsr_ros.pipeline import Pipeline

_OPAQUE = 128
"""Alpha from which a pixel is part of the thing."""


@dataclass(frozen=True)
class ExamplePicture:
    """request: the category, an earlier one's name or a new one. path: of the picture."""

    request: CategoryRequest
    path: Path


def parse_example(text: str) -> ExamplePicture:
    """From "mug=crop.png". Raises ConfigError for another form, VocabularyError for a name that cannot be used."""
    name, equals, path = text.partition("=")
    if not (equals and name.strip() and path.strip()):
        raise ConfigError(f"--example: expected NAME=FILE, such as mug=crop.png, got {text!r}")
    request = parse_category(name)
    VocabularyRegistry().propose(Operation.REPLACE, [request])
    return ExamplePicture(request, Path(path).expanduser())


def teach_pictures(pipeline: Pipeline, pictures: Sequence[ExamplePicture]) -> None:
    """Each picture, without what is transparent in it, becomes an example of its category.

    Raises ImageError for a picture that cannot be used, VocabularyError for a change that is refused.
    """
    from ovsr_ros.teaching import point_at_mask, to_example  # on demand: torch takes seconds
    from ovsr_ros.vocabulary.change import Teaching

    for picture in pictures:
        image, mask = _read(picture.path)
        try:
            example = to_example(point_at_mask(pipeline, image, mask), pipeline.state)
        except ImageError as error:
            raise ImageError(f"--example: {picture.path}: {error}") from error
        pipeline.commit(pipeline.prepare(change=Teaching(picture.request, example)))


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The picture (H, W, 3) uint8 RGB, and where it is the thing (H, W)."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageError(f"--example: {path}: cannot be read: {error.strerror or error}") from error
    try:
        image = decode_upright(data)
    except ImageError as error:
        raise ImageError(f"--example: {path}: {error}") from error
    mask = np.ones(image.shape[:2], np.bool_)
    stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if stored is not None and stored.dtype == np.uint8 and stored.shape == (*mask.shape, 4):
        mask = stored[..., 3] >= _OPAQUE
    return image, mask
