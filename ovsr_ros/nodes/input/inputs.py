"""Where a node's inputs come from: whether somebody chose that, and how it is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ovsr_ros.nodes.qos import describe_endpoints
from ovsr_ros.nodes.ros_arguments import is_remapped

if TYPE_CHECKING:
    from rclpy.node import Node

    from ovsr_ros.nodes.input.matched_subscription import MatchedSubscription


class Inputs:
    """The inputs of a node: "image", "depth", "camera_info", "ignore_mask".

    arguments: the process's ROS arguments, then the node's own. is_one_of_several: whether the node is one camera's of
    several in its process.
    """

    def __init__(self, node: Node, arguments: Sequence[str], is_one_of_several: bool) -> None:
        self._node = node
        self._arguments = arguments
        self._is_one_of_several = is_one_of_several

    def is_remapped(self, name: str) -> bool:
        """Whether somebody chose where this input comes from, be it the topic that it has anyway."""
        return is_remapped(
            self._arguments,
            self._node.get_name(),
            name,
            lambda topic: self._node.resolve_topic_name(topic, only_expand=True),
        )

    def how_to_remap(self, name: str) -> str:
        """What to write to let this input come from another topic."""
        if not self._is_one_of_several:
            return f"--ros-args -r {name}:=/your/topic"
        # A rule would be for the nodes of all cameras.
        camera = self._node.get_namespace()
        return (
            f'cameras: "{camera}=/your/topic"' if name == "image" else f"cameras: {{{camera}: {{{name}: /your/topic}}}}"
        )

    def explain_silence(self, name: str, subscription: MatchedSubscription, start: str = "the camera's") -> str:
        """Why nothing may come in at an input, and what to do. start: which publisher, where there is none."""
        topic, type_name = subscription.topic, subscription.type_name
        matching = subscription.publishers()
        if matching:
            publishers = describe_endpoints(matching)
            return f"{topic}, published by {publishers}, has sent nothing: look at it (ros2 topic hz {topic})"
        others = self._node.get_publishers_info_by_topic(topic)
        if others:
            return f"{topic} is no {type_name}, but {describe_endpoints(others)}: remap {name} to another topic"
        return f"{topic} has 0 publishers: start {start}, or remap it ({self.how_to_remap(name)})"
