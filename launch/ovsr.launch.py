"""The node `ovsr` on a robot's camera.

    ros2 launch ovsr_ros ovsr.launch.py image:=/camera/image_raw categories:="mug; cup, ball"

`ros2 launch ovsr_ros ovsr.launch.py --show-args` lists the arguments. One that is left empty leaves the choice to the
configuration; one that is given wins over it.
"""

from __future__ import annotations

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

ARGUMENTS = {
    "config": ("", "preset (ovsr, faithful, fast_cpu, demo) or path of a YAML file; empty: ovsr"),
    "params_file": ("", "ROS parameter file on top of the configuration"),
    "image": ("image", "image topic; with image_transport compressed, without its /compressed"),
    "image_transport": ("", "raw or compressed"),
    "depth": ("", "depth image registered to the image (16UC1 mm, 32FC1 m), for 3D; empty: depth"),
    "camera_info": ("", "the image's calibration, for 3D; empty: camera_info beside the image"),
    "categories": (
        "",
        'what to look for: "mug; cup, ball" is two categories, the first with a synonym; or a YAML list',
    ),
    "device": ("", "auto, cpu, cuda:0, ..."),
    "rate": ("", "how often the newest image is labelled, Hz"),
    "namespace": ("", "namespace of the node: its topics are NAMESPACE/ovsr/label_map and so on"),
    "autostart": ("", "true: configure and activate without being told; false: leave that to a lifecycle manager"),
    "log_level": ("info", "debug, info, warn, error, fatal"),
}


def generate_launch_description() -> LaunchDescription:
    """Describe the launch: the arguments, then the node."""
    declarations = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declarations, OpaqueFunction(function=start_node)])


def start_node(context: LaunchContext) -> list[Node]:
    """Start the node with what the arguments say.

    Raises ValueError when an argument cannot be read.
    """
    value = {name: LaunchConfiguration(name).perform(context).strip() for name in ARGUMENTS}
    parameters: dict[str, str | bool | float | list[str]] = {}
    for name in ("config", "device", "image_transport"):
        if value[name]:
            parameters[name] = value[name]
    if value["autostart"]:
        parameters["autostart"] = to_bool("autostart", value["autostart"])
    if value["rate"]:
        parameters["rate_hz"] = to_float("rate", value["rate"])
    if value["categories"]:
        parameters["categories"] = to_categories(value["categories"])
    node = Node(
        package="ovsr_ros",
        executable="ovsr_node",
        name="ovsr",
        namespace=value["namespace"],
        parameters=[*([value["params_file"]] if value["params_file"] else []), parameters],
        remappings=[(name, value[name]) for name in ("image", "depth", "camera_info") if value[name] not in ("", name)],
        arguments=["--ros-args", "--log-level", value["log_level"]],
        output="screen",
        emulate_tty=True,
    )
    return [node]


def to_bool(name: str, text: str) -> bool:
    """The truth value that `text` names."""
    if text.lower() not in ("true", "1", "false", "0"):
        raise ValueError(f"{name}: expected true or false, got '{text}'")
    return text.lower() in ("true", "1")


def to_float(name: str, text: str) -> float:
    """The number that `text` names."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name}: expected a number, got '{text}'") from None


def to_categories(text: str) -> list[str]:
    """The categories in "mug; cup, ball", or in a YAML list: ["mug; cup", "ball"]."""
    if not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        items = yaml.safe_load(text)
    except yaml.YAMLError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError(f'categories: expected "mug; cup, ball" or ["mug; cup", "ball"], got {text}')
    return items
