"""The topic ~/statistics: rates, drops and latencies per stage, as numbers that programs can read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import QoSProfile

from ovsr_ros.nodes.health.monitor import Durations, StreamStatistics
from ovsr_ros.nodes.publishers import offer
from ovsr_ros.nodes.worker import CountHistory, WorkerCounts

if TYPE_CHECKING:
    from rclpy.node import Node


class StatisticsTopic:
    """Publishes ~/statistics: the statuses "stream", "latency", "age", and "stage NAME" for each stage.

    Every value is a number, or `nan` where there is nothing to tell; its key ends with its unit, counts have none.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = offer(node, DiagnosticArray, "~/statistics", QoSProfile(depth=10))
        self._history = CountHistory()

    def publish(self, statistics: StreamStatistics, counts: WorkerCounts, device: str, paused: bool) -> None:
        """Publish, if anybody subscribes. To be called regularly, for the drops within the window are the difference.

        counts: since the node's start. device: what the models run on, or are to run on. paused: by an operator.
        """
        _, before = self._history.remember(counts, statistics.window_s)
        if not self._publisher.get_subscription_count():
            return
        array = to_statistics(self._node.get_fully_qualified_name(), statistics, counts, before, device, paused)
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)


def to_statistics(
    node_name: str,
    statistics: StreamStatistics,
    counts: WorkerCounts,
    before: WorkerCounts,
    device: str,
    paused: bool = False,
) -> DiagnosticArray:
    """The message, without its stamp.

    node_name: fully qualified, such as "/ovsr". counts: since the node's start. before: when the window began.
    """
    statuses = [
        _stream_status(statistics, counts, before, paused),
        _durations_status("latency", statistics.latency),
        _durations_status("age", statistics.age),
        *(_durations_status(f"stage {stage}", durations) for stage, durations in statistics.stages.items()),
    ]
    for status in statuses:
        status.name = f"{node_name.lstrip('/')}: {status.name}"
        status.hardware_id = device
    return DiagnosticArray(status=statuses)


def _stream_status(
    statistics: StreamStatistics, counts: WorkerCounts, before: WorkerCounts, paused: bool
) -> DiagnosticStatus:
    values = {
        "window [s]": _number(statistics.window_s),
        "input rate [Hz]": _number(statistics.input_rate_hz),
        "output rate [Hz]": _number(statistics.output_rate_hz),
        "frames in window": str(statistics.num_frames),
        "lost in window": str(statistics.num_lost),
        "dropped in window": str(counts.dropped - before.dropped),
        "segments in window": str(statistics.num_segments),
        "embedded in window": str(statistics.num_embedded),
        "received": str(counts.received),
        "processed": str(counts.processed),
        "failed": str(counts.failed),
        "dropped": str(counts.dropped),
        "rested": str(counts.rested),
        "repeated": str(counts.repeated),
        "paused": str(int(paused)),
    }
    message = f"{statistics.output_rate_hz:.1f} of {statistics.input_rate_hz:.1f} Hz"
    return _status("stream", message, values)


def _durations_status(name: str, durations: Durations) -> DiagnosticStatus:
    milliseconds = {
        "mean [ms]": durations.mean_s * 1e3,
        "p50 [ms]": durations.p50_s * 1e3,
        "p95 [ms]": durations.p95_s * 1e3,
        "max [ms]": durations.max_s * 1e3,
    }
    values = {key: _number(value) for key, value in milliseconds.items()}
    return _status(name, f"mean {durations.mean_s * 1e3:.1f} ms", values)


def _status(name: str, message: str, values: dict[str, str]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=DiagnosticStatus.OK, name=name, message=message, values=pairs)


def _number(value: float) -> str:
    return f"{value:.3f}"


def read_statistics(array: DiagnosticArray) -> dict[str, dict[str, float]]:
    """The values of a message of ~/statistics, by status ("stream", "latency", "stage NAME") and key."""
    return {
        status.name.partition(": ")[2]: {pair.key: float(pair.value) for pair in status.values}
        for status in array.status
    }
