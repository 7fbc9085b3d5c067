"""A Ray cluster of three nodes on this machine, and what labels bags there: workers, nodes and drivers to be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # these two before Ray is imported
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # without such a cluster, Ray's addresses are the loopback's
from ray.cluster_utils import Cluster

from ovsr_ros.recordings.record import read_record_or_none

PATIENCE_S = 300
_NODE = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20, "include_dashboard": False}


@contextlib.contextmanager
def three_nodes() -> Iterator[Cluster]:
    """A head without room for workers, and two nodes with room for one each; nothing of it is left."""
    cluster = Cluster(initialize_head=True, head_node_args={**_NODE, "num_cpus": 0})
    try:
        for _ in range(2):
            add_node(cluster)
        yield cluster
    finally:
        session = cluster.head_node.get_session_dir_path()
        cluster.shutdown()
        shutil.rmtree(session, ignore_errors=True)


def add_node(cluster: Cluster) -> None:
    """Another one with room for one worker."""
    cluster.add_node(num_cpus=1, **_NODE)


def remove_node_of(cluster: Cluster, pid: int) -> None:
    """The node whose worker this process is goes, as if its power were cut."""
    nodes = {node.all_processes["raylet"][0].process.pid: node for node in cluster.worker_nodes}
    cluster.remove_node(nodes[_parent_of(pid)], allow_graceful=False)


def options_for(cluster: Cluster) -> list[str]:
    """Of `ovsr bags label`."""
    return ["--ray", cluster.address, "--worker-cpus", "1"]


def contents(folder: Path) -> dict[str, bytes]:
    """A labelled bag's files but the one that says where and when."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "recording.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def is_done(folder: Path) -> bool:
    record = read_record_or_none(folder)
    return record is not None and record["state"] == "done"


def wait_for(find: Callable[[], object], what: str) -> object:
    until = time.monotonic() + PATIENCE_S
    while not (found := find()):
        assert time.monotonic() < until, f"no {what} within {PATIENCE_S} s"
        time.sleep(0.005)
    return found


def worker_of(folder: Path) -> int:
    """The process that works on a bag, once it has found a frame; 0: none."""
    try:
        pid = int((folder / ".lock").read_text().split()[0])
        return pid if (folder / ".frames.journal").stat().st_size else 0
    except (OSError, IndexError):
        return 0


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Meanwhile(threading.Thread):
    """Something that is done while the caller waits for something else; what goes wrong is told in the end."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work, self.error = work, None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self.join(PATIENCE_S)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
