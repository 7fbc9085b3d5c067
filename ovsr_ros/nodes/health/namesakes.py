"""Other nodes of one name: ROS lets them be, and lets whichever is first answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node


def explain_namesakes(node: Node) -> str:
    """That other nodes have this one's full name, and what to do; empty where it is the only one."""
    count = node.get_node_names_and_namespaces().count((node.get_name(), node.get_namespace()))
    if count < 2:
        return ""
    return (
        f"{count} nodes are called {node.get_fully_qualified_name()}: all of them answer its services and publish its "
        "topics; end the others, or give each a name or a namespace of its own (--ros-args -r __node:=NAME, -r "
        "__ns:=/NAMESPACE). One that was killed is counted for 20 s more"
    )
