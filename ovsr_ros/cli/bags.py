"""`ovsr bags`: label recordings as files, label them again by other words, find things in them."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovsr_ros.cli.bags_output import SUMMARY, Progress, exit_code, print_hits, print_summary
from ovsr_ros.cli.config_arguments import add_config_arguments, load_chosen_settings, with_default_preset
from ovsr_ros.config import parse_overrides
from ovsr_ros.errors import ConfigError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from ovsr_ros.recordings.job import LabelJob, Outcome
    from ovsr_ros.recordings.search import Hit
    from ovsr_ros.settings import Settings

_ID_LINE = re.compile(r"(\d+)\s*:\s*(.*\S)")
_WANTED = ("masks", "coco", "sheet")


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bags` and its commands."""
    parser = subparsers.add_parser("bags", help="label recordings, label them again, find things in them")
    commands = parser.add_subparsers(dest="bags_command", required=True, metavar="COMMAND")
    _add_label(commands)
    _add_relabel(commands)
    _add_find(commands)


def _add_label(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    description = (
        "Writes DIR/NAME/labels, a bag with the node's topics under /ovsr at the recording's stamps, and "
        "DIR/NAME/frames.parquet, from which relabel and find work. What was stopped goes on when it is started again."
    )
    parser = commands.add_parser("label", help="label bags as files", description=description)
    bags = "ROS 1 .bag; ROS 2 folder, .mcap or .db3; or a URL of one, or of several with * in it"
    parser.add_argument("bags", nargs="+", metavar="BAG", help=bags)
    parser.add_argument("--topic", default="", help="of the images; found where there is one")
    parser.add_argument("--depth", default="", metavar="TOPIC", help="of registered depth; none: no places")
    parser.add_argument("--camera-info", default="", metavar="TOPIC", help="where it is not beside the images")
    parser.add_argument(
        "--rate", type=float, default=0.0, metavar="HZ", help="images a second of the recording; 0: all"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each so-manieth image")
    parser.add_argument(
        "--chunk",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="cut longer bags into pieces of about so many seconds; 0: never (default 600)",
    )
    _add_words(parser)
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder to write to, or a URL such as s3://bucket/labels"
    )
    scratch = "where bags and labels of URLs lie meanwhile (default: among temporary files)"
    parser.add_argument("--scratch", default="", metavar="DIR", help=scratch)
    add_config_arguments(parser, None, " (default as of ovsr segment)")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    cluster = parser.add_argument_group("on a cluster")
    cluster.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="HOST:PORT",
        help="label on the workers of this Ray cluster; without an address, of the one that runs here, or of one that "
        "is started on this machine for the time being",
    )
    cluster.add_argument(
        "--workers", type=int, default=0, metavar="N", help="how many (default as many as there is room)"
    )
    cluster.add_argument("--worker-cpus", type=int, default=2, metavar="N", help="cores of each (default 2)")
    parser.set_defaults(run=run_label)


def _add_relabel(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    description = "Labels what was kept by other words. No network is run but the text encoder's."
    parser = commands.add_parser("relabel", help="label kept frames by other words", description=description)
    parser.add_argument("folder", metavar="DIR", help="what label has written, on this machine")
    _add_words(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="another folder to write to; else labels are replaced")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="score_threshold, text.* or alignment.*"
    )
    parser.set_defaults(run=run_relabel)


def _add_words(parser: argparse.ArgumentParser) -> None:
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


def _add_find(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    description = "Compares any words, or a picture, with every segment that was kept. A track is one hit."
    parser = commands.add_parser("find", help="find things in labelled bags", description=description)
    parser.add_argument("what", nargs="+", metavar="WORDS DIR", help="words, then the folder; with --like the folder")
    parser.add_argument("--like", type=Path, metavar="IMAGE", help="a picture of the thing, cut out")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="most hits (default 20)")
    parser.add_argument("--min-score", type=float, default=-1.0, metavar="S", help="least cosine, -1 to 1")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write thumbnails of the hits, a JPEG")
    parser.add_argument("--clip", type=Path, metavar="DIR", help="cut a bag around each hit: DIR/hit_1, ...")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="of a clip on either side (default 2)")
    parser.add_argument("--json", action="store_true", help="print the hits as JSON")
    parser.set_defaults(run=run_find)


