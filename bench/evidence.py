"""Tracks by evidence as lists against evidence as maps: the time that following a frame takes, and what differs.

    python bench/evidence.py [--config pocket] [--frames 60]

Both follow the same segments of a moving room, a frame in turns, each with a tracker of its own. What is compared is
processor time of the thread that follows.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before OpenMP starts

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.backends.contract import FrameEmbeddings
from ovsr_ros.demo.scenes import CATEGORIES, Scene
from ovsr_ros.ops import native
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import load_settings
from ovsr_ros.tracking import Tracker
from ovsr_ros.vocabulary.category import parse_category

SIZE_WH = (640, 480)
PERIOD_S = 0.2
WARM_UP = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="bench/evidence.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", default="pocket")
    parser.add_argument("--frames", type=int, default=60)
    given = parser.parse_args(arguments)
    library = native.load()
    if library is None:
        parser.error("expected the package's compiled part, which is not there: build it (make setup)")
    pipeline = Pipeline(load_settings(given.config, {"device": "cpu"}).pipeline)
    state = pipeline.state_for([parse_category(name) for name in CATEGORIES])
    scene = Scene(35, split="test")
    trackers = {"lists": (Tracker(), library), "maps": (Tracker(), None)}
    spent: dict[str, list[float]] = {name: [] for name in trackers}
    differ = np.zeros(2)
    for number in range(WARM_UP + given.frames):
        found = pipeline.find(scene.render(number * PERIOD_S, SIZE_WH).image)
        shown = []
        for name, (tracker, used) in trackers.items():
            with mock.patch.object(native, "load", return_value=used):
                began = time.thread_time()
                frame = pipeline.join(dataclasses.replace(found), tracker, number * PERIOD_S)
                spent[name].append(1e3 * (time.thread_time() - began))
            assert isinstance(frame, FrameEmbeddings)
            shown.append((ids_of(frame), pipeline.label(frame, state).label_map))
        differ += [float((first != second).mean()) for first, second in zip(*shown, strict=True)]
    figures = {f"{name}, ms a frame": float(np.median(times[WARM_UP:])) for name, times in spent.items()}
    figures["maps, of lists"] = float(np.median(np.divide(spent["maps"], spent["lists"])[WARM_UP:]))
    figures |= dict(
        zip(("pixels of another track", "pixels of another label"), differ / (WARM_UP + given.frames), strict=True)
    )
    print(json.dumps({name: round(float(value), 7) for name, value in figures.items()}, indent=2))
    return 0


def ids_of(frame: FrameEmbeddings) -> NDArray[np.uint32]:
    """The track's id of each pixel, 0 none."""
    assert frame.track_ids is not None
    ids: NDArray[np.uint32] = np.concatenate(([0], frame.track_ids))[frame.regions.segment_map.cpu().numpy()]
    return ids


if __name__ == "__main__":
    sys.exit(main())
