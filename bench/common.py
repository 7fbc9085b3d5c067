"""What the benchmarks of this folder share: where results go, what they carry, which configurations are measured."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before OpenMP starts

import torch
from sections import DEMO, REAL

from ovsr_ros.backends.ovsr.backend import OvsrBackend, load
from ovsr_ros.benchmark.frames import CATEGORIES
from ovsr_ros.benchmark.record import origin, shown_model
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import PipelineOptions, backend_options, load_settings
from ovsr_ros.vocabulary.category import Operation, parse_category

RESULTS = Path(__file__).parent / "results"
EMBEDDED = {"features.model": "demo", "clip.model": "demo"}
NAMES = {"real": REAL, "demo": DEMO, "pocket": "pocket"}
"""Of the scripts' choice of models, what results name it by."""


def parser(description: str, result: str) -> argparse.ArgumentParser:
    """A script's arguments: --output, --device; result: the name of its file."""
    made = argparse.ArgumentParser(prog=f"bench/{result}.py", description=description.partition("\n")[0])
    made.add_argument("--output", type=Path, default=RESULTS / f"{result}.json", help="file to write")
    made.add_argument("--device", default="auto", help="auto, cpu or cuda:N (auto)")
    return made


def preset(config: str, device: str, **changes: object) -> PipelineOptions:
    """A preset's pipeline options on a device, with changes by dotted name (dots written as two underscores)."""
    overrides = {name.replace("__", "."): value for name, value in changes.items()}
    return load_settings(config, {"device": device, "text.cache_directory": "none", **overrides}).pipeline


def make_pipeline(options: PipelineOptions, categories: Sequence[str] = CATEGORIES) -> Pipeline:
    """A pipeline, loaded, that looks for the categories."""
    pipeline = Pipeline(options)
    pipeline.set_vocabulary(Operation.REPLACE, [parse_category(name) for name in categories])
    return pipeline


def make_backend(options: PipelineOptions, device: torch.device) -> OvsrBackend:
    """What a pipeline of these options runs on; it shares the networks of one that is there."""
    return load(backend_options(options), device, options.precision, False)


def write(path: Path, name: str, device: str, body: dict[str, Any], arguments: Sequence[str] | None = None) -> None:
    """Write a script's result with where it comes from; arguments: as given, None for the process's own."""
    result = {
        "benchmark": name,
        **origin(shown_command(f"bench/{name}.py", sys.argv[1:] if arguments is None else arguments), device),
        "load_average": round(os.getloadavg()[0], 2),
        **body,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path.name}", flush=True)


def shown_command(script: str, arguments: Sequence[str]) -> str:
    """The command without this machine's folders, and without where the result went."""
    words = list(arguments)
    while "--output" in words:
        at = words.index("--output")
        del words[at : at + 2]
    return " ".join(["python", script, *(shown_model(word) for word in words)])


def say(text: str) -> None:
    """Tell what is going on."""
    print(text, flush=True)
