"""`ovsr evaluate`: a configuration's figures on a data set, as a table and as JSON."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from ovsr_ros import __version__
from ovsr_ros.config import to_flat_dict
from ovsr_ros.demo.scenes import CATEGORIES, SPLITS
from ovsr_ros.evaluation.protocols import CategoryScores, Judged, TopOne, judge, score_categories, score_objects
from ovsr_ros.evaluation.scenes_data import NUM_DISTRACTORS, Sample, category_samples, held_out_samples
from ovsr_ros.pipeline import Pipeline, Settings, load_settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

CAVEAT = "Figures on rendered demo scenes say nothing about COCO, ADE20K or any photograph."


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evaluate`."""
    parser = subparsers.add_parser("evaluate", help="measure a configuration on a data set")
    parser.add_argument("--dataset", choices=("scenes",), default="scenes", help="scenes: the rendered demo scenes")
    parser.add_argument("--split", choices=tuple(SPLITS), default="val")
    parser.add_argument("--config", default="demo", help="preset or YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one option")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--limit", type=int, default=200, help="images (default 200)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print a table, write JSON."""
    from ovsr_ros.options_text import parse_overrides

    overrides: dict[str, object] = parse_overrides(arguments.set)
    if arguments.device:
        overrides["device"] = arguments.device
    settings = load_settings(arguments.config, overrides)
    started = time.monotonic()
    pipeline = Pipeline(settings.pipeline)
    samples = category_samples(arguments.split, arguments.limit)
    categories = score_categories(_judge_all(pipeline, samples, arguments.limit, "categories"), len(CATEGORIES))
    held_out = None
    if arguments.split == "test":
        count = max(arguments.limit // 2, 1)
        held_out = score_objects(_judge_all(pipeline, held_out_samples(count), count, "held out"))
    report = _report(arguments, settings, categories, held_out, time.monotonic() - started)
    print(_table(report))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"wrote {arguments.json}")
    return 0


def _judge_all(pipeline: Pipeline, samples: Iterable[Sample], count: int, label: str) -> Iterator[Judged]:
    for sample in tqdm(samples, total=count, desc=label, unit="image", file=sys.stderr):
        yield judge(pipeline, sample)


def _report(
    arguments: argparse.Namespace,
    settings: Settings,
    categories: CategoryScores,
    held_out: TopOne | None,
    seconds: float,
) -> dict[str, Any]:
    labelled, hungarian = categories.labelled.summary(), categories.hungarian.summary()
    report: dict[str, Any] = {
        "dataset": arguments.dataset,
        "split": arguments.split,
        "images": categories.num_images,
        "distractors": NUM_DISTRACTORS,
        "miou": labelled["miou"],
        "hungarian_miou": hungarian["miou"],
        "labelled": labelled,
        "hungarian": hungarian,
        "per_class": {
            name: {"iou": _number(a), "hungarian_iou": _number(b)}
            for name, a, b in zip(CATEGORIES, categories.labelled.iou(), categories.hungarian.iou(), strict=True)
        },
        "mean_segments": categories.mean_segments,
    }
    if held_out is not None:
        report["held_out"] = {
            "top1": held_out.accuracy,
            "objects": held_out.num_objects,
            "objects_with_a_fitting_segment": held_out.num_found,
        }
    report |= {
        "note": CAVEAT,
        "command": " ".join(["ovsr", *sys.argv[1:]]),
        "commit": _commit(),
        "version": __version__,
        "machine": {"processor": platform.processor() or platform.machine(), "python": platform.python_version()},
        "options": {key: _plain(value) for key, value in to_flat_dict(settings.pipeline).items()},
        "seconds": round(seconds, 1),
    }
    return report


def _table(report: dict[str, Any]) -> str:
    rows = [
        "| class | IoU | Hungarian IoU |",
        "|---|---|---|",
        *(
            f"| {name} | {_share(values['iou'])} | {_share(values['hungarian_iou'])} |"
            for name, values in report["per_class"].items()
        ),
        "",
        f"{report['dataset']} {report['split']}, {report['images']} images, "
        f"each scene's categories and {report['distractors']} distractors",
        f"mIoU {report['miou']:.3f}   Hungarian mIoU {report['hungarian_miou']:.3f}   "
        f"pixel accuracy {report['labelled']['pixel_accuracy']:.3f}   segments per image {report['mean_segments']:.1f}",
    ]
    if "held_out" in report:
        held_out = report["held_out"]
        rows.append(f"held-out combinations: top-1 {held_out['top1']:.3f} over {held_out['objects']} objects")
    rows.append(report["note"])
    return "\n".join(rows)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _commit() -> str:
    """The checkout's commit, with "+changes" when files differ from it; "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+changes" if changed else "")
