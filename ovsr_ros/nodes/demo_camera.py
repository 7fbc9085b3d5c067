"""The process of the node `demo_camera`: `ros2 run ovsr_ros demo_camera`, `python -m ovsr_ros.nodes.demo_camera`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ovsr_ros.interpreter import DEMO_CAMERA
from ovsr_ros.nodes.process import ExitRequest, run_process

if TYPE_CHECKING:
    from rclpy.node import Node


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the camera until it is told to end.

    The exit code is 0, 1 (what it shows can no longer be read) or 2 (bad configuration, a source that cannot be
    opened, a Python that lacks something).
    """
    arguments = list(sys.argv if args is None else args)
    run_process("demo_camera", lambda exit_request: _create(exit_request, arguments), args, DEMO_CAMERA)


def _create(exit_request: ExitRequest, arguments: Sequence[str]) -> list[Node]:
    # Here, not above: a signal during the import must still end the process.
    from ovsr_ros.nodes.demo.camera import DemoCamera

    return [DemoCamera(arguments, exit_request)]


if __name__ == "__main__":
    main()
