"""A frame's segments that have a label, one by one, for messages of things rather than of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.nodes.labelled_frame import LabelledFrame
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.category import Category

_UP = np.array([0.0, -1.0, 0.0])
"""In the camera's optical frame."""


@dataclass(frozen=True)
class Place:
    """Where a segment is, in the frame of `LabelledFrame.places_header`, (3,) each, metres: mean, smallest and largest
    x, y, z.

    distance: from the camera, metres. up: (3,) of length 1, what is up in the image.
    """

    position: NDArray[np.float64]
    box_min: NDArray[np.float64]
    box_max: NDArray[np.float64]
    distance: float
    up: NDArray[np.float64]

    @property
    def center(self) -> NDArray[np.float64]:
        """(3,): the box's."""
        return (self.box_min + self.box_max) / 2

    @property
    def size(self) -> NDArray[np.float64]:
        """(3,): the box's."""
        return self.box_max - self.box_min


@dataclass(frozen=True)
class LabelledSegment:
    """A segment that has a label.

    track_id: 0: not tracked. scores: names of categories with what they score, the best first, which is its own.
    box_xyxy: pixels, right and bottom exclusive. place: None without depth.
    """

    id: int
    track_id: int
    category: Category
    scores: tuple[tuple[str, float], ...]
    box_xyxy: tuple[int, int, int, int]
    place: Place | None


def labelled_segments(frame: LabelledFrame, with_places: bool) -> Iterator[LabelledSegment]:
    """Those of a frame, in ascending order of id. with_places: only those whose place is known, with it."""
    segments, locations = frame.segmentation.segments, frame.places if with_places else None
    transform = None if frame.target is None else frame.target.transform
    origin, up = (np.zeros(3), _UP) if transform is None else (transform.translation, transform.rotation @ _UP)
    names = {category.id: category.name for category in frame.vocabulary.categories}
    for index in np.flatnonzero(segments.class_ids != UNLABELED_ID):
        place = None
        if with_places:
            if locations is None or not locations.depth_counts[index]:
                continue
            position, box_min, box_max = (
                origin + values[index] for values in (locations.positions_m, locations.box_min_m, locations.box_max_m)
            )
            place = Place(position, box_min, box_max, float(locations.distances_m[index]), up)
        category = frame.vocabulary.by_id(int(segments.class_ids[index]))
        others = zip(segments.runner_up_ids[index], segments.runner_up_scores[index], strict=True)
        x_min, y_min, x_max, y_max = (int(edge) for edge in segments.boxes_xyxy[index])
        yield LabelledSegment(
            int(segments.ids[index]),
            int(segments.track_ids[index]),
            category,
            (
                (category.name, float(segments.scores[index])),
                *((names[int(id)], float(score)) for id, score in others if int(id) in names and score > 0),
            ),
            (x_min, y_min, x_max, y_max),
            place,
        )
