"""What tracking does to labels over time: flicker, accuracy and lag on the demo camera's way through its rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from ovsr_ros.backends import FoundSegments, FrameEmbeddings
from ovsr_ros.demo.camera_path import CameraPose
from ovsr_ros.demo.scenes import CATEGORIES, DISTRACTORS, Rendering, Scene
from ovsr_ros.evaluation.label_changes import (
    Points,
    Share,
    carry_labels,
    changed_objects,
    changed_pixels,
    changed_points,
    object_labels,
    trace_points,
)
from ovsr_ros.evaluation.metrics import ClassCounts, count_labels
from ovsr_ros.evaluation.studies.embedded_segments import embed_segments
from ovsr_ros.evaluation.studies.study import Study, StudyRequest, rows_table
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.tracking import Tracker, TrackingOptions
from ovsr_ros.vocabulary.category import CategoryRequest, Operation

TARGET_RATIO = 0.2
DEMO_SEED = 35
"""The room that `make demo` shows; the others follow from 0."""

DEFAULT_CLIPS = 4
RATE_HZ, CLIP_S = 10.0, 6.0
MAX_LOSS = 0.01
"""The lag after a cut lasts until pixel accuracy is this close to what it is without tracking."""

WITHOUT, WITH, CARRIED = "without tracking", "with tracking", "carried exactly"


@dataclass
class Changes:
    """What changed from frame to frame, summed: shares of points, pixels and objects; and how much was right."""

    points: Share = field(default_factory=Share)
    pixels: Share = field(default_factory=Share)
    objects: Share = field(default_factory=Share)
    right: Share = field(default_factory=Share)
    classes: ClassCounts = field(default_factory=lambda: ClassCounts.zeros(len(CATEGORIES)))
    seen_by_clip: Share = field(default_factory=Share)

    def __add__(self, other: Changes) -> Changes:
        return Changes(
            self.points + other.points,
            self.pixels + other.pixels,
            self.objects + other.objects,
            self.right + other.right,
            self.classes + other.classes,
            self.seen_by_clip + other.seen_by_clip,
        )

    @property
    def miou(self) -> float:
        """Mean over the classes that are there."""
        return float(self.classes.iou()[self.classes.present()].mean())


@dataclass(frozen=True)
class Clip:
    """A camera's way: frames, where each one's points were in the one before, what the pipeline finds in each."""

    seed: int
    frames: Sequence[Rendering]
    points: Sequence[Points]
    embedded: Sequence[FrameEmbeddings]


def set_words(pipeline: Pipeline) -> NDArray[np.uint8]:
    """Give the pipeline the demo's vocabulary. Returns the class of each of its ids: (256,) uint8."""
    words = (*CATEGORIES, *DISTRACTORS)
    vocabulary = pipeline.set_vocabulary(Operation.REPLACE, [CategoryRequest(word) for word in words])
    class_of_id = np.full(256, UNLABELED_ID, np.uint8)
    for category in vocabulary.categories:
        if category.name in CATEGORIES:
            class_of_id[category.id] = CATEGORIES.index(category.name)
        else:
            class_of_id[category.id] = len(CATEGORIES) + DISTRACTORS.index(category.name)
    return class_of_id


def film(pipeline: Pipeline, seed: int, split: str, num_frames: int, size_wh: tuple[int, int] = (640, 480)) -> Clip:
    """Draw a clip and find its segments."""
    scene = Scene(seed, split=split)
    times = [number / RATE_HZ for number in range(num_frames)]
    frames = [scene.render(time_s, size_wh) for time_s in times]
    views: list[CameraPose] = [scene.path.at(time_s) for time_s in times]
    points = [
        trace_points(frames[number - 1], views[number - 1], frames[number], views[number])
        for number in range(1, num_frames)
    ]
    return Clip(seed, frames, points, [embed_segments(pipeline, frame.image) for frame in frames])


