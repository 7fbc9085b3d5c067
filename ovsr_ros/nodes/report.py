"""What the node tells of itself: /diagnostics, ~/statistics, and warnings for what an operator has to mend."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile

from ovsr_ros.nodes.health.diagnostics import NodeHealth, to_diagnostics
from ovsr_ros.nodes.health.namesakes import explain_namesakes
from ovsr_ros.nodes.health.statistics import StatisticsTopic
from ovsr_ros.nodes.health.throttle import ThrottledLog
from ovsr_ros.nodes.health.throughput import Throughput
from ovsr_ros.nodes.publishers import offer

if TYPE_CHECKING:
    from ovsr_ros.nodes.health.monitor import StreamMonitor
    from ovsr_ros.nodes.health.oddities import Oddities
    from ovsr_ros.nodes.health.silence import SilenceWatch
    from ovsr_ros.nodes.listening import Listening
    from ovsr_ros.nodes.parameter_node import ParameterNode
    from ovsr_ros.nodes.segmenter import ArrivedImage, Segmenter
    from ovsr_ros.nodes.target_frame import TargetFrame
    from ovsr_ros.nodes.worker import NewestItemWorker

_WARNING_PERIOD_S = 10.0


@dataclass(frozen=True)
class Standing:
    """How it stands with a node.

    state: the lifecycle state's name. failure: why the last transition failed, or empty. paused: by an operator.
    wanted: whether anybody wants frames. segmenter: None without models. listening: None while the node is not active.
    """

    state: str
    failure: str
    paused: bool
    wanted: bool
    segmenter: Segmenter | None
    listening: Listening | None
    target_frame: TargetFrame | None


class Report:
    """Judges and publishes how it stands with a node and its stream of images.

    standing: how it stands now. worker, monitor, silence, oddities: what they know of the stream counts.
    """

    def __init__(
        self,
        node: ParameterNode,
        standing: Callable[[], Standing],
        worker: NewestItemWorker[ArrivedImage],
        monitor: StreamMonitor,
        silence: SilenceWatch,
        oddities: Oddities,
    ) -> None:
        self._node = node
        self._standing = standing
        self._worker = worker
        self._monitor = monitor
        self._silence = silence
        self._oddities = oddities
        self._throughput = Throughput()
        self._log_warning = ThrottledLog(lambda text: node.get_logger().warning(text), _WARNING_PERIOD_S)
        self._diagnostics = offer(node, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        self._statistics = StatisticsTopic(node)
        self._lock = threading.Lock()

    def publish(self) -> None:
        """To be called about once a second, and whenever something changed that is waited for. Any thread."""
        with self._lock:
            health = self._judge(self._standing())
            problems = [health.unserved, health.starved, health.namesakes, health.losses]
            for problem in [*problems, "" if health.masks is None else health.masks.problem]:
                if problem:
                    self._log_warning(problem)
            node = self._node
            self._diagnostics.publish(to_diagnostics(node.get_fully_qualified_name(), health, node.get_clock().now()))
            self._statistics.publish(health.statistics, health.counts, health.device, health.paused)

    def _judge(self, standing: Standing) -> NodeHealth:
        segmenter, listening, statistics = standing.segmenter, standing.listening, self._monitor.snapshot()
        images = None if listening is None else listening.images
        losses = ""
        if images is not None and statistics.loses_images and not self._silence.text:
            losses = images.explain_losses()
        return NodeHealth(
            state=standing.state,
            failure=standing.failure,
            silence=self._silence.text,
            oddity=self._oddities.recent(),
            topic="" if images is None else images.describe(),
            num_publishers=0 if images is None else images.num_publishers,
            counts=self._worker.counts,
            statistics=statistics,
            losses=losses,
            resting=standing.state == "active" and not standing.wanted,
            paused=standing.paused,
            worker_alive=self._worker.is_alive,
            device=self._node.pipeline_options.device if segmenter is None else str(segmenter.pipeline.device),
            memory_bytes=0 if segmenter is None else segmenter.pipeline.memory_bytes(),
            unserved="" if segmenter is None else segmenter.explain_unserved(),
            starved=self._explain_starvation(standing),
            namesakes=explain_namesakes(self._node),
            reduction="" if segmenter is None else segmenter.models.describe_reduction(),
            frame_memory_mib=math.nan if segmenter is None else segmenter.models.peak_mib,
            vocabulary=self._node.vocabulary,
            vocabulary_file=self._node.keeper.path,
            vocabulary_file_problem=self._node.keeper.problem,
            unused_examples="" if segmenter is None else segmenter.explain_unused_examples(),
            depth=None if listening is None else listening.depth.health(),
            masks=None if listening is None else listening.masks.health(),
            target=None if standing.target_frame is None else standing.target_frame.health(),
        )

    def _explain_starvation(self, standing: Standing) -> str:
        """Why nearly none of the images that arrive are labelled, and what to do, or empty."""
        if standing.segmenter is None or standing.state != "active" or not standing.wanted:
            self._throughput.reset()
            return ""
        remedy = standing.segmenter.models.remedy
        return self._throughput.judge(self._worker.counts, self._node.node_options.rate_hz, remedy)
