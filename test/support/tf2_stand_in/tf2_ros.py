"""Stand-in for the package tf2_ros, which is not among ROS's wheels: what this package's node uses of it.

Put on the path where the real one is not installed. Names, arguments, errors and their texts are those of geometry2's
tf2_ros and tf2_py; transforms along a chain are joined, and interpolated in time, by straight lines. It listens to /tf
and /tf_static for geometry_msgs/TransformStamped, since tf2_msgs/TFMessage, a list of these, is not there either.
"""

from __future__ import annotations

import bisect

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile
from rclpy.time import Time


class TransformException(Exception): ...  # noqa: N818 (its name)


class ConnectivityException(TransformException): ...


class LookupException(TransformException): ...


class ExtrapolationException(TransformException): ...


class InvalidArgumentException(TransformException): ...


class Buffer:
    """The transforms of the last ten seconds, by the frame that they place."""

    def __init__(self, cache_time: Duration | None = None, node: object = None) -> None:
        self._cache_ns = 10 * 10**9 if cache_time is None else cache_time.nanoseconds
        self._moving: dict[str, list[tuple[int, str, np.ndarray]]] = {}
        self._static: dict[str, tuple[str, np.ndarray]] = {}

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        stamp_ns = Time.from_msg(transform.header.stamp).nanoseconds
        entries = self._moving.setdefault(transform.child_frame_id, [])
        if entries and entries[-1][0] > stamp_ns + self._cache_ns:
            return  # "TF_OLD_DATA ignoring data from the past"
        bisect.insort(entries, (stamp_ns, transform.header.frame_id, _pose(transform)), key=lambda entry: entry[0])

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        self._static[transform.child_frame_id] = (transform.header.frame_id, _pose(transform))

    def clear(self) -> None:
        self._moving = {frame: [] for frame in self._moving}

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration | None = None
    ) -> TransformStamped:
        for name, frame in (("target_frame", target_frame), ("source_frame", source_frame)):
            argument = f'Invalid argument "{frame}" passed to lookupTransform argument {name} - in tf2 frame_ids cannot'
            if frame.startswith("/"):
                raise InvalidArgumentException(f"{argument} start with a '/'")
            if not frame:
                raise InvalidArgumentException(f"{argument} be empty")
        if target_frame == source_frame:
            return _message(target_frame, source_frame, time, np.eye(4))
        parents = {frame: entries[-1][1] for frame, entries in self._moving.items() if entries}
        parents |= {frame: parent for frame, (parent, _) in self._static.items()}
        known = {*parents, *parents.values()}
        for name, frame in (("target_frame", target_frame), ("source_frame", source_frame)):
            if frame not in known:
                raise LookupException(f'"{frame}" passed to lookupTransform argument {name} does not exist. ')
        target, source = (_chain(frame, parents) for frame in (target_frame, source_frame))
        if target[-1] != source[-1]:
            raise ConnectivityException(
                f"Could not find a connection between '{target_frame}' and '{source_frame}' because they are not part "
                "of the same tree.Tf has two or more unconnected trees."
            )
        where = f"when looking up transform from frame [{source_frame}] to frame [{target_frame}]"
        to_root = [self._to_root(chain, time.nanoseconds, where) for chain in (target, source)]
        return _message(target_frame, source_frame, time, np.linalg.inv(to_root[0]) @ to_root[1])

    def _to_root(self, chain: list[str], time_ns: int, where: str) -> np.ndarray:
        total = np.eye(4)
        for frame in chain[:-1]:
            pose = self._static[frame][1] if frame in self._static else self._at(frame, time_ns, where)
            total = pose @ total
        return total

    def _at(self, frame: str, time_ns: int, where: str) -> np.ndarray:
        entries = self._moving[frame]
        if time_ns == 0:
            return entries[-1][2]
        index = bisect.bisect_left(entries, time_ns, key=lambda entry: entry[0])
        if index < len(entries) and entries[index][0] == time_ns:
            return entries[index][2]
        if index in (0, len(entries)):
            direction, nearest = ("past", entries[0]) if index == 0 else ("future", entries[-1])
            raise ExtrapolationException(
                f"Lookup would require extrapolation into the {direction}.  Requested time {time_ns / 1e9:.6f} but the "
                f"{'earliest' if index == 0 else 'latest'} data is at time {nearest[0] / 1e9:.6f}, {where}"
            )
        (begin, _, first), (end, _, second) = entries[index - 1 : index + 1]
        return first + (second - first) * ((time_ns - begin) / (end - begin))  # of poses that do not turn


class TransformListener:
    """Fills a buffer from /tf and /tf_static."""

    def __init__(self, buffer, node, *, spin_thread=False, qos=None, static_qos=None) -> None:
        keep = {"depth": 100, "history": HistoryPolicy.KEEP_LAST}
        static_qos = static_qos or QoSProfile(durability=DurabilityPolicy.TRANSIENT_LOCAL, **keep)
        self.buffer = buffer
        self.node = node
        self.group = ReentrantCallbackGroup()
        self.tf_sub = node.create_subscription(
            TransformStamped, "/tf", self.callback, qos or QoSProfile(**keep), callback_group=self.group
        )
        self.tf_static_sub = node.create_subscription(
            TransformStamped, "/tf_static", self.static_callback, static_qos, callback_group=self.group
        )

    def unregister(self) -> None:
        self.node.destroy_subscription(self.tf_sub)
        self.node.destroy_subscription(self.tf_static_sub)

    def callback(self, message: TransformStamped) -> None:
        self.buffer.set_transform(message, "default_authority")

    def static_callback(self, message: TransformStamped) -> None:
        self.buffer.set_transform_static(message, "default_authority")


def _chain(frame: str, parents: dict[str, str]) -> list[str]:
    chain = [frame]
    while chain[-1] in parents:
        chain.append(parents[chain[-1]])
    return chain


def _pose(message: TransformStamped) -> np.ndarray:
    """(4, 4)."""
    t, q = message.transform.translation, message.transform.rotation
    x, y, z, w = np.array((q.x, q.y, q.z, q.w)) / np.linalg.norm((q.x, q.y, q.z, q.w))
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = t.x, t.y, t.z
    return pose


def _message(target: str, source: str, time: Time, pose: np.ndarray) -> TransformStamped:
    message = TransformStamped(child_frame_id=source)
    message.header.frame_id, message.header.stamp = target, time.to_msg()
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = pose[:3, 3].tolist()
    # The eigenvector of the largest eigenvalue of Bar-Itzhack's matrix, which has no special cases.
    (a, b, c), (d, e, f), (g, h, i) = pose[:3, :3].tolist()
    upper = np.array(
        [[a - e - i, d + b, g + c, h - f], [0, e - a - i, h + f, c - g], [0, 0, i - a - e, d - b], [0, 0, 0, a + e + i]]
    )
    _, vectors = np.linalg.eigh(upper, UPLO="U")
    rotation.x, rotation.y, rotation.z, rotation.w = vectors[:, -1].tolist()
    return message
