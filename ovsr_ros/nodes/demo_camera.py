"""The process of the node `demo_camera`: `ros2 run ovsr_ros demo_camera`, `python -m ovsr_ros.nodes.demo_camera`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ovsr_ros.interpreter import DEMO_CAMERA
from ovsr_ros.nodes.process import ExitRequest, run_process

if TYPE_CHECKING:
    from rclpy.node import Node


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the camera until it is told to end.

    The exit code is 0, or 2 (bad configuration, a Python that lacks something).
    """
    run_process("demo_camera", _create, args, DEMO_CAMERA)


def _create(exit_request: ExitRequest) -> list[Node]:
    # Here, not above: a signal during the import must still end the process.
    from ovsr_ros.nodes.camera_node import DemoCamera

    return [DemoCamera()]


if __name__ == "__main__":
    main()
