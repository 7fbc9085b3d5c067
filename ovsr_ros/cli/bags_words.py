"""The words of `ovsr bags label` and `relabel`, and what is written on request beside the labels."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovsr_ros.console.saved import read_vocabulary
from ovsr_ros.errors import ConfigError, VocabularyError
from ovsr_ros.vocabulary.category import Operation, Vocabulary
from ovsr_ros.vocabulary.file import FORMAT, VocabularyFile
from ovsr_ros.vocabulary.registry import VocabularyRegistry

_ID_LINE = re.compile(r"(\d+)\s*:\s*(.*\S)")
_WANTED = ("masks", "coco", "sheet")


@dataclass(frozen=True)
class Words:
    """The fields of `LabelJob` that say what is looked for; either of categories and ids, or a vocabulary."""

    categories: tuple[str, ...]
    ids: tuple[tuple[int, str], ...] = ()
    vocabulary: Mapping[str, Any] = field(default_factory=dict)


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
    parser.add_argument(
        "--vocabulary",
        type=Path,
        metavar="FILE",
        help="in the place of both: a node's vocabulary_file, with ids, colours and examples, or a list that the "
        "operator's page has saved",
    )
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


def read_words(arguments: argparse.Namespace) -> Words:
    """What --categories, --ids and --vocabulary say.

    Raises ConfigError, VocabularyError and VocabularyFileError, naming the file.
    """
    if arguments.vocabulary is None:
        return Words(tuple(arguments.categories), read_ids(arguments.ids))
    if arguments.categories or arguments.ids:
        raise ConfigError(
            "--vocabulary: has the words and their ids; expected no --categories and no --ids beside it; leave one out"
        )
    vocabulary = _read_vocabulary(arguments.vocabulary)
    if not vocabulary.categories:
        raise ConfigError(f"--vocabulary {arguments.vocabulary}: expected words in force, got none")
    from ovsr_ros.recordings.job_words import to_words  # on demand: torch takes seconds

    return Words((), vocabulary=to_words(vocabulary))


def _read_vocabulary(path: Path) -> Vocabulary:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--vocabulary {path}: cannot be read: {error.strerror or error}") from error
    if FORMAT.encode() in content:
        file = VocabularyFile(path)
        state = file.load()
        if file.left_out:
            print(f"ovsr: --vocabulary {path}: left out: {'; '.join(file.left_out)}", file=sys.stderr)
        return Vocabulary() if state is None else state.vocabulary
    try:
        return VocabularyRegistry().propose(Operation.REPLACE, read_vocabulary(content, path.name))
    except VocabularyError as error:
        raise VocabularyError(f"--vocabulary {path}: {error}") from error


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
