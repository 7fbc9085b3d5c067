"""The launch files in a real launch, whose processes say what they were started with instead of doing their work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip(
    "ros2launch.api", reason="needs launch, launch_ros and ros2launch, which are not among ROS's Python wheels"
)

ROOT = Path(__file__).resolve().parents[2]
OVSR = ROOT / "launch" / "ovsr.launch.py"
DEMO = ROOT / "launch" / "demo.launch.py"
TIMEOUT_S = 60.0

# As the command `ros2 launch` does it.
LAUNCH = """
import sys
from ros2launch.api import launch_a_launch_file
class Options: launch_prefix = launch_prefix_filter = None
sys.exit(launch_a_launch_file(
    launch_file_path=sys.argv[1], launch_file_arguments=sys.argv[2:], noninteractive=True, args=Options
))
"""

# Stands before each process's command, as launch's own argument launch-prefix.
SHOW = """
import json, os, sys, yaml
folder, executable, *arguments = sys.argv[1:]
parameters = {}
for option, value in zip(arguments, arguments[1:]):
    if option == "--params-file":
        for section in yaml.safe_load(open(value)).values():
            parameters |= section["ros__parameters"]
shown = {"executable": os.path.basename(executable), "arguments": arguments, "parameters": parameters}
with open(os.path.join(folder, f"{os.getpid()}.json"), "w") as file:
    json.dump(shown, file)
"""


@dataclass(frozen=True)
class Shown:
    """A process that was started: its executable, its remap rules, its parameters, all of its arguments."""

    executable: str
    rules: dict[str, str]
    parameters: dict[str, object]
    arguments: list[str]


@dataclass(frozen=True)
class Result:
    code: int
    output: str
    shown: list[Shown]

    @property
    def topics(self) -> dict[str, dict[str, str]]:
        """By the namespace of each process of the node, its remapped inputs."""
        return {
            process.rules["__ns"]: {name: topic for name, topic in process.rules.items() if not name.startswith("__")}
            for process in self.shown
            if process.executable == "ovsr_node"
        }


@pytest.fixture
def launch(tmp_path):
    """Launches a file to its end: all that it starts."""
    folder = tmp_path / "shown"
    folder.mkdir()
    show = tmp_path / "show.py"
    show.write_text(SHOW)

    def run(path, *arguments):
        prefix = f"launch-prefix:={sys.executable} {show} {folder}"
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
        environment |= {"ROS_LOG_DIR": str(tmp_path / "log"), "TMPDIR": str(tmp_path)}
        result = subprocess.run(
            [sys.executable, "-c", LAUNCH, str(path), *arguments, prefix],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            timeout=TIMEOUT_S,
            check=False,
        )
        shown = []
        for file in sorted(folder.iterdir()):
            content = json.loads(file.read_text())
            options = zip(content["arguments"], content["arguments"][1:], strict=False)
            rules = dict(rule.split(":=", 1) for option, rule in options if option == "-r")
            shown.append(Shown(content["executable"], rules, content["parameters"], content["arguments"]))
            file.unlink()
        assert not list(tmp_path.glob("ovsr_parameters_*")), "the parameter file was left behind"
        return Result(result.returncode, result.stdout, shown)

    return run


@pytest.fixture
def parent(tmp_path):
    """Writes a launch file that includes others; OVSR in it is the path of ovsr.launch.py."""

    def write(text, suffix=".py"):
        path = tmp_path / f"parent.launch{suffix}"
        head = IMPORTS if suffix == ".py" else ""
        path.write_text((head + text).replace("OVSR", str(OVSR)))
        return path

    return write


IMPORTS = """
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument, ExecuteProcess, GroupAction, IncludeLaunchDescription, LogInfo, OpaqueFunction,
    RegisterEventHandler, SetLaunchConfiguration, TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import AnyLaunchDescriptionSource, PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

def include(**arguments):
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource("OVSR"), launch_arguments=arguments.items()
    )

def generate_launch_description():
    return LaunchDescription(list(entities()))

