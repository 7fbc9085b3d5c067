"""Every benchmark, one after another, then the tables: what `make bench` runs.

    python bench/run.py                    about 20 minutes on two cores
    python bench/run.py frame ros          these alone

A part that fails says so, and the others go on; the exit code is then 1. Results of parts that failed stay as they
were. Each part's own messages go to bench/results/PART.log.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS: dict[str, list[str]] = {
    "clustering": [],
    "frame": [],
    "stream": [],
    "growth": [],
    "memory": [],
    "ros": [],
}
"""Scripts of this folder and their arguments; soak.py, trident.py and trident_node.py take long: run by themselves."""
TIMEOUT_S = 1800.0
SHOWN_LINES = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; 0 when all of them, and the tables, were made."""
    parser = argparse.ArgumentParser(prog="bench/run.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which of {', '.join(PARTS)} (all)")
    given = parser.parse_args(arguments)
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; expected some of {', '.join(PARTS)}")
    parts = given.parts or list(PARTS)
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy already (load {load:.1f}): times will be too long, ratios uncertain", flush=True)
    failed = [part for part in parts if not run_part(part, PARTS[part])]
    failed += [] if run_part("tables", []) else ["tables"]
    if failed:
        print(f"failed: {', '.join(failed)}; their logs are in bench/results/", flush=True)
        return 1
    print("all parts done; see docs/performance.md", flush=True)
    return 0


def run_part(part: str, arguments: Sequence[str]) -> bool:
    """Run a script of this folder in a process of its own; whether it succeeded."""
    log = HERE / "results" / f"{part}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"{part} ...", flush=True)
    begin = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, str(HERE / f"{part}.py"), *arguments],
            cwd=HERE.parent,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            code: int | str = process.wait(TIMEOUT_S)
        except BaseException as error:
            process.terminate()
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            code = f"stopped after {TIMEOUT_S:g} s"
    taken = f"{time.monotonic() - begin:.0f} s"
    if code == 0:
        print(f"{part}: done in {taken}", flush=True)
        return True
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:]
    print(f"{part}: FAILED ({code}) after {taken}:", *said, sep="\n  ", flush=True)
    return False


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no child outlives it
    sys.exit(main())
