"""The slow half of labelling a bag: its images become frames of one stream, as in the node, and go into the journal."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends import backend_type
from ovsr_ros.backends.contract import FrameEmbeddings
from ovsr_ros.errors import ImageError
from ovsr_ros.node_options import DepthOptions
from ovsr_ros.ops.spatial import SegmentLocations, locate_segments
from ovsr_ros.pipeline import FoundImage, Pipeline, embedding_source
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.chunks import WHOLE, Chunk
from ovsr_ros.recordings.frames import TakenImage, decode, decode_depth
from ovsr_ros.recordings.journal import Journal
from ovsr_ros.recordings.run_lengths import to_runs
from ovsr_ros.recordings.table import FrameRow
from ovsr_ros.tracking import Tracker
from ovsr_ros.tracking.stream_state import pack, unpack


@dataclass(frozen=True)
class _Found:
    """An image by itself. problem: why it is left out, then the rest is None; doubt: why it has no depth."""

    image: TakenImage
    problem: str = ""
    doubt: str = ""
    found: FoundImage | None = None
    frame_id: str = ""
    locate: Callable[[NDArray[np.uint16], NDArray[np.uint16]], SegmentLocations] | None = None


class _Ids:
    """Ids of tracks, from the one that is next."""

    def __init__(self, next_id: int) -> None:
        self.next_id = next_id

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.next_id += 1
        return self.next_id - 1


def frames_in_flight(pipeline: Pipeline) -> int:
    """How many images are in work at once: as many as in a node, one where PyTorch may have one thread only."""
    on_gpu = pipeline.device.type == "cuda"
    num_cores = min(len(os.sched_getaffinity(0)), torch.get_num_threads())
    return 2 if num_cores > 1 and not on_gpu and not backend_type(pipeline.options.backend).fills_cpu else 1


def follow_images(
    bag: Bag,
    images: Iterator[TakenImage],
    pipeline: Pipeline,
    depth: DepthOptions,
    journal: Journal,
    chunk: Chunk = WHOLE,
    tell: Callable[[TakenImage], object] = lambda image: None,
) -> None:
    """Bring the journal up to the chunk's last image, from wherever it stands.

    images: from the chunk's first, its lead-in included. tell: called with each image that is done now.

    Raises OSError when the journal cannot be written, and whatever the pipeline raises.
    """
    checkpoint = journal.checkpoint
    ids = _Ids(checkpoint.next_id)
    tracker = Tracker(ids)
    if checkpoint.stream is not None:
        tracker.resume(unpack(*checkpoint.stream, embedding_source(pipeline.options), pipeline.device))
    wanted = islice(images, None if chunk.stop is None else chunk.stop - chunk.start)
    for image in _find_ahead(bag, wanted, pipeline, depth, chunk.start + checkpoint.taken):
        problem = image.problem or _size_problem(image, checkpoint.size_hw)
        checkpoint.taken += 1
        is_own = image.image.number >= chunk.first
        if problem:
            checkpoint.oddities.left_out[problem] += is_own
        else:
            assert image.found is not None
            if image.doubt:
                checkpoint.oddities.doubts[image.doubt] += is_own
            checkpoint.size_hw = _size_of(image.found)
            frame = pipeline.join(image.found, tracker, image.image.time_ns / 1e9)
            assert isinstance(frame, FrameEmbeddings)
            journal.append(_to_row(image, frame))
            checkpoint.lead_in += not is_own
            state = tracker.snapshot()
            checkpoint.stream, checkpoint.next_id = None if state is None else pack(state), ids.next_id
        journal.keep()
        tell(image.image)


def _find_ahead(
    bag: Bag, images: Iterator[TakenImage], pipeline: Pipeline, depth: DepthOptions, done: int
) -> Iterator[_Found]:
    """The images behind those that are done, in order, a few of them in work at once on threads of their own."""
    in_flight = frames_in_flight(pipeline)
    num_threads = torch.get_num_threads()
    share = max(1, num_threads // in_flight)
    pending: deque[Future[_Found]] = deque()
    torch.set_num_threads(share)
    try:
        with ThreadPoolExecutor(in_flight, initializer=torch.set_num_threads, initargs=(share,)) as pool:
            for image in images:
                if image.number < done:
                    continue
                pending.append(pool.submit(_find, bag, image, pipeline, depth))
                if len(pending) > in_flight:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
    finally:
        torch.set_num_threads(num_threads)


def _find(bag: Bag, image: TakenImage, pipeline: Pipeline, options: DepthOptions) -> _Found:
    try:
        rgb, frame_id = decode(bag, image.record)
        found = pipeline.find(rgb)
    except ImageError as error:
        return _Found(image, problem=str(error))
    size_hw = (rgb.shape[0], rgb.shape[1])
    try:
        depth = decode_depth(bag, image, size_hw, options)
    except ImageError as error:
        return _Found(image, "", str(error), found, frame_id)
    locate = None if depth is None else (lambda segment_map, ids: locate_segments(depth, segment_map, ids))
    return _Found(image, "", "", found, frame_id, locate)


def first_size_hw(bag: Bag, images: Iterator[TakenImage]) -> tuple[int, int] | None:
    """The size of the first image that can be read, which all others must have; None: of none."""
    for image in images:
        try:
            rgb, _ = decode(bag, image.record)
        except ImageError:
            continue
        return (rgb.shape[0], rgb.shape[1])
    return None


def _size_of(found: FoundImage) -> tuple[int, int]:
    return (found.image_rgb.shape[0], found.image_rgb.shape[1])


def _size_problem(image: _Found, size_hw: tuple[int, int] | None) -> str:
    assert image.found is not None
    height, width = _size_of(image.found)
    if size_hw is None or size_hw == (height, width):
        return ""
    return (
        f"expected {size_hw[1]}x{size_hw[0]} pixels as the first image's, got {width}x{height}: two cameras, or two "
        f"settings of one, on {image.image.record.topic}; record each on a topic of its own"
    )


def _to_row(image: _Found, frame: FrameEmbeddings) -> FrameRow:
    regions, taken = frame.regions, image.image
    segment_map = regions.segment_map.to(torch.int16).cpu().numpy().view(np.uint16)
    values, lengths = to_runs(segment_map)
    count = len(frame)
    place = None
    if image.locate is not None:
        place = image.locate(segment_map, np.arange(1, count + 1, dtype=np.uint16))
    return FrameRow(
        stamp_ns=taken.stamp_ns,
        log_ns=taken.log_ns,
        frame_id=image.frame_id,
        size_hw=(segment_map.shape[0], segment_map.shape[1]),
        run_values=values,
        run_lengths=lengths,
        track_ids=np.zeros(count, np.uint32) if frame.track_ids is None else frame.track_ids,
        boxes_xyxy=regions.boxes_xyxy,
        areas_px=regions.areas_px,
        centroids_xy=regions.centroids_xy,
        embeddings=frame.embeddings.to(torch.float16).cpu().numpy(),
        locations=place,
    )
