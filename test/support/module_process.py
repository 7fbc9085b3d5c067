"""Processes under test: what they print is read as it comes, and each is ended with its test."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from forked_process import MODULES, ForkedProcess, server
from spinning import TIMEOUT_S


class Process:
    """A module of this package as python -m runs it, in a process of its own.

    environment: None for this one's. fresh: the node imports everything itself, as with an environment of its own.
    """

    def __init__(
        self, module: str, *arguments: str, environment: dict[str, str] | None = None, fresh: bool = False
    ) -> None:
        self.popen: Any
        forking = server() if module in MODULES and environment is None and not fresh else None
        if forking is None:
            command = [sys.executable, "-m", module, *arguments]
            self.popen = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
            )
        else:
            self.popen = ForkedProcess(forking, module, arguments)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """The exit code."""
        try:
            code = self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {timeout_s:g} s; it printed:\n{self.output}")
        self._reader.join(5.0)
        return code

    def wait_for_line(self, text: str, timeout_s: float = TIMEOUT_S) -> str:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if text in line:
                    return line
            time.sleep(0.02)
        pytest.fail(f"waited {timeout_s:g} s for '{text}' to be printed; it printed:\n{self.output}")

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self._reader.join(5.0)
        assert self.popen.stdout is not None
        self.popen.stdout.close()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line.rstrip("\n"))


_SUBSCRIBER = """
import os, sys, rclpy
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node(f"subscriber_{os.getpid()}")
reliable = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.RELIABLE)
node.create_subscription(Image, sys.argv[1], lambda message: None, reliable)
while not node.count_publishers(sys.argv[1]):
    rclpy.spin_once(node, timeout_sec=0.1)
print("subscribed", flush=True)
rclpy.spin(node)
"""


class StalledSubscriber:
    """A process that subscribes to a topic of images, reliably; `stall` stops it before it has taken anything."""

    def __init__(self, topic: str) -> None:
        self.process: Any = subprocess.Popen(
            [sys.executable, "-c", _SUBSCRIBER, topic], stdout=subprocess.PIPE, text=True
        )

    def stall(self) -> None:
        assert self.process.stdout.readline().strip() == "subscribed"
        self.process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
