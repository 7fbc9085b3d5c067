"""Where a node's inputs come from: whether somebody chose that, and how it is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ovsr_ros.nodes.ros_arguments import is_remapped

if TYPE_CHECKING:
    from rclpy.node import Node


class Inputs:
    """The inputs of a node: "image", "depth", "camera_info".

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
