"""The tables of docs/performance.md, a function each: from a result to Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

NOT_RUN = "not run"
REAL, DEMO = "EfficientNet-B0 + ViT-B/32", "demo models"
"""What results name the models by."""


def clustering(result: dict[str, Any]) -> str:
    names = ["linkage", "points", "dims", "data", "SciPy, ms", "fastcluster", "PyTorch, CPU"]
    names += ["ours, 1 thread", "ours, 2 threads", "GPU"]
    rows = []
    for row in result["rows"]:
        milliseconds = row["milliseconds"]["scipy"]
        ratios = [ratio(row["ratios"].get(way)) for way in ("fastcluster", "pytorch", "ours_1", "ours_2", "gpu")]
        time = f"{milliseconds['median']:.0f} ({milliseconds['low']:.0f}-{milliseconds['high']:.0f})"
        rows.append([*(str(row[key]) for key in ("linkage", "points", "dims", "data")), time, *ratios])
    return with_origin(markdown(names, rows), result)


def reference(result: dict[str, Any]) -> str:
    rows = []
    for case in result["cases"]:
        alike = case["same_segments"]
        for name, measured in case["against_reference"].items():
            remark = ""
            if name == "faithful":
                remark = (
                    f"the reference's segments: ARI {alike['ari']:.3f}, mIoU {alike['miou']:.3f} on the worst image"
                )
            segments = f"{measured['segments']['median']:g}"
            spreads = (spread(measured["milliseconds"]), ratio(measured["ratio"]))
            rows.append([case["models"], name, *spreads, segments, remark])
        over = case["overhead"]
        networks = " + ".join(f"{over['milliseconds'][part]['median']:.0f}" for part in ("features", "clip"))
        remark = f"overhead: the frame over its networks alone ({networks} ms)"
        rows.append([case["models"], f"{case['preset']}, overhead", "", ratio(over["ratio"], 2), "", remark])
    table = markdown(["models", "preset", "a frame, ms", "ratio", "segments", ""], rows)
    weights = "; ".join(f"{case['models']}: {case['weights']}" for case in result["cases"])
    return with_origin(f"{table}\n\nWeights: {weights}.", result)


def stages(result: dict[str, Any]) -> str:
    shown = {}
    for case in result["cases"]:
        for name, measured in case["against_reference"].items():
            if "stages_ms" in measured:
                shown[f"{name}, {case['models']}"] = measured
    names = list(dict.fromkeys(stage for measured in shown.values() for stage in measured["stages_ms"]))
    rows = [
        [stage, *(spread(measured["stages_ms"].get(stage)) for measured in shown.values())]
        for stage in names
        if any(measured["stages_ms"].get(stage, {}).get("high", 0) >= 0.05 for measured in shown.values())
    ]
    rows.append(["whole frame", *(spread(measured["milliseconds"]) for measured in shown.values())])
    return markdown(["milliseconds", *shown], rows)


def precision(result: dict[str, Any]) -> str:
    rows = []
    for case in result["cases"]:
        for row in case["precision"]:
            if "not_run" in row:
                rows.append([case["models"], row["precision"], NOT_RUN, row["not_run"], "", ""])
                continue
            share = differ(case, row["labels_differ"], 2), differ(case, row["labels_differ_worst_image"], 2)
            rows.append([case["models"], row["precision"], spread(row["milliseconds"]), ratio(row["ratio"], 2), *share])
    names = ["models", "precision", "a frame, ms", "times as fast as fp32", "labels differ", "on the worst image"]
    return markdown(names, rows)


def differ(row: dict[str, Any], share: float, digits: int) -> str:
    """How many labels differ, where there are any: with random weights nothing is ever likely enough to be labelled."""
    return "-" if row["models"] != DEMO else f"{100 * share:.{digits}f} %"


def stream(result: dict[str, Any]) -> str:
    rows = []
    for row in result["rows"]:
        times = [spread(row["milliseconds"][name]) for name in ("uncached", "reused")]
        shares = [f"{100 * row['seen_by_clip']:.1f} %", differ(row, row["labels_differ"], 1)]
        rows.append([row["models"], row["camera"], *shares, *times, ratio(row["ratio"], 2)])
    names = ["models", "camera", "segments that CLIP sees", "labels differ", "uncached, ms", "reused, ms", "ratio"]
    return with_origin(markdown(names, rows), result)


def growth(result: dict[str, Any]) -> str:
    rows: list[list[str]] = []
    for case in result["cases"]:
        what = case["models"]
        for row in case.get("size", ()):
            rows.append([what, f"image {row['size']}", spread(row["milliseconds"]), ""])
        for row in case.get("segments", ()):
            name = f"{row['segments']['median']:g} segments, {row['recognition']}"
            rows.append([what, name, spread(row["milliseconds"]), ""])
        for row in case.get("categories", {}).get("texts", ()):
            name = f"{row['texts']:,} texts in {row['categories']} categories"
            remark = (
                f"label() alone: {spread(row['label_ms'], 1)} ms, {percent(row['label_more_percent'])} of a frame; "
                f"whole frames: {percent(row['more_percent'])} of a frame; encoding took {row['encode_s']:g} s"
            )
            rows.append([what, name, spread(row["milliseconds"]), remark])
        for row in case.get("categories", {}).get("rows", ()):
            remark = f"{percent(row['more_percent_of_frame'])} of a frame"
            rows.append([what, f"label() alone, {row['rows']:,} rows", spread(row["label_ms"], 1), remark])
        for row in case.get("cameras", ()):
            rate = f"{row['frames_per_second']:.1f} frames per second in all, {row['memory_mib']:.0f} MiB"
            rows.append([what, f"cameras in one process: {row['cameras']}", spread(row["milliseconds"]), rate])
    plot = "![Time of a frame over image size, segments, rows and cameras](images/growth.png)"
    return f"{plot}\n\n{with_origin(markdown(['models', '', 'a frame, ms', ''], rows), result)}"


def words(result: dict[str, Any]) -> str:
    rows = []
    for case in result["cases"]:
        for row in case["categories"]["texts"]:
            label = f"{spread(row['label_ms'], 1)}, {percent(row['label_more_percent'])} of a frame"
            encoded = f"{row['encode_s']:.2f}"
            rows.append([case["models"], str(row["texts"]), spread(row["milliseconds"]), label, encoded])
    names = ["preset", "words", "a frame, ms", "of it, what meets the words, ms", "once, when they are new, s"]
    return with_origin(markdown(names, rows), result)


def growth_panels(result: dict[str, Any]) -> list[tuple[str, str, bool, dict[str, tuple[list[float], list[float]]]]]:
    """What `plots.Panel` takes: x label, y label, whether both axes are logarithmic, lines by name."""
    panels: dict[str, tuple[str, bool, dict[str, tuple[list[float], list[float]]]]] = {
        "size": ("image, megapixels", True, {}),
        "segments": ("segments", True, {}),
        "categories": ("rows that a segment is compared with", True, {}),
        "cameras": ("cameras in one process", False, {}),
    }
    for case in result["cases"]:
        what = case["models"]
        for row in case.get("size", ()):
            width, height = map(int, row["size"].split("x"))
            add(panels["size"][2], what, width * height / 1e6, row["milliseconds"]["median"])
        for row in case.get("segments", ()):
            line = f"{what}, {row['recognition']}"
            add(panels["segments"][2], line, row["segments"]["median"], row["milliseconds"]["median"])
        for row in case.get("categories", {}).get("rows", ()):
            add(panels["categories"][2], f"{what}, label() alone", row["rows"], row["label_ms"]["median"])
        for row in case.get("cameras", ()):
            add(panels["cameras"][2], what, row["cameras"], row["milliseconds"]["median"])
    return [(label, "milliseconds", log, lines) for label, log, lines in panels.values() if lines]


def add(lines: dict[str, tuple[list[float], list[float]]], name: str, x: float, y: float) -> None:
    xs, ys = lines.setdefault(name, ([], []))
    xs.append(x)
    ys.append(y)


def ros(result: dict[str, Any]) -> str:
    rows = []
    for row in result.get("overhead", ()):
        parts = ", ".join(f"{name} {value['median']:.1f}" for name, value in row["stages_ms"].items())
        queued = "; FRAMES QUEUED, the machine is too slow for this" if row["queued"] else ""
        remark = f"{parts}; the whole latency is {row['latency_ms']['median']:.0f} ms{queued}"
        name = f"image received to mask published, less the pipeline, {row['size']}"
        rows.append([name, f"{spread(row['milliseconds'], 1)} ms", remark])
    for row in result.get("idle", ()):
        camera = f"camera at {row['camera_hz']:g} Hz" if row["camera_hz"] else "no camera"
        rows.append([f"idle node, {camera}", f"{row['percent_of_a_core']:.1f} % of a core", ""])
    if "vocabulary" in result:
        rows.append(vocabulary(result["vocabulary"]))
    for row in result.get("rate", ()):
        seen = row.get("seen_by_clip_percent")
        remark = f"latency {spread(row['latency_ms'])} ms, {row['cores']:.1f} cores"
        remark += "" if seen is None else f", CLIP saw {seen:.0f} % of the segments"
        rows.append([f"640x480, {row['models']}, camera {row['camera']}", f"{row['rate_hz']:.1f} Hz", remark])
    return with_origin(markdown(["", "measured", ""], rows), result)


def vocabulary(row: dict[str, Any]) -> list[str]:
    """The row of ros.json's part of this name."""
    columns = ("longest_gap_ms", "longest_gap_without_ms", "encoded_s")
    longest, without, encoded_s = ([change[name] for change in row["changes"]] for name in columns)
    beyond = {
        name: "{median:.2f} ({low:.2f} to {high:.2f})".format(**row[name])
        for name in ("held_back_periods", "over_median_gap_periods")
    }
    remark = (
        f"{min(without):.0f} to {max(without):.0f} ms in as many frames without, and the median gap is "
        f"{row['period_ms']['median']:.0f} ms: held back by {beyond['held_back_periods']} periods beyond the longest "
        f"without, {beyond['over_median_gap_periods']} beyond the median; encoding took {min(encoded_s):.1f} to "
        f"{max(encoded_s):.1f} s"
    )
    name = f"{row['names']:,} new names in {row['categories']} categories: longest gap between masks"
    return [name, f"{min(longest):.0f} to {max(longest):.0f} ms", remark]


