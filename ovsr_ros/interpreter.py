"""Packages that the running Python lacks or cannot load: told in one message, with what to do.

An executable is started by the Python that it was built with, which is not always the one that has PyTorch. This
imports nothing but the standard library, and looks for packages only once an import has failed.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import platform
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from ovsr_ros.errors import InterpreterError

DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "huggingface_hub": "huggingface-hub",
    "numpy": "numpy",
    "open_clip": "open-clip-torch",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "simplejpeg": "simplejpeg",
    "timm": "timm",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "torchvision": "torchvision",
    "tqdm": "tqdm",
    "yaml": "pyyaml",
}
"""What pip calls the modules that this package imports."""
OPTIONAL = {
    "fastapi": "nicegui",
    "nicegui": "nicegui",
    "starlette": "nicegui",
    "uvicorn": "nicegui",
    "fsspec": "fsspec",
    "lz4": "rosbags",
    "pyarrow": "pyarrow",
    "ray": "ray",
    "rosbags": "rosbags",
}
"""The same of those that extras bring: `console`, whose nicegui brings what it needs, `recordings` and `cluster`."""
PIPELINE = tuple(name for name in DISTRIBUTIONS if name != "tokenizers")
"""Modules without which nothing is labelled."""
NODE = (*PIPELINE, "rclpy", "ovsr_ros.msg")
CONSOLE = ("cv2", "nicegui", "numpy", "simplejpeg", "yaml", "rclpy", "ovsr_ros.msg")
DEMO_CAMERA = ("cv2", "numpy", "simplejpeg", "yaml", "rclpy", "ovsr_ros.msg")

_GENERATED = re.compile(r"ovsr_ros\.(msg|srv|ovsr_ros_s__\w+)\b|cannot import name '(msg|srv)' from 'ovsr_ros'")
_ROS = re.compile(
    r"(rclpy|rpyutils|ament_index_python|builtin_interfaces|rcl_interfaces|rosidl_\w+|\w+_(?:msgs|srvs))\b"
)
_PACKAGE = Path(__file__).parent
_OLDEST = (3, 10)
_CAUSE_LENGTH = 400


@contextlib.contextmanager
def explained_imports(needs: Sequence[str], other_python: str) -> Iterator[None]:
    """Raise InterpreterError in place of whatever an import of somebody else's package raises within.

    needs: modules that the program cannot do without: those that are missing are named at once. other_python: how
    it is run by another Python, a line in which PYTHON stands for that one.

    A module of this package that is not there, or fails by itself, is a fault of this package's and stays as it is.
    """
    _check_version(other_python)
    try:
        yield
    except Exception as error:
        message = _explain(error, needs, other_python)
        if message is None:
            raise
        raise InterpreterError(message) from error


def check_modules(needs: Sequence[str], other_python: str) -> None:
    """Raise InterpreterError as `explained_imports` where modules cannot be found; none of them is imported."""
    _check_version(other_python)
    missing = [name for name in needs if not _is_found(name)]
    if missing:
        raise InterpreterError(_lacks(missing, other_python))


def _check_version(other_python: str) -> None:
    if sys.version_info < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise InterpreterError(f"{_running()} is too old: use Python {oldest} or newer, PYTHON:\n  {other_python}")


def _explain(error: Exception, needs: Sequence[str], other_python: str) -> str | None:
    steps = _steps(error)
    culprit = _culprit(error, steps)
    if culprit is None:
        return None
    if isinstance(error, ImportError) and not _is_found(culprit):
        missing = [name for name in needs if not _is_found(name)]
        return _lacks(list(dict.fromkeys([*missing, culprit])), other_python)
    cause = f"{type(error).__name__}: {' '.join(str(error).split())[:_CAUSE_LENGTH] or '(no message)'}"
    return _cannot_load(culprit, cause, _place(steps), other_python)


def _culprit(error: Exception, steps: Sequence[TracebackType]) -> str | None:
    """The package whose import failed: its top-level module; None where it is not an import that failed, or our own."""
    if isinstance(error, ImportError) and _GENERATED.search(f"{error.name} {error}"):
        return "ovsr_ros.msg"
    if isinstance(error, ImportError) and error.name:
        top = error.name.partition(".")[0]
        is_known = top in {**DISTRIBUTIONS, **OPTIONAL} or _ROS.match(top) or top in sys.stdlib_module_names
        is_own_mistake = not is_known and bool(steps) and _is_ours(steps[-1])
        return None if top == _PACKAGE.name or is_own_mistake else top
    # Somebody else's module that was being imported by one of ours: the innermost such.
    own = max((place for place, step in enumerate(steps) if _is_ours(step)), default=-1)
    beyond = [step.tb_frame for step in steps[own + 1 :]]
    if own < 0 or not beyond or beyond[0].f_code.co_name != "<module>" or isinstance(error, MemoryError):
        return None
    modules = [frame for frame in beyond if frame.f_code.co_name == "<module>"]
    return str(modules[-1].f_globals.get("__name__", "")).partition(".")[0] or None


def _steps(error: Exception) -> list[TracebackType]:
    """The traceback, outermost first, without the import system's own."""
    steps, step = [], error.__traceback__
    while step is not None:
        if not step.tb_frame.f_code.co_filename.startswith(("<frozen importlib", str(importlib.__file__))):
            steps.append(step)
        step = step.tb_next
    return steps


