"""A sweep over several sets of images: its tables and its JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ovsr_ros.evaluation.bootstrap import Difference
from ovsr_ros.evaluation.figures import Figures, number
from ovsr_ros.evaluation.report import share, table
from ovsr_ros.evaluation.studies.study import without_nan
from ovsr_ros.evaluation.sweep.file import Sweep
from ovsr_ros.evaluation.sweep.image_sets import ImageSet
from ovsr_ros.evaluation.sweep.measure import Measured
from ovsr_ros.evaluation.sweep.over_sets import ResultOverSets, RunOverSets
from ovsr_ros.evaluation.sweep.tables import (
    boundary_f1,
    show_base,
    show_change,
    show_ms,
    show_skipped,
    sweep_facts,
    to_run_dict,
)

_PROTOCOLS: tuple[tuple[str, Callable[[Figures], float], str], ...] = (
    ("labelled", lambda figures: figures.miou, "labelled_change"),
    ("Hungarian", lambda figures: figures.hungarian_miou, "hungarian_change"),
)
"""Per mIoU: what it is called, how it is had, and the change's field in `RunOverSets` and in `Measured`."""


def to_markdown(sweep: Sweep, result: ResultOverSets) -> str:
    """A table per group, the base in each; changes whose interval leaves out 0 are bold."""
    images = [
        f"- {images.name}: {_describe(images)}, {part.num_images} images"
        for images, part in zip(sweep.sets, result.by_set, strict=True)
    ]
    parts = [
        f"# Sweep {sweep.name}",
        "\n".join(images),
        f"Base: {show_base(sweep)}. Each run changes what its row says and nothing else. mIoU: the mean over the sets, "
        "each counting as much as any other, then that of each set. Change: from the base, with a bootstrap's 95 % "
        "interval, bold where it leaves out 0: paired, over a set's images; for the mean, every set is resampled "
        "within itself. Border F1, segments and ms (median of one image, alone): means over the sets.",
        *show_skipped(result.num_skipped),
    ]
    measured = [
        (title, figure, change) for title, figure, change in _PROTOCOLS if number(result.base.mean(figure)) is not None
    ]
    header = ["run"]
    for title, _, _ in measured:
        header += [f"{title} mIoU, mean", "change [95 %]"]
        header += [column for images in sweep.sets for column in (images.name, "change [95 %]")]
    header += ["border F1", "segments", "ms"]

    def row(name: str, run: RunOverSets) -> tuple[str, ...]:
        cells = [name]
        for _, figure, change in measured:
            cells += [share(number(run.mean(figure))), show_change(getattr(run, change))]
            for one in run.on:
                cells += [share(number(figure(one.figures))), show_change(getattr(one, change))]
        segments = run.mean(lambda figures: figures.mean_segments)
        return (*cells, share(number(run.mean(boundary_f1))), f"{segments:.1f}", show_ms(run.ms))

    for group, runs in zip(sweep.groups, result.groups, strict=True):
        rows = [row(run.run.name + (" (base)" if run.is_base else ""), run) for run in runs]
        if not any(run.is_base for run in runs):
            rows.insert(0, row("base", result.base))
        parts += [f"## {group.title}", table(tuple(header), rows)]
    return "\n\n".join(parts) + "\n"


def to_dict(sweep: Sweep, result: ResultOverSets) -> dict[str, Any]:
    """Everything, as plain values for JSON: per run its means, and under `sets` the figures on each set."""
    names = [images.name for images in sweep.sets]
    content = {
        "sweep": sweep.name,
        "config": sweep.config,
        "datasets": [
            {
                "name": images.name,
                "dataset": images.dataset,
                "root": None if images.root is None else str(images.root),
                "split": images.split,
                "every": images.every,
                "images": part.num_images,
            }
            for images, part in zip(sweep.sets, result.by_set, strict=True)
        ],
        "base": _run_dict(result.base, names),
        "groups": [
            {"name": group.name, "option": group.option, "runs": [_run_dict(run, names) for run in runs]}
            for group, runs in zip(sweep.groups, result.groups, strict=True)
        ],
        **sweep_facts(sweep, result.by_set[0]),
    }
    plain: dict[str, Any] = without_nan(content)
    return plain


def _run_dict(run: RunOverSets, names: list[str]) -> dict[str, Any]:
    return {
        "name": run.run.name,
        "is_base": run.is_base,
        "changes": run.run.described_changes(),
        "miou": run.mean(lambda figures: figures.miou),
        "miou_change": _plain(run.labelled_change),
        "hungarian_miou": run.mean(lambda figures: figures.hungarian_miou),
        "hungarian_miou_change": _plain(run.hungarian_change),
        "boundary_f1": run.mean(boundary_f1),
        "mean_segments": run.mean(lambda figures: figures.mean_segments),
        "ms": run.ms,
        "sets": {name: _figures(measured) for name, measured in zip(names, run.on, strict=True)},
    }


def _figures(measured: Measured) -> dict[str, Any]:
    own = to_run_dict(measured)
    return {key: value for key, value in own.items() if key not in ("name", "is_base", "changes")}


def _plain(change: Difference | None) -> dict[str, Any] | None:
    return None if change is None else dict(vars(change))


def _describe(images: ImageSet) -> str:
    where = "" if images.root is None else f" {images.root.name}"
    every = "" if images.every == 1 else f", one in {images.every}"
    return f"{images.dataset}{where} {images.split}{every}"
