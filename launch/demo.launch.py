"""The demo: a drawn camera with ground truth, the node with its embedded models, and rviz.

ros2 launch ovsr_ros demo.launch.py
ros2 launch ovsr_ros demo.launch.py rviz:=false categories:="mug, ball"
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, LogInfo, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

HERE = Path(__file__).parent
ARGUMENTS = {
    "config": ("demo", "preset or path of a YAML file; the preset demo runs the embedded models"),
    "categories": ("", 'what to look for: "mug; cup, ball"; empty: what the configuration says'),
    "device": ("", "auto, cpu, cuda:0, ..."),
    "rate": ("", "how often the newest image is labelled, Hz"),
    "seed": ("35", "which room the camera looks at"),
    "rviz": ("auto", "true, false; auto: where rviz2 is installed"),
    "log_level": ("info", "debug, info, warn, error, fatal"),
}


def generate_launch_description() -> LaunchDescription:
    """Describe the launch: the arguments, the camera, the node, rviz."""
    declarations = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    handed_on = ("config", "categories", "device", "rate", "log_level")
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(HERE / "ovsr.launch.py")),
        launch_arguments={
            "image": "/demo/image_raw",
            "depth": "/demo/depth_registered/image_rect",
            **{name: LaunchConfiguration(name) for name in handed_on},
        }.items(),
    )
    return LaunchDescription(
        [*declarations, OpaqueFunction(function=start_camera), node, OpaqueFunction(function=start_rviz)]
    )


def start_camera(context: LaunchContext) -> list[Node]:
    """Start the camera: /demo/image_raw, camera_info, depth_registered/image_rect, ground_truth/label_map.

    Raises ValueError when `seed` is not a whole number.
    """
    seed = LaunchConfiguration("seed").perform(context)
    if not seed.isdecimal():
        raise ValueError(f"seed: expected a whole number from 0, got '{seed}'")
    camera = Node(
        package="ovsr_ros",
        executable="demo_camera",
        name="demo_camera",
        namespace="demo",
        parameters=[{"seed": int(seed)}],
        output="screen",
        emulate_tty=True,
    )
    return [camera]


def start_rviz(context: LaunchContext) -> list[Node | LogInfo]:
    """Start rviz where that is wanted and possible.

    Raises ValueError when `rviz` is none of true, false, auto.
    """
    wanted = LaunchConfiguration("rviz").perform(context).lower()
    if wanted not in ("true", "false", "auto"):
        raise ValueError(f"rviz: expected true, false or auto, got '{wanted}'")
    if wanted == "false":
        return []
    if wanted == "auto" and not is_installed("rviz2"):
        return [LogInfo(msg="rviz2 is not installed: look at /ovsr/overlay with another viewer, or install rviz2")]
    arguments = ["-d", str(HERE.parent / "config" / "ovsr.rviz")]
    return [Node(package="rviz2", executable="rviz2", name="rviz2", arguments=arguments, output="log")]


def is_installed(package: str) -> bool:
    """Whether the ROS package can be found."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True
