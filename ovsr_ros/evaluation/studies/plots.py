"""The studies' plots. Needs matplotlib, which is imported when the first is drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.evaluation.extras import import_extra

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # told apart by the colour-blind (Okabe & Ito)
_MARKERS = ("o", "s", "^", "D")
_ROOM_FOR_LEGEND = 0.25
"""Of an axis' length, above the lines of a panel."""


@dataclass(frozen=True)
class Curve:
    """A line of a plot: y over the plot's x; target: a level that it should reach, dashed in its colour."""

    label: str
    y: NDArray[np.float64]
    target: float | None = None


@dataclass(frozen=True)
class Panel:
    """Axes with several lines: x and y values by the line's name. is_log: of both axes."""

    x_label: str
    y_label: str
    is_log: bool
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]


def plot_panels(panels: Sequence[Panel], caption: str) -> Any:
    """Panels beside each other, each with lines from 0, or logarithmic."""
    figure, all_axes = _new_figure(len(panels), (5.2 * len(panels), 4.6))
    for axes, panel in zip(all_axes, panels, strict=True):
        for index, (label, (x, y)) in enumerate(panel.lines.items()):
            style = {"color": _COLORS[index % len(_COLORS)], "marker": _MARKERS[index % len(_MARKERS)]}
            axes.plot(x, y, markersize=4, label=label, **style)
        axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
        if panel.is_log:
            axes.set(xscale="log", yscale="log")
            low, high = axes.get_ylim()
            axes.set_ylim(low, high * (high / low) ** _ROOM_FOR_LEGEND)
            _label_log_axis(axes.xaxis, *axes.get_xlim())
            _label_log_axis(axes.yaxis, *axes.get_ylim())
        else:
            axes.set_ylim(0, axes.get_ylim()[1] * (1 + _ROOM_FOR_LEGEND))
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="upper left", fontsize=8)
    return _finish(figure, caption)


def plot_thresholds(x: Sequence[float], curves: Sequence[Curve], preset: float, caption: str) -> Any:
    """Shares over the score threshold; a vertical line marks the preset's."""
    figure, (axes,) = _new_figure(1, (7.2, 5.0))
    for curve, color, marker in zip(curves, _COLORS, _MARKERS, strict=False):
        axes.plot(x, 100 * curve.y, color=color, marker=marker, markersize=4, label=curve.label)
        if curve.target is not None:
            axes.axhline(100 * curve.target, color=color, linestyle="--", linewidth=1)
            axes.annotate(f"target {curve.target:.0%}", (0.99, 100 * curve.target), color=color, fontsize=8, ha="right",
                          va="bottom", xycoords=("axes fraction", "data"))  # fmt: skip
    axes.axvline(preset, color="0.4", linestyle=":", linewidth=1.2, label=f"preset, {preset:g}")
    axes.set(xlabel="score threshold", ylabel="share of pixels (%)", ylim=(0, 102), xlim=(-0.02, 1.0))
    axes.legend(loc="lower left", fontsize=9)
    return _finish(figure, caption)


def plot_counts(
    true: NDArray[np.int64],
    predicted: NDArray[np.int64],
    miou_by_count: Mapping[str, Mapping[int, float]],
    caption: str,
) -> Any:
    """Left: predicted over true numbers, a dot a scene, the mean in line. Right: Hungarian mIoU by true number."""
    figure, (left, right) = _new_figure(2, (10.5, 4.8))
    jitter = np.random.default_rng(0).uniform(-0.18, 0.18, (2, len(true)))
    left.plot(true + jitter[0], predicted + jitter[1], ".", color=_COLORS[0], alpha=0.45, label="a scene")
    counts = np.unique(true)
    means = [float(predicted[true == count].mean()) for count in counts]
    left.plot(counts, means, color=_COLORS[1], marker="o", label="mean")
    top = int(max(true.max(), predicted.max())) + 1
    left.plot([0, top], [0, top], color="0.5", linestyle=":", label="as many as there are")
    left.set(xlabel="true number of categories in view", ylabel="adaptive number of clusters", xlim=(0, top))
    left.set_ylim(0, top)
    left.legend(loc="upper left", fontsize=9)
    for (name, series), color, marker in zip(miou_by_count.items(), _COLORS, _MARKERS, strict=False):
        right.plot(list(series), list(series.values()), color=color, marker=marker, markersize=4, label=name)
    right.set(xlabel="true number of categories in view", ylabel="Hungarian mIoU", ylim=(0, 1))
    right.legend(loc="lower left", fontsize=9)
    return _finish(figure, caption)


def _label_log_axis(axis: Any, low: float, high: float) -> None:
    """Plain numbers: 1, 2, 5, 10 where less than two decades are shown, else the decades."""
    ticker = import_extra("matplotlib.ticker")
    steps = (1.0, 2.0, 5.0) if high < 100 * low else (1.0,)
    axis.set_major_locator(ticker.LogLocator(subs=steps, numticks=16))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(ticker.NullFormatter())


def _new_figure(num_axes: int, size_inches: tuple[float, float]) -> tuple[Any, Sequence[Any]]:
    figure = import_extra("matplotlib.figure").Figure(figsize=size_inches)
    return figure, figure.subplots(1, num_axes, squeeze=False)[0]


def _finish(figure: Any, caption: str) -> Any:
    for axes in figure.axes:
        axes.grid(visible=True, alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout(rect=(0, 0.10, 1, 1))
    figure.text(0.5, 0.015, textwrap.fill(caption, 90), ha="center", va="bottom", fontsize=8.5)
    return figure
