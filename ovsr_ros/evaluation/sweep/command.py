"""`ovsr evaluate --sweep FILE`: measures a sweep, prints its tables and writes them."""

from __future__ import annotations

import argparse
import json
import sys

from ovsr_ros.config import parse_overrides
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.arguments import EXIT_SKIPPED, chosen_protocols
from ovsr_ros.evaluation.measurements import Measurements, Shared
from ovsr_ros.evaluation.report import write_text
from ovsr_ros.evaluation.sweep import set_tables, tables
from ovsr_ros.evaluation.sweep.file import Sweep, read_sweep
from ovsr_ros.evaluation.sweep.measure import SweepResult, measure_sweep
from ovsr_ros.evaluation.sweep.over_sets import combine


def run_sweep(arguments: argparse.Namespace) -> int:
    """`--sweep`: measure, print the tables, write sweep.json and sweep.md into --out. The file names the data sets.

    --set, --device, --config, --limit and --protocol are stronger than what the file says; --root is what the roots in
    it are relative to.
    """
    if arguments.out is None:
        raise ConfigError("--sweep: needs a folder for its journals and tables; name it: --out DIR")
    overrides: dict[str, object] = parse_overrides(arguments.set)
    if arguments.device:
        overrides["device"] = arguments.device
    sweep = read_sweep(arguments.sweep, overrides, arguments.config)
    results = _measure(sweep, arguments)
    if len(results) == 1:
        plain, markdown = tables.to_dict(sweep, results[0]), tables.to_markdown(sweep, results[0])
    else:
        combined = combine(results)
        plain, markdown = set_tables.to_dict(sweep, combined), set_tables.to_markdown(sweep, combined)
    content = json.dumps(plain, indent=2, allow_nan=False) + "\n"
    for path in (arguments.out / "sweep.json", arguments.json):
        if path is not None:
            print(f"wrote {write_text(path, content)}", file=sys.stderr)
    for path in (arguments.out / "sweep.md", arguments.markdown):
        if path is not None:
            print(f"wrote {write_text(path, markdown)}", file=sys.stderr)
    print(markdown)
    return EXIT_SKIPPED if any(result.num_skipped for result in results) else 0


def _measure(sweep: Sweep, arguments: argparse.Namespace) -> list[SweepResult]:
    """The sweep on each of its sets, one after another, so that what is kept of the images serves run after run."""
    protocols = chosen_protocols(arguments, sweep.protocols)
    datasets = [images.open(arguments.root) for images in sweep.sets]
    for dataset in datasets:
        protocols.check(dataset)
    results = []
    with Shared(arguments.workers) as shared:
        for images, dataset in zip(sweep.sets, datasets, strict=True):
            measurements = Measurements(
                dataset,
                images.indices(len(dataset), arguments.limit),
                arguments.out,
                protocols=protocols,
                progress=True,
                shared=shared,
                name=images.name,
            )
            if arguments.fresh:
                measurements.forget()
            results.append(measure_sweep(sweep, measurements, progress=True))
    return results