"""


# --- What was given counts, and nothing else ---


def test_arguments_on_the_command_line_reach_the_node(launch):
    result = launch(
        OVSR, "image:=/camera/image_raw", "depth:=/depth", "rate:=30", "autostart:=No", "use_sim_time:=true",
        "namespace:=robot1/", "categories:=mug; cup, y", "log_level:=WARN", "sigterm_timeout:=3",
    )  # fmt: skip
    assert result.code == 0, result.output
    (node,) = result.shown
    assert node.rules == {"__node": "ovsr", "__ns": "/robot1", "image": "/camera/image_raw", "depth": "/depth"}
    assert node.parameters == {
        "rate_hz": 30.0,
        "autostart": False,
        "use_sim_time": True,
        "categories": ["mug; cup", "y"],
    }
    assert node.arguments[: node.arguments.index("-r")] == ["--ros-args", "--log-level", "WARN", "--ros-args"]


def test_an_input_that_is_given_its_own_name_is_remapped_too(launch):
    assert launch(OVSR, "image:=image", "depth:=/depth").topics == {"/": {"image": "image", "depth": "/depth"}}
    assert launch(OVSR).topics == {"/": {}}


TWICE = {
    ".py": """
def entities():
    yield include(namespace="a", image="/a", depth="/depth", rate="30", params_file="FILE")
    yield include(namespace="b", image="/b")
    yield include()
""",
    ".xml": """
<launch>
  <include file="OVSR">
    <arg name="namespace" value="a"/><arg name="image" value="/a"/><arg name="depth" value="/depth"/>
    <arg name="rate" value="30"/><arg name="params_file" value="FILE"/>
  </include>
  <include file="OVSR"><arg name="namespace" value="b"/><arg name="image" value="/b"/></include>
  <include file="OVSR"/>
</launch>
""",
    ".yaml": """
launch:
- include:
    file: OVSR
    arg:
    - {name: namespace, value: a}
    - {name: image, value: /a}
    - {name: depth, value: /depth}
    - {name: rate, value: "30"}
    - {name: params_file, value: FILE}
- include: {file: OVSR, arg: [{name: namespace, value: b}, {name: image, value: /b}]}
- include: {file: OVSR}
""",
}


@pytest.mark.parametrize("suffix", TWICE)
def test_each_of_several_includes_has_its_own_arguments(launch, parent, tmp_path, suffix):
    file = tmp_path / "params.yaml"
    file.write_text("/**:\n  ros__parameters:\n    score_threshold: 0.5\n")
    result = launch(parent(TWICE[suffix].replace("FILE", str(file)), suffix))
    assert result.code == 0, result.output
    assert result.topics == {"/a": {"image": "/a", "depth": "/depth"}, "/b": {"image": "/b"}, "/": {}}
    parameters = {process.rules["__ns"]: process.parameters for process in result.shown}
    assert parameters == {"/a": {"rate_hz": 30.0, "score_threshold": 0.5}, "/b": {}, "/": {}}


OF_A_PARENT = (
    "device:=/dev/video0", "config:=camera.yaml", "rate:=100hz", "processes:=4", "log_level:=verbose", "autostart:=si",
    "namespace:=elsewhere", "depth:=/elsewhere", "cameras:=a b", "image:=a b", "category:=mug",
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "def entities():\n    yield include(image='/camera')",
        "def entities():\n    yield DeclareLaunchArgument('device', default_value='/dev/video1')\n"
        "    yield include(image='/camera')",
        "def entities():\n    yield GroupAction([include(image='/camera')])",
        "def entities():\n    yield GroupAction([GroupAction([include(image='/camera')], scoped=False)])",
        "def entities():\n    yield OpaqueFunction(function=lambda context: [include(image='/camera')])",
        "def entities():\n    yield TimerAction(period=0.1, actions=[include(image='/camera')])",
        "def entities():\n    yield ExecuteProcess(cmd=['true'], on_exit=[include(image='/camera')])",
        "def entities():\n    yield DeclareLaunchArgument('cam', default_value='/camera')\n"
        "    yield include(image=LaunchConfiguration('cam'))",
        "def entities():\n    yield GroupAction([include(image='/camera')], forwarding=False, "
        "launch_configurations={'launch-prefix': LaunchConfiguration('launch-prefix')})",
    ],
)
def test_arguments_of_a_parent_neither_end_the_launch_nor_take_effect(launch, parent, text):
    result = launch(parent(text), *OF_A_PARENT)
    assert result.code == 0, result.output
    nodes = [process for process in result.shown if process.executable == "ovsr_node"]
    assert [(node.rules["__ns"], node.rules["image"], node.parameters) for node in nodes] == [("/", "/camera", {})]
    if "forwarding" not in text:
        assert "device:=/dev/video0, " in result.output
        assert "name them among the arguments of the include" in result.output


def test_what_a_parent_hands_on_counts(launch, parent):
    text = """
