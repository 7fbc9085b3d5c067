"""`make setup` on machines that lack something: one line that says what to do, and no half-made state in the way."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
BASE_PYTHON = Path(getattr(sys, "_base_executable", sys.executable))
PROGRAMS = ("sh", "dirname", "gcc", "g++", "cc", "c++")
UNREACHABLE = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1", "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture(scope="module")
def setup_env() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_env", ROOT / "tools" / "setup_env.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh checkout: what the set-up reads, and no .venv."""
    folder = tmp_path / "checkout"
    for name in ("tools", "msg", "srv", "resource", "native", "launch", "config"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("constraints.txt", "CMakeLists.txt", "package.xml"):
        shutil.copy2(ROOT / name, folder / name)
    (folder / "ovsr_ros").mkdir()
    return folder


def run_setup(checkout: Path, programs: tuple[str, ...], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up where nothing but `programs` can be found."""
    folder = checkout.parent / "bin"
    folder.mkdir()
    for name in programs:
        place = str(BASE_PYTHON) if name == "python3" else shutil.which(name)
        assert place is not None
        (folder / name).symlink_to(place)
    environment = {"PATH": str(folder), "HOME": str(checkout.parent), **variables}
    return subprocess.run(
        [str(checkout / "tools" / "setup")], env=environment, capture_output=True, text=True, check=False
    )


def assert_one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 1
    assert re.fullmatch(r"setup: [^\n]+\n", result.stderr), result.stderr
    for word in words:
        assert word in result.stderr


def test_no_python(checkout: Path) -> None:
    assert_one_line(run_setup(checkout, PROGRAMS), "Python 3.10 to 3.13", "apt install python3")


def test_named_python_is_none(checkout: Path) -> None:
    assert_one_line(run_setup(checkout, PROGRAMS, PYTHON="/bin/false"), "/bin/false", "Python 3.10 to 3.13")


def test_no_compiler(checkout: Path) -> None:
    assert_one_line(run_setup(checkout, ("sh", "dirname", "python3")), "gcc", "build-essential")


def test_ros_is_sourced_but_of_no_use(checkout: Path) -> None:
    if shutil.which("python3", path="/usr/bin") and not subprocess.call(["/usr/bin/python3", "-c", "import rclpy"]):
        pytest.fail("this machine's system Python has rclpy: source it and run the set-up instead")
    result = run_setup(checkout, (*PROGRAMS, "python3"), ROS_DISTRO="humble")
    assert_one_line(result, "humble", "rclpy")


def test_a_foreign_venv_is_left_alone(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "mine").touch()
    assert_one_line(run_setup(checkout, (*PROGRAMS, "python3")), ".venv", "move it away")
    assert (checkout / ".venv" / "mine").exists()


def test_registry_out_of_reach_and_again(checkout: Path) -> None:
    result = run_setup(checkout, (*PROGRAMS, "python3"), **UNREACHABLE)
    assert_one_line(result, "registry cannot be reached", "PIP_INDEX_URL", "make setup")
    shutil.rmtree(checkout.parent / "bin")
    again = run_setup(checkout, (*PROGRAMS, "python3"), **UNREACHABLE)
    assert_one_line(again, "registry cannot be reached")
    assert "creating" not in again.stdout  # it went on from where it was


def test_an_installation_that_was_cut_off_is_begun_anew(checkout: Path) -> None:
    wheels = checkout.parent / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "cut_off-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("cut_off.py", "")
        wheel.writestr(f"{'x' * 300}.py", "")  # no file system takes that name: pip fails when half is written
        wheel.writestr("cut_off-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: cut-off\nVersion: 1\n")
        wheel.writestr("cut_off-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("cut_off-1.dist-info/RECORD", "")
    pins = (checkout / "constraints.txt").read_text(encoding="utf-8")
    sections = "\n".join(re.findall(r"^# \[\w+\]", pins, re.MULTILINE))
    one = sections.replace("# [runtime]", "# [runtime]\ncut-off==1")
    (checkout / "constraints.txt").write_text(one, encoding="utf-8")
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    result = run_setup(checkout, (*PROGRAMS, "python3"), **variables)
    assert_one_line(result, "pip failed", "File name too long", "make setup")
    shutil.rmtree(checkout.parent / "bin")
    again = run_setup(checkout, (*PROGRAMS, "python3"), **variables)
    assert_one_line(again, "pip failed", "File name too long")
    assert "creating" in again.stdout


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("WARNING: Retrying ... NewConnectionError(...)\nERROR: No matching distribution found for a", "reached"),
        ("ERROR: No matching distribution found for torch==2.15.0", "no torch==2.15.0 for Python"),
        ("Building wheel\nerror: subprocess-exited-with-error\n", "subprocess-exited-with-error"),
    ],
)
def test_pip_s_failures_are_told_apart(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: str, words: str
) -> None:
    monkeypatch.setattr(setup_env, "LOG", tmp_path / "setup.log")
    (tmp_path / "setup.log").write_text(log, encoding="utf-8")
    explanation = setup_env.explain_pip_failure(log)
    assert words in explanation
    assert "\n" not in explanation


def test_a_full_disk_is_told_from_the_command_s_output(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(setup_env, "VENV", tmp_path)
    monkeypatch.setattr(setup_env, "LOG", tmp_path / "setup.log")
    for log, words in (("ld: final link failed: No space left on device", "disk is full"), ("error: x", "x failed")):
        (tmp_path / "setup.log").write_text(log, encoding="utf-8")
        assert words in str(setup_env.failure("x failed"))


def test_the_command_of_a_moved_checkout_says_so(
    setup_env: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "a checkout"
    venv = root / ".venv"
    program = venv / "ws" / "install" / "ovsr_ros" / "lib" / "ovsr_ros" / "ovsr"
    site = program.parents[1] / "python3" / "site-packages"
    (site / "ovsr_ros").mkdir(parents=True)
    (site / "ovsr_ros" / "__init__.py").touch()
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to(sys.executable)
    program.parent.mkdir()
    program.write_text("import sys; print(sys.argv[1:], sys.path[1:3]); sys.exit(3)", encoding="utf-8")
    program.chmod(0o755)
    for name, path in {"ROOT": root, "VENV": venv, "WORKSPACE": venv / "ws", "COMMAND": venv / "bin" / "ovsr"}.items():
        monkeypatch.setattr(setup_env, name, path)
    setup_env.write_command()

    def ovsr(checkout: Path) -> subprocess.CompletedProcess[str]:
        command = [str(checkout / ".venv" / "bin" / "ovsr"), "a word", "$HOME"]
        return subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)

    done = ovsr(root)
    assert (done.returncode, done.stdout) == (3, f"{['a word', '$HOME']} {[str(root), str(site)]}\n"), done.stderr
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    (venv / "bin" / "python").unlink()  # as when the system's Python is replaced by a newer one
    for checkout in (tmp_path / "copy", root):
        done = ovsr(checkout)
        assert done.returncode == 2
        assert "a checkout and its Python" in done.stderr
        assert "make setup" in done.stderr


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_package_is_pinned_once_for_each_python(setup_env: ModuleType, python: str) -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    requirements = [Requirement(line) for line in lines]
    environment = {"python_version": python}
    in_force = [entry for entry in requirements if entry.marker is None or entry.marker.evaluate(environment)]
    assert all(re.fullmatch(r"==[\w.+]+", str(entry.specifier)) for entry in requirements)
    names = [entry.name for entry in in_force]
    assert len(names) == len(set(names))
    sections = setup_env.read_sections(text)
    required = ("runtime", "ros", "tools", "evaluation", "photos", "pocket_train", "recordings", "cluster", "trident")
    assert set(required) <= set(sections)
    for section in required:
        assert set(sections[section]) <= set(names)