def memory(result: dict[str, Any]) -> str:
    rows = []
    for row in result["rows"]:
        on_gpu = f"{row['device_peak_mib']:.0f}" if row["device_peak_mib"] else "no GPU at hand"
        rows.append([row["preset"], row["size"], f"{row['process_peak_mib']:.0f}", on_gpu])
    return with_origin(markdown(["preset", "image", "resident at most, MiB", "on the GPU, MiB"], rows), result)


# --- The pieces ---


def markdown(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def with_origin(table: str, result: dict[str, Any]) -> str:
    return f"{table}\n\n{origin(result)}"


def trident(result: dict[str, Any]) -> str:
    """Ours beside the transcription: times, and memory."""
    lines = [
        "| | seconds an image | processor seconds | peak memory, MB | above the loaded models, MB |",
        "|---|---|---|---|---|",
    ]
    for side, figures in result["figures"].items():
        times = [
            f"{figures[key]['median']:.1f} ({figures[key]['min']:.1f}-{figures[key]['max']:.1f})"
            for key in ("seconds", "processor_seconds")
        ]
        lines.append(f"| {side} | {' | '.join(times)} | {figures['peak_mb']:.0f} | {figures['working_mb']:.0f} |")
    speed = f"**{result['speedup']:.2f}x** | {result['speedup_of_processor_time']:.2f}x"
    memory = f"{result['peak_memory_ratio']:.0%} | {result['working_memory_ratio']:.0%}"
    lines.append(f"| ours to the transcription | {speed} | {memory} |")
    lines += ["", origin(result)]
    return "\n".join(lines)


def trident_node(result: dict[str, Any]) -> str:
    """The node with Trident: start, memory, seconds a frame."""
    rows = [
        [
            row["precision"],
            row["method"],
            f"{row['start_s']:.1f}",
            f"{row['started_mb']:.0f}",
            f"{row['peak_mb']:.0f}",
            spread(row["frame_s"], 1),
            f"{row['frame_cpu_s']:.1f}",
        ]
        for row in result["trident"]
    ]
    names = ["precision", "masks", "start to active, s", "resident then, MB", "at most, MB"]
    return with_origin(markdown([*names, "seconds a frame", "processor seconds a frame"], rows), result)


def origin(result: dict[str, Any]) -> str:
    """What a figure must carry: command, commit, machine, versions."""
    machine = result["machine"]
    packages = ", ".join(f"{name} {version or '(not installed)'}" for name, version in result["versions"].items())
    gpu = result["gpu"] or "no GPU at hand"
    load = f", load {result['load_average']:g}" if "load_average" in result else ""
    return (
        f"`{result['command']}` at commit {result['commit']}; {machine['processor']}, {machine['cores']} cores{load}, "
        f"{gpu}; {packages}."
    )


def ratio(found: dict[str, float] | None, digits: int = 1) -> str:
    """How many times as fast, with quartiles."""
    if found is None:
        return NOT_RUN
    return f"{found['median']:.{digits}f}x ({found['low']:.{digits}f}-{found['high']:.{digits}f})"


def spread(found: dict[str, float] | None, digits: int = 0) -> str:
    """A median with quartiles; one more decimal for what is small."""
    if found is None:
        return "-"
    digits = max(digits, 1 if found["median"] < 10 else 0)
    return f"{found['median']:.{digits}f} ({found['low']:.{digits}f}-{found['high']:.{digits}f})"


def percent(found: dict[str, float]) -> str:
    return f"{found['median']:+.1f} % ({found['low']:+.1f} to {found['high']:+.1f})"