def _is_ours(step: TracebackType) -> bool:
    return Path(step.tb_frame.f_code.co_filename).is_relative_to(_PACKAGE)


def _place(steps: Sequence[TracebackType]) -> str:
    own = [step for step in steps if _is_ours(step)]
    if not own:
        return ""
    return f"{Path(own[-1].tb_frame.f_code.co_filename).relative_to(_PACKAGE.parent)}, line {own[-1].tb_lineno}"


def _is_found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # its package cannot be imported; or it was put into sys.modules by hand
        return False


def _lacks(missing: Sequence[str], other_python: str) -> str:
    built_in = [name for name in missing if name in sys.stdlib_module_names]
    generated = [name for name in missing if name == "ovsr_ros.msg"]
    ros = [name for name in missing if name not in DISTRIBUTIONS and _ROS.match(name)]
    installed = [name for name in missing if name not in {*built_in, *generated, *ros}]
    todo = []
    if installed:
        todo.append(f"install into it what is missing: {_pip(installed)}")
    if ros:
        todo.append(f"source ROS 2, which only the Python that it was built for can load: {_setup_files()}")
    if generated:
        todo.append("source the workspace in which this package was built: . install/setup.bash")
    if built_in:
        todo.append(f"build or install that Python with {', '.join(built_in)}, of its own standard library")
    return _ways_out(f"lacks {', '.join(missing)}", todo, other_python)


def _cannot_load(name: str, cause: str, place: str, other_python: str) -> str:
    what = f"has {name}{_version(name)}, and cannot load it: {cause}" + (f" (imported by {place})" if place else "")
    if name == "ovsr_ros.msg":
        todo = "build this package again with this Python, and source the workspace: . install/setup.bash"
    elif name not in DISTRIBUTIONS and _ROS.match(name):
        todo = "start it by the Python that this ROS 2 was built for: no other can load it"
    else:
        both = ["torch", "torchvision"]  # a version of the one belongs to a version of the other
        todo = f"install it anew: {_pip(both if name in both else [name], '--force-reinstall ')}"
    return _ways_out(what, [todo], other_python)


def _ways_out(what: str, todo: Sequence[str], other_python: str) -> str:
    either = "; and\n  ".join(todo)
    return (
        f"{_running()} {what}. Either\n  {either}\nor use a Python that has all of "
        "it, PYTHON, such as DIR/bin/python of a virtual environment that sees the system's packages (python3 -m venv "
        f"--system-site-packages DIR):\n  {other_python}"
    )


def _running() -> str:
    return f"{_python()} (Python {platform.python_version()})"


def _python() -> str:
    return sys.executable or "python3"


def _pip(modules: Sequence[str], options: str = "") -> str:
    """A command that installs into this Python."""
    managed = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    if sys.prefix == sys.base_prefix and managed.exists():  # by the operating system: PEP 668
        options = f"--break-system-packages {options}"
    first = "" if _is_found("pip") else f"{_python()} -m ensurepip && "
    names = " ".join(dict.fromkeys({**OPTIONAL, **DISTRIBUTIONS}.get(name, name) for name in modules))
    return f"{first}{_python()} -m pip install {options}{names}"


def _setup_files() -> str:
    found = sorted(str(path) for path in Path("/opt/ros").glob("*/setup.bash"))
    return " or ".join(f". {path}" for path in found or ["/opt/ros/DISTRO/setup.bash"])


def _version(module: str) -> str:
    try:
        return f" {importlib.metadata.version(DISTRIBUTIONS.get(module, module))}"
    except importlib.metadata.PackageNotFoundError:
        return ""
