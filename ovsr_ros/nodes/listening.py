"""What an active node listens to: images, their depth, masks; and the pace at which the newest image is worked on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ovsr_ros.nodes.conversions.stamps import stamp_key
from ovsr_ros.nodes.input.depth_source import DepthSource
from ovsr_ros.nodes.input.image_source import ImageMessage, ImageSource
from ovsr_ros.nodes.input.mask_source import MaskSource
from ovsr_ros.nodes.input.pace import Pace
from ovsr_ros.nodes.segmenter import ArrivedImage

if TYPE_CHECKING:
    from rclpy.timer import Timer

    from ovsr_ros.backends.view import View
    from ovsr_ros.nodes.health.monitor import StreamMonitor
    from ovsr_ros.nodes.health.silence import SilenceWatch
    from ovsr_ros.nodes.parameter_node import ParameterNode
    from ovsr_ros.nodes.worker import NewestItemWorker


class Listening:
    """From activate to deactivate: subscriptions whose images a worker is woken for.

    Nothing is subscribed to before `begin`, and after `close` nothing any more, for good.

    view: how images are looked at without a mask from a topic. worker: whom images are offered to. monitor, silence:
    who is told how they come. asks_for_depth: whether what there is with depth only has a subscriber. is_wanted:
    whether anybody wants frames now. create_timer: given a period in seconds and a callback.

    images, depth, masks: the sources.
    """

    def __init__(
        self,
        node: ParameterNode,
        view: View,
        worker: NewestItemWorker[ArrivedImage],
        monitor: StreamMonitor,
        silence: SilenceWatch,
        asks_for_depth: Callable[[], bool],
        is_wanted: Callable[[], bool],
        create_timer: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        self._node = node
        self._worker = worker
        self._monitor = monitor
        self._silence = silence
        self._is_wanted = is_wanted
        self._create_timer = create_timer
        self._pace: Pace | None = None
        self.images = ImageSource(node, node.inputs, node.node_options.image_transport, self._receive)
        self.depth = DepthSource(
            node, node.inputs, self.images.base_topic, lambda: node.node_options.depth, asks_for_depth
        )
        self.masks = MaskSource(node, node.inputs, view)

    def begin(self) -> None:
        """Subscribe, and start the timer that wakes the worker."""
        self._match_others()
        period_s = 1.0 / self._node.node_options.rate_hz
        self._pace = Pace(
            self._worker, self.images, self.depth, lambda tick: self._create_timer(period_s, tick), self._is_wanted
        )
        self.images.match()

    def close(self) -> None:
        """End the timer and all subscriptions."""
        pace, self._pace = self._pace, None
        if pace is not None:
            pace.close()
            self._node.destroy_timer(pace.timer)
        for source in (self.images, self.depth, self.masks):
            source.close()
        self._silence.reset()

    def watch(self) -> None:
        """Follow publishers and subscribers, and tell what is heard. To be called several times a second."""
        pace = self._pace
        if pace is None:
            return
        self.images.match()
        pace.look()
        self._monitor.listening(self.images.is_listening)
        self._monitor.images_lost(self.images.take_losses())
        self._silence.update(
            self._monitor.silence_s(),
            self._node.node_options.image_timeout_s,
            self.images.topic,
            lambda: self.images.explain_silence(self._monitor.num_lost()),
        )
        self._match_others()

    def look(self) -> None:
        """Begin again at once, where somebody wants frames now."""
        pace = self._pace
        if pace is not None:
            pace.look()

    def set_rate_hz(self, rate_hz: float) -> None:
        """Wake the worker that often, from now on."""
        pace = self._pace
        if pace is not None:
            pace.set_rate_hz(rate_hz)

    def _match_others(self) -> None:
        for source in (self.depth, self.masks):
            for subscribed in source.match():
                self._node.get_logger().info(f"subscribed to {subscribed}")

    def _receive(self, message: ImageMessage, tells_pace: bool) -> None:
        self._monitor.image_arrived(tells_pace)
        arrived = ArrivedImage(message, self.depth.want(message.header))
        self._worker.offer(arrived, stamp_key(message.header.stamp))
        pace = self._pace
        if pace is not None:
            pace.image_arrived()
