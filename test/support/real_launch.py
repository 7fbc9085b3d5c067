"""The launch files in a real launch, whose processes say what they were started with instead of doing their work."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OVSR = ROOT / "launch" / "ovsr.launch.py"
DEMO = ROOT / "launch" / "demo.launch.py"
NEEDED = "needs launch, launch_ros and ros2launch, which are not among ROS's Python wheels"
TIMEOUT_S = 60.0

# As the command `ros2 launch` does it.
_LAUNCH = """
import sys
from ros2launch.api import launch_a_launch_file
class Options: launch_prefix = launch_prefix_filter = None
sys.exit(launch_a_launch_file(
    launch_file_path=sys.argv[1], launch_file_arguments=sys.argv[2:], noninteractive=True, args=Options
))
"""

# Stands before each process's command, as launch's own argument launch-prefix.
_SHOW = """
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
    """The exit code, what was printed, and what was started."""

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


_IMPORTS = """
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


class RealLaunch:
    """Launches files to their end, as `ros2 launch` does, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shown = folder / "shown"
        self._shown.mkdir()
        self._show = folder / "show.py"
        self._show.write_text(_SHOW, encoding="utf-8")

    def write_parent(self, text: str, suffix: str = ".py") -> Path:
        """A launch file that includes others; OVSR in it is the path of ovsr.launch.py."""
        path = self._folder / f"parent.launch{suffix}"
        head = _IMPORTS if suffix == ".py" else ""
        path.write_text((head + text).replace("OVSR", str(OVSR)), encoding="utf-8")
        return path

    def __call__(self, path: Path, *arguments: str) -> Result:
        prefix = f"launch-prefix:={sys.executable} {self._show} {self._shown}"
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
        environment |= {"ROS_LOG_DIR": str(self._folder / "log"), "TMPDIR": str(self._folder)}
        result = subprocess.run(
            [sys.executable, "-c", _LAUNCH, str(path), *arguments, prefix],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert not list(self._folder.glob("ovsr_parameters_*")), "the parameter file was left behind"
        return Result(result.returncode, result.stdout, self._take_shown())

    def _take_shown(self) -> list[Shown]:
        shown = []
        for file in sorted(self._shown.iterdir()):
            content = json.loads(file.read_text(encoding="utf-8"))
            options = itertools.pairwise(content["arguments"])
            rules = dict(rule.split(":=", 1) for option, rule in options if option == "-r")
            shown.append(Shown(content["executable"], rules, content["parameters"], content["arguments"]))
            file.unlink()
        return shown
