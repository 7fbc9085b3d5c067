"""`ovsr evaluate --sweep FILE`: measures a sweep, prints its tables and writes them."""

from __future__ import annotations

import argparse
import json
import sys

from ovsr_ros.config import parse_overrides
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.arguments import EXIT_SKIPPED, chosen_protocols
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.measurements import Measurements, Shared
from ovsr_ros.evaluation.report import write_text
from ovsr_ros.evaluation.sweep.file import read_sweep
from ovsr_ros.evaluation.sweep.measure import measure_sweep
from ovsr_ros.evaluation.sweep.tables import to_dict, to_markdown


def run_sweep(arguments: argparse.Namespace) -> int:
    """`--sweep`: measure, print the tables, write sweep.json and sweep.md into --out. The file names the data set.

    --set, --device, --config and --limit are stronger than what the file says.
    """
    if arguments.out is None:
        raise ConfigError("--sweep: needs a folder for its journals and tables; name it: --out DIR")
    overrides: dict[str, object] = parse_overrides(arguments.set)
    if arguments.device:
        overrides["device"] = arguments.device
    sweep = read_sweep(arguments.sweep, overrides, arguments.config)
    dataset = open_dataset(sweep.dataset, sweep.root, sweep.split, sweep.names)
    limit = arguments.limit or sweep.limit or len(dataset)
    with Shared(arguments.workers) as shared:
        measurements = Measurements(
            dataset,
            range(min(limit, len(dataset))),
            arguments.out,
            protocols=chosen_protocols(arguments),
            progress=True,
            shared=shared,
        )
        if arguments.fresh:
            measurements.forget()
        result = measure_sweep(sweep, measurements, progress=True)
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
