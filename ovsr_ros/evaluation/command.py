"""`ovsr evaluate`: a configuration's figures on a data set, as tables, as JSON and as pictures."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.arguments import (
    EXIT_SKIPPED,
    SCENES,
    add_arguments,
    chosen_dataset,
    chosen_indices,
    chosen_protocols,
    chosen_settings,
    journal_path,
)

if TYPE_CHECKING:
    from argparse import _SubParsersAction

HELD_OUT = "scenes-held-out"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evaluate`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a configuration on a data set",
        description="Measures a configuration on a data set. With --out or --json, a run that was killed goes on where "
        "it stopped when the same command is given again. Exit code 3: some images could not be used.",
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the tables, write what was asked for."""
    if arguments.sweep is not None:
        from ovsr_ros.evaluation.sweep.command import run_sweep

        return run_sweep(arguments)
    if arguments.study is not None:
        from ovsr_ros.evaluation.studies import run_study

        return run_study(arguments)
    return run_evaluation(arguments)


def run_evaluation(arguments: argparse.Namespace) -> int:
    """One configuration on one data set; on the scenes' test split, and with words, the held-out combinations too."""
    if arguments.pictures and arguments.out is None:
        raise ConfigError("--pictures: needs a folder to write them to; name it: --out DIR")
    dataset, settings, protocols = chosen_dataset(arguments), chosen_settings(arguments), chosen_protocols(arguments)
    protocols.check(dataset)

    from ovsr_ros.evaluation.pictures import write_pictures  # on demand: torch takes seconds
    from ovsr_ros.evaluation.pipeline_predictor import with_background_names
    from ovsr_ros.evaluation.protocols import ProtocolOptions
    from ovsr_ros.evaluation.report import build_report, to_markdown, to_text, write_text
    from ovsr_ros.evaluation.runner import evaluate
    from ovsr_ros.evaluation.segments_predictor import needs_words, predictor_factory

    options = with_background_names(settings.pipeline, dataset)
    make_predictor = predictor_factory(options, protocols)
    indices = chosen_indices(arguments, dataset)
    journals = [journal_path(arguments)]
    figures = evaluate(
        make_predictor,
        dataset,
        indices,
        protocols,
        workers=arguments.workers,
        journal_path=journals[0],
        progress=True,
    )
    held_out = None
    if dataset.name == SCENES and dataset.split == "test" and needs_words(options, protocols):
        from ovsr_ros.evaluation.datasets import open_dataset

        journals.append(journal_path(arguments, "journal_held_out"))
        held_out = evaluate(
            make_predictor,
            open_dataset(HELD_OUT, None, "test", arguments.names),
            range(max(len(indices) // 2, 1)),
            ProtocolOptions(names=()),
            workers=arguments.workers,
            journal_path=journals[1],
            progress=True,
        )
    report = build_report(figures, held_out, dataset, protocols, options)
    print(to_text(report))
    targets = {arguments.json: "json", arguments.markdown: "markdown"}
    if arguments.out is not None:
        targets |= {arguments.out / "report.json": "json", arguments.out / "report.md": "markdown"}
    for path, kind in targets.items():
        if path is not None:
            content = json.dumps(report, indent=2) + "\n" if kind == "json" else to_markdown(report)
            print(f"wrote {write_text(path, content)}", file=sys.stderr)
    if arguments.pictures:
        write_pictures(arguments.out / "pictures", figures, dataset, make_predictor(), arguments.pictures)
    complete = not report["skipped"]
    if complete and arguments.out is None:  # the folder --out keeps its journal; beside a file it has served
        for path in journals:
            if path is not None:
                path.unlink(missing_ok=True)
    return 0 if complete else EXIT_SKIPPED
