"""What recordings cost: frames labelled and relabelled a second, bytes kept, pieces, workers, memory, and the search.

Rendered rooms: python bench/recordings.py [PART...] [--config pocket] [--frames 60] [--json FILE]

    label    a bag of 640x480 images is labelled, and labelled again by other words
    node     frames a second of `label` against the node's, which has a camera of 30 Hz in the same room, in turns
    chunks   a stream in pieces against the same in one: how many pixels are labelled otherwise
    workers  the same bags by one worker of a Ray cluster and by two
    memory   the resident set after a tenth of many small frames, and in the end
    search   a million embeddings compared with a query

Times are processor time beside the wall's: on a machine that does something else as well, the first is the measure.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "support"))
from room_bags import ROS2, images_of, jpeg_message, room_images, write_ros2

from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.messages.images import decode_compressed
from ovsr_ros.models.memory import resident_bytes
from ovsr_ros.options import to_flat_dict
from ovsr_ros.recordings.bag import Bag
from ovsr_ros.recordings.job import LabelJob, Outcome
from ovsr_ros.recordings.labelling import label_bag, relabel_bag
from ovsr_ros.recordings.labels import FRAMES
from ovsr_ros.recordings.search import score_rows
from ovsr_ros.recordings.table import FrameTable, to_batch, write_table
from ovsr_ros.settings import load_settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: label and search)")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the stream that is cut, at 10 Hz")
    parser.add_argument("--size", default="640x480", help="of the stream that is cut")
    parser.add_argument("--chunk", type=float, default=15.0, help="seconds of a piece")
    parser.add_argument("--many", type=int, default=10_000, help="frames over which memory is watched")
    parser.add_argument("--turns", type=int, default=3, help="of the node and of `label`")
    parser.add_argument("--node-seconds", type=float, default=15.0, help="that the node is watched in a turn")
    parser.add_argument("--repeat", type=int, default=25, help="times that each of them is labelled again")
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512, help="of an embedding, for the search")
    parser.add_argument("--config", default="demo")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    for part in arguments.parts or ("label", "search"):
        if part not in PARTS:
            parser.error(f"PART: expected one of {', '.join(PARTS)}, got {part}")
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Path(folder), arguments, figures)
    for name, value in figures.items():
        print(f"{name:42} {value:.4g}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def measure_labels(root: Path, arguments: argparse.Namespace, figures: dict[str, float]) -> None:
    """Label a bag of 640x480 images of a room, and label it again."""
    bag = write_ros2(root / "room", images_of(room_images(arguments.frames, (640, 480), seed=35)))
    job = new_job(bag, root / "out", arguments)
    measure("label", lambda: label_bag(job), arguments.frames, figures)
    kept = (root / "out" / "frames.parquet").stat().st_size
    figures["kept bytes a frame"] = kept / arguments.frames
    figures["labels' bytes a frame"] = (root / "out" / "labels" / "labels.mcap").stat().st_size / arguments.frames
    words = tuple(CATEGORIES[:5])
    relabel_bag(root / "out", words)  # once, for what is loaded and encoded the first time
    repeat_table(root / "out" / FRAMES, arguments.repeat)
    measure("relabel", lambda: relabel_bag(root / "out", words), arguments.repeat * arguments.frames, figures)
    message = jpeg_message(ROS2.types, room_images(1, (640, 480), seed=35)[0], 1)
    began = time.process_time()
    for _ in range(100):
        decode_compressed(message)
    figures["jpeg: decoded, ms of one core"] = (time.process_time() - began) * 10
    figures["jpeg: bytes"] = len(message.data)


def repeat_table(path: Path, count: int) -> None:
    """A table of so many times the frames: relabelling looks at each by itself."""
    with FrameTable(path) as table:
        rows, about = list(table.rows()), table.about
    write_table(path, (to_batch([row]) for _ in range(count) for row in rows), about)


def new_job(bag: Path, folder: Path, arguments: argparse.Namespace, **more: object) -> LabelJob:
    settings = load_settings(arguments.config, {"text.cache_directory": str(folder.parent / "cache")})
    values = {**to_flat_dict(settings.pipeline), **to_flat_dict(settings.node)}
    return LabelJob(str(bag), str(folder), values, tuple(CATEGORIES), **more)


def measure_chunks(root: Path, arguments: argparse.Namespace, figures: dict[str, float]) -> None:
    """Pixels of a stream in pieces that are labelled otherwise than in one piece, and what the lead-ins cost."""
    size_wh = tuple(int(each) for each in arguments.size.split("x"))
    bag = write_ros2(root / "room", images_of(room_images(round(10 * arguments.seconds), size_wh, seed=35)))
    processor = []
    for name, chunk_s in (("whole", 0.0), ("cut", arguments.chunk)):
        began = time.process_time()
        check(label_bag(new_job(bag, root / name, arguments, chunk_s=chunk_s)))
        processor.append(time.process_time() - began)
    whole, cut = label_maps(root / "whole"), label_maps(root / "cut")
    shares = [float((first != second).mean()) for first, second in zip(whole, cut, strict=True)]
    figures["chunks: share of pixels labelled otherwise"] = float(np.mean(shares))
    figures["chunks: the same in the worst frame"] = max(shares)
    figures["chunks: processor time, of one piece's"] = processor[1] / processor[0]
    figures["chunks: frames a second of one core, in one piece"] = 10 * arguments.seconds / processor[0]
    figures["chunks: kept bytes a frame"] = (root / "whole" / FRAMES).stat().st_size / (10 * arguments.seconds)


def label_maps(folder: Path) -> Iterator[np.ndarray]:
    with Bag(folder / "labels") as bag:
        for record in bag.messages({"/ovsr/label_map"}):
            yield np.asarray(bag.deserialize(record).data)


def measure_workers(root: Path, arguments: argparse.Namespace, figures: dict[str, float]) -> None:
    """Frames a second of a cluster on this machine, models loaded before: by one worker of one core, and by two."""
    from ovsr_ros.recordings.cluster import Crew, label_bags

    images = room_images(arguments.frames, (640, 480), seed=35)
    bags = [write_ros2(root / f"room{number}", images_of(images)) for number in range(4)]
    warm = write_ros2(root / "warm", images_of(images[:2]))
    rates = []
    for count in (1, 2):
        first = [new_job(warm, root / f"warm{count}_{number}", arguments) for number in range(count)]
        jobs = [new_job(bag, root / f"by{count}" / bag.name, arguments) for bag in bags]
        times: list[float] = []
        tell = partial(lambda times, done: times.append(time.perf_counter()), times)
        for outcome in label_bags([*first, *jobs], "local", Crew(count, cpus=1), tell):
            check(outcome)
        rates.append(arguments.frames * len(jobs) / (times[-1] - times[count - 1]))
        figures[f"workers: frames a second by {count}"] = rates[-1]
    figures["workers: two, of one's rate"] = rates[1] / rates[0]


def measure_memory(root: Path, arguments: argparse.Namespace, figures: dict[str, float]) -> None:
    """The resident set while many frames are found and labelled."""
    images = itertools.islice(itertools.cycle(room_images(50, (64, 48), seed=35)), arguments.many)
    bag = write_ros2(root / "many", images_of(images))
    seen: dict[str, list[float]] = {"frames": [], "labels": []}

    def tell(stage: str, done: int, of: int) -> None:
        seen[stage].append(resident_bytes() / 2**20)

    check(label_bag(new_job(bag, root / "out", arguments), tell))
    for stage, sizes in seen.items():
        figures[f"memory: MiB after a tenth of the {stage}"] = sizes[len(sizes) // 10]
        figures[f"memory: MiB after all {stage}"] = sizes[-1]


def measure_node(root: Path, arguments: argparse.Namespace, figures: dict[str, float]) -> None:
    """The node with a subscriber to what `label` writes; each of its processes has its share of the same cores."""
    from node_scene import START_S, running
    from ovsr_ros.msg import SegmentArray

    bag = write_ros2(root / "room", images_of(room_images(arguments.frames, (640, 480), seed=35)))
    warm = write_ros2(root / "warm", images_of(room_images(2, (640, 480), seed=35)))
    check(label_bag(new_job(warm, root / "first", arguments)))  # models are loaded
    ratios = []
    for turn in range(arguments.turns):
        parameters = {"categories": str(list(CATEGORIES)), "rate_hz": 30.0}
        with running("cpu", arguments.config, parameters, {"size": "640x480", "rate_hz": 30.0}) as scene:
            seen = [scene.observe("label_map"), scene.observe("confidence"), scene.observe("segments", SegmentArray)]
            scene.wait(lambda seen=seen: min(map(len, seen)) >= 10, "ten frames of each", START_S)
            count, began = len(seen[0]), time.perf_counter()
            scene.wait_s(arguments.node_seconds)
            node_hz = (len(seen[0]) - count) / (time.perf_counter() - began)
        began = time.perf_counter()
        check(label_bag(new_job(bag, root / f"out{turn}", arguments)))
        label_hz = arguments.frames / (time.perf_counter() - began)
        ratios.append(label_hz / node_hz)
        figures[f"node: its frames a second, turn {turn + 1}"] = node_hz
        figures[f"node: `label`'s frames a second, turn {turn + 1}"] = label_hz
    figures["node: `label`, of the node's"] = float(np.median(ratios))


def check(outcome: Outcome) -> None:
    if outcome.state != "done":
        raise SystemExit(f"{outcome.bag}: {outcome.state}: {'; '.join(outcome.notes)}")


def measure(name: str, work: Callable[[], Outcome], frames: int, figures: dict[str, float]) -> None:
    """Frames a second, by the wall's clock and of one core."""
    began, began_cpu, began_main = time.perf_counter(), time.process_time(), time.thread_time()
    check(work())
    # What the main thread does bounds the rate where the other threads have cores of their own.
    figures[f"{name}: frames a second of its main thread's core"] = frames / (time.thread_time() - began_main)
    figures[f"{name}: frames a second"] = frames / (time.perf_counter() - began)
    figures[f"{name}: frames a second of one core"] = frames / (time.process_time() - began_cpu)


def measure_search(root: Path, arguments: argparse.Namespace, figures: dict[str, float]) -> None:
    """The product of a query with a million segments: the best of five, in seconds."""
    rng = np.random.default_rng(0)
    piece = rng.standard_normal((10_000, arguments.width)).astype(np.float16)
    embeddings = np.tile(piece, (-(-arguments.segments // len(piece)), 1))[: arguments.segments]
    vector = rng.standard_normal(arguments.width).astype(np.float32)
    wall, processor = [], []
    for _ in range(5):
        began, began_cpu = time.perf_counter(), time.process_time()
        score_rows(embeddings, vector)
        wall.append(time.perf_counter() - began)
        processor.append(time.process_time() - began_cpu)
    figures["search: s a million segments"] = min(wall) * 1e6 / arguments.segments
    figures["search: processor s a million segments"] = min(processor) * 1e6 / arguments.segments


PARTS = {
    "label": measure_labels,
    "node": measure_node,
    "chunks": measure_chunks,
    "workers": measure_workers,
    "memory": measure_memory,
    "search": measure_search,
}

if __name__ == "__main__":
    sys.exit(main())
