"""Ward's and average linkage: ours against SciPy's, fastcluster's and PyTorch's, in one run, interleaved.

    python bench/clustering.py             writes bench/results/clustering.json
    python bench/tables.py                 writes its table into docs/performance.md

fastcluster comes with the extra `bench`; without it its column says so. Ratios are SciPy's time over another's in the
same round, so that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before OpenMP starts

import numpy as np
import torch
from scipy.cluster import hierarchy
from scipy.ndimage import gaussian_filter

from ovsr_ros.benchmark.record import package_versions
from ovsr_ros.benchmark.timing import Spread
from ovsr_ros.evaluation import provenance
from ovsr_ros.ops import native
from ovsr_ros.ops.ward_rounds import ward_rounds

RESULTS = Path(__file__).parent / "results"
# linkage, points, dimensions, data, rounds
CASES = (
    ("ward", 1000, 8, "smooth", 15),
    ("ward", 1000, 16, "smooth", 15),
    ("ward", 1000, 64, "smooth", 15),
    ("ward", 5504, 8, "smooth", 7),
    ("ward", 5504, 16, "smooth", 7),
    ("ward", 5504, 64, "smooth", 7),
    ("ward", 5504, 8, "random", 7),
    ("ward", 5504, 16, "random", 7),
    ("ward", 5504, 64, "random", 7),
    ("ward", 20000, 16, "smooth", 3),
    ("average", 3072, 16, "smooth", 15),
    ("average", 5504, 16, "smooth", 7),
    ("average", 3072, 16, "random", 15),
)
GRIDS = {1000: (25, 40), 3072: (48, 64), 5504: (64, 86), 20000: (125, 160)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=RESULTS / "clustering.json")
    parser.add_argument("--most-points", type=int, default=20000, help="leave larger cases out")
    parser.add_argument("--rounds", type=int, help="of every case")
    arguments = parser.parse_args()
    rows = []
    for method, num_points, dims, data, rounds in CASES:
        if num_points <= arguments.most_points:
            rows.append(measure(method, num_points, dims, data, arguments.rounds or rounds))
            print(json.dumps(rows[-1]["ratios"]), flush=True)
    result = {
        "benchmark": "clustering",
        "command": "python bench/clustering.py",
        "commit": provenance.commit(),
        "machine": provenance.machine("cpu"),
        "versions": package_versions("numpy", "scipy", "fastcluster", "torch"),
        "load_average": round(os.getloadavg()[0], 2),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "rows": rows,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure(method: str, num_points: int, dims: int, data: str, rounds: int) -> dict[str, Any]:
    """Times of every way in milliseconds and SciPy's time over each, medians and quartiles over the rounds."""
    points = make_points(num_points, dims, data)
    ways = ways_to_cluster(points, method)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in ways.items():
        if num_points <= 5504 or name != "scipy":
            way()  # warm-up
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    scipy_seconds = np.array(seconds["scipy"])
    return {
        "linkage": method,
        "points": num_points,
        "dims": dims,
        "data": data,
        "rounds": rounds,
        "milliseconds": {name: Spread.of(1e3 * np.array(values)).to_dict() for name, values in seconds.items()},
        "ratios": {name: Spread.of(scipy_seconds / np.array(values)).to_dict() for name, values in seconds.items()},
    }


def ways_to_cluster(points: np.ndarray, method: str) -> dict[str, Callable[[], object]]:
    """From float64 points on the host to a tree on the host."""
    tensor = torch.from_numpy(points)
    ways: dict[str, Callable[[], object]] = {"scipy": lambda: hierarchy.linkage(points, method)}
    try:
        import fastcluster  # the extra `bench`
    except ImportError:
        pass
    else:
        linkage = fastcluster.linkage_vector if method == "ward" else fastcluster.linkage
        ways["fastcluster"] = lambda: linkage(points, method)
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    if method == "ward":
        ways["pytorch"] = lambda: ward_rounds(tensor)
    library = native.load()
    if library is None:
        raise SystemExit("the package was not built: run `make setup`, then `make shell`")
    ways["ours_1"] = lambda: native.linkage(library, method, points, 1)
    ways["ours_2"] = lambda: native.linkage(library, method, points, 2)
    if method == "ward" and torch.cuda.is_available():
        on_gpu = tensor.cuda()
        ways["gpu"] = lambda: ward_rounds(on_gpu)
    return ways


def make_points(num_points: int, dims: int, data: str) -> np.ndarray:
    """random: independent normal numbers, the hardest there is. smooth: as an image's latents, later ones weaker."""
    rng = np.random.default_rng(0)
    if data == "random":
        return rng.normal(size=(num_points, dims)).astype(np.float32).astype(np.float64)
    maps = [gaussian_filter(rng.normal(size=GRIDS[num_points]), rng.uniform(1, 4)) for _ in range(dims)]
    points = np.stack([one / one.std() for one in maps], -1).reshape(num_points, dims) * np.linspace(1, 0.2, dims)
    return points.astype(np.float32).astype(np.float64)


if __name__ == "__main__":
    main()
