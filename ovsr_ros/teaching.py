"""From something that an operator points at to an example of a category."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.backends.contract import MaskEmbedder
from ovsr_ros.backends.reduction import FULL, Reduction, reduce
from ovsr_ros.errors import ImageError, VocabularyError
from ovsr_ros.image_files import encode_jpeg
from ovsr_ros.ops.image import check_image
from ovsr_ros.pipeline import Pipeline, State
from ovsr_ros.vocabulary.category import Vocabulary
from ovsr_ros.vocabulary.example import Example

THUMBNAIL_PX = 96
"""Longer side of an example's picture."""
_JPEG_QUALITY = 85
_ROOM = 0.15
"""What of its longer side is shown around a thing."""
_DIMMED = 0.45
"""What is left of the brightness of what is not the thing."""


_MOST_NAMED = 8


@dataclass(frozen=True)
class Pointed:
    """What was pointed at. embedding: (D,) float32, of length 1. thumbnail: a jpeg of it."""

    embedding: NDArray[np.float32]
    thumbnail: bytes


def check_teachable(state: State) -> None:
    """Raises VocabularyError where the state's backend does not compare segments with examples."""
    _mask_embedder(state, FULL)


def _mask_embedder(state: State, reduction: Reduction) -> MaskEmbedder:
    """The state's backend, reduced. Raises VocabularyError as `check_teachable`."""
    backend = reduce(state.backend, reduction)
    if not isinstance(backend, MaskEmbedder):
        raise VocabularyError(
            f"the backend {state.options.backend} has no embeddings of segments: nothing can be taught to it by "
            "example; start with backend ovsr, or describe the thing in words"
        )
    return backend


def to_example(pointed: Pointed, state: State) -> Example:
    """An example of the state's model. Raises VocabularyError as `check_teachable`."""
    check_teachable(state)
    return Example(pointed.embedding, state.example_model_id, thumbnail=pointed.thumbnail)


def point_at_mask(
    pipeline: Pipeline, image_rgb: NDArray[np.uint8], mask: NDArray[np.bool_], reduction: Reduction = FULL
) -> Pointed:
    """The pixels of a mask (H, W) of an image (H, W, 3) uint8 RGB, as if they were a segment.

    Raises ImageError for an unusable image, or a mask of another size or without a pixel, VocabularyError as
    `check_teachable`.
    """
    check_image(image_rgb)
    backend = _mask_embedder(pipeline.state, reduction)
    if mask.shape != image_rgb.shape[:2]:
        raise ImageError(f"mask: expected the image's size, {_size(image_rgb.shape)}, got {_size(mask.shape)}")
    if not mask.any():
        raise ImageError("mask: expected a pixel of the thing, got none")
    small = reduction.shrink(image_rgb)
    height, width = small.shape[:2]
    small_mask = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    embedding = backend.embed_mask(small, small_mask >= min(0.5, float(small_mask.max())))
    return Pointed(embedding.float().cpu().numpy(), draw_thumbnail(image_rgb, mask))


def mask_of_box(size_hw: tuple[int, int], box_xyxy: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """(H, W), True in the box: left and top inclusive, right and bottom exclusive.

    Raises ImageError for one that is empty or not within the image.
    """
    height, width = size_hw
    left, top, right, bottom = box_xyxy
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ImageError(
            f"box: expected one within the image, {width}x{height}, got columns {left} to {right}, rows {top} to "
            f"{bottom}"
        )
    mask = np.zeros((height, width), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def draw_thumbnail(image_rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> bytes:
    """A jpeg of the pixels of a mask (H, W), somewhere True, with a little of the image around, dimmed."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    room = round(_ROOM * max(rows[-1] - rows[0], columns[-1] - columns[0])) + 2
    top, left = max(0, rows[0] - room), max(0, columns[0] - room)
    there = np.s_[top : rows[-1] + 1 + room, left : columns[-1] + 1 + room]
    shown = np.where(mask[there][..., None], image_rgb[there], image_rgb[there] * _DIMMED).astype(np.uint8)
    height, width = shown.shape[:2]
    scale = min(1.0, THUMBNAIL_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(np.asarray(small, np.uint8), _JPEG_QUALITY)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape[1::-1]))


def explain_unused(state: State) -> str:
    """Which examples in force count for nothing, why, and what to do; empty where all count."""
    return explain_unused_examples(state.vocabulary, state.example_model_id, state.options.backend)


def explain_unused_examples(vocabulary: Vocabulary, model_id: str, backend: str) -> str:
    """As `explain_unused`. model_id: of the model whose examples count; empty: the backend, by name, compares none."""
    unused = vocabulary.examples_of_others(model_id)
    if not unused:
        return ""
    names = [f"'{category.name}'" for category in vocabulary.categories if set(category.examples) & set(unused)]
    listed = ", ".join(names[:_MOST_NAMED]) + (f" and {len(names) - _MOST_NAMED} more" * (len(names) > _MOST_NAMED))
    if not model_id:
        why, todo = f"the backend {backend} compares images with words only", "they are kept"
    else:
        why = "they were taught to other weights than those in use"
        todo = "they are kept for these; teach them again (~/teach), or take them out"
    are = "is" if len(unused) == 1 else "are"
    return f"{len(unused)} of {len(vocabulary.examples)} examples {are} not used ({listed}): {why}; {todo}"
