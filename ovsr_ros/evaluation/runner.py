"""Judges a predictor on a data set: in one process or several, with a journal that lets a killed run go on."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ovsr_ros.errors import ImageError, SampleError
from ovsr_ros.evaluation.figures import Figures
from ovsr_ros.evaluation.journal import Journal
from ovsr_ros.evaluation.predictor import Predictor, PredictorFactory
from ovsr_ros.evaluation.protocols import ImageRow, ProtocolOptions, judge
from ovsr_ros.evaluation.provenance import source_checksum
from ovsr_ros.evaluation.sample import Dataset
from ovsr_ros.evaluation.workers import WorkerPool

Outcome = ImageRow | str
"""What came of one sample: its row, or the reason why it was skipped."""


def evaluate(
    make_predictor: PredictorFactory,
    dataset: Dataset,
    indices: Sequence[int] | None = None,
    protocols: ProtocolOptions | None = None,
    *,
    workers: int = 1,
    pool: WorkerPool | None = None,
    journal_path: Path | None = None,
    progress: bool = False,
    title: str = "",
) -> Figures:
    """Figures of a predictor over the samples `indices` (None: all of them).

    workers: processes, each with a predictor of its own and its share of the threads; 1: this process alone. The
        figures depend neither on their number nor on which is done first.
    pool: the processes, in place of `workers`, for who judges several times.
    journal_path: where to note each image that was judged; what is noted there already is not judged again.
    progress: show a bar with rate and time left on stderr. title: what it is called; "": data set and split.

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
        outcomes = _judge(_Task(make_predictor, dataset, protocols), todo, workers, pool)
        label = title or f"{dataset.name} {dataset.split}"
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

    def begin(self) -> Callable[[int], Outcome]:
        return partial(self.judge, self.make_predictor())

    def judge(self, predictor: Predictor, index: int) -> Outcome:
        started = time.perf_counter()
        try:
            sample = self.dataset.load(index)
            prediction = predictor.predict(sample)
        except (SampleError, ImageError) as error:
            return str(error)
        row = judge(sample, prediction, self.dataset, self.protocols, index)
        return dataclasses.replace(row, seconds=round(time.perf_counter() - started, 4))


def _judge(task: _Task, indices: Sequence[int], workers: int, pool: WorkerPool | None) -> Iterator[tuple[int, Outcome]]:
    """Begins here, not with the first image: a model that cannot be loaded leaves no bar behind."""
    if not indices:
        return iter(())  # no model is loaded for nothing
    if pool is not None:
        return pool.work(task, indices)
    if workers > 1:
        return _judge_in_processes(task, indices, workers)
    judge_one = task.begin()
    return ((index, judge_one(index)) for index in indices)


def _judge_in_processes(task: _Task, indices: Sequence[int], workers: int) -> Iterator[tuple[int, Outcome]]:
    with WorkerPool(workers) as pool:
        yield from pool.work(task, indices)