def entities():
    yield DeclareLaunchArgument("rate", default_value="")
    yield DeclareLaunchArgument("device", default_value="")
    yield include(**{name: LaunchConfiguration(name) for name in ("rate", "device")})
"""
    assert [process.parameters for process in launch(parent(text), "rate:=30").shown] == [{"rate_hz": 30.0}]


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("def entities():\n    yield GroupAction([include()], launch_configurations={'depth': '/d'})", ".py"),
        ("def entities():\n    yield GroupAction([SetLaunchConfiguration('depth', '/d'), include()])", ".py"),
        (
            "def entities():\n    prefix = LaunchConfiguration('launch-prefix')\n    yield GroupAction([include()], "
            "forwarding=False, launch_configurations={'depth': '/d', 'robot': 'r2', 'launch-prefix': prefix})",
            ".py",
        ),
        ('<launch><group><let name="depth" value="/d"/><include file="OVSR"/></group></launch>', ".xml"),
    ],
)
def test_what_is_set_in_a_group_around_the_include_alone_is_given_to_it(launch, parent, text, suffix):
    result = launch(parent(text, suffix))
    assert result.code == 0, result.output
    assert result.topics == {"/": {"depth": "/d"}}


@pytest.mark.parametrize("other", ["include()", "ExecuteProcess(cmd=['true'])", "GroupAction([])"])
def test_what_is_set_in_a_group_with_others_is_not(launch, parent, other):
    text = (
        f"def entities():\n    yield GroupAction([SetLaunchConfiguration('device', '/dev/video0'), {other}, include()])"
    )
    result = launch(parent(text))
    assert result.code == 0, result.output
    assert {str(process.parameters) for process in result.shown if process.executable == "ovsr_node"} == {"{}"}


def test_a_parent_s_later_includes_do_not_see_the_defaults(launch, parent):
    text = """
def entities():
    yield include(image="/camera")
    for name in ("device", "rate", "namespace", "config", "log_level"):
        yield DeclareLaunchArgument(name, default_value="the parent's")
        yield LogInfo(msg=[name, " is ", LaunchConfiguration(name)])
"""
    result = launch(parent(text))
    assert result.output.count("is the parent's") == 5, result.output


def test_a_description_that_is_used_without_an_include_takes_what_is_set(launch, parent):
    text = """
from launch.launch_description_sources import get_launch_description_from_python_launch_file

def entities():
    yield SetLaunchConfiguration("image", "/camera")
    yield from get_launch_description_from_python_launch_file("OVSR").entities
"""
    assert launch(parent(text)).topics == {"/": {"image": "/camera"}}


def test_a_description_that_is_included_as_such_has_its_own_arguments_too(launch, parent):
    text = """
from launch import LaunchDescriptionSource
from launch.launch_description_sources import get_launch_description_from_python_launch_file

def entities():
    for namespace, depth in (("a", "/a"), ("b", "")):
        source = LaunchDescriptionSource(get_launch_description_from_python_launch_file("OVSR"))
        yield IncludeLaunchDescription(source, launch_arguments={"namespace": namespace, "depth": depth}.items())
    yield IncludeLaunchDescription(source)
