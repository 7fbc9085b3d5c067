"""The whole frame: ours against the reference, against its own networks alone, and by precision.

    python bench/frame.py                  writes bench/results/frame.json
    python bench/tables.py                 writes its tables into docs/performance.md

The real architectures carry calibrated random weights (`ovsr_ros/models/calibrated.py`), the same on both sides: their
speed is that of the real ones, their labels mean nothing. Everything is measured in turns, A B A B, on one image a
round; ratios are taken within a round.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import common
import numpy as np
import torch
from reference import Reference
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from ovsr_ros.backends.ovsr.backend import OvsrBackend
from ovsr_ros.benchmark.frames import CATEGORIES, FrameTimes, random_weights
from ovsr_ros.benchmark.rooms import calibration_images, render_scenes
from ovsr_ros.benchmark.timing import Spread, interleave
from ovsr_ros.evaluation.metrics import overlap
from ovsr_ros.models.calibrated import denormal_share
from ovsr_ros.ops.image import normalize
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import PipelineOptions

SIZE_WH = (640, 480)
PRECISIONS = ("fp32", "bf16", "auto")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the result."""
    parser = common.parser(__doc__ or "", "frame")
    parser.add_argument("--rounds", type=int, default=20, help="of every comparison (20)")
    parser.add_argument("--images", type=int, default=4, help="rendered rooms, one a round in turns (4)")
    parser.add_argument("--precision-images", type=int, default=12, help="rooms whose labels are compared (12)")
    parser.add_argument("--models", nargs="+", default=["real", "demo"], choices=("real", "demo"))
    given = parser.parse_args(arguments)
    images = render_scenes(SIZE_WH, given.images)
    cases = []
    with contextlib.ExitStack() as stack:
        for models in given.models:
            presets = real_presets(given.device, stack) if models == "real" else demo_presets(given.device)
            common.say(f"whole frame, {models} models")
            cases.append(measure_case(models, presets, images, given.rounds, given.precision_images))
    body = {"image_wh": list(SIZE_WH), "rounds": given.rounds, "images": given.images, "cases": cases}
    common.write(given.output, "frame", given.device, body, arguments)
    return 0


def real_presets(device: str, stack: contextlib.ExitStack) -> dict[str, PipelineOptions]:
    """The presets with the real architectures; the shipped one first."""
    ovsr = stack.enter_context(random_weights(common.preset("ovsr", device)))
    models = {"features__model": ovsr.features.model, "clip__model": ovsr.clip.model}
    names = ("faithful", "fast_cpu") if device_type(device) == "cpu" else ("faithful",)
    return {"ovsr": ovsr, **{name: common.preset(name, device, **models) for name in names}}


def demo_presets(device: str) -> dict[str, PipelineOptions]:
    """The presets with the embedded models; the shipped one first."""
    return {
        "demo": common.preset("demo", device),
        "faithful": common.preset("faithful", device, features__model="demo", clip__model="demo"),
    }


