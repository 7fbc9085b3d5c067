"""Bags labelled, and labelled again by other words: whatever is wrong with one is its outcome, and no exception."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from ovsr_ros.errors import RecordingError
from ovsr_ros.recordings.fetching import at_hand
from ovsr_ros.recordings.files import Files, drop_fetched, fetched, open_files, open_folder
from ovsr_ros.recordings.finding import begin, find_piece, gather, pieces_left
from ovsr_ros.recordings.frames import Sampling
from ovsr_ros.recordings.job import LabelJob, Outcome, Tell, tell_nobody, to_job
from ovsr_ros.recordings.job_words import read_words
from ovsr_ros.recordings.labels import FRAMES, OUTPUTS, write_json, write_labels
from ovsr_ros.recordings.locks import locked
from ovsr_ros.recordings.record import (
    RECORD,
    as_found,
    check_same,
    key_of_fast_half,
    key_of_slow_half,
    read_kept,
    read_record,
    read_record_or_none,
    refuse_others,
)
from ovsr_ros.recordings.storage import is_url, to_place
from ovsr_ros.recordings.table import FrameTable
from ovsr_ros.recordings.words import check_model, choose_words, load_text_encoder
from ovsr_ros.settings import Settings, load_settings
from ovsr_ros.teaching import explain_unused_examples

_UNLABELLED = ("begun", "found")
"""States of a bag's record: its frames, or its labels, are not all there."""

_NEED_IMAGES = {"masks", "sheet"}
"""What is made on request of the recording's images."""


def label_bag(job: LabelJob, tell: Tell = tell_nobody) -> Outcome:
    """Label a bag, or go on where an earlier run was stopped; whatever is wrong with the bag is in the outcome.

    Raises ConfigError, VocabularyError and ModelError: what is wrong with every bag.
    """
    return _done(begin_bag(job, tell, most_pieces=None))


def begin_bag(job: LabelJob, tell: Tell = tell_nobody, most_pieces: int | None = 1) -> Outcome | tuple[int, ...]:
    """Label a bag that is at most so many pieces long, None: however long; the others' pieces that are to be found.

    Of a longer one `label_piece` finds each, anywhere and in any order, and `end_bag` does the rest. Raises as
    `label_bag`.
    """

    def work(settings: Settings, files: Files, began: float) -> Outcome | tuple[int, ...]:
        with locked(files.folder), ExitStack() as stack:
            slow_key = key_of_slow_half(job, settings)
            record = read_record_or_none(files.get(RECORD).parent)
            if record is not None:
                check_same(record, job, slow_key)
                if (ended := _ended(record, job)) is not None:
                    files.leave()
                    return ended
            left = [] if record is None else pieces_left(record, files)
            if record is None or left or _NEED_IMAGES & set(job.wanted):
                stack.enter_context(fetched(job))
            if record is None:
                record = begin(job, settings, files, slow_key)
                left = pieces_left(record, files)
            if left and most_pieces is not None and len(record["plan"]["chunks"]) > most_pieces:
                return tuple(left)
            for number in left:
                find_piece(job, settings, files, record, number, tell)
            record = gather(settings, files, record)
            frames = files.folder / FRAMES if left else files.get(FRAMES)
            outcome = _write(job, settings, files, record, tell, began, frames)
            files.finish(RECORD)
            files.leave()
            return outcome

    found = _guarded(job, work)
    if isinstance(found, Outcome):
        drop_fetched(job)
    return found


def label_piece(job: LabelJob, number: int, tell: Tell = tell_nobody) -> Outcome | None:
    """Find the frames of a piece that `begin_bag` has named; None once they are there. Raises as `label_bag`."""

    def work(settings: Settings, files: Files, began: float) -> None:
        record = read_record(files.get(RECORD).parent)
        with fetched(job):
            find_piece(job, settings, files, record, number, tell)

    return _guarded(job, work)


def end_bag(job: LabelJob, tell: Tell = tell_nobody) -> Outcome:
    """Join the pieces, and label them. Raises as `label_bag`."""
    return _done(begin_bag(job, tell, most_pieces=None))


