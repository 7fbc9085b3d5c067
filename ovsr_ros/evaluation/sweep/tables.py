"""A sweep's tables and its JSON."""

from __future__ import annotations

import math
from typing import Any

from ovsr_ros.evaluation import provenance
from ovsr_ros.evaluation.bootstrap import Difference
from ovsr_ros.evaluation.figures import number
from ovsr_ros.evaluation.report import share, table
from ovsr_ros.evaluation.studies.study import without_nan
from ovsr_ros.evaluation.sweep.file import Sweep, show_value
from ovsr_ros.evaluation.sweep.measure import Measured, SweepResult

COLUMNS = (
    "labelled mIoU",
    "change [95 %]",
    "Hungarian mIoU",
    "change [95 %]",
    "boundary F1",
    "pixel accuracy",
    "segments",
    "ms",
)


def to_markdown(sweep: Sweep, result: SweepResult) -> str:
    """A table per group, the base in each; changes whose interval leaves out 0 are bold."""
    changed = "".join(f", `{name}` {show_value(value)}" for name, value in sweep.base_changes.items())
    parts = [
        f"# Sweep {sweep.name}",
        f"{sweep.dataset} {sweep.split}, {result.num_images} images. Base: `{sweep.config}`{changed}. Each run changes "
        "what its row says and nothing else. Change: from the base, with the 95 % interval of a paired bootstrap over "
        "the images, bold where it leaves out 0. ms: median of one image, alone.",
    ]
    if result.num_skipped:
        parts.append(f"{result.num_skipped} images could not be used and were skipped.")
    for group, runs in zip(sweep.groups, result.groups, strict=True):
        rows = [_row(measured.run.name + (" (base)" if measured.is_base else ""), measured) for measured in runs]
        if not any(measured.is_base for measured in runs):
            rows.insert(0, _row("base", result.base))
        parts.append(f"## {group.name}" + (f" (`{group.option}`)" if group.option not in ("", group.name) else ""))
        parts.append(table(("run", *COLUMNS), rows))
    return "\n\n".join(parts) + "\n"


def _row(name: str, measured: Measured) -> tuple[str, ...]:
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
        "-" if math.isnan(measured.ms) else f"{measured.ms:.0f}",
    )


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
        "dataset": sweep.dataset,
        "split": sweep.split,
        "images": result.num_images,
        "base": _run_dict(result.base),
        "groups": [
            {"name": group.name, "option": group.option, "runs": [_run_dict(measured) for measured in runs]}
            for group, runs in zip(sweep.groups, result.groups, strict=True)
        ],
        **provenance.everything(sweep.base.options),
    }
    plain: dict[str, Any] = without_nan(content)
    return plain


def _run_dict(measured: Measured) -> dict[str, Any]:
    return {
        "name": measured.run.name,
        "is_base": measured.is_base,
        "changes": dict(measured.run.changes),
        **measured.figures.to_dict(),
        "ms": measured.ms,
        "miou_change": None if measured.labelled_change is None else vars(measured.labelled_change),
        "hungarian_miou_change": None if measured.hungarian_change is None else vars(measured.hungarian_change),
    }
