"""The command `ovsr`: one sub-command per job, each in a file beside what it serves."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from ovsr_ros import __version__
from ovsr_ros.errors import OvsrError
from ovsr_ros.interpreter import PIPELINE, explained_imports

# Each module has add_parser(subparsers). Only the one that is asked for is imported: torch takes seconds.
_COMMANDS = {
    "segment": ("label the pixels of image files", "ovsr_ros.cli.segment"),
    "evaluate": ("measure a configuration on a data set", "ovsr_ros.evaluation.command"),
    "bags": ("label recordings, label them again by other words, find things in them", "ovsr_ros.cli.bags"),
    "bench": ("measure a configuration's speed and memory on this machine", "ovsr_ros.cli.bench"),
    "models": ("list, fetch, import and check models", "ovsr_ros.cli.models"),
    "pocket": ("train the embedded pair of towers for photographs", "ovsr_ros.pocket.command"),
    "demo": ("the rendered scenes and the embedded models trained on them", "ovsr_ros.demo.command"),
}

EXIT_ERROR = 2
"""Exit code when the command could not be carried out; 1 is for single inputs that failed while others went on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. What goes wrong as foreseen ends in a message on stderr."""
    # OpenMP's threads spin while they wait for each other, which on a busy machine costs many times what it saves.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        with explained_imports(PIPELINE, "PYTHON -m ovsr_ros.cli"):
            parsed = _parser(words[0] if words else "").parse_args(words)
            return int(parsed.run(parsed))
    except OvsrError as error:
        print(f"ovsr: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("ovsr: interrupted", file=sys.stderr)
        return 130


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ovsr", description="Open-vocabulary segmentation of images.")
    parser.add_argument("--version", action="version", version=f"ovsr {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (help_text, module) in _COMMANDS.items():
        if name == command:
            importlib.import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=help_text)
    return parser
