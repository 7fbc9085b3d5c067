"""What a frame costs as the image, the number of segments, the vocabulary, or the number of cameras grows.

    python bench/growth.py                 writes bench/results/growth.json
    python bench/growth.py --models pocket --parts categories --texts 5 250 --output bench/results/words.json
    python bench/tables.py                 writes its tables into docs/performance.md and its plot into docs/images/

A label map has room for 254 categories. More texts than that are synonyms: a category's row is the mean of its texts,
so a frame of 1,000 or 8,250 texts costs what one of 250 rows costs, and that is measured: whole frames, and `label()`
alone, the one stage that the texts have a part in, as whole frames vary by more than the texts add. Beside it stands
that stage with 10 to 250 rows.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any

import common
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ovsr_ros.backends.ovsr.backend import OvsrBackend
from ovsr_ros.benchmark.frames import FrameTimes, random_weights
from ovsr_ros.benchmark.rooms import render_scenes
from ovsr_ros.benchmark.timing import Spread, interleave
from ovsr_ros.models.embedded import EMBEDDED
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import PipelineOptions
from ovsr_ros.vocabulary.category import MAX_CATEGORIES, CategoryRequest
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

SIZES_WH = ((640, 480), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
SIZE_WH = (640, 480)
"""Of the images where it is not the size that grows."""
SEGMENTS = (4, 8, 16, 32, 64)
TEXTS = (10, 100, 250, 1000, 8250)
"""The last is the most that a vocabulary of 250 categories holds: each a name and 32 synonyms."""
ROWS = (10, 100, 250)
CAMERAS = (1, 2, 3, 4)
MOST_ROWS = 250
MOST_REAL_TEXTS = 1000
"""With a large text encoder, whose time for more is encoding's, not the frame's, and minutes on two cores."""
PRESETS = {"real": "ovsr", "demo": "demo", "pocket": "pocket"}
"""By the name of their models."""
PARTS = ("size", "segments", "categories", "cameras")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the result."""
    parser = common.parser(__doc__ or "", "growth")
    parser.add_argument("--rounds", type=int, default=6, help="of every comparison (6)")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--models", nargs="+", default=["real", "demo"], choices=tuple(PRESETS))
    parser.add_argument("--most-pixels", type=int, default=3840 * 2160, help="leave larger images out")
    parser.add_argument("--texts", nargs="+", type=int, default=list(TEXTS), help="sizes of vocabularies, ascending")
    parser.add_argument("--most-texts", type=int, default=TEXTS[-1], help="leave larger vocabularies out")
    parser.add_argument("--most-cameras", type=int, default=CAMERAS[-1], help="leave more cameras out")
    given = parser.parse_args(arguments)
    body: dict[str, Any] = {"rounds": given.rounds, "cases": []}
    with contextlib.ExitStack() as stack:
        for models in given.models:
            name = PRESETS[models]
            options = common.preset(name, given.device)
            if models == "real":
                options = stack.enter_context(random_weights(options))
            case: dict[str, Any] = {"models": common.NAMES[models], "preset": name}
            for part in given.parts:
                common.say(f"growth with {part}, {models} models")
                case[part] = MEASURED[part](options, given)
            body["cases"].append(case)
    common.write(given.output, "growth", given.device, body, arguments)
    return 0


def over_sizes(options: PipelineOptions, given: Any) -> list[dict[str, Any]]:
    """Milliseconds a frame, for one room drawn at each size."""
    sizes = [size for size in SIZES_WH if size[0] * size[1] <= given.most_pixels]
    images = {f"{width}x{height}": render_scenes((width, height), 1)[0] for width, height in sizes}
    pipeline = common.make_pipeline(options)
    times = {name: FrameTimes() for name in images}
    ways = {name: (lambda turn, name=name: times[name].run(pipeline, images[name])) for name in images}
    seconds = interleave(ways, given.rounds, pipeline.device)
    pipeline.close()
    return [{"size": name, **times[name].last(len(seconds[name])).summary()} for name in images]


