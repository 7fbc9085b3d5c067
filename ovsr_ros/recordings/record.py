"""What is known of a bag that was labelled, or is about to be, and what its frames and labels depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ovsr_ros.errors import ConfigError, RecordingError
from ovsr_ros.recordings.job import LabelJob, to_job
from ovsr_ros.recordings.labels import FRAMES
from ovsr_ros.recordings.outside_names import is_plain
from ovsr_ros.recordings.storage import Store, is_url, join, name_of, sizes_of
from ovsr_ros.settings import Settings, values_in_use
from ovsr_ros.vocabulary.text_embeddings import NO_DIRECTORY

RECORD = "recording.json"
_WORDS_ONLY = ("score_threshold", "num_runners_up", "text.", "alignment.", "examples.")
"""Options that only the fast half depends on."""


_FOUND = ("topic", "depth_topic", "camera_info_topic", "clip", "frames", "damage", "oddities", "is_whole")
"""What is known once a bag's frames are found."""

_CACHE = "text.cache_directory"


def read_record(folder: Path) -> dict[str, Any]:
    """What is known of a labelled bag. Raises RecordingError where there is none."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        to_job(record["job"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"{folder}: expected a bag that `ovsr bags label` has labelled: {error}") from error
    return record


def read_kept(folder: Path, place: str) -> dict[str, Any]:
    """What is known of a bag whose frames are kept. folder: where it lies, of the place that has the name.

    Options that are another machine's own, of one that comes out of a store, are as they are by default.

    Raises RecordingError where there is none, or its frames are not found yet.
    """
    record = read_record(folder)
    missing = [name for name in _FOUND if name not in record]
    if record["state"] == "begun" or missing:
        raise RecordingError(f"{folder}: its frames are not found yet; run `ovsr bags label` to its end first")
    job = record["job"]
    return {**record, "job": {**job, "values": _values_here(job["values"])}} if is_url(place) else record


def _values_here(values: Mapping[str, object]) -> dict[str, object]:
    """Without a folder that a store's file would have us write to, and a GPU of another machine's."""
    found = dict(values)
    if found.get(_CACHE) != NO_DIRECTORY:
        found.pop(_CACHE, None)
    if str(found.get("device", "")).startswith("cuda") and not torch.cuda.is_available():
        found.pop("device")
    return found


def find_folders(root: str) -> list[str]:
    """The places of labelled bags: this one, or those in it, in the order of their names. root: a path or URL.

    Raises RecordingError where there is none, or a store cannot be read, ConfigError as `Store.at`.
    """
    if is_url(root):
        store = Store.at(root)
        names = [name for name in store.folders() if name and "/" not in name]
        found = [root] if store.within(FRAMES).exists() else []
        found += [join(root, name) for name in names if store.within(name, FRAMES).exists()]
    else:
        found = sorted(str(path.parent) for path in (*Path(root).glob(FRAMES), *Path(root).glob(f"*/{FRAMES}")))
    if not found:
        raise RecordingError(f"{root}: expected bags that `ovsr bags label` has labelled, or one of them, got none")
    return found


def read_record_or_none(folder: Path) -> dict[str, Any] | None:
    """None: nothing was begun there. Raises RecordingError where something else is."""
    return read_record(folder) if (folder / RECORD).exists() else None


def folder_for(bag: str, out: str, taken: Collection[str] = ()) -> str:
    """Where a bag's files go: a folder of its name, with a number behind it where that is another bag's.

    bag, out: paths or URLs. taken: folders of other bags, of which nothing may be there yet.

    Raises RecordingError where a store cannot be read.
    """
    number, name = 1, name_of(bag)
    # The stem of "...bag" is "..", which is another folder.
    stem = next(each for each in (Path(name).stem, name, "bag") if is_plain(each))
    while True:
        folder = join(out, stem if number == 1 else f"{stem}_{number}")
        if folder not in taken and _owner_of(folder) in (None, bag):
            return folder
        number += 1


def _owner_of(folder: str) -> str | None:
    try:
        if is_url(folder):
            content = Store.at(folder).within(RECORD).read() or b""
        else:
            content = (Path(folder) / RECORD).read_bytes()
        return str(json.loads(content)["job"]["bag"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def as_found(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a bag whose frames are found, and which is not labelled by any words."""
    return {**record, "state": "found", "fast_key": "", "notes": [], "summary": {}}


def about_frames(record: Mapping[str, Any], settings: Settings) -> dict[str, object]:
    """What a table says of itself: where its frames are from, and what they were found by; no word, no folder."""
    names = ("topic", "depth_topic", "camera_info_topic", "clip", "slow_key")
    options = {name: value for name, value in values_in_use(settings.pipeline).items() if _is_slow(name)}
    return {
        "bag": name_of(record["job"]["bag"]),
        "options": json.loads(json.dumps(options, default=str)),
        **{name: record[name] for name in names},
    }


def _is_slow(name: str) -> bool:
    """Whether what is kept depends on an option."""
    return not name.startswith(_WORDS_ONLY)


def key_of_slow_half(job: LabelJob, settings: Settings) -> str:
    """What the kept frames depend on: the bag, what is read of it, and the options before words.

    Raises RecordingError where the bag is in a store that cannot be read.
    """
    sizes = sizes_of(job.bag)
    options = {name: value for name, value in values_in_use(settings.pipeline).items() if _is_slow(name)}
    parts: list[Any] = [sizes, options, asdict(settings.node.depth)]
    parts += [job.topic, job.depth, job.camera_info, job.rate_hz, job.every, job.chunk_s]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def key_of_fast_half(job: LabelJob) -> str:
    """What the labels depend on beside the frames."""
    chosen = {name: value for name, value in job.values.items() if name.startswith(_WORDS_ONLY)}
    parts: list[Any] = [job.categories, job.ids, sorted(job.wanted), chosen]
    parts += [job.vocabulary] if job.vocabulary else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def check_same(record: Mapping[str, Any], job: LabelJob, slow_key: str) -> None:
    """Raises RecordingError where what is there was found in another bag, or otherwise."""
    if record["slow_key"] != slow_key:
        raise RecordingError(
            f"{job.folder}: was labelled from another recording or with other options ({_difference(record, job)}); "
            "choose another --out, or remove it; `ovsr bags relabel` changes words and thresholds"
        )


def _difference(record: Mapping[str, Any], job: LabelJob) -> str:
    before, now = record["job"], json.loads(json.dumps(asdict(job), default=str))
    compared = ("bag", "topic", "depth", "camera_info", "rate_hz", "every", "chunk_s")
    names = [name for name in compared if before.get(name) != now[name]]
    old, new = before.get("values", {}), now["values"]
    names += [name for name in new if old.get(name) != new[name] and _is_slow(name)]
    return ", ".join(names[:5]) or "its files have changed"


def refuse_others(overrides: Mapping[str, object]) -> None:
    """Raises ConfigError for options that more than words depends on."""
    others = [name for name in overrides if _is_slow(name)]
    if others:
        raise ConfigError(
            f"--set {others[0]}: expected an option that words depend on (score_threshold, num_runners_up, text.*, "
            "alignment.*, examples.*): what is kept was found with the others; label the bag again for these"
        )
