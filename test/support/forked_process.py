"""Processes that begin where an interpreter has imported torch and the models' libraries: forked from one that waits.

Those imports take seconds of a core, in each process anew. ROS, which starts threads, each imports for itself. Run as a
script, this is the process that waits.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODULES = ("ovsr_ros.nodes.ovsr_node",)
"""Those that import them. They end by os._exit: at an interpreter's own end, some libraries have a word to say."""

_PRELOADED = "ovsr_ros.pipeline"
_NUMBER = struct.Struct("i")
_REQUEST_BYTES = 2**17


class ForkedProcess:
    """What subprocess.Popen has, of `python -m module` in this process's environment; stdout takes stderr as well."""

    def __init__(self, server: socket.socket, module: str, arguments: Sequence[str | bytes]) -> None:
        output, their_output = os.pipe()
        self._status, their_status = os.pipe()
        words = [os.fsdecode(word) for word in arguments]
        request = {"module": module, "arguments": words, "environment": dict(os.environ), "folder": str(Path.cwd())}
        socket.send_fds(server, [json.dumps(request).encode()], [their_output, their_status])
        os.close(their_output)
        os.close(their_status)
        self.stdout = open(output, encoding="utf-8", errors="replace")  # noqa: SIM115, PTH123
        self.returncode: int | None = None
        self.pid = self._read()

    def poll(self) -> int | None:
        """The exit code, negative for a signal's number; None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """To the process, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = self._read()
            os.close(self._status)
        return self.returncode

    def _read(self) -> int:
        return int(_NUMBER.unpack(os.read(self._status, _NUMBER.size))[0])


@functools.cache
def server() -> socket.socket | None:
    """A connection to the process that has imported and forks, this process's own; None where it cannot.

    That is where imports start threads: what they held locked would stay so in a fork.
    """
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    process = subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    if ours.recv(1) != b"1":
        process.wait()
        return None

    def close() -> None:
        ours.close()
        process.wait()

    atexit.register(close)
    return ours


def _serve(control: socket.socket) -> None:
    importlib.import_module(_PRELOADED)
    gc.collect()
    gc.freeze()  # or each fork's first collection would write to every page
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        control.send(b"0")
        os._exit(0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    control.send(b"1")
    while True:
        content, descriptors, _, _ = socket.recv_fds(control, _REQUEST_BYTES, 2)
        if not content:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            _watch(json.loads(content), *descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(request: dict[str, Any], output: int, status: int) -> None:
    """Tell its id of a child that runs the module, and its exit code once it has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        os.close(output)
        os.write(status, _NUMBER.pack(child))
        os.write(status, _NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
        os._exit(0)
    os.close(status)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [request["module"], *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.path[0] = ""  # as `python -m` has it, instead of this file's folder
    _serve(socket.socket(fileno=int(sys.argv[1])))