def run_label(arguments: argparse.Namespace) -> int:
    """Label each bag. 1 where one could not be labelled, 3 where something could not be read or was left out."""
    ids = read_ids(arguments.ids)
    by_default = arguments.config is None
    settings, remark = with_default_preset(arguments, lambda: _load_settings(arguments, by_default))
    if remark:
        print(f"ovsr: {remark}", file=sys.stderr)
    categories = tuple(arguments.categories or ([] if ids else settings.node.categories))
    jobs = _jobs(arguments, settings, categories, ids)
    outcomes = _label(jobs) if arguments.ray is None else _label_on_cluster(jobs, arguments)
    summary = print_summary(outcomes, as_json=arguments.json)
    _write_summary(arguments.out, summary)
    return exit_code(outcomes)


def _write_summary(out: str, summary: dict[str, Any]) -> None:
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


def _jobs(
    arguments: argparse.Namespace, settings: Settings, categories: tuple[str, ...], ids: tuple[tuple[int, str], ...]
) -> list[LabelJob]:
    """A job a bag; each has a folder of its own."""
    from ovsr_ros.options import to_flat_dict
    from ovsr_ros.recordings.job import LabelJob
    from ovsr_ros.recordings.record import folder_for
    from ovsr_ros.recordings.storage import to_place

    if arguments.chunk < 0 or not arguments.chunk < float("inf"):
        raise ConfigError(f"--chunk: expected seconds, 0 or more, got {arguments.chunk:g}")
    values = {**to_flat_dict(settings.pipeline), **to_flat_dict(settings.node)}
    jobs: dict[str, LabelJob] = {}
    for bag in _named(arguments.bags):
        folder = folder_for(bag, to_place(arguments.out), jobs.keys())
        jobs[folder] = LabelJob(
            bag=bag,
            folder=folder,
            values=values,
            categories=categories,
            ids=ids,
            topic=arguments.topic,
            depth=arguments.depth,
            camera_info=arguments.camera_info,
            rate_hz=arguments.rate,
            every=arguments.every,
            wanted=_wanted(arguments),
            chunk_s=arguments.chunk,
            scratch=str(Path(arguments.scratch).expanduser().absolute()) if arguments.scratch else "",
        )
    return list(jobs.values())


def _named(bags: Sequence[str]) -> list[str]:
    """Each bag once, with the URLs that a pattern stands for. Raises ConfigError for a pattern of none."""
    from ovsr_ros.recordings.storage import Store, is_url, to_place

    places: dict[str, None] = {}
    for text in bags:
        found = [to_place(text)]
        if is_url(text) and "*" in text:
            found = Store.at(text).matching()
            if not found:
                raise ConfigError(f"{text}: expected bags, got none")
        places |= dict.fromkeys(found)
    return list(places)


def _label(jobs: Sequence[LabelJob]) -> list[Outcome]:
    from ovsr_ros.recordings.labelling import label_bag

    outcomes = []
    for number, job in enumerate(jobs, start=1):
        with Progress(Path(job.bag).name, number, len(jobs)) as progress:
            outcomes.append(label_bag(job, progress.tell))
    return outcomes


def _label_on_cluster(jobs: Sequence[LabelJob], arguments: argparse.Namespace) -> list[Outcome]:
    from ovsr_ros.recordings.cluster import Crew, label_bags

    on_gpu = False if arguments.device == "cpu" else None
    crew = Crew(arguments.workers, arguments.worker_cpus, on_gpu)
    # What Ray has to say of its workers it prints, and not always where errors go.
    with Progress("cluster", 1, 1) as progress, contextlib.redirect_stdout(sys.stderr):
        return label_bags(jobs, arguments.ray, crew, lambda done: progress.tell("bags", done, len(jobs)))


