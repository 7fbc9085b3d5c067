"""The node as its users meet it: processes over DDS, the demo camera before it, a subscriber behind it.

    python bench/ros.py                    in `make shell`; writes bench/results/ros.json
    python bench/tables.py                 writes its tables into docs/performance.md

Times within a frame are the node's own, from ~/statistics: what a frame took from its arrival in the node to the return
of the last `publish`, less the stages of the pipeline. Processor time is the kernel's, of the node's process.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Sequence
from typing import Any

import common
import numpy as np
from node_scene import START_S, WINDOW_S, Scene, model_parameters, running

from ovsr_ros.benchmark.frames import random_weights
from ovsr_ros.benchmark.timing import Spread

ENCODE_S = 240.0
CAMERA_HZ = 1.0
"""Of `overhead`: slower than the node, so that no frame waits for another."""
NODE_STAGES = ("wait", "turn", "convert", "depth", "publish")
"""Stages that are the node's, not the pipeline's."""
PARTS = ("overhead", "idle", "vocabulary", "rate")
NUM_NAMES, NUM_CATEGORIES = 1000, 250


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the result."""
    parser = common.parser(__doc__ or "", "ros")
    parser.add_argument("--seconds", type=float, default=8.0, help="of every measurement (8)")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--models", nargs="+", default=["demo", "real"], choices=("demo", "real"), help="of `rate`")
    parser.add_argument("--sizes", nargs="+", default=["640x480", "1920x1080"], help="of `overhead`")
    parser.add_argument("--names", type=int, default=NUM_NAMES, help="new names of `vocabulary` (1000)")
    parser.add_argument("--changes", type=int, default=8, help="of all words, of `vocabulary` (8)")
    given = parser.parse_args(arguments)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    body: dict[str, Any] = {"seconds": given.seconds}
    for part in given.parts:
        common.say(f"ros: {part}")
        body[part] = MEASURED[part](given)
    common.write(given.output, "ros", given.device, body, arguments)
    return 0


# --- What is measured ---


