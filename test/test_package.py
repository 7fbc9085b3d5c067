"""What a user gets: the ROS package as colcon builds and installs it, and the ROS-free one as pip does."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from catkin_pkg.package import parse_package

import ovsr_ros
from ovsr_ros.nodes.demo.__main__ import CAMERA_NAMESPACE

ROOT = Path(__file__).resolve().parent.parent
FILES = ("package.xml", "CMakeLists.txt", "LICENSE")
SOURCES = (*FILES, "msg", "srv", "resource", "native", "ovsr_ros", "launch", "config")
EXECUTABLES = ("ovsr", "ovsr_node", "demo_camera", "console")
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))

# Run outside the checkout: the code, the generated messages, and the presets must all come from the install space.
USE_BOTH_HALVES = """
import sys
from pathlib import Path
import ovsr_ros, ovsr_ros.results
from ovsr_ros.config import find_presets
from ovsr_ros.msg import Category, ClassScore, Segment, SegmentArray, Vocabulary
from ovsr_ros.srv import GetVocabulary, SegmentImage, SetVocabulary

array = SegmentArray(segments=[Segment(id=1, class_id=255, runners_up=[ClassScore(class_id=3)])])
assert array.segments[0].runners_up[0].class_id == 3
assert SetVocabulary.Request.REMOVE == 2
assert ovsr_ros.__version__ == {version!r}, ovsr_ros.__version__
prefix = Path({prefix!r})
for place in (ovsr_ros.__file__, sys.modules[SegmentArray.__module__].__file__):
    assert Path(place).is_relative_to(prefix), place
from ovsr_ros.ops import native
assert Path(native.load()._name).is_relative_to(prefix), native.load()
presets = find_presets()
assert set(presets) >= {{"ovsr", "demo"}}, presets
assert all(path.is_relative_to(prefix) for path in presets.values()), presets
"""


def run(command: list[str], cwd: Path, **variables: str) -> str:
    """The output of a command that must succeed."""
    environment = {**os.environ, **variables}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
    return result.stdout


def copy_checkout(destination: Path, *more: str) -> Path:
    """The package's files alone: no build products, nothing that only this checkout has."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "*.so")
    for name in (*SOURCES, *more):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, destination / name, ignore=ignore)
        elif source.exists():
            destination.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, destination / name)
    return destination


def assert_install_space_is_complete(prefix: Path, tmp_path: Path, **variables: str) -> None:
    for executable in EXECUTABLES:
        path = prefix / "lib" / "ovsr_ros" / executable
        assert os.access(path, os.X_OK), f"{path} is missing or not executable"
        interpreter = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("#!")
        assert os.access(interpreter, os.X_OK), f"{path} wants {interpreter}"
    share = prefix / "share" / "ovsr_ros"
    for folder in ("launch", "config"):
        wanted = {path.name for path in (ROOT / folder).iterdir() if path.is_file()}
        assert {path.name for path in (share / folder).iterdir()} >= wanted
    assert (prefix / "share" / "ament_index" / "resource_index" / "packages" / "ovsr_ros").exists()
    script = USE_BOTH_HALVES.format(version=ovsr_ros.__version__, prefix=str(prefix))
    run([sys.executable, "-c", script], tmp_path, **variables)


