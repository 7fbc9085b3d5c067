"""SIGINT and SIGTERM end the node's process within two seconds with exit code 0, whatever it is doing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

from ovsr_ros import msg, srv

NODE = "ovsr_ros.nodes.ovsr_node"
END_S = 2.0
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
BEST_EFFORT = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def start(run_module, node_config):
    def start(**parameters):
        assigned = [
            word for name, value in parameters.items() for word in ("-p", f"{name.replace('__', '.')}:={value}")
        ]
        return run_module(NODE, "--ros-args", "-p", f"config:={node_config}", *assigned)

    return start


@pytest.fixture
def end(busy_factor):
    def end(process, number):
        begin = time.monotonic()
        process.popen.send_signal(number)
        code = process.wait()
        seconds = time.monotonic() - begin
        assert code == 0, process.output
        assert seconds < END_S * busy_factor()
        assert "Traceback" not in process.output
        assert "terminate called" not in process.output

    return end


REQUESTS = """
import os, random, signal, sys, threading, time
from ovsr_ros.nodes.process import ExitRequest

sys.setswitchinterval(1e-5)
for _ in range(3000):
    request = ExitRequest()
    request.install_signal_handlers()
    request.started()
    due = time.perf_counter() + random.random() * 60e-6

    def send():
        while time.perf_counter() < due:
            pass
        os.kill(os.getpid(), random.choice((signal.SIGINT, signal.SIGTERM)))

    sender = threading.Thread(target=send)
    sender.start()
    request.wait()
    sender.join()
    assert request.is_set and request.code == 0
    request.close()
print("all came through")
"""


def test_a_signal_comes_through_at_whatever_moment(busy_factor):
    command = [sys.executable, "-c", REQUESTS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60.0 * busy_factor(), check=True)
    assert "all came through" in done.stdout


@BOTH
def test_while_it_idles(start, end, ovsr, number):
    node = start()
    ovsr.wait_until_active()
    end(node, number)


@BOTH
def test_while_it_is_in_the_middle_of_a_long_frame(start, end, ovsr, client, number):
    node = start()
    ovsr.wait_until_active()
    assert ovsr.set_parameters(features__input_short_side=2048, features__grid_rows=160).successful
    ovsr.send(ovsr.image((480, 640)))
    time.sleep(0.5)
    assert not ovsr.segments, "the frame was to take longer"
    end(node, number)


@BOTH
def test_while_it_loads(start, end, number):
    node = start()
    node.wait_for_line("loading models", 60.0)
    time.sleep(0.2)
    end(node, number)


def test_while_it_encodes_a_large_vocabulary(start, end, ovsr, client):
    node = start()
    ovsr.wait_until_active()
    request = srv.SetVocabulary.Request(operation=srv.SetVocabulary.Request.REPLACE)
    request.categories = [
        msg.Category(name=f"thing {number}", synonyms=[f"object {number} {other}" for other in range(20)])
        for number in range(250)
    ]
    answer = client.call_async("/ovsr/set_vocabulary", srv.SetVocabulary, request)
    time.sleep(0.5)
    assert not answer.done(), "the encoding was to take longer"
    end(node, signal.SIGTERM)


def test_while_it_activates(start, end, ovsr, client):
    publisher = client.publisher("/image", Image, BEST_EFFORT, subscribed=False)
    node = start()
    node.wait_for_line("models loaded", 60.0)
    publisher.publish(ovsr.image())
    end(node, signal.SIGINT)


def test_while_a_subscriber_has_stalled(start, end, ovsr, client, stalled_subscriber):
    node = start()
    ovsr.wait_until_active()
    stalled = stalled_subscriber("/ovsr/label_map")
    for _ in range(3):
        ovsr.label(ovsr.image((1080, 1920)))
    ovsr.send(ovsr.image((1080, 1920)))
    end(node, signal.SIGINT)
    assert stalled.poll() is None