def as_found(embedded: FrameEmbeddings) -> FoundSegments:
    """A frame's segments as the pipeline hands them to a tracker that asks for the embeddings it needs."""
    return FoundSegments(
        segment_map=embedded.segment_map,
        cluster_ids=embedded.cluster_ids,
        boxes_xyxy=embedded.boxes_xyxy,
        areas_px=embedded.areas_px,
        centroids_xy=embedded.centroids_xy,
        stage_seconds=embedded.stage_seconds,
        embed_rows=lambda rows: embedded.embeddings[torch.from_numpy(rows).to(embedded.embeddings.device)],
        width=embedded.embeddings.shape[1],
        all_at_once="crops" not in embedded.stage_seconds,  # a look at the whole image cuts none
    )


def follow(
    tracker: Tracker, image_rgb: NDArray[np.uint8], embedded: FrameEmbeddings, time_s: float, options: TrackingOptions
) -> FrameEmbeddings:
    """`Pipeline.follow` of an image whose segments are all embedded already."""
    return tracker.follow(image_rgb, as_found(embedded) if options.reuse_embeddings else embedded, time_s, options)


def label_clip(
    pipeline: Pipeline, clip: Clip, class_of_id: NDArray[np.uint8], tracker: Tracker | None
) -> tuple[list[NDArray[np.uint8]], Share]:
    """Each frame's labels as classes, (H, W) uint8; with a tracker, as one stream.

    Returns with them how many of the segments CLIP saw; the first second, when everything is new, does not count.
    """
    options = pipeline.options.tracking
    labels, seen = [], Share()
    for number, (frame, embedded) in enumerate(zip(clip.frames, clip.embedded, strict=True)):
        if tracker is not None:
            embedded = follow(tracker, frame.image, embedded, number / RATE_HZ, options)
        if number >= RATE_HZ:
            seen += Share(embedded.num_embedded, embedded.num_found)
        labels.append(class_of_id[pipeline.label(embedded).label_map])
    return labels, seen


def measure(clip: Clip, labels: Sequence[NDArray[np.uint8]], seen_by_clip: Share | None = None) -> Changes:
    """What changes over the clip while its truth does not; seen_by_clip: how many of the segments it saw, if known."""
    changes = Changes(seen_by_clip=seen_by_clip or Share())
    objects = [
        object_labels(label_map, frame.instance_map) for label_map, frame in zip(labels, clip.frames, strict=True)
    ]
    for number, (frame, label_map) in enumerate(zip(clip.frames, labels, strict=True)):
        truth = frame.category_map
        changes.right += Share(int((label_map == truth).sum()), truth.size)
        counted = np.where(label_map < len(CATEGORIES), label_map, np.uint8(UNLABELED_ID))
        changes.classes += count_labels(counted, truth, len(CATEGORIES))
        if number:
            before, truth_before = labels[number - 1], clip.frames[number - 1].category_map
            changes.points += changed_points(before, label_map, clip.points[number - 1])
            changes.pixels += changed_pixels(before, label_map, truth_before, truth)
            changes.objects += changed_objects(objects[number - 1], objects[number])
    return changes


def carry_through(clip: Clip, labels: Sequence[NDArray[np.uint8]], every: int = 10) -> list[NDArray[np.uint8]]:
    """Labels that are moved exactly with the scene from every tenth frame on: no point's label changes in between."""
    carried: list[NDArray[np.uint8]] = []
    for number, label_map in enumerate(labels):
        moved = number % every
        carried.append(carry_labels(carried[-1], clip.points[number - 1], label_map) if moved else label_map)
    return carried


def lag_after_cut(pipeline: Pipeline, clips: Sequence[Clip], class_of_id: NDArray[np.uint8]) -> int:
    """Frames after a cut from one clip to another until the labels are as right as without tracking."""
    (first, second), tracker = clips, Tracker()
    options = pipeline.options.tracking
    half = len(first.frames) // 2
    for number in range(half):
        follow(tracker, first.frames[number].image, first.embedded[number], number / RATE_HZ, options)
    for number, (frame, embedded) in enumerate(zip(second.frames, second.embedded, strict=True)):
        followed = follow(tracker, frame.image, embedded, (half + number) / RATE_HZ, options)
        tracked, alone = (
            float((class_of_id[pipeline.label(each).label_map] == frame.category_map).mean())
            for each in (followed, embedded)
        )
        if tracked >= alone - MAX_LOSS:
            return number
    return len(second.frames)


