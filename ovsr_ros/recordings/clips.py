"""Small bags cut around a hit: the images, what belongs to them, and the labels, side by side."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from ovsr_ros.errors import RecordingError
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.messages import message_types
from ovsr_ros.recordings.salvage import Record
from ovsr_ros.recordings.search import Hit

_TOPICS = ("topic", "depth_topic", "camera_info_topic")


def cut_clip(hit: Hit, sources: tuple[Path, Path], record: dict[str, object], path: Path, seconds: float) -> int:
    """Write a bag of what was recorded up to so many seconds before and after a hit; how many messages it has.

    sources: the hit's bag, and the bag of its labels, which need not be there. record: of the labelled bag.
    path: a folder, which is replaced. The words are those in force: they are in each clip.

    Raises RecordingError where the recording is not there any more, OSError as where the disk is full.
    """
    around = round(seconds * 1e9)
    part = path.with_name(f".{path.name}.part") / path.name
    shutil.rmtree(part.parent, ignore_errors=True)
    topics = {str(record[name]) for name in _TOPICS if record.get(name)}
    types = message_types()
    count = 0
    try:
        with contextlib.ExitStack() as stack:
            bags = [(stack.enter_context(Bag(sources[0])), topics)]
            if sources[1].is_dir():
                bag = stack.enter_context(Bag(sources[1]))
                bags.append((bag, set(bag.topics)))
            writer = Writer(part, version=8, storage_plugin=StoragePlugin.MCAP)
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            connections = {}
            with writer:
                for bag, wanted in bags:
                    for message in _around(bag, wanted, hit.log_ns - around, hit.log_ns + around + 1):
                        if message.topic not in connections:
                            kind = message.message_type
                            connections[message.topic] = writer.add_connection(message.topic, kind, typestore=types)
                        writer.write(connections[message.topic], message.log_ns, bag.to_cdr(message))
                        count += 1
        if not count:
            raise RecordingError(f"{hit.bag}: has nothing {seconds:g} s around {hit.stamp_ns / 1e9:.3f} any more")
        shutil.rmtree(path, ignore_errors=True)
        part.replace(path)
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)
    return count


def _around(bag: Bag, topics: set[str], start_ns: int, stop_ns: int) -> Iterator[Record]:
    """The messages of that time, and before them the words, which were sent once."""
    latched = {topic for topic in topics if topic.endswith(("/vocabulary", "/label_info"))}
    for message in bag.messages(latched):
        yield Record(message.topic, message.message_type, start_ns, message.data)
    yield from bag.messages(topics - latched, start_ns, stop_ns)
