"""A child process whose output is kept, and which never outlives its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_KEPT_LINES = 200


class ChildProcess:
    """Runs a command; what it prints goes into a file, and its last lines are at hand.

    The child is in a session of its own, so that Ctrl-C reaches the parent only, who then ends its children in order.
    Where the parent is killed, Linux ends the child.
    """

    def __init__(self, name: str, command: Sequence[str], log_path: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.log_path = log_path
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=dict(env),
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self._reader = threading.Thread(target=self._read, name=f"{name} output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal's number; None while the child runs."""
        return self._process.poll()

    def last_lines(self, count: int) -> list[str]:
        """What the child printed last."""
        if self.exit_code is not None:
            self._reader.join(1.0)
        return list(self._lines)[-count:]

    def interrupt(self) -> None:
        """Ask the child to end."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGINT)

    def stop(self, timeout_s: float) -> None:
        """End the child: politely, and by force once `timeout_s` seconds have passed."""
        if self.exit_code is None:
            self.interrupt()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(1.0)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines, self.log_path.open("w", encoding="utf-8") as log:
            for line in lines:
                self._lines.append(line.rstrip("\n"))
                log.write(line)
                log.flush()


def start_node(
    name: str,
    module: str,
    log_path: Path,
    parameters: Mapping[str, object],
    ros_arguments: Sequence[str],
    arguments: Sequence[str] = (),
) -> ChildProcess:
    """A module of ovsr_ros.nodes as a child, with its arguments, these parameters, and what else follows --ros-args."""
    assigned = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
    command = [sys.executable, "-m", f"ovsr_ros.nodes.{module}", *arguments, "--ros-args", *assigned, *ros_arguments]
    return ChildProcess(name, command, log_path, {**os.environ, "PYTHONUNBUFFERED": "1"})


def stop_all(children: Sequence[ChildProcess], timeout_s: float) -> None:
    """End several children at once."""
    for child in children:
        child.interrupt()
    for child in children:
        child.stop(timeout_s)


_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PARENT = os.getpid()


def _die_with_parent() -> None:
    """Between fork and exec: ask for SIGTERM when the parent's thread that forked ends."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != _PARENT:
        os._exit(1)  # the parent ended before the request was made
