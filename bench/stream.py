"""A camera's stream with and without reuse of embeddings: what CLIP sees of it, how labels differ, and the time.

    python bench/stream.py                 writes bench/results/stream.json
    python bench/tables.py                 writes its table into docs/performance.md

Both runs follow the same images, a frame in turns, each with a tracker of its own. The camera that stands still has its
sensor's noise, new in each image. The first frames, in which segments are seen for the first time, are not counted.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import common
import numpy as np

from ovsr_ros.benchmark.frames import random_weights
from ovsr_ros.benchmark.timing import Spread, time_once
from ovsr_ros.demo.scenes import Scene
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import PipelineOptions
from ovsr_ros.tracking import Tracker

SIZE_WH = (640, 480)
PERIOD_S = 0.1
SEED = 35
CAMERAS = {"standing still": 0.0, "moving": 1.0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the result."""
    parser = common.parser(__doc__ or "", "stream")
    parser.add_argument("--frames", type=int, default=30, help="that count, 10 a second (30)")
    parser.add_argument("--warm-up", type=int, default=10, help="frames before them (10)")
    parser.add_argument("--models", nargs="+", default=["real", "demo"], choices=("real", "demo"))
    given = parser.parse_args(arguments)
    rows = []
    with contextlib.ExitStack() as stack:
        for models in given.models:
            options = common.preset("ovsr" if models == "real" else "demo", given.device)
            if models == "real":
                options = stack.enter_context(random_weights(options))
            for camera, motion in CAMERAS.items():
                common.say(f"stream, {models} models, camera {camera}")
                measured = follow(options, motion, given.warm_up, given.frames)
                rows.append({"models": common.NAMES[models], "camera": camera, **measured})
    body = {"image_wh": list(SIZE_WH), "frames": given.frames, "warm_up": given.warm_up, "rows": rows}
    common.write(given.output, "stream", given.device, body, arguments)
    return 0


class Run:
    """One of the two: a pipeline, its tracker, and what it found in the last frame."""

    def __init__(self, options: PipelineOptions, reuse: bool) -> None:
        tracking = dataclasses.replace(options.tracking, reuse_embeddings=reuse)
        self.pipeline: Pipeline = common.make_pipeline(dataclasses.replace(options, tracking=tracking))
        self._tracker = Tracker()
        self.labels = np.zeros(0, np.uint8)
        self.num_found = self.num_embedded = 0

    def show(self, image: np.ndarray, time_s: float) -> None:
        frame: Any = self.pipeline.join(self.pipeline.find(image), self._tracker, time_s)
        self.labels = self.pipeline.label(frame).label_map
        self.num_found, self.num_embedded = frame.num_found, frame.num_embedded


def follow(options: PipelineOptions, motion: float, warm_up: int, num_frames: int) -> dict[str, Any]:
    """The figures of one camera's way through a room."""
    scene = Scene(SEED, split="test", motion=motion)
    runs = {"reused": Run(options, True), "uncached": Run(options, False)}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    differ, found, embedded, looks = [], 0, 0, 0
    for number in range(warm_up + num_frames):
        image = scene.render(number * PERIOD_S, SIZE_WH).image
        taken = {}
        for name, run in runs.items():

            def show(
                _: int, run: Run = run, image: np.ndarray = image, time_s: float = 1.0 + number * PERIOD_S
            ) -> None:
                run.show(image, time_s)

            taken[name] = time_once(show, 0, run.pipeline.device)
        if number >= warm_up:
            for name, value in taken.items():
                seconds[name].append(value)
            differ.append(float((runs["reused"].labels != runs["uncached"].labels).mean()))
            found += runs["reused"].num_found
            embedded += runs["reused"].num_embedded
            looks += runs["reused"].num_embedded > 0
    for run in runs.values():
        run.pipeline.close()
    reused, uncached = (np.array(seconds[name]) for name in ("reused", "uncached"))
    return {
        "seen_by_clip": round(embedded / max(found, 1), 4),
        "labels_differ": round(float(np.mean(differ)), 5),
        "milliseconds": {name: Spread.of(1e3 * np.array(values)).to_dict() for name, values in seconds.items()},
        "ratio": Spread.of(uncached / reused).to_dict(),
        "total_ratio": round(float(uncached.sum() / reused.sum()), 3),
        "frames_with_clip": round(looks / num_frames, 4),
        "slower": round(float(np.median(reused / uncached)) - 1.0, 4),
    }


if __name__ == "__main__":
    raise SystemExit(main())
