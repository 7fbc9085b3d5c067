"""What `ovsr bags find --sheet` and `--clip` make of hits: each recording is fetched once, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.errors import ConfigError, RecordingError
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.clips import cut_clip
from ovsr_ros.recordings.fetching import at_hand
from ovsr_ros.recordings.labels import LABELS
from ovsr_ros.recordings.pictures import draw_sheet, write_jpeg
from ovsr_ros.recordings.record import RECORD, read_record
from ovsr_ros.recordings.search import Hit
from ovsr_ros.recordings.storage import Store, is_url
from ovsr_ros.recordings.thumbnails import draw_hit

Tile = tuple[NDArray[np.uint8], str]
_Numbered = list[tuple[int, Hit]]


def show_hits(
    hits: Sequence[Hit], sheet: Path | None, clips: Path | None, seconds: float = 2.0, scratch: str = ""
) -> list[str]:
    """Write the hits' thumbnails as a sheet, a JPEG, and cut a bag around each: clips/hit_1, ...

    seconds: of a clip, before and after its hit. scratch: where what has a URL lies meanwhile.

    Returns what could not be made, in words. Raises ConfigError where the sheet or a clip cannot be written.
    """
    numbered = list(enumerate(hits, start=1))
    tiles: dict[int, Tile] = {}
    problems: dict[tuple[str, int], str] = {}
    for place, of_bag in _grouped(numbered, "bag"):
        with ExitStack() as stack:
            try:
                bag = stack.enter_context(at_hand(place, scratch))
            except (RecordingError, OSError) as error:
                kinds = [*(["thumbnail"] if sheet else []), *(["clip"] if clips else [])]
                problems |= {(kind, number): _explain(place, error) for kind in kinds for number, _ in of_bag}
                continue
            if sheet:
                _draw(of_bag, bag, tiles, problems)
            if clips:
                _cut(of_bag, bag, clips, (seconds, scratch), problems)
    if sheet:
        try:
            write_jpeg(sheet, draw_sheet([tiles[number] for number, _ in numbered if number in tiles]))
        except OSError as error:
            raise ConfigError(f"--sheet {sheet}: cannot be written: {error.strerror or error}") from error
    order = sorted(problems, key=lambda key: (key[0] == "clip", key[1]))
    return [f"no {kind} of hit {number}: {problems[kind, number]}" for kind, number in order]


def _draw(hits: _Numbered, path: Path, tiles: dict[int, Tile], problems: dict[tuple[str, int], str]) -> None:
    for number, hit in hits:
        try:
            with Bag(path) as bag:
                picture = draw_hit(hit, bag)
        except RecordingError as error:
            problems["thumbnail", number] = str(error).replace(str(path), hit.bag)
            continue
        tiles[number] = (picture, f"{number}: {hit.score:.3f}  {hit.stamp_ns / 1e9:.2f} s")


def _cut(
    hits: _Numbered, path: Path, clips: Path, how: tuple[float, str], problems: dict[tuple[str, int], str]
) -> None:
    """how: seconds, and the scratch folder."""
    seconds, scratch = how
    for place, of_folder in _grouped(hits, "folder"):
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(at_hand(place, scratch, _labels_of(place), stays=bool(scratch)))
                record = read_record(folder)
            except (RecordingError, OSError) as error:
                problems |= {("clip", number): _explain(place, error) for number, _ in of_folder}
                continue
            for number, hit in of_folder:
                try:
                    cut_clip(hit, (path, folder / LABELS), record, clips / f"hit_{number}", seconds)
                except RecordingError as error:
                    problems["clip", number] = str(error).replace(str(path), hit.bag)
                except OSError as error:
                    raise ConfigError(f"--clip {clips}: cannot be written: {error.strerror or error}") from error


def _grouped(hits: _Numbered, name: str) -> list[tuple[str, _Numbered]]:
    """By a field of theirs."""
    groups: dict[str, _Numbered] = {}
    for number, hit in hits:
        groups.setdefault(getattr(hit, name), []).append((number, hit))
    return list(groups.items())


def _labels_of(place: str) -> list[str]:
    """The files of a labelled bag that a clip is made of; raises RecordingError."""
    if not is_url(place):
        return []
    return [RECORD, *(f"{LABELS}/{name}" for name in Store.at(place).within(LABELS).names())]


def _explain(place: str, error: Exception) -> str:
    return f"{place}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
