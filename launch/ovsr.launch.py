"""The node `ovsr` on a robot's camera, or one such node for each of several cameras.

    ros2 launch ovsr_ros ovsr.launch.py image:=/camera/image_raw categories:="mug; cup, ball"
    ros2 launch ovsr_ros ovsr.launch.py cameras:="front=/front/image_raw, rear=/rear/image_raw"
    ros2 launch ovsr_ros ovsr.launch.py image:=/camera/image_raw console:=true

`ros2 launch ovsr_ros ovsr.launch.py --show-args` lists the arguments. One that is left empty leaves the choice to the
configuration; one that is given wins over it. Those of a launch file that includes this one are its own: it hands them
on by name, in the arguments of the include.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch_ros.actions import Node

from ovsr_ros.nodes.launch_arguments import read_console_launch, read_node_launch
from ovsr_ros.nodes.launching import describe_launch, start_console, start_node

ARGUMENTS = {
    "config": ("", "preset (ovsr, pocket, faithful, fast_cpu, demo) or path of a YAML file; empty: ovsr"),
    "params_file": ("", "ROS parameter file on top of the configuration"),
    "image": ("", "image topic; empty: image"),
    "cameras": (
        "",
        'several cameras, a node in a namespace for each: "front=/front/image_raw, rear=/rear/image_raw"; or YAML: '
        "{front: {image: /front/image_raw}, rear: ...}; one without a topic takes `image`, in its namespace",
    ),
    "processes": ("one", "one: all cameras in one process, which loads the models once; several: a process for each"),
    "image_transport": ("", "raw or compressed"),
    "depth": ("", "depth image registered to the image (16UC1 mm, 32FC1 m), for 3D; empty: depth"),
    "camera_info": ("", "the image's calibration, for 3D; empty: camera_info beside the image"),
    "ignore_mask": (
        "",
        "topic of masks, not 0 where nothing is to be looked at: the robot's own arm; empty: ignore_mask. A fixed mask "
        "is a file, which the parameter ignore_mask names in params_file",
    ),
    "categories": (
        "",
        'what to look for: "mug; cup; #ff8000, ball" is two categories, the first with a synonym and a colour; or a '
        "YAML list, of which [] is none",
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
    "use_sim_time": ("", "true: take the time from /clock; empty: as the launch has it"),
    "log_level": ("info", "debug, info, warn, error, fatal"),
    "console": (
        "false",
        "true: the operator's page as well, at http://127.0.0.1:8077 by default",
    ),
    "console_arguments": ("", 'for the page: "--host 0.0.0.0 --token-file /etc/ovsr/tokens"; see docs/console.md'),
}


def generate_launch_description() -> LaunchDescription:
    """Describe the launch: the arguments, then the node or nodes, then the operator's page."""
    return describe_launch(ARGUMENTS, start_nodes)


def start_nodes(context: LaunchContext, values: dict[str, str]) -> list[Node]:
    """Start the node, or those of several cameras, and the page, with what the arguments say.

    Raises ConfigError when an argument cannot be read, before anything is started.
    """
    launch, console = read_node_launch(values), read_console_launch(values)
    return [*start_node(launch), *([] if console is None else [start_console(console)])]
