"""Transitions in any order, fifty times over: nothing of the node's is left behind."""

from __future__ import annotations

import gc
import logging
import random
import resource
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
import torch
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image

NODE = "ovsr_ros.nodes.ovsr_node"
BEST_EFFORT = QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT)
SIZE_HW = (240, 320)

NEXT_STATE = {
    ("unconfigured", "configure"): "inactive",
    ("inactive", "activate"): "active",
    ("inactive", "cleanup"): "unconfigured",
    ("active", "deactivate"): "inactive",
}
TRANSITIONS = ("configure", "activate", "deactivate", "cleanup")
NUM_ROUNDS, NUM_WARM_UP_ROUNDS = 50, 10
RSS_GROWTH_MIB = 60


@pytest.fixture
def camera(ovsr, client):
    """Sends an image every 30 ms, so that transitions fall into the middle of frames."""
    publisher = client.publisher("/image", Image, BEST_EFFORT, subscribed=False)
    stop = threading.Event()

    def send():
        while not stop.wait(0.03):
            publisher.publish(ovsr.image(SIZE_HW))

    thread = threading.Thread(target=send)
    thread.start()
    yield
    stop.set()
    thread.join()


@dataclass(frozen=True)
class Footprint:
    """What a process holds: threads by name, open files by kind, resident memory."""

    threads: Counter[str]
    files: Counter[str]
    rss_mib: float

    @classmethod
    def of(cls, pid):
        process = Path(f"/proc/{pid}")
        files = Counter(str(link.readlink()).partition(":")[0] for link in (process / "fd").iterdir())
        threads = Counter(task.joinpath("comm").read_text().strip() for task in (process / "task").iterdir())
        pages = int((process / "statm").read_text().split()[1])
        return cls(threads, files, pages * resource.getpagesize() / 2**20)


def walk(rng, state, ovsr):
    """Transitions drawn at random, possible or not, until the node is unconfigured again; returns what was tried."""
    tried = Counter()
    while True:
        transition = rng.choice(TRANSITIONS)
        expected = NEXT_STATE.get((state, transition))
        possible = ovsr.change_state(transition)
        assert possible == (expected is not None), f"{transition} in state {state}"
        tried[transition, possible] += 1
        state = expected or state
        if not possible:
            assert ovsr.state() == state
        if transition == "activate" and possible and rng.random() < 0.5:
            wait_for_label_map(ovsr)
        if transition == "cleanup" and possible:
            return tried


def wait_for_label_map(ovsr):
    num_before = len(ovsr.label_maps)
    ovsr.client.wait(lambda: len(ovsr.label_maps) > num_before, "a label map after the activation")


def graph(client):
    """The topics and services that the node has on the network."""
    node = client.node
    return (
        sorted(node.get_publisher_names_and_types_by_node("ovsr", "/")),
        sorted(node.get_subscriber_names_and_types_by_node("ovsr", "/")),
        sorted(node.get_service_names_and_types_by_node("ovsr", "/")),
    )


@pytest.mark.slow
def test_fifty_rounds_of_random_transitions_leave_a_process_as_it_was(run_module, ovsr, client, camera, node_config):
    # Fresh: what a fork shares with its parent counts only once it is touched, which would look like growth.
    node = run_module(NODE, "--ros-args", "-p", f"config:={node_config}", "-p", "autostart:=false", fresh=True)
    client.wait(lambda: ovsr.diagnostic("segmentation", "state") == "unconfigured", "the node", 90.0)
    rng, tried, footprints, graphs = random.Random(0), Counter(), [], []
    for _ in range(NUM_ROUNDS):
        tried += walk(rng, "unconfigured", ovsr)
        footprints.append(Footprint.of(node.popen.pid))
        graphs.append(graph(client))
    assert all(tried[transition, possible] >= 10 for transition in TRANSITIONS for possible in (True, False)), tried
    settled, last = footprints[NUM_WARM_UP_ROUNDS - 1], footprints[-1]
    assert last.threads == settled.threads
    assert last.files == settled.files
    assert graphs[-1] == graphs[0]
    # A round that kept its models would cost 30 MiB, all forty over 1 GiB. What is left to move is the allocators':
    # whose thread loads, and so which arena grows, differs by 30 MiB from round to round, and by 15 between medians.
    sizes = [footprint.rss_mib for footprint in footprints]
    assert median(sizes[-10:]) < median(sizes[:NUM_WARM_UP_ROUNDS]) + RSS_GROWTH_MIB, sizes
    # And it still works.
    assert ovsr.change_state("configure")
    assert ovsr.change_state("activate")
    client.wait(lambda: len(ovsr.label_maps) > 0, "a label map")
    assert ovsr.change_state("shutdown")
    assert ovsr.state() == "finalized"


def test_rounds_leave_no_entity_thread_or_log_handler_in_the_node(start_node, ovsr, client, camera):
    node = start_node(autostart=False)

    def held():
        gc.collect()
        kinds = ("publishers", "subscriptions", "services", "clients", "timers", "guards", "waitables")
        return {
            **{kind: len(list(getattr(node, kind))) for kind in kinds},
            "in the default callback group": len(node.default_callback_group.entities),
            "threads": sorted(thread.name for thread in threading.enumerate() if "ThreadPool" not in thread.name),
            "log handlers": len(logging.getLogger("ovsr_ros").handlers),
            "CUDA bytes": torch.cuda.memory_allocated() if torch.cuda.is_available() else 0,
        }

    before = None
    for _ in range(3):
        assert ovsr.change_state("configure")
        for _ in range(4):
            assert ovsr.change_state("activate")
            wait_for_label_map(ovsr)
            assert ovsr.change_state("deactivate")
        assert ovsr.change_state("cleanup")
        before = before or held()
    assert held() == before


@pytest.mark.parametrize("parameters", [{}, {"config": "demo"}], ids=["seeded models", "preset demo"])
def test_the_first_mask_comes_within_a_second_of_the_activation(
    start_node, ovsr, client, camera, busy_factor, parameters
):
    start_node(autostart=False, **parameters)
    assert ovsr.change_state("configure")
    seconds = []
    for _ in range(3):
        ovsr.label_maps.clear()
        begin = time.monotonic()
        assert ovsr.change_state("activate")
        client.wait(lambda: ovsr.label_maps, "a label map")
        seconds.append(time.monotonic() - begin)
        assert ovsr.change_state("deactivate")
    # The best of three: what else runs on this machine is not the node's.
    assert min(seconds) < 1.0 * busy_factor(), seconds