def _load_settings(arguments: argparse.Namespace, find_models: bool) -> Settings:
    """The chosen settings. find_models: raise ModelNotFoundError where a model is missing, before any bag is read."""
    settings = load_chosen_settings(arguments, device=arguments.device)
    if find_models:
        from ovsr_ros.models.weights import resolve
        from ovsr_ros.settings import models_of

        for kind, name in models_of(settings.pipeline).values():
            resolve(name, kind, settings.pipeline.allow_download)
    return settings


def run_relabel(arguments: argparse.Namespace) -> int:
    """Label what is kept by other words; exit codes as of label."""
    from ovsr_ros.recordings.labelling import relabel_bag
    from ovsr_ros.recordings.labels import write_json
    from ovsr_ros.recordings.search import find_folders

    ids, overrides = read_ids(arguments.ids), parse_overrides(arguments.set)
    root = _local(arguments.folder)
    folders = find_folders(root)
    outcomes = []
    for number, folder in enumerate(folders, start=1):
        out = None if arguments.out is None else arguments.out / folder.name
        with Progress(folder.name, number, len(folders)) as progress:
            words = tuple(arguments.categories)
            outcomes.append(relabel_bag(folder, words, ids, overrides, _wanted(arguments), out, progress.tell))
    summary = print_summary(outcomes, as_json=arguments.json)
    write_json((arguments.out or root) / SUMMARY, summary)
    return exit_code(outcomes)


def run_find(arguments: argparse.Namespace) -> int:
    """Print the hits, the best first; 1 where a clip or thumbnail could not be made."""
    from ovsr_ros.cli.segment import read_image
    from ovsr_ros.recordings.search import Query, find, find_folders

    *words, folder = arguments.what
    if bool(words) == bool(arguments.like):
        raise ConfigError('expected words and a folder ("red bucket" DIR), or --like IMAGE and a folder')
    if arguments.limit < 1:
        raise ConfigError(f"--limit: expected 1 or more, got {arguments.limit}")
    query = Query(image=read_image(arguments.like)) if arguments.like else Query(" ".join(words))
    hits = find(find_folders(_local(folder)), query, arguments.limit, arguments.min_score)
    print_hits(hits, as_json=arguments.json)
    problems = _write_sheet(hits, arguments.sheet) if arguments.sheet else []
    problems += _cut_clips(hits, arguments.clip, arguments.seconds) if arguments.clip else []
    return 1 if print_problems(problems) else 0


def _local(folder: str) -> Path:
    """Raises ConfigError for a URL."""
    from ovsr_ros.recordings.storage import is_url, to_place

    if is_url(folder):
        raise ConfigError(f"{folder}: expected a folder on this machine; fetch what label has written, or mount it")
    return Path(to_place(folder))


def print_problems(problems: Sequence[str]) -> bool:
    """Whether there are any; each is a line on the standard error."""
    for problem in problems:
        print(f"ovsr: {problem}", file=sys.stderr)
    return bool(problems)


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


def _wanted(arguments: argparse.Namespace) -> tuple[str, ...]:
    return tuple(name for name in _WANTED if getattr(arguments, name))


def _write_sheet(hits: Sequence[Hit], path: Path) -> list[str]:
    from ovsr_ros.recordings.thumbnails import draw_hits

    try:
        return draw_hits(hits, path)
    except OSError as error:
        raise ConfigError(f"--sheet {path}: cannot be written: {error.strerror or error}") from error


def _cut_clips(hits: Sequence[Hit], folder: Path, seconds: float) -> list[str]:
    from ovsr_ros.errors import RecordingError
    from ovsr_ros.recordings.clips import cut_clip
    from ovsr_ros.recordings.record import read_record

    problems = []
    for number, hit in enumerate(hits, start=1):
        try:
            cut_clip(hit, read_record(Path(hit.folder)), folder / f"hit_{number}", seconds)
        except RecordingError as error:
            problems.append(f"no clip of hit {number}: {error}")
        except OSError as error:
            raise ConfigError(f"--clip {folder}: cannot be written: {error.strerror or error}") from error
    return problems
