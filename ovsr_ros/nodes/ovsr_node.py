"""The process of the node `ovsr`: `ros2 run ovsr_ros ovsr_node`, `python -m ovsr_ros.nodes.ovsr_node`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ovsr_ros.errors import ConfigError, OvsrError
from ovsr_ros.nodes.process import ExitRequest, run_process

if TYPE_CHECKING:
    from rclpy.node import Node

    from ovsr_ros.nodes.cameras import Camera


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the node, or one for each camera, until told to end.

    The exit code is 0, 1 (a node cannot start), 2 (bad arguments or configuration, a Python that lacks something).
    """
    arguments = list(sys.argv if args is None else args)
    run_process("ovsr", lambda exit_request: _create(exit_request, arguments), args)


def _create(exit_request: ExitRequest, arguments: Sequence[str]) -> list[Node]:
    # Here, not above: they take seconds, torch above all, in which a signal must still end the process; and one that
    # this Python lacks ends in a message.
    from rclpy.utilities import remove_ros_args

    from ovsr_ros.nodes.cameras import find_namespace

    cameras = _read_cameras(remove_ros_args(list(arguments))[1:])
    from ovsr_ros.nodes.node import OvsrNode

    if not cameras:
        return [OvsrNode(exit_request, arguments)]
    nodes: list[Node] = []
    namespace = find_namespace(arguments)
    for camera in cameras:
        try:
            nodes.append(OvsrNode(exit_request, arguments, cli_args=camera.node_arguments(namespace)))
        except OvsrError as error:
            raise type(error)(f"camera {camera.name}: {error}") from error
    return nodes


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; ROS arguments follow --ros-args, {self.format_usage().strip()}")


def _read_cameras(arguments: Sequence[str]) -> tuple[Camera, ...]:
    """Raises ConfigError for arguments that cannot be used."""
    from ovsr_ros.nodes.cameras import parse_cameras

    parser = _Parser(prog="ovsr_node", description="Label camera images by the operator's words.", allow_abbrev=False)
    parser.add_argument(
        "--cameras",
        metavar="CAMERAS",
        help='several cameras, a node in a namespace for each: "front=/front/image_raw, rear=/rear/image_raw"',
    )
    text = parser.parse_args(list(arguments)).cameras
    return () if text is None else parse_cameras(text)


if __name__ == "__main__":
    main()
