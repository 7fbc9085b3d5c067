"""Peak memory of each preset, and of the reference: a process each, so that each peak is its own.

python bench/memory.py                 writes bench/results/memory.json
python bench/tables.py                 writes its table into docs/performance.md
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import common
import torch

from ovsr_ros.benchmark.frames import CATEGORIES, random_weights
from ovsr_ros.benchmark.rooms import parse_size, render_scenes
from ovsr_ros.models.device import resolve_device
from ovsr_ros.models.memory import PeakMemory

REFERENCE = "reference"
PRESETS = ("demo", "ovsr", "faithful", "fast_cpu", REFERENCE)
TIMEOUT_S = 300.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the result."""
    parser = common.parser(__doc__ or "", "memory")
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=PRESETS)
    parser.add_argument("--sizes", nargs="+", default=["640x480", "1920x1080"])
    parser.add_argument("--repeats", type=int, default=2, help="frames of each (2)")
    parser.add_argument("--child", action="store_true", help="measure the reference in this process, print JSON")
    given = parser.parse_args(arguments)
    if given.child:
        print(json.dumps(measure_reference(given.sizes[0], given.repeats, given.device)))
        return 0
    rows = []
    for preset in given.presets:
        for size in given.sizes:
            common.say(f"memory: {preset}, {size}")
            rows.append({"preset": preset, "size": size, **run(command(preset, size, given))})
    common.write(given.output, "memory", given.device, {"rows": rows}, arguments)
    return 0


def command(preset: str, size: str, given: Any) -> list[str]:
    ending = ["--repeats", str(given.repeats), "--device", given.device]
    if preset == REFERENCE:
        return [sys.executable, __file__, "--child", "--sizes", size, *ending]
    ours = ["-m", "ovsr_ros.cli", "bench", "--config", preset, "--random-weights", "--size", size, "--json", "-"]
    if preset == "fast_cpu":  # names its device itself
        ending = ending[:2]
    return [sys.executable, *ours, *ending, "--set", "text.cache_directory=none"]


def run(words: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[1:5])}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    report = json.loads(done.stdout.splitlines()[-1] if "--child" in words else done.stdout)
    memory = report["memory_mib"]
    return {"process_peak_mib": memory["process_peak"], "device_peak_mib": memory["device_peak"]}


def measure_reference(size: str, repeats: int, device: str) -> dict[str, Any]:
    from reference import Reference

    images = render_scenes(parse_size(size))
    used = torch.device(resolve_device(device))
    with random_weights(common.preset("ovsr", device)) as options:
        reference = Reference(options.features.model, options.clip.model, list(CATEGORIES), used)
    reference.segment(images[0])
    with PeakMemory(used) as peak:
        for turn in range(repeats):
            reference.segment(images[turn % len(images)])
    return {"memory_mib": {"process_peak": round(peak.process_mib, 1), "device_peak": round(peak.device_mib, 1)}}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no child outlives it
    raise SystemExit(main())