def device_type(device: str) -> str:
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def measure_case(
    models: str, presets: Mapping[str, PipelineOptions], images: Sequence[np.ndarray], rounds: int, num_compared: int
) -> dict[str, Any]:
    """All figures of one pair of networks."""
    shipped, first = next(iter(presets.items()))
    pipelines = {name: common.make_pipeline(options) for name, options in presets.items()}
    device = pipelines[shipped].device
    reference = Reference(first.features.model, first.clip.model, list(CATEGORIES), device)
    case = {
        "models": common.NAMES[models],
        "weights": "calibrated random weights, seed 0" if models == "real" else "as shipped",
        "preset": shipped,
        "calibration": calibration(first, device),
        "against_reference": against_reference(reference, pipelines, images, rounds),
        "same_segments": same_segments(reference, presets["faithful"], images),
    }
    del reference
    case["overhead"] = overhead(first, pipelines[shipped], images, rounds)
    for pipeline in pipelines.values():
        pipeline.close()
    case["precision"] = precision(first, render_scenes(SIZE_WH, num_compared), max(rounds // 2, 1))
    return case


def against_reference(
    reference: Reference, pipelines: Mapping[str, Pipeline], images: Sequence[np.ndarray], rounds: int
) -> dict[str, Any]:
    """Milliseconds of the reference and of each preset, and how many times as fast as the reference each is."""
    times = {name: FrameTimes() for name in pipelines}
    num_segments: list[int] = []

    def run_reference(turn: int) -> None:
        num_segments.append(reference.segment(images[turn % len(images)]).num_segments)

    def run_ours(name: str) -> Callable[[int], None]:
        return lambda turn: times[name].run(pipelines[name], images[turn % len(images)])

    ways = {"reference": run_reference, **{name: run_ours(name) for name in pipelines}}
    seconds = interleave(ways, rounds, next(iter(pipelines.values())).device)
    rows: dict[str, Any] = {
        name: {
            "milliseconds": Spread.of(1e3 * taken).to_dict(),
            "ratio": Spread.of(seconds["reference"] / taken).to_dict(),
        }
        for name, taken in seconds.items()
    }
    rows["reference"]["segments"] = Spread.of(num_segments).to_dict(1)
    for name, measured in times.items():
        summary = measured.last(rounds).summary()
        rows[name] |= {"segments": summary["segments"], "stages_ms": summary["stages_ms"]}
    return rows


def same_segments(reference: Reference, faithful: PipelineOptions, images: Sequence[np.ndarray]) -> dict[str, float]:
    """How alike the reference's segments and labels are to ours, the worst image's: the comparison is of like work."""
    pipeline = common.make_pipeline(dataclasses.replace(faithful, precision="fp32"))
    ari, miou, labels = [], [], []
    for image in images:
        theirs, ours = reference.segment(image), pipeline.segment(image)
        ari.append(adjusted_rand(theirs.segment_map, ours.segment_map))
        miou.append(matched_miou(theirs.segment_map, ours.segment_map))
        labels.append(float((theirs.label_map == ours.label_map).mean()))
    pipeline.close()
    return {"ari": round(min(ari), 4), "miou": round(min(miou), 4), "labels_equal": round(min(labels), 4)}


class Recorder:
    """Stands before a model and keeps the inputs of its calls, so that they can be made again by themselves."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def look(self, *inputs: Any, **named: Any) -> Any:
        return self._record("look", inputs, named)

    def encode_images(self, *inputs: Any, **named: Any) -> Any:
        return self._record("encode_images", inputs, named)

    def encode_regions(self, *inputs: Any, **named: Any) -> Any:
        return self._record("encode_regions", inputs, named)

    def repeat(self) -> None:
        """The model's own work for that frame, and nothing else."""
        for method, inputs, named in self.calls:
            getattr(self._model, method)(*inputs, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def _record(self, method: str, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.calls.append((method, inputs, named))
        return getattr(self._model, method)(*inputs, **named)


def overhead(options: PipelineOptions, pipeline: Pipeline, images: Sequence[np.ndarray], rounds: int) -> dict[str, Any]:
    """The whole frame over the forward passes of its two networks on the same inputs, in the same precision."""
    backend = common.make_backend(options, pipeline.device)
    recorded = [record(backend, image) for image in images]

    def networks(part: int) -> Callable[[int], None]:
        return lambda turn: recorded[turn % len(images)][part].repeat()

    ways: dict[str, Callable[[int], object]] = {
        "frame": lambda turn: pipeline.segment(images[turn % len(images)]),
        "features": networks(0),
        "clip": networks(1),
    }
    seconds = interleave(ways, rounds, pipeline.device)
    return {
        "milliseconds": {name: Spread.of(1e3 * taken).to_dict() for name, taken in seconds.items()},
        "ratio": Spread.of(seconds["frame"] / (seconds["features"] + seconds["clip"])).to_dict(),
    }


def record(backend: OvsrBackend, image: np.ndarray) -> tuple[Recorder, Recorder]:
    """The calls that one frame makes of the feature network, and of CLIP."""
    extractor: Any = Recorder(backend.extractor)
    clip: Any = Recorder(backend.clip)
    dataclasses.replace(backend, extractor=extractor, clip=clip).embed(image)
    if not extractor.calls or not clip.calls:
        raise RuntimeError("a frame used a network in a way that is not measured here; mend bench/frame.py")
    return extractor, clip


def precision(options: PipelineOptions, images: Sequence[np.ndarray], rounds: int) -> list[dict[str, Any]]:
    """Time by precision, and on how many pixels labels differ from float32's, on all images together."""
    pipelines: dict[str, Pipeline] = {}
    refused: dict[str, str] = {}
    for name in PRECISIONS:
        try:
            pipelines[name] = common.make_pipeline(dataclasses.replace(options, precision=name))
        except Exception as error:  # whatever a device does not have
            refused[name] = f"{type(error).__name__}: {error}"
    device = pipelines["fp32"].device
    labels = {name: [pipeline.segment(image).label_map for image in images] for name, pipeline in pipelines.items()}
    ways = {name: timed(pipeline, images) for name, pipeline in pipelines.items()}
    seconds = interleave(ways, rounds, device)
    for pipeline in pipelines.values():
        pipeline.close()
    rows: list[dict[str, Any]] = []
    for name in PRECISIONS:
        if name in refused:
            rows.append({"precision": name, "not_run": refused[name]})
            continue
        differ = [float((a != b).mean()) for a, b in zip(labels[name], labels["fp32"], strict=True)]
        rows.append(
            {
                "precision": name,
                "milliseconds": Spread.of(1e3 * seconds[name]).to_dict(),
                "ratio": Spread.of(seconds["fp32"] / seconds[name]).to_dict(),
                "labels_differ": round(float(np.mean(differ)), 5),
                "labels_differ_worst_image": round(max(differ), 5),
                "images": len(images),
            }
        )
    return rows


def timed(pipeline: Pipeline, images: Sequence[np.ndarray]) -> Callable[[int], object]:
    return lambda turn: pipeline.segment(images[turn % len(images)])


def calibration(options: PipelineOptions, device: torch.device) -> list[dict[str, float]]:
    """What the feature network's levels hold: their deviation, and the share of denormal numbers, which must be 0."""
    extractor = common.make_backend(dataclasses.replace(options, precision="fp32"), device).extractor
    levels = extractor.look(normalize(calibration_images().to(device), extractor.mean, extractor.std)).levels
    return [{"std": round(float(level.std()), 3), "denormal_share": denormal_share(level)} for level in levels]


def contingency(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pixels by the pair of segments that they belong to."""
    (rows, num_rows), (columns, num_columns) = (
        (numbers, len(values)) for values, numbers in (np.unique(one, return_inverse=True) for one in (a, b))
    )
    return overlap(rows, columns, (num_rows, num_columns))


def adjusted_rand(a: np.ndarray, b: np.ndarray) -> float:
    """Adjusted Rand index of two partitions: 1 where they are the same, about 0 where chance would do as well."""
    return float(adjusted_rand_score(a.ravel(), b.ravel()))


def matched_miou(a: np.ndarray, b: np.ndarray) -> float:
    """Mean IoU of the segments of a, each matched to one of b."""
    table = contingency(a, b)
    union = table.sum(1)[:, None] + table.sum(0)[None] - table
    rows, columns = linear_sum_assignment(table / union, maximize=True)
    return float((table / union)[rows, columns].sum() / len(table))


if __name__ == "__main__":
    raise SystemExit(main())