def run(request: StudyRequest) -> Study:
    """Measure on the demo's room and others of a split. limit: 4 rooms where not said."""
    pipeline = Pipeline(request.options)
    class_of_id = set_words(pipeline)
    seeds = [DEMO_SEED, *range(DEMO_SEED)][: request.limit or DEFAULT_CLIPS]
    num_frames = round(RATE_HZ * CLIP_S)
    totals = {WITHOUT: Changes(), WITH: Changes(), CARRIED: Changes()}
    rows, lags = [], []
    previous: Clip | None = None
    for seed in tqdm(seeds, unit="clip", disable=not request.progress):
        clip = film(pipeline, seed, request.split, num_frames)
        alone, _ = label_clip(pipeline, clip, class_of_id, None)
        changes = {
            WITHOUT: measure(clip, alone),
            WITH: measure(clip, *label_clip(pipeline, clip, class_of_id, Tracker())),
            CARRIED: measure(clip, carry_through(clip, alone)),
        }
        for name, changed in changes.items():
            totals[name] = totals[name] + changed
        rows.append(_row(f"{request.split} {seed}", changes))
        if previous is not None:
            lags.append(lag_after_cut(pipeline, (previous, clip), class_of_id))
        previous = clip
    rows.append(_row("all", totals))
    return _to_study(request, rows, totals, lags, num_frames)


def _row(room: str, changes: dict[str, Changes]) -> dict[str, Any]:
    before, after = changes[WITHOUT], changes[WITH]
    return {
        "room": room,
        "points_%": 100 * before.points.value,
        "tracked_%": 100 * after.points.value,
        "ratio": after.points.value / before.points.value if before.points.count else float("nan"),
        "pixels_%": 100 * before.pixels.value,
        "pixels_tracked_%": 100 * after.pixels.value,
        "pixels_carried_%": 100 * changes[CARRIED].pixels.value,
        "objects": before.objects.count,
        "objects_tracked": after.objects.count,
        "accuracy": before.right.value,
        "accuracy_tracked": after.right.value,
        "miou": before.miou,
        "miou_tracked": after.miou,
        "seen_by_clip_%": 100 * after.seen_by_clip.value,
    }


def _to_study(
    request: StudyRequest, rows: list[dict[str, Any]], totals: dict[str, Changes], lags: list[int], num_frames: int
) -> Study:
    demo, overall = rows[0], rows[-1]
    met = bool(demo["ratio"] <= TARGET_RATIO)
    lag = f"{max(lags)} frames at most after {len(lags)} cuts" if lags else "not measured: one room only"
    markdown = (
        f"# Labels over time: `{request.config}`\n\n{len(rows) - 1} clips of {num_frames} frames at {RATE_HZ:g} Hz, "
        "640x480, the demo's vocabulary.\n\n"
        "Points: of the points of the scene in view in two frames running, those whose label differs; a point is "
        "followed by the scene's exact geometry, so its truth never changes. Pixels: of the image's pixels of equal "
        "truth in two frames, those whose label differs. There the camera's motion counts, too: a border that lies a "
        "pixel beside the true one changes a label at every place that it moves over. Carried: the labels without "
        "tracking, moved exactly with the scene, which change at no point of it. Objects: how often the label that "
        "most of an object's pixels have changed. "
        "Seen by CLIP: of the segments found after the first second of a tracked clip, "
        "those whose embedding was not reused.\n\n"
        f"On the demo's path {demo['tracked_%']:.3f} % of the points change their label from one frame to the next "
        f"with tracking, {demo['points_%']:.3f} % without: {demo['ratio']:.2f} of it (target {TARGET_RATIO:g}, "
        f"{'met' if met else 'not met'}); over all clips {overall['ratio']:.2f}. Lag: {lag}.\n\n" + rows_table(rows)
    )
    figures = {
        "clips": len(rows) - 1,
        "frames": num_frames,
        "target_ratio": TARGET_RATIO,
        "target_met": met,
        "rooms": rows,
        "lag_frames": lags,
        "object_pairs": totals[WITHOUT].objects.total,
    }
    return Study("flicker", markdown, figures)
