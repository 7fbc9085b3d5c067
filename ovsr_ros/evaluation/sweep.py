"""`ovsr evaluate --sweep FILE`: one option varied at a time, every run on the same images, the base measured once."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.arguments import EXIT_SKIPPED
from ovsr_ros.evaluation.bootstrap import Difference
from ovsr_ros.evaluation.figures import Figures
from ovsr_ros.evaluation.measuring import Bench, compare_figures
from ovsr_ros.evaluation.report import write_text
from ovsr_ros.evaluation.sweep_file import Run, Sweep, read_sweep


@dataclass(frozen=True)
class Measured:
    """One run's figures, its median milliseconds per image, and how its two mIoU differ from the base's."""

    run: Run
    figures: Figures
    ms: float
    is_base: bool
    labelled_change: Difference | None
    hungarian_change: Difference | None


@dataclass(frozen=True)
class SweepResult:
    """The base, and per group of the file its runs, in the file's order."""

    base: Measured
    groups: tuple[tuple[Measured, ...], ...]

    @property
    def num_images(self) -> int:
        """Images judged by the base."""
        return self.base.figures.num_images

    @property
    def num_skipped(self) -> int:
        """Images that the base could not use."""
        return len(self.base.figures.skipped)


def measure_sweep(sweep: Sweep, bench: Bench, progress: bool = False) -> SweepResult:
    """Measure every run of a sweep, equal ones once. Raises ConfigError and ModelError."""

    def measure(run: Run) -> Measured:
        is_base = run.options == sweep.base.options
        figures = bench.judge(run.options)
        changes = (
            None if is_base else compare_figures(bench.judge(sweep.base.options), figures, protocol)
            for protocol in ("labelled", "hungarian")
        )
        return Measured(run, figures, bench.time_ms(run.options), is_base, *changes)

    base = measure(sweep.base)
    groups = []
    for group in sweep.groups:
        measured = []
        for run in group.runs:
            if progress:
                print(f"{group.name}: {run.name}", file=sys.stderr, flush=True)
            measured.append(measure(run))
        groups.append(tuple(measured))
    return SweepResult(base, tuple(groups))


def run_sweep(arguments: argparse.Namespace) -> int:
    """`--sweep`: measure, print the tables, write sweep.json and sweep.md into --out. The file names the data set.

    --set, --device, --config and --limit are stronger than what the file says.
    """
    from ovsr_ros.evaluation.arguments import chosen_protocols
    from ovsr_ros.evaluation.datasets import open_dataset
    from ovsr_ros.evaluation.sweep_report import to_dict, to_markdown
    from ovsr_ros.options_text import parse_overrides

    if arguments.out is None:
        raise ConfigError("--sweep: needs a folder for its journals and tables; name it: --out DIR")
    overrides: dict[str, object] = parse_overrides(arguments.set)
    if arguments.device:
        overrides["device"] = arguments.device
    sweep = read_sweep(arguments.sweep, overrides, arguments.config)
    dataset = open_dataset(sweep.dataset, sweep.root, sweep.split, sweep.names)
    limit = arguments.limit or sweep.limit or len(dataset)
    bench = Bench(
        dataset,
        range(min(limit, len(dataset))),
        arguments.out,
        protocols=chosen_protocols(arguments),
        workers=arguments.workers,
        progress=True,
    )
    if arguments.fresh:
        bench.forget()
    result = measure_sweep(sweep, bench, progress=True)
    markdown = to_markdown(sweep, result)
    content = json.dumps(to_dict(sweep, result), indent=2, allow_nan=False) + "\n"
    for path in (arguments.out / "sweep.json", arguments.json):
        if path is not None:
            print(f"wrote {write_text(path, content)}", file=sys.stderr)
    for path in (arguments.out / "sweep.md", arguments.markdown):
        if path is not None:
            print(f"wrote {write_text(path, markdown)}", file=sys.stderr)
    print(markdown)
    return EXIT_SKIPPED if result.num_skipped else 0
