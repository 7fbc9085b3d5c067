"""`ovsr bags find`: things in labelled bags, by any words or by a picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ovsr_ros.cli.bags_output import print_hits, print_problems
from ovsr_ros.cli.bags_places import add_scratch, scratch_of
from ovsr_ros.errors import ConfigError

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_find(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `find`."""
    description = "Compares any words, or a picture, with every segment that was kept. A track is one hit."
    parser = commands.add_parser("find", help="find things in labelled bags", description=description)
    what = "words, then what label has written, a folder or a URL; with --like that alone"
    parser.add_argument("what", nargs="+", metavar="WORDS DIR", help=what)
    parser.add_argument("--like", type=Path, metavar="IMAGE", help="a picture of the thing, cut out")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="most hits (default 20)")
    parser.add_argument("--min-score", type=float, default=-1.0, metavar="S", help="least cosine, -1 to 1")
    parser.add_argument("--sheet", default="", metavar="FILE", help="write thumbnails of the hits, a JPEG")
    parser.add_argument("--clip", default="", metavar="DIR", help="cut a bag around each hit: DIR/hit_1, ...")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of a clip on either side (default 2)")
    parser.add_argument("--json", action="store_true", help="print the hits as JSON")
    add_scratch(parser, "what has a URL lies; where it is named, kept frames stay there for the next search;")
    parser.set_defaults(run=run_find)


def run_find(arguments: argparse.Namespace) -> int:
    """Print the hits, the best first; 1 where a bag could not be searched, or a clip or thumbnail not be made."""
    from ovsr_ros.cli.segment import read_image
    from ovsr_ros.recordings.record import find_folders
    from ovsr_ros.recordings.search import Query, find
    from ovsr_ros.recordings.showing import show_hits
    from ovsr_ros.recordings.storage import to_place

    *words, folder = arguments.what
    if bool(words) == bool(arguments.like):
        raise ConfigError('expected words and a folder ("red bucket" DIR), or --like IMAGE and a folder')
    if arguments.limit < 1:
        raise ConfigError(f"--limit: expected 1 or more, got {arguments.limit}")
    sheet, clips = (_local(f"--{name}", getattr(arguments, name)) for name in ("sheet", "clip"))
    query = Query(image=read_image(arguments.like)) if arguments.like else Query(" ".join(words))
    scratch = scratch_of(arguments)
    hits, problems = find(find_folders(to_place(folder)), query, arguments.limit, arguments.min_score, scratch)
    print_hits(hits, as_json=arguments.json)
    if sheet or clips:
        problems += show_hits(hits, sheet, clips, arguments.seconds, scratch)
    return 1 if print_problems(problems) else 0


def _local(option: str, text: str) -> Path | None:
    """What is written for people; None: nothing. Raises ConfigError for a URL."""
    from ovsr_ros.recordings.storage import is_url, to_place

    if is_url(text):
        raise ConfigError(f"{option} {text}: expected a path of this machine; write there, and copy it")
    return Path(to_place(text)) if text else None
