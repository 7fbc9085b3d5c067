"""Between this package's messages and the library's types."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header

from ovsr_ros import msg
from ovsr_ros.errors import VocabularyError
from ovsr_ros.names import clean_name, shown
from ovsr_ros.ops.spatial import SegmentLocations
from ovsr_ros.results import UNLABELED_ID, Segmentation
from ovsr_ros.vocabulary.category import (
    Category,
    CategoryRequest,
    Vocabulary,
    format_category,
    join_problems,
    normalise_requests,
)
from ovsr_ros.vocabulary.example import Example
from ovsr_ros.vocabulary.palette import Rgb


def to_segment_array(
    segmentation: Segmentation, vocabulary: Vocabulary, header: Header, locations: SegmentLocations | None = None
) -> msg.SegmentArray:
    """The segments of a frame, with their names.

    vocabulary: the one that labelled the frame. locations: where its segments are, in their order; None: unknown.
    """
    height, width = segmentation.label_map.shape
    names = {category.id: category.name for category in vocabulary.categories}
    return msg.SegmentArray(
        header=header,
        vocabulary_version=segmentation.vocabulary_version,
        height=height,
        width=width,
        segments=[_to_segment(segmentation, index, names, locations) for index in range(len(segmentation.segments))],
    )


def to_vocabulary_message(vocabulary: Vocabulary, stamp: Time, example_model_id: str = "") -> msg.Vocabulary:
    """The vocabulary, stamped with the time at which it was applied.

    example_model_id: of the model whose examples count; empty: none do.
    """
    return msg.Vocabulary(
        header=Header(stamp=stamp),
        version=vocabulary.version,
        categories=[_to_category(category, example_model_id) for category in vocabulary.categories],
    )


def to_example_message(example: Example, example_model_id: str) -> msg.Example:
    """example_model_id: as of `to_vocabulary_message`."""
    is_used = example.model_id == example_model_id
    return msg.Example(id=example.id, used=is_used)


def to_category_requests(categories: Iterable[msg.Category], names_only: bool = False) -> list[CategoryRequest]:
    """What a service's caller asks for; "mug=12; cup; #ff8000" as a name gives all four, the field `color` wins, and so
    does `id` where `id_chosen` is true.

    names_only: synonyms, colours and ids do not count, whatever they are.

    Raises VocabularyError with every reason, when the field `color` of a category cannot be used.
    """
    requests, problems = [], []
    for number, category in enumerate(categories, start=1):
        color_rgb, problem = (None, "") if names_only else _read_color(category.color)
        if problem:
            problems.append(f"category {number} ('{shown(clean_name(category.name))}'): {problem}")
        id = int(category.id) if category.id_chosen and not names_only else None
        requests.append(CategoryRequest(category.name, tuple(category.synonyms), color_rgb, id))
    if problems:
        raise VocabularyError(join_problems(problems + normalise_requests(requests, names_only)[1]))
    return requests


def to_parameter_value(vocabulary: Vocabulary) -> list[str]:
    """The vocabulary as the value of the parameter `categories`: one "name=id; synonym; #rrggbb" each."""
    return [format_category(category) for category in vocabulary.categories]


def _to_segment(
    segmentation: Segmentation, index: int, names: dict[int, str], locations: SegmentLocations | None
) -> msg.Segment:
    segments = segmentation.segments
    x_min, y_min, x_max, y_max = (int(edge) for edge in segments.boxes_xyxy[index])
    class_id = int(segments.class_ids[index])
    segment = msg.Segment(
        id=int(segments.ids[index]),
        track_id=int(segments.track_ids[index]),
        class_id=class_id,
        label=names.get(class_id, ""),
        score=float(segments.scores[index]),
        runners_up=[
            msg.ClassScore(
                class_id=int(runner_up_id),
                label="something else" if runner_up_id == UNLABELED_ID else names.get(int(runner_up_id), ""),
                score=float(score),
            )
            for runner_up_id, score in zip(segments.runner_up_ids[index], segments.runner_up_scores[index], strict=True)
            if score > 0
        ],
        x_min=x_min,
        y_min=y_min,
        x_max=x_max,
        y_max=y_max,
        area_px=int(segments.areas_px[index]),
        centroid_x=float(segments.centroids_xy[index, 0]),
        centroid_y=float(segments.centroids_xy[index, 1]),
        distance=math.nan,
        position=_unknown_point(),
        box_min=_unknown_point(),
        box_max=_unknown_point(),
    )
    if locations is not None:
        segment.depth_count = int(locations.depth_counts[index])
        segment.distance = float(locations.distances_m[index])
        segment.position = _to_point(locations.positions_m[index])
        segment.box_min = _to_point(locations.box_min_m[index])
        segment.box_max = _to_point(locations.box_max_m[index])
    return segment


def _unknown_point() -> Point:
    return Point(x=math.nan, y=math.nan, z=math.nan)


def _to_point(xyz: NDArray[np.float32]) -> Point:
    return Point(x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def _to_category(category: Category, example_model_id: str) -> msg.Category:
    red, green, blue = (float(channel) / 255.0 for channel in category.color_rgb)
    return msg.Category(
        id=category.id,
        id_chosen=category.is_id_chosen,
        name=category.name,
        synonyms=list(category.synonyms),
        color=ColorRGBA(r=red, g=green, b=blue, a=1.0),
        examples=[to_example_message(example, example_model_id) for example in category.examples],
    )


def _read_color(color: ColorRGBA) -> tuple[Rgb | None, str]:
    """The colour, None where it is left to the node; and what is wrong with it."""
    channels = {"r": color.r, "g": color.g, "b": color.b}
    for field, value in {**channels, "a": color.a}.items():
        if not 0.0 <= value <= 1.0:  # NaN is not either
            return None, f"color.{field}: expected 0 to 1, got {value:g}"
    if color.a > 0.0:
        red, green, blue = (round(value * 255) for value in channels.values())
        return (red, green, blue), ""
    chosen = [field for field, value in channels.items() if value > 0.0]
    if chosen:
        return None, f"color.a: is 0, for no colour, but color.{chosen[0]} is not; set a to 1, or all four to 0"
    return None, ""
