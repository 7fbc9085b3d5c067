"""Labels as COCO has them: an annotation a labelled segment, its mask in pycocotools' compressed run lengths."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.recordings.table import FrameRow
from ovsr_ros.results import UNLABELED_ID, Segmentation
from ovsr_ros.vocabulary.category import Vocabulary


@dataclass
class CocoWriter:
    """Writes the annotations as they come, and images and categories in the end: memory grows by the images' names.

    file: open for bytes. Category ids are those of the label map.
    """

    file: IO[bytes]
    _images: list[dict[str, Any]] = field(default_factory=list)
    _count: int = 0

    def add(self, name: str, row: FrameRow, segmentation: Segmentation) -> None:
        """A frame's labelled segments. name: of its image's file."""
        image_id = len(self._images) + 1
        height, width = row.size_hw
        self._images.append(
            {"id": image_id, "file_name": name, "height": height, "width": width, "stamp_ns": row.stamp_ns}
        )
        segments = segmentation.segments
        labelled = np.flatnonzero(segments.class_ids != UNLABELED_ID)
        for index, counts in zip(labelled, encode(segmentation.segment_map, segments.ids[labelled]), strict=True):
            left, top, right, bottom = (int(edge) for edge in segments.boxes_xyxy[index])
            self._write(
                {
                    "image_id": image_id,
                    "category_id": int(segments.class_ids[index]),
                    "segmentation": {"size": [height, width], "counts": counts},
                    "area": int(segments.areas_px[index]),
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                    "score": round(float(segments.scores[index]), 4),
                    "track_id": int(segments.track_ids[index]),
                }
            )

    def finish(self, vocabulary: Vocabulary) -> None:
        """Write what belongs to all of them."""
        categories = [{"id": category.id, "name": category.name} for category in vocabulary.categories]
        self.file.write(b'{"annotations": [\n' if not self._count else b"\n")
        rest = json.dumps({"categories": categories, "images": self._images})
        self.file.write(b"], " + rest[1:].encode() + b"\n")

    def _write(self, annotation: dict[str, Any]) -> None:
        self.file.write(b",\n" if self._count else b'{"annotations": [\n')
        self._count += 1
        self.file.write(json.dumps({"id": self._count, **annotation}).encode())


def encode(segment_map: NDArray[np.uint16], ids: NDArray[np.uint16]) -> list[str]:
    """Each segment's mask in the text that pycocotools calls compressed counts: runs of 0 and 1, column by column.

    segment_map: (H, W). ids: (N,), values of it. The format is that of pycocotools' maskApi.c, rleToString.
    """
    flat = np.ascontiguousarray(segment_map.T).reshape(-1)
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    ends = np.append(starts[1:], flat.size)
    values = flat[starts]
    order = np.argsort(values, kind="stable")
    first, last = (np.searchsorted(values[order], ids, side) for side in ("left", "right"))
    texts = []
    for begin, end in zip(first, last, strict=True):
        of_segment = order[begin:end]
        edges = np.stack((starts[of_segment], ends[of_segment]), 1).reshape(-1)
        counts = np.diff(np.concatenate(([0], edges)))
        if edges.size and edges[-1] < flat.size:
            counts = np.append(counts, flat.size - edges[-1])
        texts.append(_to_text(counts if edges.size else np.array([flat.size])))
    return texts


def _to_text(counts: NDArray[np.int64]) -> str:
    """From the third on each count as the difference to the last but one; 5 bits a character, lowest first."""
    differences = counts.copy()
    differences[3:] -= counts[1:-2]
    characters = bytearray()
    for value in differences.tolist():
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            characters.append((bits | 0x20 if more else bits) + 48)
    return characters.decode()
