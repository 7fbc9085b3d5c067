"""The node `ovsr` on a robot's camera, or one such node for each of several cameras.

    ros2 launch ovsr_ros ovsr.launch.py image:=/camera/image_raw categories:="mug; cup, ball"
    ros2 launch ovsr_ros ovsr.launch.py cameras:="front=/front/image_raw, rear=/rear/image_raw"

`ros2 launch ovsr_ros ovsr.launch.py --show-args` lists the arguments. One that is left empty leaves the choice to the
configuration; one that is given wins over it.
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from ovsr_ros.nodes.cameras import TOPICS, format_cameras, parse_cameras

ARGUMENTS = {
    "config": ("", "preset (ovsr, faithful, fast_cpu, demo) or path of a YAML file; empty: ovsr"),
    "params_file": ("", "ROS parameter file on top of the configuration"),
    "image": ("image", "image topic; with image_transport compressed, without its /compressed"),
    "cameras": (
        "",
        'several cameras, a node in a namespace for each: "front=/front/image_raw, rear=/rear/image_raw"; or YAML: '
        "{front: {image: /front/image_raw}, rear: ...}; one without a topic takes `image`, in its namespace",
    ),
    "processes": ("one", "one: all cameras in one process, which loads the models once; several: a process for each"),
    "image_transport": ("", "raw or compressed"),
    "depth": ("", "depth image registered to the image (16UC1 mm, 32FC1 m), for 3D; empty: depth"),
    "camera_info": ("", "the image's calibration, for 3D; empty: camera_info beside the image"),
    "categories": (
        "",
        'what to look for: "mug; cup; #ff8000, ball" is two categories, the first with a synonym and a colour; or a '
        "YAML list",
    ),
    "vocabulary_file": (
        "",
        "file that keeps ids, words and versions over restarts; {node} in it stands for the node's name, which several "
        "cameras need; empty: none",
    ),
    "device": ("", "auto, cpu, cuda:0, ..."),
    "rate": ("", "how often the newest image is labelled, Hz"),
    "namespace": ("", "namespace of the node: its topics are NAMESPACE/ovsr/label_map and so on"),
    "autostart": ("", "true: configure and activate without being told; false: leave that to a lifecycle manager"),
    "log_level": ("info", "debug, info, warn, error, fatal"),
}


def generate_launch_description() -> LaunchDescription:
    """Describe the launch: the arguments, then the node or nodes."""
    declarations = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declarations, OpaqueFunction(function=start_nodes)])


def start_nodes(context: LaunchContext) -> list[Node]:
    """Start the node, or those of several cameras, with what the arguments say.

    Raises ValueError or ConfigError when an argument cannot be read.
    """
    value = {name: LaunchConfiguration(name).perform(context).strip() for name in ARGUMENTS}
    if value["processes"] not in ("one", "several"):
        raise ValueError(f"processes: expected one or several, got '{value['processes']}'")
    parameters = [*([value["params_file"]] if value["params_file"] else []), read_parameters(value)]
    topics = {name: value[name] for name in TOPICS if value[name] not in ("", name)}
    log_level = ["--ros-args", "--log-level", value["log_level"]]
    if not value["cameras"]:
        return [start_process(value["namespace"], parameters, topics, log_level, name="ovsr")]
    cameras = parse_cameras(value["cameras"])
    if value["processes"] == "one":
        # Unnamed here: the nodes in it are, and parameters are for all of them.
        arguments = ["--cameras", format_cameras(cameras), *log_level]
        return [start_process(value["namespace"], parameters, topics, arguments)]
    return [
        start_process(
            camera.namespace_in(value["namespace"]), parameters, {**topics, **camera.topics}, log_level, name="ovsr"
        )
        for camera in cameras
    ]


def start_process(
    namespace: str,
    parameters: list[str | dict[str, str | bool | float | list[str]]],
    topics: Mapping[str, str],
    arguments: list[str],
    **node_arguments: str,
) -> Node:
    """A process of the executable ovsr_node. topics: by the input's name, where it comes from."""
    return Node(
        package="ovsr_ros",
        executable="ovsr_node",
        namespace=namespace,
        parameters=parameters,
        remappings=list(topics.items()),
        arguments=arguments,
        output="screen",
        emulate_tty=True,
        **node_arguments,
    )


def read_parameters(value: Mapping[str, str]) -> dict[str, str | bool | float | list[str]]:
    """The node's parameters, of those arguments that are not empty."""
    parameters: dict[str, str | bool | float | list[str]] = {}
    for name in ("config", "device", "image_transport", "vocabulary_file"):
        if value[name]:
            parameters[name] = value[name]
    if value["autostart"]:
        parameters["autostart"] = to_bool("autostart", value["autostart"])
    if value["rate"]:
        parameters["rate_hz"] = to_float("rate", value["rate"])
    if value["categories"]:
        parameters["categories"] = to_categories(value["categories"])
    return parameters


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
    """The categories in "mug; cup; #ff8000, ball", or in a YAML list: ["mug; cup", "ball"]."""
    if not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        items = yaml.safe_load(text)
    except yaml.YAMLError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError(f'categories: expected "mug; cup, ball" or ["mug; cup", "ball"], got {text}')
    return items
