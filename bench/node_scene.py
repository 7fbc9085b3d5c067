"""A running node, perhaps with a demo camera before it, and what it publishes: what benchmarks of the node look at."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ovsr_ros.nodes.demo.child_process import ChildProcess, start_node, stop_all
from ovsr_ros.settings import PipelineOptions, models_of

START_S = 240.0
WINDOW_S = 5.0
"""Of the node's statistics."""


class Scene:
    """A running node, perhaps with a camera before it, and what it publishes."""

    def __init__(self, children: Sequence[ChildProcess], executor: Any, node: Any) -> None:
        from diagnostic_msgs.msg import DiagnosticArray

        self.statistics: list[dict[str, dict[str, float]]] = []
        self._children = children
        self._executor = executor
        self._node = node
        self._state: Any = None
        node.create_subscription(DiagnosticArray, "/ovsr/statistics", self._on_statistics, 10)

    def observe(self, topic: str, message_type: type[Any] | None = None) -> list[float]:
        """Subscribe to a topic of the node, of images if nothing else; the list fills with the times of messages."""
        from sensor_msgs.msg import Image

        times: list[float] = []
        of = message_type or Image
        self._node.create_subscription(of, f"/ovsr/{topic}", lambda _: times.append(time.monotonic()), 1)
        return times

    def statistics_over(self, seconds: float) -> list[dict[str, dict[str, float]]]:
        """What ~/statistics says in that time, once per window, the windows filled within that time."""
        self.wait_s(WINDOW_S)
        windows = []
        deadline = time.monotonic() + max(seconds, WINDOW_S)
        while time.monotonic() < deadline:
            self.wait_s(min(WINDOW_S, max(deadline - time.monotonic(), 0.0)) + 0.01)
            windows.append(self.statistics[-1])
        return windows

    def replace_vocabulary(self, groups: Sequence[str]) -> Any:
        """Ask for other categories, "name; synonym; ..." each; the answer's future."""
        from ovsr_ros import msg, srv

        client = self._node.create_client(srv.SetVocabulary, "/ovsr/set_vocabulary")
        self.wait(client.service_is_ready, "the service set_vocabulary", START_S)
        categories = []
        for group in groups:
            name, *synonyms = group.split("; ")
            categories.append(msg.Category(name=name, synonyms=synonyms))
        request = srv.SetVocabulary.Request(operation=srv.SetVocabulary.Request.REPLACE, categories=categories)
        return client.call_async(request)

    def receives(self) -> bool:
        """Whether images have arrived in the node."""
        return bool(self.statistics) and self.statistics[-1]["stream"]["received"] > 10

    def is_active(self) -> bool:
        """Whether the node says that it is."""
        from lifecycle_msgs.srv import GetState

        if self._state is None:
            self._state = self._node.create_client(GetState, "/ovsr/get_state")
        if not self._state.service_is_ready():
            return False
        asked = self._state.call_async(GetState.Request())
        deadline = time.monotonic() + 1.0
        while not asked.done() and time.monotonic() < deadline:
            self._spin(0.05)
        return asked.done() and asked.result().current_state.label == "active"

    def memory_mb(self, what: str) -> float:
        """VmRSS or VmHWM of the node's process: resident now, or at most so far."""
        status = Path(f"/proc/{self._children[0].pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith(f"{what}:"))
        return round(int(line.split()[1]) / 1024, 1)

    def cpu_s(self) -> float:
        """Processor time that the node's process has used, seconds."""
        stat = Path(f"/proc/{self._children[0].pid}/stat").read_text(encoding="ascii")
        return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def wait(self, is_met: Callable[[], object], what: str, timeout_s: float) -> None:
        """Spin until a condition holds. Raises RuntimeError, with what the node said, when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not is_met():
            if time.monotonic() > deadline:
                said = "\n".join(self._children[0].last_lines(15))
                raise RuntimeError(f"waited {timeout_s:g} s for {what}; the node said:\n{said}")
            self._spin(0.05)

    def wait_s(self, seconds: float) -> None:
        """Spin for a while."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._spin(min(left, 0.05))

    def _spin(self, seconds: float) -> None:
        self._executor.spin_once(timeout_sec=seconds)
        for child in self._children:
            if child.exit_code is not None:
                said = "\n".join(child.last_lines(15))
                raise RuntimeError(f"the {child.name} ended with exit code {child.exit_code}:\n{said}")

    def _on_statistics(self, array: Any) -> None:
        from ovsr_ros.nodes.health.statistics import read_statistics

        self.statistics.append(read_statistics(array))


@contextlib.contextmanager
def running(
    device: str, config: str, parameters: dict[str, object], camera: dict[str, Any] | None = None
) -> Iterator[Scene]:
    """The node in a process of its own, and a demo camera in another; both end with the context."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    with contextlib.ExitStack() as cleanup:
        logs = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="ovsr-bench-")))
        node = {
            "config": config,
            "device": device,
            "statistics_window_s": WINDOW_S,
            "text.cache_directory": "none",
            **parameters,
        }
        children = [start_node("node", "ovsr_node", logs / "node.log", node, ["-r", "image:=/demo/image_raw"])]
        cleanup.callback(stop_all, children, 10.0)
        if camera is not None:
            width, height = camera.pop("size").split("x")
            values = {"width": width, "height": height, "seed": 35, "clip_s": 2.0, "depth_encoding": "none", **camera}
            children.append(start_node("camera", "demo_camera", logs / "camera.log", values, ["-r", "__ns:=/demo"]))
        rclpy.init(args=[])
        cleanup.callback(rclpy.try_shutdown)
        watcher = rclpy.create_node("bench")
        cleanup.callback(watcher.destroy_node)
        executor = SingleThreadedExecutor()
        executor.add_node(watcher)
        yield Scene(children, executor, watcher)


def model_parameters(options: PipelineOptions) -> dict[str, object]:
    """The node's parameters that name the models of these options."""
    return {f"{section}.model": name for section, (_, name) in models_of(options).items()}
