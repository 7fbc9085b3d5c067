"""Many runs over the same images: each measured once, each with a journal of its own, all with what they share."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from ovsr_ros.errors import ImageError, SampleError
from ovsr_ros.evaluation.baselines.region_finders import RegionFinder, describe
from ovsr_ros.evaluation.bootstrap import Difference, compare_mean_miou
from ovsr_ros.evaluation.figures import Figures
from ovsr_ros.evaluation.metrics import ClassCounts
from ovsr_ros.evaluation.pipeline_predictor import with_background_names
from ovsr_ros.evaluation.protocols import ProtocolOptions, SparseCounts, dense
from ovsr_ros.evaluation.runner import evaluate
from ovsr_ros.evaluation.sample import Dataset
from ovsr_ros.evaluation.segments_predictor import needs_words
from ovsr_ros.evaluation.shared_segments import SharedSegmenter, SharedSegmentsFactory
from ovsr_ros.evaluation.sharing import CachedDataset, SharedFactory, SharedPipeline
from ovsr_ros.evaluation.workers import WorkerPool
from ovsr_ros.options import OptionValue, to_flat_dict
from ovsr_ros.settings import PipelineOptions, values_in_use

NUM_TIMED = 5
"""Images that a run is timed on, alone and besides being judged: the median counts."""


class Shared:
    """What several `Measurements` share: loaded models, and worker processes. A context manager: these end with it.

    workers: processes; 1: this one alone.
    """

    def __init__(self, workers: int = 1) -> None:
        self.pipeline = SharedPipeline()
        self.segmenter = SharedSegmenter()
        self.pool = WorkerPool(workers) if workers > 1 else None

    def __enter__(self) -> Shared:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.pool is not None:
            self.pool.close()


class Measurements:
    """Measures runs on the samples `indices` of a data set; what was judged under `out` is not judged again.

    shared: None: nothing, and this process alone. name: what its journals' folder and its progress bar are called; "":
    data set and split.
    """

    def __init__(
        self,
        dataset: Dataset,
        indices: Sequence[int],
        out: Path,
        *,
        protocols: ProtocolOptions | None = None,
        progress: bool = False,
        shared: Shared | None = None,
        name: str = "",
    ) -> None:
        self.dataset = CachedDataset(dataset)
        self.indices = indices
        self.shared = shared or Shared()
        self.protocols = protocols or ProtocolOptions()
        self._name = name
        self._journals = out / "runs" / (file_name(name) if name else f"{dataset.name}-{dataset.split}")
        self._progress = progress
        self._done: dict[str, Figures] = {}

    def forget(self) -> None:
        """Remove what earlier runs have left under `out`."""
        shutil.rmtree(self._journals, ignore_errors=True)

    def judge(self, options: PipelineOptions, finder: RegionFinder | None = None) -> Figures:
        """The figures of a configuration; finder: what finds the regions in place of our clustering.

        Raises ConfigError and ModelError.
        """
        factory, key = self._factory(options, finder)
        if key not in self._done:
            self._done[key] = evaluate(
                factory,
                self.dataset,
                self.indices,
                self.protocols,
                pool=self.shared.pool,
                journal_path=self._journals / f"{key}.jsonl",
                progress=self._progress,
                title=self._name,
            )
        return self._done[key]

    def time_ms(self, options: PipelineOptions, finder: RegionFinder | None = None) -> float:
        """Median milliseconds of one image, read and judged apart; the first is not counted. NaN without images."""
        factory, key = self._factory(options, finder)
        path = self._journals / f"{key}.ms"
        try:
            return float(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not written down yet
            pass
        predictor = dataclasses.replace(factory, reuse_frames=False)()
        seconds: list[float] = []
        for index in self.indices:
            if len(seconds) > NUM_TIMED:
                break
            try:
                sample = self.dataset.load(index)
                started = time.perf_counter()
                predictor.predict(sample)
            except (SampleError, ImageError):  # skipped when judged, too
                continue
            seconds.append(time.perf_counter() - started)
        if not seconds:
            return float("nan")
        milliseconds = 1000 * statistics.median(seconds[1:] or seconds)
        path.write_text(f"{milliseconds:.2f}\n", encoding="utf-8")
        return milliseconds

    def _factory(
        self, options: PipelineOptions, finder: RegionFinder | None
    ) -> tuple[SharedFactory | SharedSegmentsFactory, str]:
        options = with_background_names(options, self.dataset)
        if needs_words(options, self.protocols):
            return SharedFactory(options, finder, self.shared.pipeline), run_key(to_flat_dict(options), finder)
        key = run_key(values_in_use(options, before_words=True), finder)
        return SharedSegmentsFactory(options, finder, self.shared.segmenter), key


def file_name(name: str) -> str:
    """A name as a file or folder can bear it."""
    return re.sub(r"[^\w.-]+", "_", name)


def run_key(options: Mapping[str, OptionValue], finder: RegionFinder | None = None) -> str:
    """What a run's files are called: the same for the same options, by dotted name."""
    values = {**options, "segmenter": None if finder is None else describe(finder)}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=list).encode()).hexdigest()[:16]


def compare_figures(base: Figures, other: Figures, protocol: str) -> Difference | None:
    """mIoU of `other` less the base's, over the images that both have; None without such.

    protocol: "labelled" or "hungarian".
    """
    return compare_over_sets([(base, other)], protocol)


def compare_over_sets(sets: Sequence[tuple[Figures, Figures]], protocol: str) -> Difference | None:
    """The mean over several data sets of what `compare_figures` compares; None where a set has no image in both.

    sets: the figures of the base and of the other, per data set.
    """
    counts = [_paired_counts(base, other, protocol) for base, other in sets]
    paired = [pair for pair in counts if pair is not None]
    return compare_mean_miou(paired) if len(paired) == len(counts) else None


def _paired_counts(base: Figures, other: Figures, protocol: str) -> tuple[list[ClassCounts], list[ClassCounts]] | None:
    if protocol not in ("labelled", "hungarian"):
        raise ValueError(f"protocol: expected labelled or hungarian, got {protocol!r}")
    ours, theirs = ({row.index: getattr(row, protocol) for row in figures.per_image} for figures in (base, other))
    both = [index for index in ours if ours[index] is not None and theirs.get(index) is not None]
    if not both:
        return None
    num_classes = len(base.classes)
    return (
        [_counts(ours[index], num_classes) for index in both],
        [_counts(theirs[index], num_classes) for index in both],
    )


def _counts(entries: SparseCounts, num_classes: int) -> ClassCounts:
    return ClassCounts.from_confusion(dense(entries, num_classes))
