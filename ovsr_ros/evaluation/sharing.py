"""What the runs of a sweep or a study share: one loaded pipeline, and images that are read or rendered once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.baselines.region_finders import RegionFinder, describe
from ovsr_ros.evaluation.baselines.segmented_pipeline import FrameStore, SegmentedPipeline
from ovsr_ros.evaluation.pipeline_predictor import PipelineFactory, PipelinePredictor
from ovsr_ros.evaluation.sample import Dataset, Sample
from ovsr_ros.evaluation.workers import new_key, one_per_process
from ovsr_ros.options import to_flat_dict
from ovsr_ros.settings import PipelineOptions

CACHE_BYTES = 2**30


@dataclass(frozen=True)
class CachedDataset:
    """A data set whose samples stay in memory once loaded, as many as fit. Otherwise the same; see `Dataset`.

    Pickled without the samples: each worker process loads its own, once.
    """

    dataset: Dataset
    max_bytes: int = field(default=CACHE_BYTES, repr=False)
    _samples: dict[int, Sample] = field(default_factory=dict, repr=False, compare=False)
    _key: str = field(default_factory=new_key, repr=False, compare=False)

    def __reduce__(self) -> tuple[Callable[..., CachedDataset], tuple[str, partial[CachedDataset]]]:
        return one_per_process, (self._key, partial(CachedDataset, self.dataset, self.max_bytes))

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def split(self) -> str:
        return self.dataset.split

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.classes

    @property
    def background(self) -> int | None:
        return self.dataset.background

    @property
    def background_names(self) -> tuple[str, ...]:
        return self.dataset.background_names

    @property
    def names_used(self) -> str:
        return self.dataset.names_used

    def __len__(self) -> int:
        return len(self.dataset)

    def name_of(self, index: int) -> str:
        return self.dataset.name_of(index)

    def load(self, index: int) -> Sample:
        if index in self._samples:
            return self._samples[index]
        sample = self.dataset.load(index)
        if sum(map(_num_bytes, self._samples.values())) + _num_bytes(sample) <= self.max_bytes:
            self._samples[index] = sample
        return sample


def _num_bytes(sample: Sample) -> int:
    instances = 0 if sample.instance_map is None else sample.instance_map.nbytes
    return sample.image.nbytes + sample.truth.nbytes + instances


def changed_options(options: PipelineOptions, base: PipelineOptions) -> dict[str, object]:
    """Options whose values differ from the base's, by dotted name."""
    before = to_flat_dict(base)
    return {name: value for name, value in to_flat_dict(options).items() if value != before[name]}


class SharedPipeline:
    """One loaded pipeline for many runs: its options are changed where that is possible, otherwise it is loaded anew.

    The embedded frames of the first configuration are kept, for runs that differ from it only in how they label.
    Not for several threads. Pickled without what it holds: each worker process loads its own, once.
    """

    def __init__(self) -> None:
        self._pipeline: SegmentedPipeline | None = None
        self._kept_for: dict[str, object] | None = None
        self._frames = FrameStore()
        self._key = new_key()
        self.num_loads = 0

    def __reduce__(self) -> tuple[Callable[..., SharedPipeline], tuple[str, type[SharedPipeline]]]:
        return one_per_process, (self._key, SharedPipeline)

    def get(
        self, options: PipelineOptions, finder: RegionFinder | None = None, reuse_frames: bool = True
    ) -> SegmentedPipeline:
        """The pipeline under these options. Raises ConfigError and ModelError as `Pipeline`."""
        if self._pipeline is not None and self._pipeline.options != options:
            try:
                self._pipeline.update_options(changed_options(options, self._pipeline.options))
            except ConfigError:  # a read-only option: what is loaded does not fit
                self._pipeline.close()
                self._pipeline = None
        if self._pipeline is None:
            self._pipeline = SegmentedPipeline(options)
            self.num_loads += 1
        decisive = _embedding_options(options)
        if self._kept_for is None:
            self._kept_for = decisive
        may_reuse = reuse_frames and finder is None and decisive == self._kept_for
        self._pipeline.finder = finder
        self._pipeline.frames = self._frames if may_reuse else None
        return self._pipeline


def _embedding_options(options: PipelineOptions) -> dict[str, object]:
    """The options that decide what `Pipeline.embed` gives: all but those of labelling."""
    labelling = ("alignment.", "text.", "score_threshold", "num_runners_up")
    return {name: value for name, value in to_flat_dict(options).items() if not name.startswith(labelling)}


@dataclass(frozen=True)
class SharedFactory:
    """Builds predictors upon a shared pipeline; see `PredictorFactory`.

    finder: None: our own regions. reuse_frames: whether frames embedded for an earlier run may serve.
    """

    options: PipelineOptions
    finder: RegionFinder | None = None
    shared: SharedPipeline = field(default_factory=SharedPipeline, compare=False)
    reuse_frames: bool = field(default=True, compare=False)

    def __call__(self) -> PipelinePredictor:
        return PipelinePredictor(self.shared.get(self.options, self.finder, self.reuse_frames))

    def describe(self) -> dict[str, object]:
        described = PipelineFactory(self.options).describe()
        if self.finder is not None:
            described["segmenter"] = describe(self.finder)
        return described
