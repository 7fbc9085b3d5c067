"""A measurement with all that it must carry, as plain values and as text."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import Any

import torch

from ovsr_ros import __version__
from ovsr_ros.evaluation import provenance
from ovsr_ros.settings import PipelineOptions, models_of, values_in_use

PACKAGES = ("numpy", "scipy", "torch", "timm", "open_clip_torch")


def origin(command: str, device: str, packages: tuple[str, ...] = PACKAGES) -> dict[str, Any]:
    """Command, commit, machine and versions: what every figure carries. device: as the option."""
    used = provenance.machine(device)
    return {
        "command": command,
        "commit": provenance.commit(),
        "version": __version__,
        "machine": {**used, "threads": torch.get_num_threads()},
        "versions": package_versions(*packages),
        "gpu": used.get("gpu"),
    }


def configuration(options: PipelineOptions) -> dict[str, Any]:
    """Weights' checksums and the options that the backend has, without the path of any file: that is this machine's."""
    flat = values_in_use(options)
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in flat.items()}
    for section, (_, name) in models_of(options).items():
        values[f"{section}.model"] = shown_model(name)
    weights = provenance.weights_of(options)
    return {
        "weights": {name: {**model, "model": shown_model(model["model"])} for name, model in weights.items()},
        "options": values,
    }


def shown_model(name: str) -> str:
    """A model's name without the folders of its file."""
    architecture, at, file = name.partition("@")
    if at:
        return f"{architecture}@{Path(file).name}"
    return Path(name).name if Path(name).expanduser().exists() else name


def package_versions(*names: str) -> dict[str, str | None]:
    """Versions of Python and of installed packages; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def to_text(report: dict[str, Any]) -> str:
    """The report of `ovsr bench`, for a terminal."""
    machine, memory = report["machine"], report["memory_mib"]
    whole = report["milliseconds"]
    hardware = machine.get("gpu", machine["processor"])
    lines = [
        f"{report['config']}, {report['image_wh'][0]}x{report['image_wh'][1]}, {report['images']}, "
        f"{report['repeats']} frames after {report['warm_up']} to warm up",
        f"{hardware}, {machine['cores']} cores, {machine['threads']} threads, {machine['device']}, "
        f"load {report['load_average']:g}; torch {machine['torch']}, Python {machine['python']}",
        f"commit {report['commit']}",
        *(f"{name}: {model['model']}, sha256 {model['sha256'][:12]}" for name, model in report["weights"].items()),
        "",
        f"{'stage':14} {'median':>9} {'quartiles':>19}   share",
    ]
    middle = max(whole["median"], 1e-9)
    rows = {**report["stages_ms"], "whole frame": whole}
    for name, spread in rows.items():
        quartiles = f"{spread['low']:.1f} - {spread['high']:.1f}"
        share = spread["median"] / middle
        lines.append(f"{name:14} {spread['median']:6.1f} ms {quartiles:>16} ms {share:7.0%}")
    lines += [
        "",
        f"{1e3 / middle:.1f} frames per second, {report['segments']['median']:g} segments; loading took "
        f"{report['load_s']:.1f} s, the first frame {report['first_frame_ms']:.0f} ms",
        f"memory: {memory['process_peak']:.0f} MiB resident at most"
        + (f", {memory['device_peak']:.0f} MiB on the GPU" if memory["device_peak"] else ""),
    ]
    return "\n".join(lines)
