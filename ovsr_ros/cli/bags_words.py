"""The words of `ovsr bags label` and `relabel`, and what is written on request beside the labels."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ovsr_ros.errors import ConfigError

_ID_LINE = re.compile(r"(\d+)\s*:\s*(.*\S)")
_WANTED = ("masks", "coco", "sheet")


def add_words(parser: argparse.ArgumentParser) -> None:
    """Add the options of both commands."""
    parser.add_argument(
        "--categories",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help='"name" or "name; synonym" each; otherwise those of --ids, or of the configuration',
    )
    parser.add_argument("--ids", type=Path, metavar="FILE", help='ids of your own: a line "7: road" for each name')
    for name, what in zip(
        _WANTED,
        (
            "PNG masks, images and classes.txt, as ovsr evaluate --dataset folder reads them",
            "coco.json, masks in pycocotools' run lengths",
            "a sheet of pictures",
        ),
        strict=True,
    ):
        parser.add_argument(f"--{name}", action="store_true", help=f"write {what}, too")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def read_ids(path: Path | None) -> tuple[tuple[int, str], ...]:
    """The ids of a label space, a line "7: road; street" each; lines that begin with # do not count.

    Raises ConfigError, naming the line at fault.
    """
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--ids {path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    ids: list[tuple[int, str]] = []
    for number, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line or line.startswith(("#", "ignored:")):
            continue
        match = _ID_LINE.fullmatch(line)
        if not match:
            raise ConfigError(f'--ids {path}, line {number}: expected "7: road", got {line!r}')
        if int(match[1]) in [id for id, _ in ids]:
            raise ConfigError(f"--ids {path}, line {number}: expected each id once, {match[1]} came twice")
        ids.append((int(match[1]), match[2]))
    if not ids:
        raise ConfigError(f'--ids {path}: expected lines such as "7: road", got none')
    return tuple(ids)


def wanted(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Of `labels.WANTED`, what is asked for."""
    return tuple(name for name in _WANTED if getattr(arguments, name))
