"""The node with Trident's real architectures, weights drawn from a seed: start, memory, seconds a frame at 640x480.

python bench/trident_node.py           in `make shell`, minutes; writes bench/results/trident_node.json
python bench/tables.py                 writes its table into docs/performance.md
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import common
import numpy as np
from node_scene import model_parameters, running

from ovsr_ros.benchmark.frames import random_weights
from ovsr_ros.benchmark.timing import Spread

WAIT_S = 900.0
FRAMES = 3
ROWS = (("auto", "sam"), ("auto", "none"), ("fp32", "sam"))
"""Precision, and trident.masks.method."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the result."""
    parser = common.parser(__doc__ or "", "trident_node")
    parser.add_argument("--rows", type=int, default=len(ROWS), help="the first so many of the rows (all)")
    given = parser.parse_args(arguments)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    body = {"trident": measure(given.device, given.rows)}
    common.write(given.output, "trident_node", given.device, body, arguments)
    return 0


def measure(device: str, count: int) -> list[dict[str, Any]]:
    """Start to active, memory, and seconds a frame of the node with Trident's real architectures, at 640x480."""
    rows = []
    with random_weights(common.preset("trident", device)) as options:
        # With weights that know nothing: regions enough to prompt SAM with.
        node = {**model_parameters(options), "trident.masks.coarse_threshold": 0.0, "trident.masks.iou_threshold": 0.0}
        for precision, method in ROWS[:count]:
            common.say(f"trident_node: precision {precision}, masks {method}")
            chosen = {**node, "precision": precision, "trident.masks.method": method, "rate_hz": 30.0}
            begin = time.monotonic()
            with running(device, "trident", chosen, camera={"size": "640x480", "rate_hz": 5.0}) as scene:
                label_maps = scene.observe("label_map")
                scene.wait(scene.is_active, "the node to be active", WAIT_S)
                start_s = time.monotonic() - begin
                started_mb = scene.memory_mb("VmRSS")
                scene.wait(lambda seen=label_maps: len(seen) > 1, "two label maps", WAIT_S)
                cpu, first = scene.cpu_s(), len(label_maps)
                scene.wait(lambda seen=label_maps, first=first: len(seen) >= first + FRAMES, "label maps", WAIT_S)
                cpu_s = (scene.cpu_s() - cpu) / (len(label_maps) - first)
                seconds = np.diff(label_maps[first - 1 :])
                rows.append(
                    {
                        "precision": precision,
                        "method": method,
                        "start_s": round(start_s, 1),
                        "started_mb": started_mb,
                        "peak_mb": scene.memory_mb("VmHWM"),
                        "frame_s": Spread.of(seconds.tolist()).to_dict(),
                        "frame_cpu_s": round(cpu_s, 2),
                        "frames": len(seconds),
                    }
                )
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
