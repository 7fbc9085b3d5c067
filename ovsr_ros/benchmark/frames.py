"""A configuration's time per frame and stage, and the memory that it takes."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.benchmark.rooms import calibration_images
from ovsr_ros.benchmark.timing import Spread, synchronize
from ovsr_ros.models.calibrated import write_calibrated
from ovsr_ros.models.embedded import EMBEDDED
from ovsr_ros.models.hub import is_architecture
from ovsr_ros.models.memory import MEBIBYTE, PeakMemory
from ovsr_ros.options import replace_flat
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import PipelineOptions, models_of
from ovsr_ros.vocabulary.category import Operation, parse_category

WARM_UP_FRAMES = 3
CATEGORIES = ("wall", "floor", "mug", "bottle", "ball", "book", "lamp", "chair", "table", "plant")
"""What is looked for where a configuration names no categories."""


@dataclass
class FrameTimes:
    """What some frames took, a value per frame: seconds in all, seconds per stage, and how many segments they had."""

    seconds: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    segments: list[int] = field(default_factory=list)

    def run(self, pipeline: Pipeline, image: NDArray[np.uint8]) -> None:
        """Segment one image, (H, W, 3) uint8 RGB, and note what it took."""
        synchronize(pipeline.device)
        begin = time.perf_counter()
        segmentation = pipeline.segment(image)
        synchronize(pipeline.device)
        self.seconds.append(time.perf_counter() - begin)
        self.segments.append(len(segmentation.segments))
        for stage, seconds in segmentation.stage_seconds.items():
            self.stages.setdefault(stage, []).append(seconds)

    def last(self, count: int) -> FrameTimes:
        """The last frames alone, without those that warmed up."""
        stages = {name: values[-count:] for name, values in self.stages.items()}
        return FrameTimes(self.seconds[-count:], stages, self.segments[-count:])

    def summary(self) -> dict[str, Any]:
        """Medians and quartiles as plain values: milliseconds per frame and stage, segments."""
        return {
            "milliseconds": Spread.of(1e3 * value for value in self.seconds).to_dict(),
            "stages_ms": {
                name: Spread.of(1e3 * value for value in values).to_dict() for name, values in self.stages.items()
            },
            "segments": Spread.of(self.segments).to_dict(1),
        }


@contextlib.contextmanager
def random_weights(options: PipelineOptions) -> Iterator[PipelineOptions]:
    """The same options with calibrated random weights in place of every listed model: its speed without its knowledge.

    What is a file, a folder or embedded stays. The weights are gone when the context ends.
    """
    with tempfile.TemporaryDirectory(prefix="ovsr-weights-") as folder:
        images = calibration_images()
        changes = {
            f"{section}.model": write_calibrated(name, kind, images, Path(folder))
            for section, (kind, name) in models_of(options).items()
            if name not in EMBEDDED and not Path(name).expanduser().exists()
            if is_architecture(name, kind)
        }
        yield replace_flat(options, dict(changes))


def measure_frames(
    options: PipelineOptions, images: Sequence[NDArray[np.uint8]], repeats: int, categories: Sequence[str] = ()
) -> dict[str, Any]:
    """Load, warm up and measure: `FrameTimes.summary` of `repeats` frames, seconds to load, and memory.

    images: (H, W, 3) uint8 RGB, taken in turns. categories: as in a configuration; none: `CATEGORIES`.

    Raises ModelError, ConfigError and VocabularyError as `Pipeline`.
    """
    begin = time.perf_counter()
    pipeline = Pipeline(options)
    pipeline.set_vocabulary(Operation.REPLACE, [parse_category(text) for text in categories or CATEGORIES])
    loaded_s = time.perf_counter() - begin
    try:
        warm_up, counted = FrameTimes(), FrameTimes()
        for turn in range(max(WARM_UP_FRAMES, len(images))):
            warm_up.run(pipeline, images[turn % len(images)])
        with PeakMemory(pipeline.device) as peak:
            for turn in range(repeats):
                counted.run(pipeline, images[turn % len(images)])
        return {
            **counted.summary(),
            "load_s": round(loaded_s, 3),
            "first_frame_ms": round(1e3 * warm_up.seconds[0], 1),
            "load_average": round(os.getloadavg()[0], 2),
            "memory_mib": {
                "process_peak": round(peak.process_mib, 1),
                "device_peak": round(peak.device_mib, 1),
                "weights_and_rest": round(pipeline.memory_bytes() / MEBIBYTE, 1),
            },
        }
    finally:
        pipeline.close()
