"""Judges a predictor on a data set: in one process or several, with a journal that lets a killed run go on."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path

import cv2
import torch
from tqdm import tqdm

from ovsr_ros.errors import ConfigError, ImageError, SampleError
from ovsr_ros.evaluation.figures import Figures
from ovsr_ros.evaluation.journal import Journal
from ovsr_ros.evaluation.predictor import Predictor, PredictorFactory
from ovsr_ros.evaluation.protocols import ImageRow, ProtocolOptions, judge
from ovsr_ros.evaluation.provenance import source_checksum
from ovsr_ros.evaluation.sample import Dataset

Outcome = ImageRow | str
"""What came of one sample: its row, or the reason why it was skipped."""


def evaluate(
    make_predictor: PredictorFactory,
    dataset: Dataset,
    indices: Sequence[int] | None = None,
    protocols: ProtocolOptions | None = None,
    *,
    workers: int = 1,
    journal_path: Path | None = None,
    progress: bool = False,
) -> Figures:
    """Figures of a predictor over the samples `indices` (None: all of them).

    workers: processes, each with a predictor of its own and its share of the threads; 1: this process alone. The
        figures depend neither on their number nor on which is done first.
    journal_path: where to note each image that was judged; what is noted there already is not judged again.
    progress: show a bar with rate and time left on stderr.

    An image that cannot be used is skipped, and is in the figures by name and reason.

    Raises ConfigError for protocols that do not fit, or a journal that cannot be written; ModelError from loading.
    """
    protocols = protocols or ProtocolOptions()
    protocols.check(dataset)
    wanted = list(dict.fromkeys(range(len(dataset)) if indices is None else indices))
    journal = (
        None if journal_path is None else Journal.open(journal_path, run_header(make_predictor, dataset, protocols))
    )
    rows: dict[int, ImageRow] = {}
    skipped: dict[int, tuple[str, str]] = {}
    try:
        if journal is not None:
            rows = {index: journal.rows[index] for index in wanted if index in journal.rows}
        todo = [index for index in wanted if index not in rows]
        task = _Task(make_predictor, dataset, protocols)
        outcomes = _judge_here(task, todo) if workers <= 1 else _judge_in_processes(task, todo, workers)
        label = f"{dataset.name} {dataset.split}"
        with tqdm(
            total=len(wanted), initial=len(rows), desc=label, unit="image", file=sys.stderr, disable=not progress
        ) as bar:
            for index, outcome in outcomes:
                if isinstance(outcome, ImageRow):
                    rows[index] = outcome
                    if journal is not None:
                        journal.add(outcome)
                else:
                    skipped[index] = (dataset.name_of(index), outcome)
                    if progress:
                        bar.write(f"skipped {dataset.name_of(index)}: {outcome}", file=sys.stderr)
                bar.update()
    finally:
        if journal is not None:
            journal.close()
    return Figures.from_rows(rows.values(), [skipped[i] for i in sorted(skipped)], dataset.classes, protocols)


def run_header(make_predictor: PredictorFactory, dataset: Dataset, protocols: ProtocolOptions) -> dict[str, object]:
    """Everything that decides what an image adds to the figures; not how many images, nor how they are worked off."""
    described = repr(dataset) if dataclasses.is_dataclass(dataset) else ""
    return {
        "predictor": make_predictor.describe(),
        "dataset": {
            "name": dataset.name,
            "split": dataset.split,
            "names": dataset.names_used,
            "classes": list(dataset.classes),
            "images": len(dataset),
            "contents": hashlib.sha256(described.encode()).hexdigest(),
        },
        "protocols": dataclasses.asdict(protocols),
        "code": source_checksum(),
    }


@dataclasses.dataclass(frozen=True)
class _Task:
    make_predictor: PredictorFactory
    dataset: Dataset
    protocols: ProtocolOptions

    def judge(self, predictor: Predictor, index: int) -> Outcome:
        started = time.perf_counter()
        try:
            sample = self.dataset.load(index)
            prediction = predictor.predict(sample)
        except (SampleError, ImageError) as error:
            return str(error)
        row = judge(sample, prediction, self.dataset, self.protocols, index)
        return dataclasses.replace(row, seconds=round(time.perf_counter() - started, 4))


def _judge_here(task: _Task, indices: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
    if not indices:
        return iter(())  # no model is loaded for nothing
    predictor = task.make_predictor()
    return ((index, task.judge(predictor, index)) for index in indices)


# --- Worker processes ---


def _judge_in_processes(task: _Task, indices: Sequence[int], workers: int) -> Iterator[tuple[int, Outcome]]:
    if not indices:
        return
    workers = min(workers, len(indices))
    threads = max(1, torch.get_num_threads() // workers)
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_set_up_worker, initargs=(task, threads)
    )
    try:
        futures = {pool.submit(_judge_in_worker, index): index for index in indices}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    except BrokenProcessPool as error:
        raise ConfigError(
            f"--workers {workers}: a worker process ended by itself, perhaps for want of memory; try fewer workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_task: _Task | None = None
_predictor: Predictor | None = None


def _set_up_worker(task: _Task, threads: int) -> None:
    global _task
    _task = task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the run
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def _end_with_parent() -> None:
    """A parent that was killed cannot tell its workers; they would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _judge_in_worker(index: int) -> Outcome:
    global _predictor
    if _task is None:
        raise RuntimeError("a worker was asked before it was set up")
    if _predictor is None:
        _predictor = _task.make_predictor()
    return _task.judge(_predictor, index)
