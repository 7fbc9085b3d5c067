"""Programs started by a Python that lacks what they need, or cannot load it: real interpreters, real processes."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bare_python import ROOT, BarePython

from ovsr_ros.interpreter import DISTRIBUTIONS

TORCH = ("torch", "torchvision", "timm", "open_clip")
REBUILD = "colcon build --packages-select ovsr_ros --cmake-args -DPython3_EXECUTABLE=PYTHON"
NODE, CAMERA, DEMO = (f"ovsr_ros.nodes.{name}" for name in ("ovsr_node", "demo_camera", "demo"))
OVSR = "ovsr_ros.cli"
CONSOLE = "ovsr_ros.nodes.console"


@pytest.fixture
def bare(tmp_path: Path) -> BarePython:
    return BarePython(tmp_path)


def assert_told(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    """One message, no traceback, exit code 2."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for text in expected:
        assert text in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("words", "other"),
    [
        ((NODE,), REBUILD),
        ((NODE, "--cameras", "front=/a, rear=/b"), REBUILD),
        ((DEMO,), f"PYTHON -m {DEMO}"),
        ((OVSR, "segment", "a.png"), f"PYTHON -m {OVSR}"),
        ((OVSR, "bench", "--config", "demo"), f"PYTHON -m {OVSR}"),
        ((OVSR, "models", "list"), f"PYTHON -m {OVSR}"),
        ((OVSR, "evaluate", "--dataset", "scenes"), f"PYTHON -m {OVSR}"),
        ((OVSR, "demo", "train", "--out", "a"), f"PYTHON -m {OVSR}"),
    ],
)
def test_without_torch_the_message_names_the_interpreter_what_it_lacks_and_two_ways_out(
    bare: BarePython, words: tuple[str, ...], other: str
) -> None:
    bare.see(*TORCH)
    done = bare.run("-m", *words)
    version = ".".join(map(str, sys.version_info[:3]))
    assert_told(
        done,
        f"{bare.python} (Python {version}) lacks open_clip, timm, torch, torchvision. Either\n",
        f"{bare.python} -m pip install open-clip-torch timm torch torchvision\n",
        f"or use a Python that has all of it, PYTHON, such as DIR/bin/python of a virtual environment that sees the "
        f"system's packages (python3 -m venv --system-site-packages DIR):\n  {other}\n",
    )


@pytest.mark.parametrize("module", [NODE, CAMERA, DEMO, OVSR])
def test_with_nothing_at_all_it_ends_in_a_message_too(bare: BarePython, module: str) -> None:
    done = bare.run("-m", module, *(["segment", "a.png"] if module == OVSR else []), without=("/opt/ros",))
    assert_told(done, f"{bare.python} -m pip install ", " cv2, ", "yaml", " opencv-python-headless ", "pyyaml")
    assert ("torch" in done.stderr) == (module != CAMERA)
    assert ("rclpy" in done.stderr) == (module != OVSR)


@pytest.mark.parametrize(
    ("module", "missing", "expected"),
    [
        (NODE, "scipy", "pip install scipy\n"),
        (NODE, "regex", "lacks regex. Either"),  # of open_clip's
        (NODE, "rclpy", "source ROS 2, which only the Python that it was built for can load: . /opt/ros/"),
        (CAMERA, "rclpy", "source ROS 2, which only the Python that it was built for can load: . /opt/ros/"),
        (CAMERA, "cv2", "pip install opencv-python-headless\n"),
        (CAMERA, "sensor_msgs", "lacks sensor_msgs. Either\n  source ROS 2"),
        (OVSR, "yaml", "pip install pyyaml\n"),
        (OVSR, "PIL", "pip install pillow\n"),
    ],
)
def test_what_is_missing_is_named_as_pip_knows_it(bare: BarePython, module: str, missing: str, expected: str) -> None:
    bare.see(missing)
    done = bare.run("-m", module, *(["bench"] if module == OVSR else []), without=("/opt/ros",))
    assert_told(done, expected)


@pytest.mark.parametrize("module", [NODE, CAMERA, DEMO])
def test_a_workspace_that_is_not_sourced_is_told(bare: BarePython, module: str) -> None:
    bare.see()
    done = bare.run("-m", module, without=("/ovsr_ros/lib",))
    assert_told(
        done, "lacks ovsr_ros.msg. Either\n  source the workspace in which this package was built", "setup.bash"
    )


SHORT_OF_A_LIBRARY = "import ctypes; ctypes.CDLL('libcublas.so.99')"
OTHER_TORCH = "import torch\n@torch.library.register_fake('torchvision::nms')\ndef nms(*inputs): pass"
OTHER_PYTHON = "raise ImportError('The C extension is not there', name='rclpy._rclpy_pybind11')"


