"""Places that `ovsr bags` reads and writes: paths and URLs, and where these lie meanwhile."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from ovsr_ros.cli.bags_output import SUMMARY
from ovsr_ros.errors import ConfigError


def add_scratch(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --scratch. what: lies there."""
    text = f"where {what} meanwhile (default: among temporary files)"
    parser.add_argument("--scratch", default="", metavar="DIR", help=text)


def scratch_of(arguments: argparse.Namespace) -> str:
    """The folder as the library takes it; empty: not named."""
    return str(Path(arguments.scratch).expanduser().absolute()) if arguments.scratch else ""


def write_summary(out: str, summary: dict[str, Any]) -> None:
    """Put the summary into a folder, a path or URL. Raises ConfigError and RecordingError where that cannot be."""
    from ovsr_ros.recordings.labels import write_json
    from ovsr_ros.recordings.storage import Store, is_url, join, to_place

    place = join(to_place(out), SUMMARY)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, SUMMARY) if is_url(place) else Path(place)
            write_json(path, summary)
            if is_url(place):
                Store.at(place).put(path)
    except OSError as error:
        raise ConfigError(f"--out: {place}: cannot be written: {error.strerror or error}") from error
