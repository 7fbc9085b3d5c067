"""`ovsr bags`: label recordings as files, label them again by other words, find things in them."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ovsr_ros.cli.bags_find import add_find
from ovsr_ros.cli.bags_output import Progress, exit_code, print_summary
from ovsr_ros.cli.bags_places import add_scratch, scratch_of, write_summary
from ovsr_ros.cli.bags_relabel import add_relabel
from ovsr_ros.cli.bags_words import Words, add_words, read_words, wanted
from ovsr_ros.cli.config_arguments import add_config_arguments, load_chosen_settings, with_default_preset
from ovsr_ros.errors import ConfigError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from ovsr_ros.recordings.job import LabelJob, Outcome
    from ovsr_ros.settings import Settings


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bags` and its commands."""
    parser = subparsers.add_parser("bags", help="label recordings, label them again, find things in them")
    commands = parser.add_subparsers(dest="bags_command", required=True, metavar="COMMAND")
    _add_label(commands)
    add_relabel(commands)
    add_find(commands)


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
    add_words(parser)
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder to write to, or a URL such as s3://bucket/labels"
    )
    add_scratch(parser, "bags and labels of URLs lie")
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


def run_label(arguments: argparse.Namespace) -> int:
    """Label each bag. 1 where one could not be labelled, 3 where something could not be read or was left out."""
    words = read_words(arguments)  # a file that cannot be used is told before the seconds that torch takes
    by_default = arguments.config is None
    settings, remark = with_default_preset(arguments, lambda: _load_settings(arguments, by_default))
    if remark:
        print(f"ovsr: {remark}", file=sys.stderr)
    if not (words.categories or words.ids or words.vocabulary):
        words = Words(tuple(settings.node.categories))
    jobs = _jobs(arguments, settings, words)
    outcomes = _label(jobs) if arguments.ray is None else _label_on_cluster(jobs, arguments)
    summary = print_summary(outcomes, as_json=arguments.json)
    write_summary(arguments.out, summary)
    return exit_code(outcomes)


def _jobs(arguments: argparse.Namespace, settings: Settings, words: Words) -> list[LabelJob]:
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
            categories=words.categories,
            ids=words.ids,
            vocabulary=words.vocabulary,
            topic=arguments.topic,
            depth=arguments.depth,
            camera_info=arguments.camera_info,
            rate_hz=arguments.rate,
            every=arguments.every,
            wanted=wanted(arguments),
            chunk_s=arguments.chunk,
            scratch=scratch_of(arguments),
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
