"""The node's messages as a bag holds them: definitions, contents, and the file that is played beside the recording."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ovsr_ros.config import find_shared
from ovsr_ros.errors import RecordingError
from ovsr_ros.names import name_key
from ovsr_ros.ops.spatial import SegmentLocations
from ovsr_ros.recordings.table import FrameRow
from ovsr_ros.results import UNLABELED_ID, Segmentation
from ovsr_ros.vocabulary.category import SOMETHING_ELSE, Vocabulary

UNLABELED_NAME = "unlabeled"
_NAMESPACE = "/ovsr"
_VISION_MSGS = {
    "VisionClass": "uint16 class_id\nstring class_name\n",
    "LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
}
_NEVER = QosTime(2147483647, 4294967295)
_KEEP_LAST, _RELIABLE = QosHistory.KEEP_LAST, QosReliability.RELIABLE


@cache
def message_types() -> Typestore:
    """ROS 2's messages, this package's and vision_msgs' two. Raises RecordingError where the package lacks its own."""
    folder = find_shared("msg")
    if folder is None:
        raise RecordingError("the package's message definitions (msg/) are not installed; install it again")
    store = get_typestore(Stores.ROS2_HUMBLE)
    types = {}
    for file in sorted(folder.glob("*.msg")):
        types.update(get_types_from_msg(file.read_text(encoding="utf-8"), f"ovsr_ros/msg/{file.stem}"))
    for name, text in _VISION_MSGS.items():
        if f"vision_msgs/msg/{name}" not in store.fielddefs:
            types.update(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    store.register(types)
    return store


def _qos(durability: QosDurability) -> Qos:
    automatic = QosLiveliness.AUTOMATIC
    return Qos(_KEEP_LAST, 1, _RELIABLE, durability, _NEVER, _NEVER, automatic, _NEVER, False)


class LabelWriter:
    """A bag of the labels of one recording, in a folder that appears whole or not at all; a context manager.

    folder: replaced, where it is there.

    Raises OSError, as where the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._part = folder.with_name(f".{folder.name}.part") / folder.name
        self._types = message_types().types
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> LabelWriter:
        shutil.rmtree(self._part.parent, ignore_errors=True)
        self._writer = Writer(self._part, version=8, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        for topic, kind in (
            ("label_map", "sensor_msgs/msg/Image"),
            ("confidence", "sensor_msgs/msg/Image"),
            ("segments", "ovsr_ros/msg/SegmentArray"),
            ("vocabulary", "ovsr_ros/msg/Vocabulary"),
            ("label_info", "vision_msgs/msg/LabelInfo"),
        ):
            is_latched = topic in ("vocabulary", "label_info")
            qos = _qos(QosDurability.TRANSIENT_LOCAL if is_latched else QosDurability.VOLATILE)
            self._connections[topic] = self._writer.add_connection(
                f"{_NAMESPACE}/{topic}", kind, typestore=message_types(), offered_qos_profiles=[qos]
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        if kind is None:
            self._writer.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._part.replace(self._folder)
        else:
            self._writer.abort()
        shutil.rmtree(self._part.parent, ignore_errors=True)

    def write_vocabulary(
        self, vocabulary: Vocabulary, score_threshold: float, stamp_ns: int, log_ns: int, model_id: str = ""
    ) -> None:
        """The words, before the first frame that they label.

        score_threshold: 0 to 1. model_id: of the model whose examples count.
        """
        t, header = self._types, self._header(stamp_ns, "")
        new_example = t["ovsr_ros/msg/Example"]
        categories = [
            t["ovsr_ros/msg/Category"](
                id=category.id,
                name=category.name,
                synonyms=list(category.synonyms),
                id_chosen=category.is_id_chosen,
                color=t["std_msgs/msg/ColorRGBA"](*(float(channel) / 255.0 for channel in category.color_rgb), a=1.0),
                examples=[new_example(each.id, each.model_id == model_id) for each in category.examples],
            )
            for category in vocabulary.categories
        ]
        message = t["ovsr_ros/msg/Vocabulary"](header=header, version=vocabulary.version, categories=categories)
        self._write("vocabulary", message, log_ns)
        names = [(category.id, category.name) for category in vocabulary.categories]
        if UNLABELED_NAME not in {name_key(name) for _, name in names}:
            names.append((UNLABELED_ID, UNLABELED_NAME))
        class_map = [t["vision_msgs/msg/VisionClass"](class_id=id, class_name=name) for id, name in names]
        info = t["vision_msgs/msg/LabelInfo"](header=header, class_map=class_map, threshold=score_threshold)
        self._write("label_info", info, log_ns)

    def write_frame(self, row: FrameRow, segmentation: Segmentation, names: dict[int, str]) -> None:
        """A frame's maps and segments, under its image's header. names: of the categories, by id."""
        header = self._header(row.stamp_ns, row.frame_id)
        self._write("label_map", self._mono8(header, segmentation.label_map), row.log_ns)
        self._write("confidence", self._mono8(header, segmentation.confidence), row.log_ns)
        message = self._types["ovsr_ros/msg/SegmentArray"](
            header=header,
            vocabulary_version=segmentation.vocabulary_version,
            height=row.size_hw[0],
            width=row.size_hw[1],
            segments=list(self._segments(segmentation, names, row.locations)),
        )
        self._write("segments", message, row.log_ns)

    def _segments(
        self, segmentation: Segmentation, names: dict[int, str], place: SegmentLocations | None
    ) -> Iterable[Any]:
        segments, new_score = segmentation.segments, self._types["ovsr_ros/msg/ClassScore"]
        new_segment, new_point = self._types["ovsr_ros/msg/Segment"], self._types["geometry_msgs/msg/Point"]
        unknown = new_point(math.nan, math.nan, math.nan)
        columns = zip(
            segments.ids.tolist(),
            segments.track_ids.tolist(),
            segments.class_ids.tolist(),
            segments.scores.tolist(),
            segments.runner_up_ids.tolist(),
            segments.runner_up_scores.tolist(),
            segments.boxes_xyxy.tolist(),
            segments.areas_px.tolist(),
            segments.centroids_xy.tolist(),
            strict=True,
        )
        for index, (id, track, class_id, score, other_ids, other_scores, box, area, center) in enumerate(columns):
            others = [
                new_score(other, SOMETHING_ELSE if other == UNLABELED_ID else names.get(other, ""), probability)
                for other, probability in zip(other_ids, other_scores, strict=True)
                if probability > 0
            ]
            where: tuple[Any, ...] = (0, math.nan, unknown, unknown, unknown)
            if place is not None:
                points = (place.positions_m, place.box_min_m, place.box_max_m)
                where = (
                    int(place.depth_counts[index]),
                    float(place.distances_m[index]),
                    *(new_point(*(float(value) for value in each[index])) for each in points),
                )
            yield new_segment(id, track, class_id, names.get(class_id, ""), score, others, *box, area, *center, *where)

    def _mono8(self, header: Any, values: NDArray[np.uint8]) -> Any:
        height, width = values.shape
        return self._types["sensor_msgs/msg/Image"](header, height, width, "mono8", 0, width, values.reshape(-1))

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        stamp = self._types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)

    def _write(self, topic: str, message: Any, log_ns: int) -> None:
        connection = self._connections[topic]
        self._writer.write(connection, log_ns, message_types().serialize_cdr(message, connection.msgtype))
