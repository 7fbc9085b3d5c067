"""Things found in labelled recordings by what they look like: any words, or a picture, against every kept segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from ovsr_ros.backends.contract import Regions, StageClock
from ovsr_ros.errors import RecordingError
from ovsr_ros.ops.image import check_image, to_tensor
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.recordings.fetching import at_hand
from ovsr_ros.recordings.labels import FRAMES
from ovsr_ros.recordings.record import RECORD, read_kept
from ovsr_ros.recordings.table import FrameTable
from ovsr_ros.recordings.words import check_model, load_text_encoder, text_cache
from ovsr_ros.settings import Settings, load_settings

_COLUMNS = ("stamp_ns", "log_ns", "track_ids", "boxes_xyxy", "embeddings")


@dataclass(frozen=True)
class Hit:
    """A thing that was found: a track, where it is most like what was asked for.

    folder: of its labelled bag, and bag: paths or URLs.
    score: cosine, -1 to 1. box_xyxy: pixels, right and bottom exclusive. track_id: 0 where nothing was tracked, and
    each frame's segment is a thing of its own. frames: in how many it is seen, from first_ns to last_ns, stamps.
    """

    folder: str
    bag: str
    topic: str
    stamp_ns: int
    log_ns: int
    box_xyxy: tuple[int, int, int, int]
    score: float
    track_id: int
    frames: int
    first_ns: int
    last_ns: int


class Query:
    """What is looked for, as each model sees it. words, or image (H, W, 3) uint8 RGB.

    Models are those that a bag was labelled with, loaded once.
    """

    def __init__(self, words: str = "", image: NDArray[np.uint8] | None = None) -> None:
        self._words, self._image = words, image
        self._known: dict[str, NDArray[np.float32]] = {}

    def embedding_for(self, record: dict[str, Any]) -> NDArray[np.float32]:
        """(D,) float32 of length 1, comparable with a bag's segments.

        Raises RecordingError where the model is another one now, ModelError where it cannot be used.
        """
        if record["clip"] not in self._known:
            settings = load_settings(None, record["job"]["values"])
            vector = self._of_words(settings, record) if self._image is None else self._of_image(settings, record)
            self._known[record["clip"]] = vector.astype(np.float32)
        return self._known[record["clip"]]

    def _of_words(self, settings: Settings, record: dict[str, Any]) -> NDArray[np.float32]:
        clip = load_text_encoder(settings.pipeline)
        check_model(clip, record["clip"])
        with torch.inference_mode():
            return np.asarray(text_cache(clip, settings.pipeline).embed([self._words])[0].numpy())

    def _of_image(self, settings: Settings, record: dict[str, Any]) -> NDArray[np.float32]:
        """A picture as one segment that fills it."""
        assert self._image is not None
        check_image(self._image)
        backend = Pipeline(settings.pipeline).state.backend
        check_model(backend.text_encoder, record["clip"])  # type: ignore[arg-type]
        image = to_tensor(self._image, backend.device)
        whole = torch.ones(self._image.shape[:2], dtype=torch.int32, device=backend.device)
        regions = Regions.from_labels(whole, np.zeros(1, np.int64))
        with torch.inference_mode():
            frame = backend.embed_regions(image, regions, StageClock(backend.device))  # type: ignore[attr-defined]
        return np.asarray(frame.embeddings[0].float().cpu().numpy())


def find(
    places: Sequence[str], query: Query, limit: int = 20, min_score: float = -1.0, scratch: str = ""
) -> tuple[list[Hit], list[str]]:
    """The things that are most like the query, the best first; each track is one thing.

    places: folders of labelled bags, paths or URLs. scratch: where frames that have a URL lie meanwhile; where it is
    named, they stay there for the next search.

    Returns the hits, and what could not be searched, in words. Raises ModelError where the query cannot be encoded,
    ConfigError as `at_hand`.
    """
    hits: list[Hit] = []
    problems: list[str] = []
    for place in places:
        try:
            with at_hand(place, scratch, (RECORD, FRAMES), stays=bool(scratch)) as folder:
                record = read_kept(folder, place)
                vector = query.embedding_for(record)
                found = (hit for hit in _find_in(folder, record, vector) if hit.score >= min_score)
                hits += [replace(hit, folder=place) for hit in found]
        except (RecordingError, OSError, pa.ArrowException) as error:
            told = str(getattr(error, "strerror", None) or error)
            problems.append(f"not searched: {place}: {told.removeprefix(f'{place}: ')}")
        hits = sorted(hits, key=lambda hit: (-hit.score, hit.folder, hit.stamp_ns, hit.box_xyxy))[:limit]
    return hits, problems


def score_rows(embeddings: NDArray[np.float16], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines of segments (N, D) float16 with a vector (D,) float32: (N,) float32.

    In pieces that fit the processor's cache once they are float32. By torch, which makes float32 of float16 far faster
    than NumPy.
    """
    scores = np.empty(len(embeddings), np.float32)
    query = torch.from_numpy(vector)
    for start in range(0, len(embeddings), _PIECE):
        piece = torch.from_numpy(np.array(embeddings[start : start + _PIECE])).float()  # a file's own are read-only
        scores[start : start + _PIECE] = (piece @ query).numpy()
    return scores


_PIECE = 2048


def _find_in(folder: Path, record: dict[str, Any], vector: NDArray[np.float32]) -> Iterator[Hit]:
    best: dict[int, list[Any]] = {}
    alone = 0
    with FrameTable(folder / FRAMES) as table:
        for batch in table.batches(_COLUMNS):
            columns = {name: batch.column(name) for name in _COLUMNS}
            tracks = columns["track_ids"].values.to_numpy()
            if not len(tracks):
                continue
            embeddings = columns["embeddings"].values.to_numpy(zero_copy_only=False).reshape(len(tracks), -1)
            boxes = columns["boxes_xyxy"].values.to_numpy().reshape(-1, 4)
            lengths = np.diff(columns["track_ids"].offsets.to_numpy())
            frame_of = np.repeat(np.arange(len(lengths)), lengths)
            stamps, logs = columns["stamp_ns"].to_numpy(), columns["log_ns"].to_numpy()
            scores = score_rows(embeddings, vector)
            for track in np.unique(tracks).tolist():
                of_track = np.flatnonzero(tracks == track)
                groups = [of_track] if track else [of_track[index : index + 1] for index in range(len(of_track))]
                for group in groups:
                    top = group[int(scores[group].argmax())]
                    frame = frame_of[top]
                    seen = stamps[frame_of[group]]
                    found = [float(scores[top]), int(stamps[frame]), int(logs[frame]), tuple(boxes[top].tolist())]
                    alone -= track == 0
                    key = track or alone
                    before = best.get(key)
                    span = [len(group), int(seen.min()), int(seen.max())]
                    if before is not None:
                        span = [before[4] + span[0], min(before[5], span[1]), max(before[6], span[2])]
                        found = found if found[0] > before[0] else before[:4]
                    best[key] = [*found, *span]
    for key, (score, stamp_ns, log_ns, box, frames, first_ns, last_ns) in best.items():
        yield Hit(
            folder=str(folder),
            bag=record["job"]["bag"],
            topic=record["topic"],
            stamp_ns=stamp_ns,
            log_ns=log_ns,
            box_xyxy=box,
            score=round(score, 4),
            track_id=max(key, 0),
            frames=frames,
            first_ns=first_ns,
            last_ns=last_ns,
        )
