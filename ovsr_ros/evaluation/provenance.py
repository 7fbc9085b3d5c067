"""What a figure must carry so that it can be repeated: command, code, machine, weights."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ovsr_ros import __version__
from ovsr_ros.models.device import resolve_device
from ovsr_ros.models.weights import resolve
from ovsr_ros.settings import PipelineOptions, models_of, values_in_use

PACKAGE = Path(__file__).parent.parent


def everything(options: PipelineOptions, before_words: bool = False) -> dict[str, Any]:
    """Command, commit, version, machine, weights and options, as plain values: what every published figure carries.

    before_words: of the stages before words alone.
    """
    flat = values_in_use(options, before_words)
    return {
        "command": command_line(),
        "commit": commit(),
        "version": __version__,
        "machine": machine(options.device),
        "weights": weights_of(options, before_words),
        "options": {key: list(value) if isinstance(value, tuple) else value for key, value in flat.items()},
    }


def weights_of(options: PipelineOptions, before_words: bool = False) -> dict[str, dict[str, str]]:
    """Name and SHA-256 of each model that a configuration uses, by its section; nothing is loaded.

    before_words: of the stages before words alone.

    Raises ModelError when one is not on this machine and may not be fetched.
    """
    models = models_of(options, before_words)
    found = {section: resolve(name, kind, options.allow_download) for section, (kind, name) in models.items()}
    return {section: {"model": model.name, "sha256": model.checksum} for section, model in found.items()}


def command_line() -> str:
    """The command as it was typed."""
    return " ".join(["ovsr", *sys.argv[1:]])


def commit() -> str:
    """The checkout's commit, with "+changes" when this package's files differ from it; "unknown" outside a checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=PACKAGE, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "."],
            cwd=PACKAGE,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found + ("+changes" if changed else "")


@lru_cache(maxsize=1)
def source_checksum() -> str:
    """SHA-256 over this package's source files: other code, another checksum, committed or not."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def machine(device: str) -> dict[str, Any]:
    """Processor, cores, GPU where one is used, and the versions that figures may depend on. device: as the option."""
    used = resolve_device(device)
    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": str(used),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if used.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(used)
    return facts


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()
