"""`ovsr bags relabel`: what label has kept is labelled by other words."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ovsr_ros.cli.bags_output import Progress, exit_code, print_summary
from ovsr_ros.cli.bags_places import add_scratch, scratch_of, write_summary
from ovsr_ros.cli.bags_words import add_words, read_words, wanted
from ovsr_ros.config import parse_overrides

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_relabel(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `relabel`."""
    description = "Labels what was kept by other words. No network is run but the text encoder's."
    parser = commands.add_parser("relabel", help="label kept frames by other words", description=description)
    parser.add_argument("folder", metavar="DIR", help="what label has written: a folder, or a URL")
    add_words(parser)
    parser.add_argument(
        "--out", default="", metavar="DIR", help="another folder or URL to write to; else labels are replaced"
    )
    add_scratch(parser, "what has a URL lies; where it is named, kept frames stay there for the next time;")
    options = "score_threshold, num_runners_up, text.*, alignment.* or examples.*"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=options)
    parser.set_defaults(run=run_relabel)


def run_relabel(arguments: argparse.Namespace) -> int:
    """Label what is kept by other words; exit codes as of label."""
    from ovsr_ros.recordings.labelling import relabel_bag
    from ovsr_ros.recordings.record import find_folders
    from ovsr_ros.recordings.storage import join, name_of, to_place

    words, overrides = read_words(arguments), parse_overrides(arguments.set)
    root = to_place(arguments.folder)
    places = find_folders(root)
    outcomes = []
    for number, place in enumerate(places, start=1):
        name = name_of(place)
        out = join(to_place(arguments.out), name) if arguments.out else None
        with Progress(name, number, len(places)) as progress:
            outcomes.append(
                relabel_bag(
                    place,
                    words.categories,
                    words.ids,
                    overrides,
                    wanted(arguments),
                    out,
                    progress.tell,
                    scratch_of(arguments),
                    words.vocabulary,
                )
            )
    summary = print_summary(outcomes, as_json=arguments.json)
    write_summary(arguments.out or root, summary)
    return exit_code(outcomes)
