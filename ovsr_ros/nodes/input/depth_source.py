"""The depth image that belongs to a labelled image: subscriptions, stamps matched, and words for why there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ovsr_ros.errors import OvsrError
from ovsr_ros.messages.camera_model import has_distortion, to_intrinsics
from ovsr_ros.messages.depth_image import to_depth_m
from ovsr_ros.node_options import DepthOptions
from ovsr_ros.nodes.conversions.stamps import to_ns
from ovsr_ros.nodes.health.throttle import ThrottledLog
from ovsr_ros.nodes.input.inputs import Inputs
from ovsr_ros.nodes.input.matched_subscription import MatchedSubscription
from ovsr_ros.nodes.input.stamp_buffer import Match, StampBuffer, Wanted
from ovsr_ros.ops.spatial import RegisteredDepth

if TYPE_CHECKING:
    from rclpy.node import Node
    from std_msgs.msg import Header

DepthMessage: TypeAlias = Image | CompressedImage

_COMPRESSED = "/compressedDepth"
_NUM_CAMERA_INFOS = 30
_QUEUE = 10
"""Messages that a subscription keeps: a burst must not cost the one that is wanted."""

_WARNING_PERIOD_S = 10.0
_LASTING_S = 2.0
_RECENT_S = 10.0
_CLOCKS_DIFFER_MS = 10_000.0


@dataclass(frozen=True)
class DepthHealth:
    """How it stands with depth.

    problem: why the last frame had no depth, or may have a wrong one, and what to do; empty where all is well.
    asked: whether somebody wants depth: `depth` is remapped, has publishers, or what is there with depth only has a
        subscriber.
    matched, missed: frames with and without depth, of those whose segments or points somebody subscribed to.
    offset_s: the last match's depth stamp minus its image's; NaN before the first.
    """

    sync: str
    topic: str
    info_topic: str
    num_publishers: int
    asked: bool
    problem: str
    matched: int
    missed: int
    offset_s: float


@dataclass(frozen=True, eq=False)
class WantedDepth:
    """One image's wish for its depth, as far as that has come; see `DepthSource.want`."""

    source: DepthSource
    header: Header
    depth: Wanted[DepthMessage]
    info: Wanted[CameraInfo]

    def take(self, size_hw: tuple[int, int]) -> RegisteredDepth | None:
        """The image's depth at its size, height and width; None where there is none, which is counted and told.

        Waits up to `depth.wait_s` for a depth image that may be on its way.
        """
        return self.source.take(self, size_hw)