def ovsr(command: Path, *words: str, cwd: Path, environment: dict[str, str]) -> str:
    """What the command `ovsr` at that path prints, in an environment of exactly these variables."""
    done = subprocess.run([str(command), *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_version_and_segment_work(command: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    assert ovsr(command, "--version", cwd=tmp_path, environment=environment) == f"ovsr {ovsr_ros.__version__}\n"
    assert "segment" in ovsr(command, "--help", cwd=tmp_path, environment=environment)
    assert cv2.imwrite(str(tmp_path / "room.png"), np.full((48, 64, 3), 90, np.uint8))
    options = ("--config", "demo", "--categories", "floor", "--device", "cpu", "--out", "out")
    ovsr(command, "segment", "room.png", *options, cwd=tmp_path, environment=environment)
    assert (tmp_path / "out" / "room_label_map.png").exists()


# --- The ROS package ---


def test_install_space_of_the_setup_has_both_halves(tmp_path: Path) -> None:
    """`make setup` builds with --symlink-install."""
    prefixes = [Path(path) for path in os.environ.get("AMENT_PREFIX_PATH", "").split(":")]
    prefix = next((path for path in prefixes if (path / "share" / "ovsr_ros").is_dir()), None)
    assert prefix is not None, "no install space is sourced: run the tests with `make test`, or in `make shell`"
    assert_install_space_is_complete(prefix, tmp_path)
    assert (prefix / "share" / "ovsr_ros" / "package.xml").is_symlink()


@pytest.mark.slow
def test_plain_build_in_a_workspace(tmp_path: Path) -> None:
    """As on a robot: a checkout in a workspace's src/, `colcon build`, source, use."""
    workspace = tmp_path / "workspace"
    copy_checkout(workspace / "src" / "ovsr_ros", "setup.py", "pyproject.toml", "README.md")
    command = ["colcon", "build", "--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={sys.executable}"]
    run(command, workspace)
    prefix = workspace / "install" / "ovsr_ros"
    sourced = run(["bash", "-c", ". install/local_setup.bash && env -0"], workspace)
    variables = dict(line.split("=", 1) for line in sourced.split("\0") if "=" in line)
    assert_install_space_is_complete(prefix, tmp_path, **variables)
    (code,) = prefix.glob("**/ovsr_ros/results.py")
    assert not code.is_symlink()
    shutil.rmtree(workspace / "src")  # nothing may point back
    assert_install_space_is_complete(prefix, tmp_path, **variables)
    assert_version_and_segment_work(prefix / "lib" / "ovsr_ros" / "ovsr", tmp_path, {**os.environ, **variables})


def test_the_setup_s_command_works_in_an_environment_of_nothing(tmp_path: Path) -> None:
    command = Path(sys.prefix) / "bin" / "ovsr"  # it starts the executable of the symlinked install
    assert_version_and_segment_work(command, tmp_path, {})
    on_scenes = ("--dataset", "scenes", "--limit", "2", "--workers", "2", "--config", "demo", "--device", "cpu")
    assert "mIoU" in ovsr(command, "evaluate", *on_scenes, cwd=tmp_path, environment={})
    with pytest.raises(AssertionError, match=r"no\.png: cannot be read"):
        ovsr(command, "segment", "no.png", "--config", "demo", "--categories", "a", cwd=tmp_path, environment={})
    link, elsewhere = tmp_path / "a link", {"PYTHONPATH": str(tmp_path), "PYTHONHOME": str(tmp_path)}
    link.symlink_to(command)
    assert ovsr(link, "--version", cwd=tmp_path, environment=elsewhere)


def test_package_xml_is_valid_and_free_of_warnings() -> None:
    warnings: list[str] = []
    package = parse_package(str(ROOT / "package.xml"), warnings=warnings)
    package.validate(warnings=warnings)
    assert not warnings
    assert package.licenses == ["Apache-2.0"]
    assert package.get_build_type() == "ament_cmake"


def test_every_ros_package_in_use_is_declared() -> None:
    package = parse_package(str(ROOT / "package.xml"))
    declared = {dependency.name for dependency in [*package.exec_depends, *package.build_depends]}
    used = set()
    for path in [*(ROOT / "ovsr_ros" / "nodes").rglob("*.py"), *LAUNCH_FILES]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module.partition(".")[0])
    ros = {"ament_index_python", "builtin_interfaces", "cv_bridge", "launch", "launch_ros", "rcl_interfaces", "rclpy"}
    assert {name for name in used if name in ros or name.endswith("_msgs")} <= declared


def test_cmake_generates_every_interface_file() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    listed = set(re.findall(r"^ +((?:msg|srv)/\w+\.(?:msg|srv))$", cmake, re.MULTILINE))
    assert listed == {f"{path.parent.name}/{path.name}" for path in [*ROOT.glob("msg/*.msg"), *ROOT.glob("srv/*.srv")]}


@pytest.mark.parametrize("path", sorted([*ROOT.glob("msg/*.msg"), *ROOT.glob("srv/*.srv")]), ids=lambda path: path.name)
def test_every_interface_field_says_its_meaning_or_range(path: Path) -> None:
    """A field of one of the package's own message types, a success flag, or one after its constants explains itself."""
    explains_itself = re.compile(r"bool success|uint8 operation|(SegmentArray|Vocabulary|Category\[\]) \w+")
    for line in path.read_text(encoding="utf-8").splitlines():
        is_field = line.strip() and not line.startswith(("#", "---"))
        assert not is_field or "#" in line or explains_itself.fullmatch(line.strip()), f"{path.name}: '{line}'"


# --- Launch files and rviz ---


def read_launch_arguments(path: Path) -> set[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "ARGUMENTS":
            assert isinstance(node.value, ast.Dict)
            return {str(ast.literal_eval(key)) for key in node.value.keys if key is not None}
    raise AssertionError(f"{path.name} has no ARGUMENTS")


def test_launch_files_have_the_promised_arguments() -> None:
    node_arguments = {"config", "image", "categories", "device", "rate", "namespace", "autostart", "log_level"}
    node_arguments |= {"cameras", "processes", "console", "console_arguments"}
    assert [path.name for path in LAUNCH_FILES] == ["demo.launch.py", "ovsr.launch.py"]
    demo, ovsr = map(read_launch_arguments, LAUNCH_FILES)
    assert ovsr >= node_arguments
    assert demo >= {"config", "categories", "rviz"}


def test_launch_files_need_no_newer_python_than_the_oldest_supported() -> None:
    for path in LAUNCH_FILES:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))


def test_the_demo_s_launch_file_watches_the_camera_that_make_demo_watches() -> None:
    assert f'"image": "{CAMERA_NAMESPACE}/image_raw"' in (ROOT / "launch" / "demo.launch.py").read_text(
        encoding="utf-8"
    )


# --- The ROS-free package ---


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    checkout = copy_checkout(folder / "checkout", "setup.py", "pyproject.toml", "README.md")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    run([*command, "--wheel-dir", str(folder), str(checkout)], folder)
    (path,) = folder.glob("*.whl")
    return path


def test_versions_agree(wheel: Path) -> None:
    package = parse_package(str(ROOT / "package.xml"))
    assert package.version == ovsr_ros.__version__
    assert wheel.name.startswith(f"ovsr_ros-{ovsr_ros.__version__}-py3-none-linux")


def test_wheel_holds_the_library_and_no_ros(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "ovsr_ros").rglob("*.py")}
    assert {name for name in code if not name.startswith("ovsr_ros/nodes/")} <= names
    assert not {
        name for name in names if name.startswith(("ovsr_ros/nodes/", "ovsr_ros/msg/", "ovsr_ros/srv/", "test/"))
    }
    assert {"ovsr_ros/console/web/assets/console.css", "ovsr_ros/console/web/assets/picture.js"} <= names
    weights = {str(path.relative_to(ROOT)) for path in (ROOT / "ovsr_ros/demo/weights").rglob("*") if path.is_file()}
    assert weights <= names
    assert "ovsr_ros/py.typed" in names
    assert "ovsr_ros/libovsr_clustering.so" in names
    presets = {name.rpartition("/")[2] for name in names if "/share/ovsr_ros/config/" in name}
    assert presets == {path.name for path in (ROOT / "config").glob("*.yaml")}
    definitions = {name.rpartition("/")[2] for name in names if "/share/ovsr_ros/msg/" in name}
    assert definitions == {path.name for path in (ROOT / "msg").glob("*.msg")}
    assert any(name.endswith("LICENSE") for name in names)