def over_segments(options: PipelineOptions, given: Any) -> list[dict[str, Any]]:
    """Milliseconds a frame with that many segments, each in a crop of its own, or all from one look at the image."""
    (image,) = render_scenes(SIZE_WH, 1)
    pipeline = common.make_pipeline(options)
    rows = []
    ways = {}
    times: dict[str, FrameTimes] = {}
    for recognition in ("crops", "dense"):
        for count in SEGMENTS:
            changes = {
                "clusters.count_rule": "fixed",
                "clusters.fixed": count,
                "clusters.k_max": max(count, options.clusters.k_max),
                "regions.split_components": False,
                "regions.min_area": 0.0,
                "clip.recognition": recognition,
            }
            name = f"{recognition} {count}"
            frozen = FixedOptions(pipeline, changes)
            times[name] = FrameTimes()
            ways[name] = lambda turn, name=name, frozen=frozen: times[name].run(frozen.applied(), image)
    seconds = interleave(ways, max(given.rounds // 2, 1), pipeline.device)
    for name in ways:
        recognition, _, count = name.partition(" ")
        summary = times[name].last(len(seconds[name])).summary()
        rows.append({"recognition": recognition, "segments_wanted": int(count), **summary})
    pipeline.close()
    return rows


class FixedOptions:
    """A pipeline under other options; they are applied before the clock starts."""

    def __init__(self, pipeline: Pipeline, changes: dict[str, object]) -> None:
        self._pipeline = pipeline
        self._changes = changes

    def applied(self) -> Pipeline:
        self._pipeline.update_options(self._changes)
        return self._pipeline


def over_categories(options: PipelineOptions, given: Any) -> dict[str, Any]:
    """Milliseconds of a frame and of `label()` alone by the number of texts, and of `label()` by the number of rows.

    What `label()` takes more than with the fewest is told as a share of the same turn's whole frame.
    """
    most = given.most_texts if options.clip.model in EMBEDDED else min(given.most_texts, MOST_REAL_TEXTS)
    counts = [count for count in given.texts if count <= most]
    num_rows = [count for count in ROWS if count <= given.most_texts]
    images = render_scenes(SIZE_WH, 2)
    pipeline = Pipeline(options)  # its ids are all still free
    vocabularies = {}
    encode_s = {}
    for count in counts:
        begin = time.perf_counter()
        vocabularies[count] = pipeline.state_for(make_requests(count))
        encode_s[count] = round(time.perf_counter() - begin, 3)
    ways: dict[str, Any] = {
        f"frame {count}": (lambda turn, count=count: pipeline.segment(images[turn % 2], vocabularies[count]))
        for count in counts
    }
    backend = common.make_backend(options, pipeline.device)
    frames = [backend.embed(image) for image in images]
    rows = {count: make_rows(count, backend) for count in num_rows}
    ways |= {
        f"label {count}": (lambda turn, count=count: pipeline.label(frames[turn % 2], vocabularies[count]))
        for count in counts
    }
    ways |= {
        f"rows {count}": (lambda turn, count=count: backend.label(frames[turn % 2], rows[count], 0.0, 3))
        for count in num_rows
    }
    seconds = interleave(ways, 2 * given.rounds, pipeline.device)
    pipeline.close()
    base = seconds[f"frame {counts[0]}"]

    def more(kind: str, count: int, fewest: int) -> dict[str, float]:
        return more_percent(seconds[f"{kind} {count}"], seconds[f"{kind} {fewest}"], base)

    return {
        "texts": [
            {
                "texts": count,
                "categories": min(count, MOST_ROWS),
                "encode_s": encode_s[count],
                "milliseconds": Spread.of(1e3 * seconds[f"frame {count}"]).to_dict(),
                "more_percent": more("frame", count, counts[0]),
                "label_ms": Spread.of(1e3 * seconds[f"label {count}"]).to_dict(),
                "label_more_percent": more("label", count, counts[0]),
            }
            for count in counts
        ],
        "rows": [
            {
                "rows": count,
                "label_ms": Spread.of(1e3 * seconds[f"rows {count}"]).to_dict(),
                "more_percent_of_frame": more("rows", count, num_rows[0]),
            }
            for count in num_rows
        ],
    }


def more_percent(
    seconds: NDArray[np.float64], than: NDArray[np.float64], frames: NDArray[np.float64]
) -> dict[str, float]:
    """What something takes more than something else, in percent of a whole frame of the same turn: (rounds,) each."""
    return Spread.of(100.0 * (seconds - than) / frames).to_dict(2)


def make_requests(num_texts: int) -> list[CategoryRequest]:
    """That many names, as at most MOST_ROWS categories: the others are synonyms."""
    num_categories = min(num_texts, MOST_ROWS, MAX_CATEGORIES)
    names = [f"thing {index} of kind {index % 97}" for index in range(num_texts)]
    return [
        CategoryRequest(names[index], tuple(names[index + num_categories :: num_categories]))
        for index in range(num_categories)
    ]


def make_rows(count: int, backend: OvsrBackend) -> TextClassifier:
    """A classifier with more rows than a label map has class ids for: chance directions, ids used again."""
    generator = torch.Generator().manual_seed(count)
    embeddings = F.normalize(torch.randn(count, backend.clip.embedding_dim, generator=generator), dim=1)
    ids = (torch.arange(count) % MAX_CATEGORIES).to(torch.uint8)
    return TextClassifier(embeddings, ids, tuple(map(str, range(count))), 1).to(backend.device)


def over_cameras(options: PipelineOptions, given: Any) -> list[dict[str, Any]]:
    """Frames per second of one process with a pipeline and a thread per camera, the models loaded once."""
    images = render_scenes(SIZE_WH, 4)
    rows = []
    for count in (count for count in CAMERAS if count <= given.most_cameras):
        pipelines = [common.make_pipeline(options) for _ in range(count)]
        times = [FrameTimes() for _ in pipelines]
        for pipeline in pipelines:
            pipeline.segment(images[0])
        begin = time.perf_counter()
        threads = [
            threading.Thread(target=run_camera, args=(pipeline, taken, images, given.rounds), name=f"camera {index}")
            for index, (pipeline, taken) in enumerate(zip(pipelines, times, strict=True))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.perf_counter() - begin
        memory = pipelines[0].memory_bytes()
        for pipeline in pipelines:
            pipeline.close()
        every = [1e3 * value for taken in times for value in taken.seconds]
        rows.append(
            {
                "cameras": count,
                "frames_per_second": round(len(every) / elapsed, 3),
                "milliseconds": Spread.of(every).to_dict(),
                "memory_mib": round(memory / 2**20, 1),
            }
        )
    return rows


def run_camera(pipeline: Pipeline, taken: FrameTimes, images: Sequence[np.ndarray], rounds: int) -> None:
    for turn in range(rounds):
        taken.run(pipeline, images[turn % len(images)])


MEASURED = {"size": over_sizes, "segments": over_segments, "categories": over_categories, "cameras": over_cameras}

if __name__ == "__main__":
    raise SystemExit(main())