class DepthSource:
    """Subscribes to `depth` and `camera_info` while `depth` has publishers, and finds what belongs to an image.

    A topic that ends with /compressedDepth is taken for what image_transport sends there, any other for raw images.
    `camera_info`, unless it is remapped, is the image topic's sibling: /camera/camera_info beside /camera/image_raw.

    image_topic: resolved, without /compressed.
    options: asked before each use, for they may change.
    is_asked: whether what there is with depth only has a subscriber; asked before a lack of depth is complained about.
    """

    def __init__(
        self,
        node: Node,
        inputs: Inputs,
        image_topic: str,
        options: Callable[[], DepthOptions],
        is_asked: Callable[[], bool],
    ) -> None:
        self._options = options
        self._is_asked = is_asked
        self._image_topic = image_topic
        depth_topic = node.resolve_topic_name("depth")
        self._inputs = inputs
        self._is_remapped = inputs.is_remapped("depth")
        info_topic = node.resolve_topic_name("camera_info")
        if not inputs.is_remapped("camera_info"):
            info_topic = image_topic.rpartition("/")[0] + "/camera_info"
        self._depths = StampBuffer[DepthMessage](options().queue)
        # A camera's calibration is that of every round of a recording, and may be sent once for all of them.
        self._infos = StampBuffer[CameraInfo](_NUM_CAMERA_INFOS, has_rounds=False)
        self._node = node
        depth_type = CompressedImage if depth_topic.endswith(_COMPRESSED) else Image
        self._depth = MatchedSubscription(node, depth_type, depth_topic, _into(self._depths), _QUEUE)
        self._info = MatchedSubscription(node, CameraInfo, info_topic, _into(self._infos), _QUEUE)
        self._log = ThrottledLog(lambda text: node.get_logger().warning(text), _WARNING_PERIOD_S)
        self._match_lock = threading.Lock()
        self._closed = False
        self._is_resting = False
        self._lock = threading.Lock()
        self._problem, self._noted = "", -float("inf")
        self._missing_since: float | None = None
        self._matched = self._missed = 0
        self._offset_s = float("nan")
        self._told_distortion = False

    def match(self) -> list[str]:
        """Subscribe as the publishers and the options ask for it. Returns what was newly subscribed to, in words."""
        with self._match_lock:
            if self._closed or self._options().sync == "none":
                self._unsubscribe()
                return []
            self._depths.resize(self._options().queue)
            if not self._depth.publishers() and not self._depth.is_subscribed:
                return []
            return [subscription.describe() for subscription in (self._depth, self._info) if subscription.match()]

    def rest(self) -> None:
        """Receive nothing until `listen`: nobody asks for frames."""
        self._is_resting = True
        for subscription in (self._depth, self._info):
            subscription.gate.shut()

    def listen(self) -> None:
        """Receive again, what the middleware kept meanwhile first."""
        for subscription in (self._depth, self._info):
            subscription.gate.open()
        self._is_resting = False

    def close(self) -> None:
        """End the subscriptions for good."""
        with self._match_lock:
            self._closed = True
            self._unsubscribe()

    def want(self, header: Header) -> WantedDepth:
        """An image arrived: what comes for it is kept from now on, however many images are in work.

        To be called for each image, in the order of their arrival; whoever drops the image drops what this returns.
        """
        stamp_ns = to_ns(header.stamp)
        return WantedDepth(self, header, self._depths.want(stamp_ns), self._infos.want(stamp_ns))

    def take(self, wanted: WantedDepth, size_hw: tuple[int, int]) -> RegisteredDepth | None:
        """See `WantedDepth.take`."""
        options = self._options()
        if options.sync == "none" or not (self._depth.is_subscribed or self._is_wanted()):
            return None
        try:
            depth, offset_s, doubt = self._find(options, wanted, size_hw)
        except OvsrError as error:
            if self._is_resting:
                return None  # nothing was received meanwhile, and nobody asks any more
            self._note(str(error), missed=1)
            return None
        with self._lock:
            self._offset_s = offset_s
        self._note(doubt, matched=1)
        return depth

    def health(self) -> DepthHealth:
        """The state now."""
        num_publishers, asked = len(self._depth.publishers()), self._is_wanted()
        with self._lock:
            recent = self._problem if time.monotonic() - self._noted < _RECENT_S else ""
            return DepthHealth(
                sync=self._options().sync,
                topic=self._depth.topic,
                info_topic=self._info.topic,
                num_publishers=num_publishers,
                asked=asked or num_publishers > 0,
                problem=recent or ("" if num_publishers or not asked else self._explain_silence(self._depth, "depth")),
                matched=self._matched,
                missed=self._missed,
                offset_s=self._offset_s,
            )

    def _is_wanted(self) -> bool:
        return self._is_remapped or self._is_asked()

    def _find(
        self, options: DepthOptions, wanted: WantedDepth, size_hw: tuple[int, int]
    ) -> tuple[RegisteredDepth, float, str]:
        """Depth, its stamp's offset in seconds, and what makes it doubtful. Raises OvsrError where there is none."""
        within_ns = 0 if options.sync == "exact" else round(options.slop_s * 1e9)
        match = self._depths.take(wanted.depth, within_ns, options.wait_s)
        if match is None:
            raise OvsrError(f"no depth image: {self._explain_silence(self._depth, 'depth')}")
        if abs(match.offset_ns) > within_ns:
            raise OvsrError(self._explain_offset(options, match))
        info = self._infos.take(wanted.info, None, 0.0)
        if info is None:
            raise OvsrError(f"no camera_info: {self._explain_silence(self._info, 'camera_info')}")
        doubts: list[str] = []
        depth_m = to_depth_m(match.item, size_hw, options.unit_m, doubts.append)
        depth = RegisteredDepth(depth_m, to_intrinsics(info.item, size_hw))
        self._tell_of_distortion(info.item)
        expected, given = wanted.header.frame_id, match.item.header.frame_id
        if given != expected:
            doubts.append(
                f"depth: expected frame_id '{expected}' as the image, got '{given}': depth that is not registered to "
                "the image gives wrong places; remap depth to the registered one"
            )
        return depth, match.offset_ns / 1e9, "; ".join(doubts)

    def _explain_offset(self, options: DepthOptions, match: Match[DepthMessage]) -> str:
        exact, offset_ms = options.sync == "exact", match.offset_ns / 1e6
        allowed = "the same" if exact else f"within {options.slop_s * 1e3:g} ms"
        if abs(offset_ms) > _CLOCKS_DIFFER_MS:
            remedy = "let depth and image be stamped by one clock"
        else:
            remedy = "set depth.sync to approximate" if exact else "raise depth.slop_s"
            remedy += (
                ", or depth.queue if depth comes well before its image is processed"
                if offset_ms > 0
                else (", or depth.wait_s if depth comes late")
            )
        return (
            f"depth: expected a stamp {allowed} as the image's, got one {abs(offset_ms):.1f} ms "
            f"{'later' if offset_ms > 0 else 'earlier'}; {remedy}"
        )

    def _unsubscribe(self) -> None:
        for subscription, buffer in ((self._depth, self._depths), (self._info, self._infos)):
            subscription.close()
            buffer.clear()

    def _explain_silence(self, subscription: MatchedSubscription, name: str) -> str:
        """Why nothing may arrive, and what to do. name: of the input, as it is remapped."""
        topic, count = subscription.topic, self._node.count_publishers
        if name == "depth" and not count(topic) and count(topic + _COMPRESSED):
            return f"{topic} has 0 publishers, but {topic}{_COMPRESSED} has: remap depth to that"
        return self._inputs.explain_silence(name, subscription)

    def _tell_of_distortion(self, info: CameraInfo) -> None:
        if self._told_distortion or "rect" in self._image_topic.rpartition("/")[2] or not has_distortion(info):
            return
        self._told_distortion = True
        self._log(
            f"camera_info: {self._info.topic} has distortion, and {self._image_topic} is taken for rectified, as its "
            "camera matrix p is: places may be off towards the image's corners; use image_proc's image_rect and depth "
            "registered to it"
        )

    def _note(self, problem: str, matched: int = 0, missed: int = 0) -> None:
        now = time.monotonic()
        with self._lock:
            self._problem, self._noted = problem, now
            self._matched += matched
            self._missed += missed
            if matched:
                self._missing_since = None
            elif self._missing_since is None:
                self._missing_since = now
            lasts = self._missing_since is None or now - self._missing_since > _LASTING_S
        if problem and lasts:  # that a frame misses its depth now and then, above all the first, is only counted
            self._log(problem)


def _into(buffer: StampBuffer[Any]) -> Callable[[Any], None]:
    return lambda message: buffer.add(to_ns(message.header.stamp), message)
