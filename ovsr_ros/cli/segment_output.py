"""What `ovsr segment` writes of an image: its maps, a picture for people, and JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ovsr_ros.vocabulary.category import SOMETHING_ELSE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ovsr_ros.backends.contract import Regions
    from ovsr_ros.results import Segmentation, Segments
    from ovsr_ros.vocabulary.category import Vocabulary

LABEL_MAP, SEGMENT_MAP, OVERLAY, JSON = "_label_map.png", "_segment_map.png", "_overlay.png", ".json"
"""How the files' names end."""


@dataclass(frozen=True)
class Output:
    """Files, by how their names end, and a line that sums them up."""

    contents: dict[str, bytes]
    summary: str


def labels_output(path: Path, image: NDArray[np.uint8], segmentation: Segmentation, vocabulary: Vocabulary) -> Output:
    """The label map (mono8), the overlay and the JSON of an image, (H, W, 3) uint8 RGB, that these words labelled."""
    from ovsr_ros.drawing import overlay

    contents = {
        LABEL_MAP: _png(segmentation.label_map),
        OVERLAY: _png(overlay(image, segmentation, vocabulary)[..., ::-1]),
        JSON: _text(_labels_json(path, segmentation, vocabulary)),
    }
    return Output(contents, _labels_summary(segmentation, vocabulary))


def segments_output(path: Path, image: NDArray[np.uint8], regions: Regions) -> Output:
    """The segment map (mono16), the overlay and the JSON of an image, (H, W, 3) uint8 RGB, with these segments."""
    from ovsr_ros.drawing import overlay_segments

    segment_map = regions.segment_map.cpu().numpy().astype(np.uint16)
    contents = {
        SEGMENT_MAP: _png(segment_map),
        OVERLAY: _png(overlay_segments(image, segment_map)[..., ::-1]),
        JSON: _text(_segments_json(path, regions)),
    }
    num_clusters = len(np.unique(regions.cluster_ids))
    return Output(contents, f"{len(regions)} segments of {num_clusters} clusters")


def _labels_json(path: Path, segmentation: Segmentation, vocabulary: Vocabulary) -> dict[str, Any]:
    """The segments and the vocabulary, as plain values; pixels are in the label map."""
    segments = segmentation.segments
    names = {category.id: category.name for category in vocabulary.categories}
    return {
        "image": str(path),
        "height": segmentation.label_map.shape[0],
        "width": segmentation.label_map.shape[1],
        "categories": [
            {"id": category.id, "name": category.name, "synonyms": category.synonyms, "color_rgb": category.color_rgb}
            for category in vocabulary.categories
        ],
        "segments": [
            {
                "id": int(segments.ids[row]),
                "class_id": int(segments.class_ids[row]),
                "label": names.get(int(segments.class_ids[row]), ""),
                "score": round(float(segments.scores[row]), 4),
                "runners_up": [
                    {"class_id": int(id), "label": names.get(int(id), SOMETHING_ELSE), "score": round(float(score), 4)}
                    for id, score in zip(segments.runner_up_ids[row], segments.runner_up_scores[row], strict=True)
                    if score > 0
                ],
                **_geometry(segments, row),
            }
            for row in range(len(segments))
        ],
        "stage_seconds": {stage: round(seconds, 4) for stage, seconds in segmentation.stage_seconds.items()},
    }


def _labels_summary(segmentation: Segmentation, vocabulary: Vocabulary) -> str:
    """How many segments, and which categories cover how much of the image, the largest first."""
    shares = np.bincount(segmentation.label_map.ravel(), minlength=256) / segmentation.label_map.size
    present = sorted(
        (category for category in vocabulary.categories if shares[category.id]), key=lambda c: -shares[c.id]
    )
    listed = [f"{category.name} {100 * shares[category.id]:.0f} %" for category in present]
    return f"{len(segmentation.segments)} segments: {', '.join([*listed, f'unlabeled {100 * shares[255]:.0f} %'])}"


def _segments_json(path: Path, regions: Regions) -> dict[str, Any]:
    """The segments as plain values; pixels are in the segment map. Segments of one cluster look alike."""
    return {
        "image": str(path),
        "height": regions.segment_map.shape[0],
        "width": regions.segment_map.shape[1],
        "segments": [
            {"id": row + 1, "cluster_id": int(regions.cluster_ids[row]), **_geometry(regions, row)}
            for row in range(len(regions))
        ],
    }


def _geometry(segments: Segments | Regions, row: int) -> dict[str, Any]:
    return {
        "box_xyxy": segments.boxes_xyxy[row].tolist(),
        "area_px": int(segments.areas_px[row]),
        "centroid_xy": [round(float(value), 2) for value in segments.centroids_xy[row]],
    }


def _text(described: dict[str, Any]) -> bytes:
    return (json.dumps(described, indent=2, ensure_ascii=False) + "\n").encode()


def _png(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    import cv2

    _, encoded = cv2.imencode(".png", np.ascontiguousarray(image))
    return bytes(encoded)
