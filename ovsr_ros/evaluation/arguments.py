"""What the arguments of `ovsr evaluate` choose: data set, settings, protocols, images, and where things are written."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ovsr_ros.backends import BACKENDS, backend_type
from ovsr_ros.evaluation.datasets import DATASETS, open_dataset
from ovsr_ros.evaluation.protocols import HUNGARIAN, OPENVOCAB, PROTOCOLS, ProtocolOptions
from ovsr_ros.evaluation.sample import Dataset

if TYPE_CHECKING:
    from ovsr_ros.settings import Settings

NATIVE = "native"
SCENES = "scenes"
EXIT_SKIPPED = 3
"""Exit code when some images could not be used and the others were judged."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them all."""
    data = parser.add_argument_group("data set")
    data.add_argument(
        "--dataset",
        choices=DATASETS,
        default=SCENES,
        help="scenes (the default): rendered demo scenes; but for those, files under --root as docs/evaluation.md says",
    )
    data.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="folder that holds the data set; of a sweep: what its file's roots are relative to",
    )
    data.add_argument("--split", default="val", help="part of the data set (default val); see docs/evaluation.md")
    data.add_argument(
        "--names", choices=("engineered", "plain"), default="engineered", help="which class names (default engineered)"
    )
    data.add_argument("--classes", type=Path, metavar="FILE", help="class names of your own, one class a line")
    data.add_argument("--limit", type=_positive, metavar="N", help="the first N images only")

    judged = parser.add_argument_group("what is judged, and how")
    judged.add_argument(
        "--config",
        metavar="PRESET|FILE",
        help="preset or YAML file (default: the --backend's; without, demo for scenes, ovsr for the others)",
    )
    judged.add_argument(
        "--backend",
        choices=tuple(BACKENDS),
        help="segmentation system; its authors' settings for the data set, where it has any, come on top of the preset",
    )
    judged.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one option; VALUE in YAML"
    )
    judged.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    judged.add_argument(
        "--protocol",
        action="append",
        choices=PROTOCOLS,
        help=f"repeat for several (default {OPENVOCAB} and {HUNGARIAN})",
    )
    judged.add_argument(
        "--background-merging",
        action="store_true",
        help="hungarian: merge clusters left over into one for the background",
    )
    judged.add_argument(
        "--size", type=_size, metavar="128|512|native", help="hungarian: side of the centre square (default native)"
    )
    judged.add_argument("--workers", type=_positive, default=1, metavar="N", help="processes (default 1)")

    written = parser.add_argument_group("what is written")
    written.add_argument("--out", type=Path, metavar="DIR", help="folder for report.json, report.md, journal, pictures")
    written.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    written.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to this file")
    written.add_argument(
        "--pictures", type=_positive, default=0, metavar="N", help="draw the N worst images (needs --out)"
    )
    written.add_argument("--fresh", action="store_true", help="judge every image anew, whatever the journal has")

    many = parser.add_argument_group("more than one run")
    many.add_argument("--sweep", type=Path, metavar="FILE", help="judge every variant that this YAML file lists")
    many.add_argument("--study", metavar="NAME", help="baselines, clusters, flicker or unknown; see docs/evaluation.md")


def chosen_settings(arguments: argparse.Namespace) -> Settings:
    """The settings that --config, --backend, --set and --device choose, the later ones winning. Raises ConfigError."""
    from ovsr_ros.config import parse_overrides
    from ovsr_ros.settings import load_settings  # on demand: torch takes seconds

    config, preset = backend_type(arguments.backend or next(iter(BACKENDS))).for_dataset(arguments.dataset)
    of_backend = {} if arguments.backend is None else {"backend": arguments.backend, **preset}
    overrides = {**of_backend, **parse_overrides(arguments.set)}
    if arguments.device:
        overrides["device"] = arguments.device
    return load_settings(arguments.config or config, overrides)


def chosen_dataset(arguments: argparse.Namespace) -> Dataset:
    """The data set that --dataset, --root, --split, --names and --classes choose. Raises DatasetError."""
    return open_dataset(arguments.dataset, arguments.root, arguments.split, arguments.names, arguments.classes)


def chosen_protocols(arguments: argparse.Namespace, otherwise: Sequence[str] = ()) -> ProtocolOptions:
    """The protocols that --protocol, --background-merging and --size choose.

    otherwise: the names where --protocol is not given; (): openvocab and hungarian.
    """
    names = tuple(dict.fromkeys(arguments.protocol or otherwise or (OPENVOCAB, HUNGARIAN)))
    return ProtocolOptions(names, arguments.background_merging, arguments.size)


def chosen_indices(arguments: argparse.Namespace, dataset: Dataset) -> range:
    """The images that --limit chooses."""
    return range(len(dataset) if arguments.limit is None else min(arguments.limit, len(dataset)))


def journal_path(arguments: argparse.Namespace, name: str = "journal") -> Path | None:
    """Where a run is noted: in the folder --out, beside the file --json; None where nothing is written.

    With --fresh, what is there is removed.
    """
    if arguments.out is not None:
        path = arguments.out / f"{name}.jsonl"
    elif arguments.json is not None:
        path = arguments.json.with_name(f"{arguments.json.name}.{name}.jsonl")
    else:
        return None
    if arguments.fresh:
        path.unlink(missing_ok=True)
    return Path(path)


def _positive(text: str) -> int:
    return _number(text, lambda value: value >= 1, "a whole number from 1")


def _size(text: str) -> int | None:
    return None if text == NATIVE else _number(text, lambda value: value >= 1, "128, 512 or native")


def _number(text: str, fits: Callable[[int], bool], expected: str) -> int:
    if not text.isdecimal() or not fits(int(text)):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return int(text)
