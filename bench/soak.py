"""Soak: a camera that is killed each minute, the real node, subscribers to all of its outputs, and a restless operator.

    python bench/soak.py                    # in `make shell`, an hour; --seconds 600 --settle 120 for a short one

Words change every 5 s, parameters every 7 s; each minute the camera is killed and another one starts, every second one
without depth. Writes bench/results/soak.json and soak.md. Exit code 0 when the node's resident memory stayed flat
within 2 % after the first five minutes, no frame was a mixture of two vocabularies or of two images, every answer came
within 2 s, and the node still labelled at the end, else 1. Flat is said of the peaks of 10 s windows, as the kernel
keeps them: a sample now and then falls into a frame, with its working memory, or between two.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from soak_observer import Observer

from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.nodes.demo.child_process import ChildProcess, start_node, stop_all

RESULTS = Path(__file__).parent / "results"
FLAT_PERCENT = 2.0
ANSWER_S = 2.0
START_S = 180.0
"""How long the node may take to label its first frame."""
VOCABULARY_PERIOD_S, PARAMETER_PERIOD_S, CAMERA_PERIOD_S, WINDOW_S = 5.0, 7.0, 60.0, 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak and write what was seen."""
    options = _parse(arguments)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    options.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as cleanup:
        children = _start(options)
        cleanup.callback(stop_all, children, 5.0)
        seen = _watch(options, children, cleanup)
    result = {**_provenance(options), **seen}
    (options.out / "soak.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    table = to_markdown(result)
    (options.out / "soak.md").write_text(table, encoding="utf-8")
    print(table)
    return 0 if all(result["held"].values()) else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=3600.0, help="length, from the first labelled frame (3600)")
    parser.add_argument("--settle", type=float, default=300.0, help="from when on memory is to be flat, s (300)")
    parser.add_argument("--rate", type=float, default=30.0, help="camera images per second (30)")
    parser.add_argument("--size", default="640x480", metavar="WxH", help="camera images' size (640x480)")
    parser.add_argument("--config", default="demo", help="the node's preset or YAML file (demo)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N (auto)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for soak.json and soak.md (bench/results)")
    options = parser.parse_args(arguments)
    if not 0 < options.settle <= options.seconds - 3 * WINDOW_S:
        parser.error(f"--settle: expected more than 0, and 30 s before --seconds at least, got {options.settle:g}")
    return options


def _start(options: argparse.Namespace) -> list[ChildProcess]:
    categories = "[" + ", ".join(f"'{name}'" for name in CATEGORIES) + "]"
    node = {"config": options.config, "device": options.device, "rate_hz": options.rate, "categories": categories}
    rules = ["image:=/demo/image_raw", "depth:=/demo/depth_registered/image_rect"]
    words = [word for rule in rules for word in ("-r", rule)]
    return [_start_camera(options, 0), start_node("node", "ovsr_node", options.out / "soak_node.log", node, words)]


def _start_camera(options: argparse.Namespace, number: int) -> ChildProcess:
    """Every second one without depth."""
    width, height = options.size.split("x")
    parameters = {"rate_hz": options.rate, "width": width, "height": height, "seed": 35, "clip_s": 2.0}
    parameters["depth_encoding"] = "none" if number % 2 else "32FC1"
    return start_node("camera", "demo_camera", options.out / "soak_camera.log", parameters, ["-r", "__ns:=/demo"])


def _watch(options: argparse.Namespace, children: list[ChildProcess], cleanup: ExitStack) -> dict[str, Any]:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    rclpy.init(args=[])
    cleanup.callback(rclpy.try_shutdown)
    observer = Observer()
    cleanup.callback(observer.node.destroy_node)
    executor = SingleThreadedExecutor()
    executor.add_node(observer.node)
    node = children[1]
    deadline = time.monotonic() + START_S
    while not observer.counts["label_map"]:
        executor.spin_once(timeout_sec=0.1)
        _check(children)
        if time.monotonic() > deadline:
            raise SystemExit(f"soak: no frame within {START_S:g} s; the node said:\n" + "\n".join(node.last_lines(15)))
    begin = time.monotonic()
    observer.statistics.clear()
    before = Counter(observer.counts)
    samples: list[dict[str, float]] = []
    num_cameras = 1

    def change_camera() -> None:
        nonlocal num_cameras
        children[0].stop(0.0)  # by force
        children[0] = _start_camera(options, num_cameras)
        num_cameras += 1

    due = {
        observer.change_vocabulary: VOCABULARY_PERIOD_S,
        observer.change_parameters: PARAMETER_PERIOD_S,
        change_camera: CAMERA_PERIOD_S,
    }
    periods = dict(due)
    next_sample = WINDOW_S
    _footprint(node.pid)  # begins the first window
    while (elapsed := time.monotonic() - begin) < options.seconds:
        executor.spin_once(timeout_sec=0.05)
        if elapsed >= next_sample:
            _check(children)
            samples.append({"s": round(elapsed, 1), **_footprint(node.pid)})
            next_sample += WINDOW_S
        for action, when in due.items():
            if elapsed >= when:
                action()
                due[action] += periods[action]
    return {**_summarise(options, observer, before, samples), "cameras": num_cameras}


def _check(children: Sequence[ChildProcess]) -> None:
    for child in children:
        if child.exit_code is not None:
            said = "\n".join(child.last_lines(15))
            raise SystemExit(f"soak: the {child.name} ended with exit code {child.exit_code}:\n{said}")