"""
    result = launch(parent(text), "device:=/dev/video0")
    assert result.topics == {"/a": {"depth": "/a"}, "/b": {}, "/": {}}, result.output


# --- Several cameras ---


def test_cameras_are_nodes_of_one_process_or_a_process_each(launch):
    cameras = "cameras:=front=/front/image_raw/compressed, rear"
    (node,) = launch(OVSR, cameras, "namespace:=robot1", "image_transport:=compressed", "image:=cam").shown
    assert node.arguments[:2] == ["--cameras", '{"front": {"image": "/front/image_raw"}, "rear": {}}']
    assert node.rules == {"__ns": "/robot1", "image": "cam"}
    result = launch(OVSR, cameras, "processes:=several", "image_transport:=compressed", "image:=cam/compressed")
    assert result.topics == {"/front": {"image": "/front/image_raw"}, "/rear": {"image": "cam"}}


# --- All is checked before the first process ---

REFUSED = [
    ("category:=mug", "unknown argument 'category', the nearest is 'categories'"),
    ("rate:=fast", "rate: expected a number"),
    ("rate:=nan", "rate: expected 0.1 to 120 Hz"),
    ("device:=/dev/video0", "device: expected auto, cpu, cuda or cuda:N"),
    ("config:=/nosuch.yaml", "/nosuch.yaml: no such config file"),
    ("categories:=[mug", 'categories: expected "mug; cup, ball"'),
    ("categories:=mug, MUG", "is a duplicate"),
    ("log_level:=verbose", "log_level: expected one of debug"),
    ("use_sim_time:=maybe", "use_sim_time: expected true or false, got 'maybe'"),
]


@pytest.mark.parametrize(
    ("path", "argument", "said"),
    [
        *((path, *refused) for path in (OVSR, DEMO) for refused in REFUSED),
        (OVSR, "params_file:=/nosuch", "params_file: /nosuch: cannot be read: No such file"),
        (OVSR, "cameras:=front=/a rear=/b", "put a comma between two cameras"),
        (OVSR, "image:=/a b", "image: expected a topic"),
        (OVSR, "namespace:=a-b", "namespace: expected a name"),
        (OVSR, "processes:=4", "processes: expected one or several"),
        (OVSR, "autostart:=maybe", "autostart: expected true or false"),
        (DEMO, "rviz:=maybe", "rviz: expected true, false or auto, got 'maybe'"),
        (DEMO, "rviz:=yes", "rviz: rviz2 is not installed"),
        (DEMO, "rviz:=true", "rviz: rviz2 is not installed"),
        (DEMO, "seed:=one", "seed: expected int"),
        (DEMO, "seed:=99999999999", "seed: expected 0 to 2.14748e+09"),
        (DEMO, "namespace:=robot1", "unknown argument 'namespace'"),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else None,
)
def test_what_cannot_be_used_ends_the_launch_before_anything_is_started(launch, path, argument, said, monkeypatch):
    if "rviz2" in said:
        monkeypatch.setenv("AMENT_PREFIX_PATH", without_rviz())
    result = launch(path, argument)
    assert result.code == 1
    assert result.output.count(said) == 1, result.output
    assert "Traceback" not in result.output
    assert not result.shown
    assert "process started" not in result.output


def without_rviz():
    prefixes = os.environ["AMENT_PREFIX_PATH"].split(":")
    return ":".join(prefix for prefix in prefixes if not (Path(prefix) / "lib" / "rviz2").is_dir())


def test_an_include_with_an_unknown_argument_is_refused(launch, parent):
    result = launch(parent("def entities():\n    yield include(imgae='/a')"))
    assert (result.code, result.shown) == (1, [])
    assert "unknown argument 'imgae', the nearest is 'image'" in result.output


def test_the_demo_starts_camera_and_node(launch, monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", without_rviz())
    for rviz in ("auto", "off", "No", "0", " "):
        result = launch(DEMO, f"rviz:={rviz}", "use_sim_time:=on", "categories:=[]", "seed:=7")
        assert result.code == 0, result.output
        camera, node = sorted(result.shown, key=lambda process: process.executable)
        assert camera.parameters == {"seed": 7, "use_sim_time": True}
        assert node.parameters == {"config": "demo", "categories": [], "use_sim_time": True}
        assert node.rules["image"] == "/demo/image_raw"
