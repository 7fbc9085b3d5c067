"""What the speed was to be, beside what it is: one row per target, met or not, or why it was not measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sections import DEMO, REAL, markdown, ratio, spread

STILL = "standing still"
Results = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Measured:
    """text: the value, with its spread. is_met: None where it was not measured, and then text says why."""

    text: str
    is_met: bool | None = None


class NotMeasuredError(Exception):
    """Why there is no value."""


def table(results: Results) -> str:
    """Every target of docs/performance.md."""
    answers = {True: "yes", False: "**no**", None: "-"}
    rows = []
    for what, wanted, measure in TARGETS:
        found = answer(measure, results)
        rows.append([what, wanted, found.text, answers[found.is_met]])
    return markdown(["target", "wanted", "measured", "met"], rows)


def answer(measure: Callable[[Results], Measured], results: Results) -> Measured:
    try:
        return measure(results)
    except NotMeasuredError as error:
        return Measured(str(error))


def at_least(found: dict[str, float], wanted: float) -> Measured:
    return Measured(ratio(found, 2 if wanted < 2 else 1), found["median"] >= wanted)


def get(results: Results, name: str) -> dict[str, Any]:
    if name in results:
        return results[name]
    raise NotMeasuredError("not run: no GPU at hand" if name.endswith("_gpu") else "not measured yet")


def case(results: Results, name: str, models: str) -> dict[str, Any]:
    for found in get(results, name)["cases"]:
        if found["models"] == models:
            return dict(found)
    raise NotMeasuredError("not measured yet")


# --- Clustering ---


def ward_rows(results: Results, way: str, **wanted: object) -> Iterator[dict[str, Any]]:
    rows = [
        row
        for row in get(results, "clustering")["rows"]
        if row["linkage"] == "ward" and all(row[key] == value for key, value in wanted.items())
    ]
    if not any(way in row["ratios"] for row in rows):
        raise NotMeasuredError("not run: no GPU at hand" if way == "gpu" else f"not run: {way} is not installed")
    yield from (row for row in rows if way in row["ratios"])


def ward_ratio(dims: int, wanted: float) -> Callable[[Results], Measured]:
    def measure(results: Results) -> Measured:
        found = [row["ratios"]["ours_2"] for row in ward_rows(results, "ours_2", points=5504, dims=dims)]
        return at_least(min(found, key=lambda ratio: ratio["median"]), wanted)

    return measure


def ward_fastcluster(results: Results) -> Measured:
    found = [
        row["ratios"]["ours_2"]["median"] / row["ratios"]["fastcluster"]["median"]
        for row in ward_rows(results, "fastcluster")
    ]
    return Measured(f"{min(found):.1f}x to {max(found):.1f}x fastcluster's speed", min(found) > 1)


def ward_gpu(results: Results) -> Measured:
    rows = list(ward_rows(results, "gpu", points=5504, dims=16))
    worst = min(rows, key=lambda row: row["ratios"]["gpu"]["median"])
    milliseconds = max(row["milliseconds"]["gpu"]["median"] for row in rows)
    is_met = worst["ratios"]["gpu"]["median"] >= 40 and milliseconds < 10
    return Measured(f"{ratio(worst['ratios']['gpu'])}, {milliseconds:.1f} ms", is_met)


# --- The whole frame ---


def speed(name: str, wanted: float) -> Callable[[Results], Measured]:
    def measure(results: Results) -> Measured:
        found = case(results, name, REAL)
        return at_least(found["against_reference"][found["preset"]]["ratio"], wanted)

    return measure


def overhead(name: str, most: float) -> Callable[[Results], Measured]:
    def measure(results: Results) -> Measured:
        found = case(results, name, REAL)["overhead"]["ratio"]
        return Measured(ratio(found, 2), found["median"] <= most)

    return measure


def precision(results: Results) -> Measured:
    for row in case(results, "frame", DEMO)["precision"]:
        if row["precision"] == "auto":
            share = row["labels_differ"]
            return Measured(f"{100 * share:.2f} % over {row['images']} images", share <= 0.01)
    raise NotMeasuredError("not measured yet")


def stream(camera: str, key: str, most: float) -> Callable[[Results], Measured]:
    """The worst of all models, in percent."""

    def measure(results: Results) -> Measured:
        rows = [row for row in get(results, "stream")["rows"] if row["camera"] == camera]
        if key == "labels_differ":
            rows = [row for row in rows if row["models"] == DEMO]  # with random weights all is unlabeled
        found = {row["models"]: row[key] for row in rows}
        if not found:
            raise NotMeasuredError("not measured yet")
        text = ", ".join(f"{100 * value:.1f} % ({models})" for models, value in found.items())
        return Measured(text, max(found.values()) <= most)

    return measure


# --- Growth, ROS ---


def categories(part: str, key: str) -> Callable[[Results], Measured]:
    def measure(results: Results) -> Measured:
        found = [
            row[key]
            for one in get(results, "growth")["cases"]
            for row in one.get("categories", {}).get(part, ())
            if row[part] == 1000 and key in row
        ]
        if not found:
            raise NotMeasuredError("not measured yet")
        worst = max(found, key=lambda more: more["median"])
        return Measured(f"{worst['median']:+.1f} % ({worst['low']:+.1f} to {worst['high']:+.1f})", worst["median"] <= 5)

    return measure


def ros_overhead(size: str, most_ms: float) -> Callable[[Results], Measured]:
    def measure(results: Results) -> Measured:
        for row in get(results, "ros").get("overhead", ()):
            if row["size"] == size:
                return Measured(f"{spread(row['milliseconds'], 1)} ms", row["milliseconds"]["median"] <= most_ms)
        raise NotMeasuredError("not measured yet")

    return measure


def idle(camera: bool) -> Callable[[Results], Measured]:
    def measure(results: Results) -> Measured:
        for row in get(results, "ros").get("idle", ()):
            if bool(row["camera_hz"]) == camera:
                return Measured(f"{row['percent_of_a_core']:.1f} % of a core", row["percent_of_a_core"] < 3)
        raise NotMeasuredError("not measured yet")

    return measure


def vocabulary(results: Results) -> Measured:
    found = get(results, "ros").get("vocabulary")
    if found is None:
        raise NotMeasuredError("not measured yet")
    most, median = found["most_held_back_periods"], found["held_back_periods"]["median"]
    text = f"{median:.1f} periods, {most:.1f} at most, in {len(found['changes'])} changes of {found['names']:,} names"
    return Measured(text, most <= 1)


def rate(models: str, wanted_hz: float) -> Callable[[Results], Measured]:
    def measure(results: Results) -> Measured:
        rates = {
            row["camera"]: row["rate_hz"] for row in get(results, "ros").get("rate", ()) if row["models"] == models
        }
        if not rates:
            raise NotMeasuredError("not measured yet")
        text = ", ".join(f"{hz:.1f} Hz {camera}" for camera, hz in rates.items())
        return Measured(text, min(rates.values()) >= wanted_hz)

    return measure


def trident_speed(name: str, wanted: float) -> Callable[[Results], Measured]:
    def measure(results: Results) -> Measured:
        found = get(results, name)
        processor = found["speedup_of_processor_time"]
        return Measured(f"{found['speedup']:.2f}x, in processor time {processor:.2f}x", found["speedup"] >= wanted)

    return measure


def trident_memory(name: str, most: float) -> Callable[[Results], Measured]:
    def measure(results: Results) -> Measured:
        share = get(results, name)["peak_memory_ratio"]
        return Measured(f"{100 * share:.0f} %", share <= most)

    return measure


TARGETS: tuple[tuple[str, str, Callable[[Results], Measured]], ...] = (
    ("Ward, 5504 points, 16 dimensions, 2 threads, times SciPy's speed", "8x or more", ward_ratio(16, 8)),
    ("Ward, 5504 points, 64 dimensions, 2 threads, times SciPy's speed", "3x or more", ward_ratio(64, 3)),
    ("Ward against fastcluster's `linkage_vector`", "faster everywhere", ward_fastcluster),
    ("Ward on a GPU, 5504 points, 16 dimensions", "40x or more, under 10 ms", ward_gpu),
    (f"whole frame against the reference, CPU, {REAL}", "6x or more", speed("frame", 6)),
    (f"whole frame against the reference, GPU, {REAL}", "15x or more", speed("frame_gpu", 15)),
    ("whole frame over its networks alone, CPU", "1.5x or less", overhead("frame", 1.5)),
    ("whole frame over its networks alone, GPU", "1.3x or less", overhead("frame_gpu", 1.3)),
    ("camera standing still: segments that CLIP sees", "20 % or less", stream(STILL, "seen_by_clip", 0.2)),
    (
        "camera standing still: labels that differ from the uncached run, demo models",
        "0.5 % or less",
        stream(STILL, "labels_differ", 0.005),
    ),
    ("camera moving: slower than uncached by", "5 % or less", stream("moving", "slower", 0.05)),
    ("precision `auto`: labels that differ from fp32's, demo models", "1 % or less", precision),
    (
        "1,000 texts (250 categories) instead of 10: more per frame, by `label()`, the one stage that they are used in",
        "5 % or less",
        categories("texts", "label_more_percent"),
    ),
    (
        "1,000 new names encoded: a frame held back by, beyond the longest gap of as many frames without",
        "1 period or less",
        vocabulary,
    ),
    ("image received to mask published, less the pipeline, 640x480", "5 ms or less", ros_overhead("640x480", 5)),
    ("image received to mask published, less the pipeline, 1920x1080", "15 ms or less", ros_overhead("1920x1080", 15)),
    ("idle node, camera at 30 Hz", "under 3 %", idle(camera=True)),
    ("idle node, no camera", "under 3 %", idle(camera=False)),
    ("node's rate at 640x480, demo models", "10 Hz or more", rate(DEMO, 10)),
    (f"node's rate at 640x480, {REAL}", "5 Hz or more", rate(REAL, 5)),
    ("Trident against its transcription, CPU, no masks", "1.5x or more", trident_speed("trident_none", 1.5)),
    ("Trident against its transcription, CPU, SAM's masks", "1.5x or more", trident_speed("trident_sam", 1.5)),
    ("Trident against its transcription, GPU", "2x or more", trident_speed("trident_sam_gpu", 2.0)),
    ("Trident's peak memory, no masks, of the transcription's", "60 % or less", trident_memory("trident_none", 0.6)),
    ("Trident's peak memory, SAM's masks, of the transcription's", "60 % or less", trident_memory("trident_sam", 0.6)),
)