def relabel_bag(
    folder: str | Path,
    categories: tuple[str, ...],
    ids: tuple[tuple[int, str], ...] = (),
    overrides: Mapping[str, object] | None = None,
    wanted: tuple[str, ...] = (),
    out: str | Path | None = None,
    tell: Tell = tell_nobody,
    scratch: str = "",
    vocabulary: Mapping[str, Any] | None = None,
) -> Outcome:
    """Label what is kept of a bag by other words. overrides: of the options that words depend on, by dotted name.

    folder: of the labelled bag, a path or URL. out: where the labels go, a path or URL; None: in the place of those
    that are there. scratch: where what has a URL lies meanwhile; where it is named, the frames stay there.
    vocabulary: see `LabelJob`.

    Raises ConfigError, VocabularyError, VocabularyFileError and ModelError; the outcome has what is wrong with files.
    """
    began = time.monotonic()
    place = to_place(str(folder))
    target = place if out is None else to_place(str(out))
    refuse_others(overrides or {})
    read_words(categories, ids, vocabulary or {})
    try:
        with ExitStack() as stack:
            source = stack.enter_context(at_hand(place, scratch, (RECORD, FRAMES), stays=bool(scratch)))
            options = {**read_kept(source, place)["job"]["values"], **(overrides or {})}
            record = read_record(source)
            job = to_job(record["job"])
            values = {**job.values, **(overrides or {})}
            made = replace(job, values=values, categories=categories, ids=ids, vocabulary=vocabulary or {})
            made = replace(made, wanted=wanted)
            bag, no_bag = _images_at_hand(made, scratch, stack)
            files = open_folder(target, bag, scratch)
            stack.enter_context(locked(files.folder))
            stack.callback(files.leave)
            files.clear()
            settings = load_settings(None, options)
            outcome = _write(made, settings, files, record, tell, began, source / FRAMES, no_bag)
            files.finish(RECORD, OUTPUTS)
            return replace(outcome, folder=target)
    except RecordingError as error:
        return Outcome(place, target, "failed", notes=(str(error),))
    except (OSError, pa.ArrowException) as error:
        return Outcome(place, target, "failed", notes=(f"{place}: {getattr(error, 'strerror', None) or error}",))


def _images_at_hand(job: LabelJob, scratch: str, stack: ExitStack) -> tuple[Path, str]:
    """A job's recording, where pictures are to be made of it, until the stack ends; and why it cannot be had."""
    if not (is_url(job.bag) and _NEED_IMAGES & set(job.wanted)):
        return Path(job.bag), ""
    try:
        return stack.enter_context(at_hand(job.bag, scratch)), ""
    except (RecordingError, OSError) as error:
        return Path(job.bag), str(error)


T = TypeVar("T")


def _guarded(job: LabelJob, work: Callable[[Settings, Files, float], T]) -> Outcome | T:
    """What the work returns, or what is wrong with the bag."""
    began = time.monotonic()
    settings = load_settings(None, job.values)
    read_words(job.categories, job.ids, job.vocabulary)
    Sampling(job.rate_hz, job.every)
    try:
        return work(settings, open_files(job), began)
    except RecordingError as error:
        return Outcome(job.bag, job.folder, "failed", notes=(str(error),))
    except OSError as error:
        return Outcome(job.bag, job.folder, "failed", notes=(_explain(error, job),))


def _done(found: Outcome | tuple[int, ...]) -> Outcome:
    assert isinstance(found, Outcome)
    return found


def _ended(record: Mapping[str, Any], job: LabelJob) -> Outcome | None:
    """What became of a bag that is labelled already; None where something is left to do."""
    if record["state"] in _UNLABELLED or record["fast_key"] != key_of_fast_half(job):
        return None
    shares = record["summary"]
    notes = (*record["notes"], "was labelled already")
    state, frames = record["state"], record["frames"]
    return Outcome(job.bag, job.folder, state, frames, 0.0, notes, shares["by_name"], shares["unlabeled"])


def _write(
    job: LabelJob,
    settings: Settings,
    files: Files,
    record: dict[str, Any],
    tell: Tell,
    began: float,
    frames: Path,
    no_bag: str = "",
) -> Outcome:
    """The fast half. no_bag: why the recording is not there, where that is known. Raises OSError and RecordingError."""
    clip = load_text_encoder(settings.pipeline)
    check_model(clip, record["clip"])
    vocabulary = read_words(job.categories, job.ids, job.vocabulary)
    wording = choose_words(clip, settings.pipeline, vocabulary)
    if record["state"] not in _UNLABELLED and files.has(RECORD):
        # Or whoever is stopped from here on leaves labels by these words under a record of those.
        write_json(files.folder / RECORD, as_found(record))
        files.publish(RECORD)
    done = 0
    with FrameTable(frames) as table:

        def tell_frame() -> None:
            nonlocal done
            done += 1
            tell("labels", done, len(table))

        recording = (files.bag, record["topic"])
        shares, problems = write_labels(files.folder, table, wording, recording, job.wanted, tell_frame)
    if no_bag:
        problems = [problem.replace(f"{files.bag}: no such file or folder", no_bag) for problem in problems]
    unused = explain_unused_examples(vocabulary, clip.model_id, settings.pipeline.backend)
    notes = [note for note in (record["damage"], *record["oddities"], *problems, unused) if note]
    state = "done" if record["is_whole"] and not problems else "partly"
    # What the folder was begun with stays: an interrupted run must find its bag again.
    finished = {
        **record,
        "job": asdict(job),
        "state": state,
        "fast_key": key_of_fast_half(job),
        "notes": notes,
        "summary": asdict(shares),
    }
    write_json(files.folder / RECORD, finished)
    seconds = time.monotonic() - began
    by_name, unlabeled = shares.by_name, shares.unlabeled
    return Outcome(job.bag, job.folder, state, record["frames"], seconds, tuple(notes), by_name, unlabeled)


def _explain(error: OSError, job: LabelJob) -> str:
    if error.errno == errno.ENOSPC:
        return f"{job.folder}: the disk is full; make room and run the same command again, which goes on from there"
    return f"{job.bag}: {error.strerror or error}"
