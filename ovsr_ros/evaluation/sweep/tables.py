"""A sweep on one set of images: its tables and its JSON, and what those of several sets have in common with it."""

from __future__ import annotations

import math
from typing import Any

from ovsr_ros.evaluation import provenance
from ovsr_ros.evaluation.bootstrap import Difference
from ovsr_ros.evaluation.figures import Figures, number
from ovsr_ros.evaluation.report import share, table
from ovsr_ros.evaluation.segments_predictor import needs_words
from ovsr_ros.evaluation.studies.study import without_nan
from ovsr_ros.evaluation.sweep.file import Sweep, show_value
from ovsr_ros.evaluation.sweep.measure import Measured, SweepResult

_OF_LABELS = ("labelled mIoU", "change [95 %]", "Hungarian mIoU", "change [95 %]", "boundary F1", "pixel accuracy")
_OF_CLUSTERS = ("Hungarian mIoU", "change [95 %]", "border F1 of the clusters")
_OF_ALL = ("segments", "ms")


def to_markdown(sweep: Sweep, result: SweepResult) -> str:
    """A table per group, the base in each; changes whose interval leaves out 0 are bold.

    Where no labels were measured, there are no columns for them.
    """
    of_figures = _OF_LABELS if result.protocols.needs_labels else _OF_CLUSTERS
    row = _row_of_labels if result.protocols.needs_labels else _row_of_clusters
    images = sweep.sets[0]
    parts = [
        f"# Sweep {sweep.name}",
        f"{images.dataset} {images.split}, {result.num_images} images. Base: {show_base(sweep)}. Each run changes "
        "what its row says and nothing else. Change: from the base, with the 95 % interval of a paired bootstrap over "
        "the images, bold where it leaves out 0. ms: median of one image, alone.",
        *show_skipped(result.num_skipped),
    ]
    for group, runs in zip(sweep.groups, result.groups, strict=True):
        rows = [row(measured.run.name + (" (base)" if measured.is_base else ""), measured) for measured in runs]
        if not any(measured.is_base for measured in runs):
            rows.insert(0, row("base", result.base))
        parts += [f"## {group.title}", table(("run", *of_figures, *_OF_ALL), rows)]
    return "\n\n".join(parts) + "\n"


def _row_of_labels(name: str, measured: Measured) -> tuple[str, ...]:
    figures = measured.figures
    accuracy = None if figures.labelled is None else number(figures.labelled.summary()["pixel_accuracy"])
    return (
        name,
        share(number(figures.miou)),
        show_change(measured.labelled_change),
        share(number(figures.hungarian_miou)),
        show_change(measured.hungarian_change),
        share(None if figures.boundary is None else number(figures.boundary.f1)),
        share(accuracy),
        f"{figures.mean_segments:.1f}",
        show_ms(measured.ms),
    )


def _row_of_clusters(name: str, measured: Measured) -> tuple[str, ...]:
    figures = measured.figures
    return (
        name,
        share(number(figures.hungarian_miou)),
        show_change(measured.hungarian_change),
        share(number(boundary_f1(figures))),
        f"{figures.mean_segments:.1f}",
        show_ms(measured.ms),
    )


def boundary_f1(figures: Figures) -> float:
    """F1 of the labels' borders, or where there are none of the clusters'; NaN where neither was measured."""
    boundary = figures.boundary or figures.cluster_boundary
    return float("nan") if boundary is None else boundary.f1


def show_base(sweep: Sweep) -> str:
    """The base's configuration, and what the file or the command line changes of it for every run."""
    changed = "".join(f", `{name}` {show_value(value)}" for name, value in sweep.base_changes.items())
    return f"`{sweep.config}`{changed}"


def show_ms(milliseconds: float) -> str:
    """Whole milliseconds; a dash for NaN."""
    return "-" if math.isnan(milliseconds) else f"{milliseconds:.0f}"


def show_skipped(num_skipped: int) -> list[str]:
    """A sentence on images that could not be used, if there are such."""
    return [f"{num_skipped} images could not be used and were skipped."] if num_skipped else []


def show_change(change: Difference | None) -> str:
    """A difference with its interval, bold where that leaves out 0; nothing for None."""
    if change is None:
        return ""
    text = f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
    return f"**{text}**" if change.is_clear else text


def to_dict(sweep: Sweep, result: SweepResult) -> dict[str, Any]:
    """Everything, as plain values for JSON."""
    content = {
        "sweep": sweep.name,
        "config": sweep.config,
        "dataset": sweep.sets[0].dataset,
        "split": sweep.sets[0].split,
        "images": result.num_images,
        "base": to_run_dict(result.base),
        "groups": [
            {"name": group.name, "option": group.option, "runs": [to_run_dict(measured) for measured in runs]}
            for group, runs in zip(sweep.groups, result.groups, strict=True)
        ],
        **sweep_facts(sweep, result),
    }
    plain: dict[str, Any] = without_nan(content)
    return plain


def sweep_facts(sweep: Sweep, result: SweepResult) -> dict[str, Any]:
    """What is needed to repeat a sweep; see `provenance.everything`."""
    return provenance.everything(sweep.base.options, not needs_words(sweep.base.options, result.protocols))


def to_run_dict(measured: Measured) -> dict[str, Any]:
    """One run's figures on one set."""
    return {
        "name": measured.run.name,
        "is_base": measured.is_base,
        "changes": measured.run.described_changes(),
        **measured.figures.to_dict(),
        "ms": measured.ms,
        "miou_change": None if measured.labelled_change is None else vars(measured.labelled_change),
        "hungarian_miou_change": None if measured.hungarian_change is None else vars(measured.hungarian_change),
    }
