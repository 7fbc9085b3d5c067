"""The figures with all that is needed to repeat them, as one mapping for JSON and as tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation import provenance
from ovsr_ros.evaluation.figures import Figures
from ovsr_ros.evaluation.protocols import HUNGARIAN, OPENVOCAB, ProtocolOptions
from ovsr_ros.evaluation.sample import Dataset
from ovsr_ros.evaluation.segments_predictor import needs_words
from ovsr_ros.settings import PipelineOptions

SCENES_NOTE = "Figures on rendered demo scenes say nothing about COCO, ADE20K or any photograph."

_PROTOCOL_TITLES = {
    "labelled": "open-vocabulary",
    "hungarian": "Hungarian per image",
    "hungarian_dataset": "Hungarian over the data set",
}
_SUMMARY_COLUMNS = {
    "miou": "mIoU",
    "miou_all": "mIoU, all that occur",
    "pixel_accuracy": "pixel accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}
_CLASS_COLUMNS = {
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "hungarian_iou": "Hungarian IoU",
    "hungarian_f1": "Hungarian F1",
    "hungarian_dataset_iou": "data set IoU",
    "hungarian_dataset_f1": "data set F1",
}


def build_report(
    figures: Figures, held_out: Figures | None, dataset: Dataset, protocols: ProtocolOptions, options: PipelineOptions
) -> dict[str, Any]:
    """Everything that is published of a run, as plain values.

    held_out: the scenes of held-out combinations, whose top-1 is added; None elsewhere.
    """
    is_scenes = dataset.name.startswith("scenes")
    measured = figures.to_dict()
    seconds, skipped = measured.pop("seconds"), measured.pop("skipped")
    report: dict[str, Any] = {"dataset": dataset.name, "split": dataset.split, "names": dataset.names_used}
    if dataset.name == "scenes":
        from ovsr_ros.evaluation.datasets.scenes import NUM_DISTRACTORS

        report["distractors"] = NUM_DISTRACTORS
    report |= measured
    if held_out is not None:
        found = held_out.to_dict()
        report["held_out"] = {**found.get("held_out", {"top1": None, "objects": 0}), "images": held_out.num_images}
        seconds, skipped = round(seconds + found["seconds"], 1), skipped + found["skipped"]
    report["protocols"] = _described(protocols, dataset)
    report["skipped"] = skipped
    if is_scenes:
        report["note"] = SCENES_NOTE
    return report | {**provenance.everything(options, not needs_words(options, protocols)), "seconds": seconds}


def to_text(report: dict[str, Any]) -> str:
    """The tables for a terminal; Markdown reads them too."""
    parts = [class_table(report), _headline(report), summary_table(report)]
    return "\n\n".join(part for part in [*parts, *_remarks(report)] if part)


def to_markdown(report: dict[str, Any]) -> str:
    """The tables as a page of its own, with what is needed to repeat it."""
    facts = [
        f"- command: `{report['command']}`",
        f"- commit: {report['commit']}, version {report['version']}",
        f"- machine: {', '.join(f'{key} {value}' for key, value in report['machine'].items())}",
        *(f"- weights, {name}: {item['model']}, sha256 `{item['sha256']}`" for name, item in report["weights"].items()),
        f"- {report['seconds']} s on the images, over all processes",
    ]
    options = table(("option", "value"), [(f"`{key}`", f"`{value}`") for key, value in report["options"].items()])
    parts = [
        f"# {report['dataset']}, {report['split']}",
        _headline(report),
        summary_table(report),
        *_remarks(report),
        class_table(report),
        "\n".join(facts),
        options,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary_table(report: dict[str, Any]) -> str:
    """One row per protocol, and one per kind of border."""
    found = [name for name in _PROTOCOL_TITLES if name in report]
    if not found:
        return ""
    rows = [(_PROTOCOL_TITLES[name], *(share(report[name][key]) for key in _SUMMARY_COLUMNS)) for name in found]
    parts = [table(("protocol", *_SUMMARY_COLUMNS.values()), rows)]
    borders = {"boundary": "of the labels", "cluster_boundary": "of the clusters"}
    rows = [
        (title, *(share(report[name][key]) for key in ("precision", "recall", "f1", "class_f1")))
        for name, title in borders.items()
        if name in report
    ]
    if rows:
        within = f"borders, within {report['protocols']['boundary_px']:g} px"
        parts.append(table((within, "precision", "recall", "F1", "F1 per class"), rows))
    return "\n\n".join(parts)


def class_table(report: dict[str, Any]) -> str:
    """One row per class; "-" for a class that is not in the truth."""
    per_class: dict[str, dict[str, float | None]] = report["per_class"]
    columns = [key for key in _CLASS_COLUMNS if any(key in row for row in per_class.values())]
    if not columns:
        return ""
    rows = [(name, *(share(row.get(key)) for key in columns)) for name, row in per_class.items()]
    return table(("class", *(_CLASS_COLUMNS[key] for key in columns)), rows)


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table whose columns are aligned in plain text as well: the first to the left, the others right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: tuple[str, ...]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths))
    return "\n".join([line(header), f"|{rule}|", *(line(row) for row in rows)])


def write_text(path: Path, content: str) -> Path:
    """Write a report, with the folders above it. Raises ConfigError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def share(value: float | None) -> str:
    """Three decimals; "-" for what was not measured."""
    return "-" if value is None else f"{value:.3f}"


def _headline(report: dict[str, Any]) -> str:
    parts = [f"{report['dataset']} {report['split']}, {report['images']} images"]
    if "distractors" in report:
        parts.append(f"each labelled with its categories and {report['distractors']} distractors")
    elif not report["dataset"].startswith("scenes"):
        parts.append(f"{report['names']} names")
    parts.append(f"{report['mean_segments']:.1f} segments per image")
    return ", ".join(parts)


def _remarks(report: dict[str, Any]) -> list[str]:
    remarks = []
    if "held_out" in report:
        held_out = report["held_out"]
        remarks.append(f"held-out combinations: top-1 {share(held_out['top1'])} over {held_out['objects']} objects")
    if "hungarian" in report:
        size = report["protocols"]["size"]
        merged = ", clusters left over merged into background" if report["protocols"]["merge_background"] else ""
        at = "the truth's own resolution" if size == "native" else f"the centre square at {size}x{size}"
        remarks.append(f"Hungarian per image: at {at}{merged}.")
    if report["skipped"]:
        lines = [f"- {item['name']}: {item['reason']}" for item in report["skipped"]]
        remarks.append("\n".join([f"{len(lines)} images could not be used and were skipped:", "", *lines]))
    if "note" in report:
        remarks.append(report["note"])
    return remarks


def _described(protocols: ProtocolOptions, dataset: Dataset) -> dict[str, Any]:
    described: dict[str, Any] = dataclasses.asdict(protocols)
    described["names"] = list(protocols.names)
    described["size"] = "native" if protocols.size is None else protocols.size
    if OPENVOCAB in protocols.names or HUNGARIAN in protocols.names:
        described["miou"] = "mean over the classes in the ground truth; miou_all: over those in truth or prediction"
    background = dataset.background
    described["unlabeled_counts_as"] = "no class" if background is None else dataset.classes[background]
    return described