def test_wheel_runs_without_ros_and_finds_its_presets(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    run([*command, str(wheel)], tmp_path)
    script = (
        "import sys; sys.modules['rclpy'] = None\n"
        "from ovsr_ros import config; print(*config.find_presets(), config.__file__)"
    )
    output = run([sys.executable, "-c", script], tmp_path, PYTHONPATH=str(site))
    *presets, place = output.split()
    assert Path(place).is_relative_to(site)
    assert {"ovsr", "demo"} <= set(presets)
    help_text = run([str(site / "bin" / "ovsr"), "--help"], tmp_path, PYTHONPATH=str(site))
    assert "segment" in help_text


def test_declared_dependencies_are_the_pinned_ones(wheel: Path) -> None:
    """Every dependency that pip would install is pinned, and all but what training alone needs is installed."""
    metadata = zipfile.ZipFile(wheel).read(f"ovsr_ros-{ovsr_ros.__version__}.dist-info/METADATA").decode()
    lines = re.findall(r"^Requires-Dist: ([\w.-]+)(.*)", metadata, re.MULTILINE)
    declared = [name for name, _ in lines]
    assert "torch" in declared
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(declared) <= set(pinned)
    for name in (name for name, condition in lines if "pocket-train" not in condition):
        importlib.metadata.version(name)