@pytest.mark.parametrize(
    ("module", "package", "code", "expected"),
    [
        (NODE, "torch", SHORT_OF_A_LIBRARY, "cannot load it: OSError: libcublas.so.99: cannot open shared object file"),
        (OVSR, "torch", "raise ImportError('libc10.so: no such')", "cannot load it: ImportError: libc10.so: no such"),
        (NODE, "torchvision", OTHER_TORCH, "RuntimeError: operator torchvision::nms does not exist (imported by ovsr_"),
        (OVSR, "torchvision", OTHER_TORCH, "-m pip install --force-reinstall torch torchvision\n"),
        (
            OVSR,
            "torch",
            r"raise ImportError('Failed:\n   no C')",
            "cannot load it: ImportError: Failed: no C (imported",
        ),
        (OVSR, "scipy", "raise ValueError('numpy.dtype size changed')", "ValueError: numpy.dtype size changed"),
        (OVSR, "open_clip", "", "ModuleNotFoundError: No module named 'open_clip."),  # of another version
        (NODE, "timm", "raise SystemError", "cannot load it: SystemError: (no message)"),
        (NODE, "rclpy", OTHER_PYTHON, "start it by the Python that this ROS 2 was built for"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_not_called_missing(
    bare: BarePython, module: str, package: str, code: str, expected: str
) -> None:
    bare.see()
    bare.add(package, code)
    done = bare.run("-m", module, *(["bench"] if module == OVSR else []))
    assert_told(done, f"{bare.python} (Python ", f" has {package}", expected)
    assert "lacks" not in done.stderr


def test_a_part_of_the_standard_library_is_not_to_be_installed_by_pip(bare: BarePython) -> None:
    bare.see()
    script = "import sys; sys.modules['_ctypes'] = None; from ovsr_ros.cli import main; sys.exit(main(['bench']))"
    done = bare.run("-c", script)
    assert_told(done, "lacks _ctypes. Either\n  build or install that Python with _ctypes")
    assert "pip install" not in done.stderr


@pytest.mark.parametrize(
    "mistake",
    ["import nupmy", "import ovsr_ros.nothing", "from ovsr_ros.errors import Nothing", "import json; json.no"],
)
def test_a_mistake_of_our_own_keeps_its_traceback(bare: BarePython, tmp_path: Path, mistake: str) -> None:
    shutil.copytree(ROOT / "ovsr_ros", tmp_path / "ovsr_ros", ignore=shutil.ignore_patterns("weights", "__pycache__"))
    with (tmp_path / "ovsr_ros" / "settings.py").open("a", encoding="utf-8") as file:
        file.write(f"\n{mistake}\n")
    bare.see()
    done = bare.run("-m", OVSR, "bench", cwd=tmp_path)
    assert done.returncode == 1
    assert f"\n    {mistake}\n" in done.stderr


def test_the_demo_camera_needs_no_torch_and_no_entry_point_needs_anything_to_be_imported(bare: BarePython) -> None:
    entries = "; ".join(f"import {module}" for module in (NODE, CAMERA, DEMO, OVSR))
    done = bare.run("-S", "-c", entries)
    assert done.returncode == 0, done.stderr
    bare.see(*TORCH, "scipy", "PIL")
    done = bare.run("-c", "import ovsr_ros.nodes.demo.camera")
    assert done.returncode == 0, done.stderr


def test_without_nicegui_the_page_says_what_to_install(bare: BarePython) -> None:
    bare.see("nicegui", "fastapi")
    assert_told(bare.run("-m", CONSOLE), "lacks nicegui", f"{bare.python} -m pip install nicegui\n", REBUILD)


@pytest.mark.parametrize(
    ("name", "module", "words", "other"),
    [
        ("ovsr_node", NODE, (), REBUILD),
        ("demo_camera", CAMERA, (), REBUILD),
        ("ovsr", OVSR, ("segment", "a.png"), f"PYTHON -m {OVSR}"),
    ],
)
def test_the_installed_executables_end_in_a_message(
    bare: BarePython, tmp_path: Path, name: str, module: str, words: tuple[str, ...], other: str
) -> None:
    template = (ROOT / "resource" / "executable.in").read_text(encoding="utf-8")
    file = tmp_path / name
    file.write_text(template.replace("@EXECUTABLE@", name).replace("@MODULE@", module), encoding="utf-8")
    unsourced = bare.run(str(file), *words, without=("ovsr_ros",), cwd=tmp_path)
    assert_told(
        unsourced, f"{name}: {bare.python} (Python ", "does not find the package ovsr_ros", ". install/setup.bash"
    )
    (bare.packages / "ovsr_ros").symlink_to(ROOT / "ovsr_ros")
    bare.see("cv2", *TORCH)
    assert_told(bare.run(str(file), *words, cwd=tmp_path), "lacks cv2", "pip install opencv-python-headless", other)


SYSTEM = Path("/usr/bin/python3")
MANAGED = sorted(Path("/usr/lib").glob("python3.*/EXTERNALLY-MANAGED"))


@pytest.mark.skipif(not (SYSTEM.exists() and MANAGED), reason="the operating system's Python lets pip install into it")
def test_into_a_python_of_the_operating_systems_pip_is_told_to_install() -> None:
    """PEP 668: pip refuses by itself there."""
    script = (
        "from ovsr_ros.interpreter import check_modules\n"
        "try: check_modules(['no_such_package'], 'other')\nexcept Exception as error: print(error)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(SYSTEM), "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert f"{SYSTEM} (Python 3." in done.stdout
    assert "-m pip install --break-system-packages no_such_package" in done.stdout


OLDER = next((path for path in map(shutil.which, ("python3.9", "python3.8")) if path), None)


def _runs(python: str | None) -> bool:
    return python is not None and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _runs(OLDER), reason="there is no Python here that is too old")
@pytest.mark.parametrize("module", [NODE, CAMERA, DEMO, OVSR])
def test_a_python_that_is_too_old_is_told(module: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [str(OLDER), "-m", module]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert_told(done, "is too old: use Python 3.10 or newer, PYTHON:")


def test_every_package_that_pip_installs_with_this_one_is_known_by_its_module() -> None:
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    (required,) = (
        ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "install_requires"
    )
    assert {line.partition(">")[0] for line in required} == set(DISTRIBUTIONS.values())
