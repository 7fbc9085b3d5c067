"""A long bag in pieces that can be labelled apart from each other, and how their frames become one bag's again.

Each piece but the first begins with a lead-in: images of the piece before it, over which its tracker learns what the
other knew. Both have followed these images, so the tracks that are in one place in both are the same ones.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from ovsr_ros.recordings.frames import Place, TakenImage
from ovsr_ros.recordings.table import FrameRow, FrameTable
from ovsr_ros.tracking import TrackingOptions

LEAD_IN = "lead_in"
"""What a piece's table says of its first rows: how many of them belong to the piece before it."""

_LONGEST_STEP_S = 10.0
_MIN_SHARED = 0.3
"""Intersection over union, over the images that both pieces have followed, from which two tracks are one."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a bag. place: where its lead-in begins; None: the bag's start. first, stop: numbers of the first image
    that is its own, and of the first one that is not any more; None: there is none.
    """

    place: Place | None = None
    first: int = 0
    stop: int | None = None

    @property
    def start(self) -> int:
        """The number of the first image that is read."""
        return 0 if self.place is None else self.place.number

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Chunk:
        """What `to_dict` made. Raises TypeError or KeyError for anything else."""
        place = content["place"]
        return cls(None if place is None else Place(**place), content["first"], content["stop"])


WHOLE = Chunk()


def lead_in_s(options: TrackingOptions) -> float:
    """How long a tracker takes to know what another one knows that has been there from the start.

    What is out of sight is remembered for lost_s; borders and scores are averages, of which 1/400 is left after six
    time constants. Scores have twelve: of two words that are as likely, what is left decides (60 s of `pocket` at
    640x480 in pieces of 20 s: 0.5 % of the pixels with six, 0.3 % with twelve). Embeddings have been renewed by then.
    """
    if not options.enabled:
        return 0.0
    return max(options.lost_s, 6 * options.border_memory_s, 12 * options.score_memory_s, 2 * options.refresh_s)


def plan_chunks(images: Iterable[tuple[Place, TakenImage]], chunk_s: float, lead_s: float) -> list[Chunk]:
    """Pieces of so many seconds of the recording, the last one somewhat longer. images: see `take_places`."""
    cuts: list[tuple[Place, int]] = []
    recent: deque[tuple[float, Place]] = deque()
    passed_s, begun_s, before_ns = 0.0, 0.0, None
    for place, image in images:
        if before_ns is not None:
            passed_s += min(max(0.0, (image.time_ns - before_ns) / 1e9), _LONGEST_STEP_S)  # clocks that were set
        before_ns = image.time_ns
        recent.append((passed_s, place))
        while recent[0][0] < passed_s - lead_s:
            recent.popleft()
        if passed_s - begun_s >= chunk_s:
            cuts.append((recent[0][1], image.number))
            begun_s = passed_s
    if cuts and passed_s - begun_s < max(lead_s, chunk_s / 4):
        cuts.pop()
    stops = [number for _, number in cuts] + [None]
    return [Chunk(stop=stops[0]), *(Chunk(*cut, stop) for cut, stop in zip(cuts, stops[1:], strict=True))]


def join_rows(tables: Sequence[FrameTable]) -> Iterator[FrameRow]:
    """The rows of all pieces, each once, in their order, with the ids of tracks that the first piece has begun.

    Raises RecordingError where a table cannot be read.
    """
    lead_ins = [int(table.about[LEAD_IN]) for table in tables]
    next_id = 1
    tail: deque[FrameRow] = deque(maxlen=0)
    for table, num_lead_in, num_next in zip(tables, lead_ins, [*lead_ins[1:], 0], strict=True):
        rows = table.rows()
        lead_in = [row for _, row in zip(range(num_lead_in), rows, strict=False)]
        global_ids = match_tracks(list(tail), lead_in)
        tail = deque(maxlen=num_next)
        for row in rows:
            for id in row.track_ids.tolist():
                if id and id not in global_ids:
                    global_ids[id] = next_id
                    next_id += 1
            named = replace(
                row, track_ids=np.array([global_ids.get(id, 0) for id in row.track_ids.tolist()], np.uint32)
            )
            tail.append(named)
            yield named


def match_tracks(before: Sequence[FrameRow], after: Sequence[FrameRow]) -> dict[int, int]:
    """The ids in `before` of tracks in `after`, by how much of the same images is theirs in both.

    The second half of the images counts: in the first one a tracker that has just begun finds its way.
    """
    by_image = {(row.stamp_ns, row.log_ns): row for row in before}
    shared: Counter[tuple[int, int]] = Counter()
    areas_before: Counter[int] = Counter()
    areas_after: Counter[int] = Counter()
    for row in after[len(after) // 2 :]:
        other = by_image.get((row.stamp_ns, row.log_ns))
        if other is None:
            continue
        width = len(row) + 1
        codes = other.segment_map().astype(np.int64) * width + row.segment_map()
        counts = np.bincount(codes.reshape(-1), minlength=width * (len(other) + 1)).reshape(-1, width)
        areas_before.update(dict(zip(other.track_ids.tolist(), counts[1:].sum(1).tolist(), strict=True)))
        areas_after.update(dict(zip(row.track_ids.tolist(), counts[:, 1:].sum(0).tolist(), strict=True)))
        for first, second in zip(*np.nonzero(counts[1:, 1:]), strict=True):
            pair = (int(other.track_ids[first]), int(row.track_ids[second]))
            shared[pair] += int(counts[1 + first, 1 + second])
    ids_before, ids_after = (sorted(id for id in areas if id) for areas in (areas_before, areas_after))
    ratios = np.zeros((len(ids_before), len(ids_after)))
    for index, first in enumerate(ids_before):
        for place, second in enumerate(ids_after):
            both = shared[first, second]
            ratios[index, place] = both / max(1, areas_before[first] + areas_after[second] - both)
    rows, columns = linear_sum_assignment(np.where(ratios >= _MIN_SHARED, ratios, 0), maximize=True)
    return {
        ids_after[column]: ids_before[row]
        for row, column in zip(rows, columns, strict=True)
        if ratios[row, column] >= _MIN_SHARED
    }