def _footprint(pid: int) -> dict[str, float]:
    """What the process holds now, and the peak of its resident memory since the last call."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="utf-8").splitlines())
    (process / "clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    ticks = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    return {
        "peak [MiB]": round(int(status["VmHWM"].split()[0]) / 1024, 2),
        "rss [MiB]": round(int(status["VmRSS"].split()[0]) / 1024, 2),
        "threads": sum(1 for _ in (process / "task").iterdir()),
        "files": sum(1 for _ in (process / "fd").iterdir()),
        "cpu [s]": sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
    }


def _summarise(
    options: argparse.Namespace, observer: Observer, before: Counter[str], samples: list[dict[str, float]]
) -> dict[str, Any]:
    settled = [sample for sample in samples if sample["s"] >= options.settle + WINDOW_S]
    rss = [sample["peak [MiB]"] for sample in settled]
    spread = 100.0 * (max(rss) - min(rss)) / min(rss)
    streams = [statistics["stream"] for statistics in observer.statistics]
    latencies = [statistics["latency"] for statistics in observer.statistics]

    def middle(rows: list[dict[str, float]], key: str) -> float:
        values = sorted(row[key] for row in rows if math.isfinite(row[key]))
        return round(values[len(values) // 2], 2) if values else float("nan")

    cpu_s = settled[-1]["cpu [s]"] - settled[0]["cpu [s]"]
    return {
        "seconds": options.seconds,
        "settled after [s]": options.settle,
        "rss spread [%]": round(spread, 2),
        "held": {
            "memory flat": spread <= FLAT_PERCENT,
            "no mixtures": not observer.frames.mixtures and observer.frames.num_checked > 0,
            "answers in time": max(observer.answer_s, default=math.inf) <= ANSWER_S and not observer.num_waiting,
            "labels to the end": time.monotonic() - observer.last_label_map < 10.0,
        },
        "frames checked": observer.frames.num_checked,
        "frames with depth": observer.num_with_depth,
        "mixtures": observer.frames.mixtures[:20],
        "peaks [MiB]": {"first": rss[0], "last": rss[-1], "min": min(rss), "max": max(rss)},
        "threads": {"first": settled[0]["threads"], "last": settled[-1]["threads"]},
        "files": {"first": settled[0]["files"], "last": settled[-1]["files"]},
        "cpu [cores]": round(cpu_s / max(settled[-1]["s"] - settled[0]["s"], 1e-9), 2),
        "input rate [Hz]": middle(streams, "input rate [Hz]"),
        "output rate [Hz]": middle(streams, "output rate [Hz]"),
        "latency [ms]": {key.partition(" ")[0]: middle(latencies, key) for key in latencies[0]} if latencies else {},
        "images": {
            key: int(streams[-1][key]) for key in ("received", "processed", "failed", "dropped", "rested", "repeated")
        }
        if streams
        else {},
        "messages": {topic: count - before[topic] for topic, count in sorted(observer.counts.items())},
        "changes": dict(observer.answers),
        "slowest answer [s]": round(max(observer.answer_s, default=float("nan")), 3),
        "samples": samples,
    }


def _provenance(options: argparse.Namespace) -> dict[str, Any]:
    from ovsr_ros.benchmark.record import PACKAGES, package_versions
    from ovsr_ros.evaluation.provenance import everything
    from ovsr_ros.settings import load_settings

    pipeline = load_settings(options.config, {"device": options.device}).pipeline
    command = " ".join(["python bench/soak.py", *sys.argv[1:]])
    versions = package_versions(*PACKAGES)
    return {
        **everything(pipeline),
        "command": command,
        "versions": versions,
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def to_markdown(result: dict[str, Any]) -> str:
    """The result as a table."""
    machine, rss, latency, images = (result[key] for key in ("machine", "peaks [MiB]", "latency [ms]", "images"))
    peaks = "{min:g} to {max:g} MiB, first {first:g}, last {last:g}".format(**rss)
    hardware = machine.get("gpu", machine["processor"])
    rows = {
        "machine": f"{hardware}, {machine['cores']} cores, load {result['load'][0]:g} at the end",
        "commit": result["commit"][:12],
        "length": f"{result['seconds']:g} s, settled after {result['settled after [s]']:g} s",
        "rate in, out": f"{result['input rate [Hz]']:g}, {result['output rate [Hz]']:g} Hz, medians of 10 s windows",
        "latency, medians of 10 s windows": ", ".join(f"{name} {value:g} ms" for name, value in latency.items()),
        "images": ", ".join(f"{name} {value}" for name, value in images.items()),
        "messages taken": ", ".join(f"{name} {value}" for name, value in result["messages"].items()),
        "changes": ", ".join(f"{name} {value}" for name, value in result["changes"].items()),
        "slowest answer": f"{result['slowest answer [s]']:g} s",
        "cameras, one after another": f"{result['cameras']}",
        "frames whose outputs were compared": f"{result['frames checked']}, {result['frames with depth']} with depth",
        "held": ", ".join(f"{name}: {'yes' if held else 'NO'}" for name, held in result["held"].items()),
        "resident memory, peaks of 10 s windows": peaks,
        "its spread": f"{result['rss spread [%]']:g} %",
        "threads, open files": " and ".join(
            f"{result[key]['first']:g} to {result[key]['last']:g}" for key in ("threads", "files")
        ),
        "processor time": f"{result['cpu [cores]']:g} cores",
    }
    lines = ["| soak | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join([*lines, "", f"`{result['command']}`", ""])


if __name__ == "__main__":
    sys.exit(main())
