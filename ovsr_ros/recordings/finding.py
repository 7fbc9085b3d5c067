"""The slow half of a bag's work: its frames are found, piece by piece, and put into one table. Knows no words."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from ovsr_ros.errors import ConfigError, RecordingError
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.chunks import LEAD_IN, Chunk, join_rows, lead_in_s, plan_chunks
from ovsr_ros.recordings.files import CHUNKS, Files
from ovsr_ros.recordings.following import first_size_hw, follow_images
from ovsr_ros.recordings.frames import Oddities, Sampling, TakenImage, take_images, take_places
from ovsr_ros.recordings.job import LabelJob, Tell
from ovsr_ros.recordings.journal import Journal
from ovsr_ros.recordings.labels import FRAMES, write_json
from ovsr_ros.recordings.locks import locked
from ovsr_ros.recordings.record import RECORD, about_frames, as_found, read_record
from ovsr_ros.recordings.table import FrameTable, to_batch, write_table
from ovsr_ros.recordings.topics import choose_topics
from ovsr_ros.settings import Settings, values_in_use

_WORTH_CUTTING = 1.5

_pipelines: dict[str, Pipeline] = {}


def begin(job: LabelJob, settings: Settings, files: Files, slow_key: str) -> dict[str, Any]:
    """Look the bag over, and decide into which pieces it is cut; the record then says so.

    Raises OSError and RecordingError.
    """
    with Bag(files.bag) as bag:
        chosen = choose_topics(bag, job.topic, job.depth, job.camera_info)
        if not chosen.image.count:
            raise RecordingError(f"{job.bag}: {chosen.image.name} has no images")
        plan: dict[str, Any] = {"chunks": [Chunk().to_dict()]}
        if job.chunk_s and bag.duration_s > _WORTH_CUTTING * job.chunk_s:
            sampling, depth, oddities = Sampling(job.rate_hz, job.every), settings.node.depth, Oddities()
            places = take_places(bag, chosen, sampling, depth, oddities)
            chunks = plan_chunks(places, job.chunk_s, lead_in_s(settings.pipeline.tracking))
            if len(chunks) > 1:
                size_hw = first_size_hw(bag, take_images(bag, chosen, sampling, depth, Oddities()))
                read = {"jumps": oddities.jumps, "left_out": oddities.left_out, "damage": bag.damage}
                plan = {"chunks": [chunk.to_dict() for chunk in chunks], "size_hw": size_hw, "read": read}
    record: dict[str, Any] = {"job": asdict(job), "slow_key": slow_key, "state": "begun", "plan": plan}
    write_json(files.folder / RECORD, record)
    files.publish(RECORD)
    return record


def pieces_left(record: Mapping[str, Any], files: Files) -> list[int]:
    """The numbers of the pieces of which the frames are not found yet."""
    if record["state"] != "begun":
        return []
    count = len(record["plan"]["chunks"])
    return [number for number in range(count) if count == 1 or not files.has(f"{_piece(number)}/{FRAMES}")]


def find_piece(
    job: LabelJob, settings: Settings, files: Files, record: Mapping[str, Any], number: int, tell: Tell
) -> None:
    """Find a piece's frames, or go on where an earlier run was stopped. Raises OSError and RecordingError."""
    plan = record["plan"]
    chunk = Chunk.from_dict(plan["chunks"][number])
    is_whole = len(plan["chunks"]) == 1
    part = "" if is_whole else _piece(number)
    folder = files.folder / part
    with ExitStack() as stack:
        if not is_whole:
            stack.enter_context(locked(folder))
        if not is_whole and files.has(f"{part}/{FRAMES}"):
            return
        files.resume(part)
        bag = stack.enter_context(Bag(files.bag))
        oddities = Oddities()
        chosen = choose_topics(bag, job.topic, job.depth, job.camera_info)
        sampling, depth = Sampling(job.rate_hz, job.every), settings.node.depth
        pipeline = pipeline_for(settings)
        images = take_images(bag, chosen, sampling, depth, oddities, chunk.place)

        def tell_image(image: TakenImage) -> None:
            tell("frames", image.number + 1, chosen.image.count // job.every)

        journal = stack.enter_context(Journal(folder, record["slow_key"]))
        journal.when_kept = files.keeper(part)
        checkpoint = journal.checkpoint
        checkpoint.size_hw = checkpoint.size_hw or _to_size(plan.get("size_hw"))
        follow_images(bag, images, pipeline, depth, journal, chunk, tell_image)
        found = {
            "topic": chosen.image.name,
            "depth_topic": chosen.depth,
            "camera_info_topic": chosen.info,
            "clip": pipeline.state.backend.text_encoder.model_id,
            "frames": checkpoint.frames - checkpoint.lead_in,
            LEAD_IN: checkpoint.lead_in,
            "left_out": checkpoint.oddities.left_out,
            "doubts": checkpoint.oddities.doubts,
        }
        if is_whole:
            read = {"jumps": oddities.jumps, "left_out": oddities.left_out, "damage": bag.damage}
            _write_whole(files, settings, _sum_up(record, read, [found]), journal.batches())
        else:
            write_table(folder / FRAMES, journal.batches(), found)
            files.publish(f"{part}/{FRAMES}")
        journal.remove()
        files.forget(part)


def gather(settings: Settings, files: Files, record: Mapping[str, Any]) -> dict[str, Any]:
    """One table of all pieces, once each has its own. Returns the record. Raises OSError and RecordingError."""
    if record["state"] == "begun" and len(record["plan"]["chunks"]) > 1:
        with ExitStack() as stack:
            count = len(record["plan"]["chunks"])
            paths = [files.get(f"{_piece(number)}/{FRAMES}") for number in range(count)]
            tables = [stack.enter_context(FrameTable(path)) for path in paths]
            whole = _sum_up(record, record["plan"]["read"], [table.about for table in tables])
            _write_whole(files, settings, whole, (to_batch([row]) for row in join_rows(tables)))
        shutil.rmtree(files.folder / CHUNKS)
    return read_record(files.folder)


def _sum_up(record: Mapping[str, Any], read: Mapping[str, Any], parts: list[dict[str, Any]]) -> dict[str, Any]:
    """What is known of a bag whose pieces are found. read: what was noticed by who has read all of it.

    Raises RecordingError where there is no frame.
    """
    oddities = Oddities(list(read["jumps"]), Counter(read["left_out"]))
    for part in parts:
        oddities.left_out.update(part["left_out"])
        oddities.doubts.update(part["doubts"])
    frames = sum(part["frames"] for part in parts)
    bag, topic = record["job"]["bag"], parts[0]["topic"]
    if not frames:
        reasons = "; ".join([*oddities.describe(), *([read["damage"]] if read["damage"] else [])])
        raise RecordingError(f"{bag}: no image of {topic} can be labelled: {reasons or 'none'}")
    names = ("topic", "depth_topic", "camera_info_topic", "clip")
    return {
        **{name: value for name, value in record.items() if name != "plan"},
        **{name: parts[0][name] for name in names},
        "frames": frames,
        "damage": read["damage"],
        "oddities": oddities.describe(),
        "is_whole": not (read["damage"] or oddities.left_out),
    }


def _write_whole(
    files: Files, settings: Settings, record: Mapping[str, Any], batches: Iterator[pa.RecordBatch]
) -> None:
    write_table(files.folder / FRAMES, batches, about_frames(record, settings))
    files.publish(FRAMES)
    write_json(files.folder / RECORD, as_found(record))
    files.publish(RECORD)


def _piece(number: int) -> str:
    return f"{CHUNKS}/{number:04d}"


def _to_size(size_hw: Sequence[int] | None) -> tuple[int, int] | None:
    return None if size_hw is None else (size_hw[0], size_hw[1])


def pipeline_for(settings: Settings) -> Pipeline:
    """Loaded once in a process. Raises ConfigError for a backend whose segments have no embeddings of their own, and
    for what turns or covers a camera's images, which is the node's alone.
    """
    if settings.node.rotation or settings.node.ignore_mask:
        raise ConfigError(
            "rotation, ignore_mask: expected neither, as images of recordings are taken as they are; leave them out, "
            "or play the recording to the node"
        )
    if settings.pipeline.backend != "ovsr":
        raise ConfigError(
            f"backend: expected ovsr, whose segments can be kept without words, got {settings.pipeline.backend}"
        )
    key = json.dumps(values_in_use(settings.pipeline), sort_keys=True, default=str)
    if key not in _pipelines:
        _pipelines.clear()
        _pipelines[key] = Pipeline(settings.pipeline)
    return _pipelines[key]
