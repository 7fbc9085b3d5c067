"""The process of the node `ovsr`: `ros2 run ovsr_ros ovsr_node`, `python -m ovsr_ros.nodes.ovsr_node`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ovsr_ros.nodes.process import ExitRequest, run_process

if TYPE_CHECKING:
    from rclpy.node import Node


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the node until it is told to end; the exit code is 0, 1 (cannot start), 2 (bad configuration)."""
    run_process("ovsr", _create, args)


def _create(exit_request: ExitRequest) -> Node:
    # Here, not above: it imports torch, which takes seconds in which a signal must still end the process.
    from ovsr_ros.nodes.segmentation_node import OvsrNode

    return OvsrNode(exit_request)


if __name__ == "__main__":
    main()