def measure_overhead(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Arrival to mask published, less the pipeline; the camera is slower than the node, so that no frame queues."""
    rows = []
    for size in given.sizes:
        with running(given.device, "demo", {"rate_hz": 30.0}, camera={"size": size, "rate_hz": CAMERA_HZ}) as scene:
            label_maps = scene.observe("label_map")
            scene.wait(lambda seen=label_maps: len(seen) >= 2, "two label maps", START_S)
            windows = scene.statistics_over(2 * given.seconds)
        totals = [window["latency"]["mean [ms]"] for window in windows]
        stages = [stage_means(window) for window in windows]
        own = [
            total - sum(value for name, value in means.items() if name not in NODE_STAGES)
            for total, means in zip(totals, stages, strict=True)
        ]
        rows.append(
            {
                "size": size,
                "milliseconds": Spread.of(own).to_dict(),
                "latency_ms": Spread.of(totals).to_dict(),
                "stages_ms": {
                    name: Spread.of(means[name] for means in stages if name in means).to_dict()
                    for name in NODE_STAGES
                    if any(name in means for means in stages)
                },
                "windows": len(windows),
                "camera_hz": CAMERA_HZ,
                "queued": max(totals) > 1e3 / CAMERA_HZ,
            }
        )
    return rows


def measure_idle(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Processor time of a node that nobody subscribes to, with a camera at 30 Hz and without one."""
    rows = []
    for rate_hz in (0.0, 30.0):
        camera = {"size": "640x480", "rate_hz": rate_hz} if rate_hz else None
        with running(given.device, "demo", {"rate_hz": 10.0}, camera=camera) as scene:
            scene.wait(lambda scene=scene: scene.statistics, "the node's statistics", START_S)
            if rate_hz:
                scene.wait(scene.receives, "images to arrive", START_S)
            scene.wait_s(2.0)
            begin, cpu = time.monotonic(), scene.cpu_s()
            scene.wait_s(given.seconds)
            percent = 100.0 * (scene.cpu_s() - cpu) / (time.monotonic() - begin)
            received_hz = scene.statistics[-1]["stream"]["input rate [Hz]"]
        rows.append({"camera_hz": rate_hz, "received_hz": received_hz, "percent_of_a_core": round(percent, 2)})
    return rows


def measure_vocabulary(given: argparse.Namespace) -> dict[str, Any]:
    """The longest gap between label maps while many new names are encoded, beside that of as many maps after it.

    Label maps come at uneven distances: of many gaps the longest is well over the median, whatever else happens.
    """
    num_categories = min(given.names, NUM_CATEGORIES)
    node = {"rate_hz": 30.0, "categories": "['wall', 'floor', 'mug']"}
    with running(given.device, "demo", node, camera={"size": "640x480", "rate_hz": 30.0}) as scene:
        label_maps = scene.observe("label_map")
        scene.wait(lambda: len(label_maps) >= 5, "five label maps", START_S)
        scene.wait_s(2.0)
        del label_maps[:]
        scene.wait_s(given.seconds)
        period_s = np.diff(label_maps)
        changes = []
        for number in range(given.changes):
            # The categories keep their names, for ids are never reused: what is new are their synonyms.
            names = [f"thing {index} of kind {index % 97}, number {number}" for index in range(given.names)]
            groups = [
                "; ".join([f"category {index}", *names[index::num_categories]]) for index in range(num_categories)
            ]
            changes.append(measure_change(scene, label_maps, groups))
    longest, longest_without = (
        np.array([change[name] for change in changes]) for name in ("longest_gap_ms", "longest_gap_without_ms")
    )
    period_ms = 1e3 * float(np.median(period_s))
    return {
        "names": given.names,
        "categories": num_categories,
        "period_ms": Spread.of(1e3 * period_s).to_dict(),
        "changes": changes,
        "over_median_gap_periods": Spread.of((longest - period_ms) / period_ms).to_dict(),
        "held_back_periods": Spread.of((longest - longest_without) / period_ms).to_dict(),
        "most_held_back_periods": round(float(((longest - longest_without) / period_ms).max()), 3),
    }


def measure_change(scene: Scene, label_maps: list[float], groups: list[str]) -> dict[str, Any]:
    """Of one change of words: how long it took, and the longest gap between label maps meanwhile and after."""
    begin, first = time.monotonic(), len(label_maps) - 1
    answer = scene.replace_vocabulary(groups)
    scene.wait(answer.done, "the answer to set_vocabulary", ENCODE_S)
    encoded_s = time.monotonic() - begin
    if not answer.result().success:
        raise RuntimeError(f"set_vocabulary: {answer.result().message}")
    seen = len(label_maps)
    scene.wait(lambda: len(label_maps) > seen, "a label map after the change", START_S)
    during = np.diff(label_maps[first:])
    last = len(label_maps) - 1
    scene.wait(lambda: len(label_maps) > last + len(during), "as many label maps again", START_S)
    after = np.diff(label_maps[last : last + len(during) + 1])
    return {
        "encoded_s": round(encoded_s, 3),
        "frames_meanwhile": len(during),
        "longest_gap_ms": round(1e3 * float(during.max()), 1),
        "longest_gap_without_ms": round(1e3 * float(after.max()), 1),
    }


def measure_rate(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Label maps per second on the demo camera at 640x480 and 30 Hz, standing still and moving."""
    rows = []
    for models in given.models:
        with contextlib.ExitStack() as stack:
            config, node = ("demo", {}) if models == "demo" else ("ovsr", {})
            if models == "real":
                options = stack.enter_context(random_weights(common.preset("ovsr", given.device)))
                node = model_parameters(options)
            for speed in (0.0, 1.0):
                camera = {"size": "640x480", "rate_hz": 30.0, "speed": speed}
                with running(given.device, config, {"rate_hz": 30.0, **node}, camera=camera) as scene:
                    label_maps = scene.observe("label_map")
                    scene.wait(lambda seen=label_maps: len(seen) >= 3, "three label maps", START_S)
                    scene.wait_s(WINDOW_S)
                    del label_maps[:]
                    cpu, begin = scene.cpu_s(), time.monotonic()
                    windows = scene.statistics_over(given.seconds)
                    cores = (scene.cpu_s() - cpu) / (time.monotonic() - begin)
                rows.append(
                    {
                        "models": common.NAMES[models],
                        "camera": "moving" if speed else "standing still",
                        "rate_hz": round((len(label_maps) - 1) / (label_maps[-1] - label_maps[0]), 3),
                        "latency_ms": Spread.of(window["latency"]["mean [ms]"] for window in windows).to_dict(),
                        "cores": round(cores, 2),
                        **reuse(windows[-1]),
                    }
                )
    return rows


def reuse(window: dict[str, dict[str, float]]) -> dict[str, float]:
    """How many of the segments CLIP saw."""
    stream = window["stream"]
    found = stream["segments in window"]
    return {"seen_by_clip_percent": round(100.0 * stream["embedded in window"] / found, 1)} if found else {}


MEASURED = {
    "overhead": measure_overhead,
    "idle": measure_idle,
    "vocabulary": measure_vocabulary,
    "rate": measure_rate,
}


def stage_means(window: dict[str, dict[str, float]]) -> dict[str, float]:
    prefix = "stage "
    return {name[len(prefix) :]: values["mean [ms]"] for name, values in window.items() if name.startswith(prefix)}


if __name__ == "__main__":
    raise SystemExit(main())
