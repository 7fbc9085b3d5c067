"""The demo: a camera, the node with embedded models, and rviz.

ros2 launch ovsr_ros demo.launch.py
ros2 launch ovsr_ros demo.launch.py rviz:=false categories:="mug, ball"
ros2 launch ovsr_ros demo.launch.py source:=photos
ros2 launch ovsr_ros demo.launch.py source:=/dev/video0 categories:="person, cup, chair"
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import LogInfo
from launch_ros.actions import Node

from ovsr_ros.errors import ConfigError
from ovsr_ros.nodes.demo.launch_arguments import read_demo_launch
from ovsr_ros.nodes.launch_arguments import ParameterValue, read_node_launch, read_truth
from ovsr_ros.nodes.launching import describe_launch, find_executable, parameter_file, start_node

HERE = Path(__file__).parent
ARGUMENTS = {
    "source": ("rooms", "rooms, photos, or the path of an image, a folder of images, a video or a camera"),
    "config": ("", "preset or path of a YAML file; empty: demo for rooms, pocket for all else"),
    "categories": ("", 'what to look for: "mug; cup, ball"; empty: the words of photos, else the configuration\'s'),
    "device": ("", "auto, cpu, cuda:0, ..."),
    "rate": ("", "how often the newest image is labelled, Hz"),
    "seed": ("35", "which room the camera looks at, or its way over photos"),
    "rviz": ("auto", "true, false; auto: where rviz2 is installed"),
    "use_sim_time": ("", "true: camera, node and rviz take the time from /clock"),
    "log_level": ("info", "debug, info, warn, error, fatal"),
}
HANDED_ON = ("config", "categories", "device", "rate", "use_sim_time", "log_level")
"""Those that are the node's."""


def generate_launch_description() -> LaunchDescription:
    """Describe the launch: the arguments, then the camera, the node, rviz."""
    return describe_launch(ARGUMENTS, start_all)


def start_all(context: LaunchContext, values: dict[str, str]) -> list[Node | LogInfo]:
    """Start the camera, the node and rviz, with what the arguments say.

    Raises ConfigError when an argument cannot be read, before anything is started: launch would leave what it has
    started already without a parent.
    """
    demo = read_demo_launch(values)
    topics = {"image": "/demo/image_raw"}
    if demo.has_depth:
        topics["depth"] = "/demo/depth_registered/image_rect"
    node = read_node_launch({**{name: values[name] for name in HANDED_ON}, **demo.node, **topics})
    time = {name: value for name, value in node.parameters.items() if name == "use_sim_time"}
    camera = start_camera({**demo.camera, **time})
    rviz = start_rviz(context, values["rviz"].strip().lower(), [time] if time else [])
    return [camera, *start_node(node), rviz] if rviz else [camera, *start_node(node)]


def start_camera(parameters: dict[str, ParameterValue]) -> Node:
    """Start the camera: /demo/image_raw, camera_info; of rooms depth_registered/image_rect, ground_truth/label_map."""
    return Node(
        package="ovsr_ros",
        executable="demo_camera",
        name="demo_camera",
        namespace="demo",
        parameters=[parameter_file(parameters, "demo_camera")],
        output="screen",
        emulate_tty=True,
    )


def start_rviz(context: LaunchContext, wanted: str, parameters: list[dict[str, object]]) -> Node | LogInfo | None:
    """Start rviz where that is wanted and possible.

    Raises ConfigError when `wanted` is neither a truth value nor auto, or rviz is wanted and not there.
    """
    if wanted != "auto" and not read_truth("rviz", wanted, "auto"):
        return None
    if not find_executable(context, "rviz2", "rviz2"):
        if wanted != "auto":
            raise ConfigError("rviz: rviz2 is not installed; install it (ros-$ROS_DISTRO-rviz2), or leave rviz:=auto")
        return LogInfo(msg="rviz2 is not installed: look at /ovsr/overlay with another viewer, or install rviz2")
    arguments = ["-d", str(HERE.parent / "config" / "ovsr.rviz")]
    return Node(
        package="rviz2", executable="rviz2", name="rviz2", arguments=arguments, parameters=parameters, output="log"
    )
