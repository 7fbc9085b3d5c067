"""Many bags on a Ray cluster of three nodes whose workers, nodes and driver are killed: each is labelled once, alike.

    python bench/cluster.py [--bags 24] [--kills 6]

A head and two nodes on this machine, with a worker of one core each; bags of 5 to 90 small images of rooms. While they
are labelled, workers are killed one after another, a node is cut off, and halfway the driver is killed and started
again, with a new node where one is gone by then. One more bag kills whoever takes it. In the end every other bag is
labelled as by one process, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "support"))
from ray_cluster import (
    Cluster,
    Meanwhile,
    add_node,
    contents,
    is_done,
    options_for,
    remove_node_of,
    three_nodes,
    wait_for,
    worker_of,
)
from room_bags import images_of, room_images, write_ros2

from ovsr_ros.recordings.table import FrameTable

OPTIONS = ["--config", "demo", "--set", "text.cache_directory=none", "--device", "cpu", "--chunk", "4"]
WORDS = ["--categories", "wall", "floor", "ball"]
COMMAND = [sys.executable, "-c", "import sys; from ovsr_ros.cli import main; sys.exit(main(sys.argv[1:]))"]
POISON = "poison"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, and print what happened as JSON; 1 where a bag is not as it should be."""
    parser = argparse.ArgumentParser(prog="bench/cluster.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bags", type=int, default=24)
    parser.add_argument("--kills", type=int, default=6, help="of workers")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, three_nodes() as cluster:
        report = Run(Path(folder), cluster, given.bags, given.kills, random.Random(given.seed)).run()
    print(json.dumps(report, indent=2))
    return 0 if report["labelled as by one process"] == given.bags and report["given up"] == [POISON] else 1


class Run:
    """The bags, what is done to their cluster, and what came of it."""

    def __init__(self, root: Path, cluster: Cluster, num_bags: int, num_kills: int, rng: random.Random) -> None:
        self._cluster, self._rng, self._num_kills = cluster, rng, num_kills
        self._alone, self._out = root / "alone", root / "out"
        counts = [rng.randint(5, 90) for _ in range(num_bags)]
        self._counts = {f"bag{number:02}": count for number, count in enumerate(counts)}
        seeds = range(40, 40 + num_bags)
        self._bags = [
            write_ros2(root / "bags" / name, images_of(room_images(count, (160, 120), seed=seed)))
            for (name, count), seed in zip(self._counts.items(), seeds, strict=True)
        ]
        self._poison = write_ros2(root / "bags" / POISON, images_of(room_images(60, (160, 120), seed=39)))
        self._killed: list[int] = []
        self._over = False

    def run(self) -> dict[str, object]:
        began = time.monotonic()
        assert self._label(self._bags, self._alone, []).wait() == 0
        alone_s, began = time.monotonic() - began, time.monotonic()
        poisoner, killer = Meanwhile(self._kill_who_takes_the_poison), Meanwhile(self._kill_workers)
        driver = self._label([self._poison, *self._bags], self._out, options_for(self._cluster))
        half = len(self._bags) // 2
        wait_for(lambda: self._num_done() >= half or driver.poll() is not None, "half of the bags")
        done_before = self._num_done()
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        if len(self._cluster.worker_nodes) < 2:
            add_node(self._cluster)
        code = self._label([self._poison, *self._bags], self._out, options_for(self._cluster)).wait()
        self._over = True
        poisoner.end()
        killer.end()
        summary = json.loads((self._out / "summary.json").read_text())
        states = {Path(each["bag"]).name: each["state"] for each in summary["bags"]}
        same = [name for name in self._counts if contents(self._out / name) == contents(self._alone / name)]
        return {
            "bags": len(self._bags),
            "images": sum(self._counts.values()),
            "done when the driver was killed": done_before,
            "workers killed": len(self._killed),
            "exit code": code,
            "given up": [name for name, state in states.items() if state == "given up"],
            "labelled as by one process": sum(self._is_whole(name) for name in same),
            "s of one process": round(alone_s, 1),
            "s of the cluster": round(time.monotonic() - began, 1),
        }

    def _label(self, bags: list[Path], out: Path, options: list[str]) -> subprocess.Popen[bytes]:
        arguments = ["bags", "label", *map(str, bags), "--out", str(out), *OPTIONS, *WORDS, *options]
        return subprocess.Popen([*COMMAND, *arguments], start_new_session=True, stdout=subprocess.DEVNULL)

    def _num_done(self) -> int:
        return sum(is_done(self._out / name) for name in self._counts)

    def _is_whole(self, name: str) -> bool:
        with FrameTable(self._out / name / "frames.parquet") as table:
            return len({row.stamp_ns for row in table.rows()}) == len(table) == self._counts[name]

    def _kill_who_takes_the_poison(self) -> None:
        killed = 0
        while not self._over:
            pid = worker_of(self._out / POISON)
            if pid and pid != killed:
                os.kill(pid, signal.SIGKILL)
                killed = pid
                self._killed.append(pid)
            time.sleep(0.005)

    def _kill_workers(self) -> None:
        """One after another, each of another bag, and in the middle a node with its worker."""
        names = self._rng.sample(sorted(self._counts), self._num_kills)
        for number, name in enumerate(names):
            while not (pid := worker_of(self._out / name)) and not self._over and not is_done(self._out / name):
                time.sleep(0.005)
            if not pid or pid in self._killed:
                continue
            if number == (self._num_kills - 1) // 2:
                remove_node_of(self._cluster, pid)
            else:
                os.kill(pid, signal.SIGKILL)
            self._killed.append(pid)


if __name__ == "__main__":
    sys.exit(main())
