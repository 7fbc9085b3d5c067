"""The demo as a newcomer runs it: camera, node and watcher as three processes over DDS."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import cv2
import pytest

DEMO = "ovsr_ros.nodes.demo"


@pytest.fixture
def run_demo(run_module, node_config, tmp_path):
    def run(*arguments):
        return run_module(
            DEMO, "--config", str(node_config), "--size", "160x120", "--out", str(tmp_path / "out"), *arguments
        )

    return run


def children_of(pid):
    """Process ids of the living children of a process."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it ended meanwhile
            continue
        if int(parent) == pid and state != "Z":
            children.append(int(stat.parent.name))
    return children


def is_alive(pid):
    return Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pids, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still alive: {[pid for pid in pids if is_alive(pid)]}"
        time.sleep(0.05)


def test_the_page_runs_beside_camera_and_node(run_demo):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = run_demo("--console", "--console-port", str(port))
    demo.wait_for_line(f"the operator's page, in a moment: http://127.0.0.1:{port}/")
    deadline = time.monotonic() + 60.0
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10.0) as answer:
                assert b"ovsr console" in answer.read()
            break
        except OSError:
            assert time.monotonic() < deadline, demo.output
            time.sleep(0.2)
    children = children_of(demo.popen.pid)
    assert len(children) == 3
    demo.popen.send_signal(signal.SIGINT)
    assert demo.wait(30.0) == 0, demo.output
    wait_until_gone(children)


def test_it_changes_the_vocabulary_ends_by_itself_and_leaves_overlay_pictures(run_demo, tmp_path):
    demo = run_demo("--frames", "60", "--categories", "ball", "mug", "--categories", "book", "plant; flower")
    demo.wait_for_line("starting camera and node")
    children = children_of(demo.popen.pid)
    assert len(children) == 2
    assert demo.wait(120.0) == 0, demo.output
    wait_until_gone(children)
    folder = str(tmp_path / "out")
    assert folder in demo.lines[0], "the folder is to be named at the start"
    assert folder in demo.lines[-1], "and at the end"
    assert any("frame " in line and " Hz" in line and " ms" in line for line in demo.lines)
    pictures = sorted((tmp_path / "out").glob("overlay_*.png"))
    assert pictures
    assert cv2.imread(str(pictures[-1])).shape == (120, 160, 3)
    assert any(line.startswith("vocabulary 2: took '") for line in demo.lines), demo.output
    assert any(line.startswith("vocabulary 3: put '") for line in demo.lines), demo.output


def test_the_vocabulary_is_kept_when_asked_for(run_demo):
    demo = run_demo("--frames", "12", "--keep-vocabulary")
    assert demo.wait(120.0) == 0, demo.output
    assert "took '" not in demo.output


def test_it_ends_after_the_seconds_asked_for(run_demo):
    demo = run_demo("--seconds", "2")
    demo.wait_for_line("first labelled frame", 60.0)
    assert demo.wait(15.0) == 0, demo.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("line", ["starting camera and node", "first labelled frame"])
def test_a_signal_ends_it_and_its_children(run_demo, line, number):
    demo = run_demo()
    demo.wait_for_line(line, 60.0)
    children = children_of(demo.popen.pid)
    demo.popen.send_signal(number)
    assert demo.wait(10.0) == 0, demo.output
    assert "Traceback" not in demo.output
    wait_until_gone(children, 1.0)


def test_children_end_with_a_parent_that_is_killed(run_demo):
    demo = run_demo()
    demo.wait_for_line("first labelled frame", 60.0)
    children = children_of(demo.popen.pid)
    assert len(children) == 2
    demo.popen.kill()
    wait_until_gone(children)


def test_a_child_that_dies_is_reported(run_demo):
    demo = run_demo()
    demo.wait_for_line("first labelled frame", 60.0)
    children = children_of(demo.popen.pid)
    os.kill(max(children), signal.SIGKILL)
    assert demo.wait(15.0) == 1
    assert "the node ended with exit code -9; its last lines:" in demo.output
    assert "models loaded" in demo.output
    wait_until_gone(children)


def test_a_node_that_cannot_start_is_reported_with_its_words(run_demo):
    demo = run_demo("--config", "/no/such/config.yaml")
    assert demo.wait(60.0) == 1
    assert "the node ended with exit code 2" in demo.output
    assert "/no/such/config.yaml: no such config file" in demo.output


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--frames", "0"], "--frames"), (["--size", "large"], "--size"), (["--what"], "--what")]
)
def test_arguments_that_make_no_sense_are_refused(run_demo, arguments, said):
    demo = run_demo(*arguments)
    assert demo.wait() == 2
    assert said in demo.output
