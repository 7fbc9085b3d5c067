"""Memory that runs out on a frame: one try at half the resolution, then a word about it, then the next frame."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image

from ovsr_ros.backends.reduction import Reduction, enlarge
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.models.memory import is_out_of_memory
from ovsr_ros.pipeline import CategoryRequest, Operation, Pipeline
from ovsr_ros.settings import load_settings

NODE = "ovsr_ros.nodes.ovsr_node"
MIB = 2**20
LARGE_INPUT = 2048
"""The network's input at which EfficientNet-B0's largest activations take about 500 MiB each."""
WARNING = "this image is labelled at half the resolution"


@pytest.fixture
def node(run_module, ovsr, node_config):
    node = run_module(NODE, "--ros-args", "-p", f"config:={node_config}")
    ovsr.wait_until_active()
    ovsr.label()
    return node


@contextmanager
def room(node, num_bytes):
    """Lets the node's process have this much more address space than it has now, and no more."""
    pid = node.popen.pid
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + num_bytes
    before = resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, before)


def warnings(ovsr):
    return [log.msg for log in ovsr.logs if WARNING in log.msg]


def test_a_frame_too_large_is_labelled_at_half_the_resolution_and_later_ones_in_full(node, ovsr, client):
    client.collect("/ovsr/segment_map", Image)
    assert ovsr.set_parameters(features__input_short_side=LARGE_INPUT).successful
    with room(node, 400 * MIB):
        header = ovsr.send(ovsr.image((120, 160)))
        segments = ovsr.result("/ovsr/segments", header, 60.0)
        segment_map = to_label_array(ovsr.result("/ovsr/segment_map", header))
        assert segment_map.shape == (120, 160)
        assert (segments.height, segments.width) == (120, 160)
        assert sum(segment.area_px for segment in segments.segments) == np.count_nonzero(segment_map)
        client.wait(lambda: warnings(ovsr), "a warning that memory ran out")
        assert "out of memory" in warnings(ovsr)[0]
        assert "lower features.input_short_side" in warnings(ovsr)[0]
    num_warnings = len(warnings(ovsr))
    assert ovsr.label().segments
    assert len(warnings(ovsr)) == num_warnings
    assert not ovsr.errors("out of memory")


@pytest.mark.parametrize("num_mib", [30, 60])  # at 30, oneDNN is the first to find nothing; it says so in its own way
def test_a_frame_far_too_large_is_reported_and_the_next_tried(node, ovsr, client, num_mib):
    assert ovsr.set_parameters(features__input_short_side=LARGE_INPUT).successful
    with room(node, num_mib * MIB):
        ovsr.send(ovsr.image())
        (error,) = client.wait(lambda: ovsr.errors("at half the resolution as well"), "an error about the memory", 60.0)
        assert "out of memory" in error
        assert "lower features.input_short_side" in error
        client.wait(lambda: "out of memory" in ovsr.status_message("segmentation"), "the shortage in /diagnostics")
        assert ovsr.set_parameters(features__input_short_side=64).successful
        assert ovsr.label().segments, "what the error says to do is to help"
    assert ovsr.set_parameters(features__input_short_side=LARGE_INPUT).successful
    assert ovsr.label().segments, "the memory is there again"


def raised_by(action):
    with pytest.raises(Exception) as caught:  # noqa: PT011  the type is what is asked about
        action()
    return caught.value


def test_shortages_are_recognised_whoever_reports_them():
    far_too_much = 2**62
    for action in (
        lambda: torch.empty(far_too_much, dtype=torch.uint8),
        lambda: np.empty(far_too_much, np.uint8),
        lambda: bytearray(far_too_much),
        lambda: cv2.resize(np.zeros((16, 16), np.uint8), (2**30, 2**30)),
    ):
        assert is_out_of_memory(raised_by(action)), action
    assert is_out_of_memory(RuntimeError("could not create a primitive")), "what oneDNN says"
    assert not is_out_of_memory(RuntimeError("could not create a primitive descriptor for the reorder primitive."))
    for action in (lambda: torch.zeros(2) @ torch.zeros(3), lambda: cv2.resize(np.zeros((0, 0), np.uint8), (1, 1))):
        assert not is_out_of_memory(raised_by(action)), action


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_that_is_full_for_a_while_labels_at_half_the_resolution_and_then_in_full(active_node, ovsr, client):
    assert ovsr.set_parameters(features__input_short_side=LARGE_INPUT).successful
    assert ovsr.label().segments
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    hoard = torch.empty(max(0, free - 300 * MIB), dtype=torch.uint8, device="cuda")
    assert ovsr.label().segments
    client.wait(lambda: warnings(ovsr), "a warning that memory ran out")
    del hoard
    torch.cuda.empty_cache()
    num_warnings = len(warnings(ovsr))
    assert ovsr.label().segments
    assert len(warnings(ovsr)) == num_warnings


def test_an_enlarged_segmentation_measures_like_its_map(node_config):
    pipeline = Pipeline(load_settings(node_config).pipeline)
    pipeline.set_vocabulary(Operation.REPLACE, [CategoryRequest("mug"), CategoryRequest("ball")])
    image = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8).repeat(10, 0).repeat(10, 1)[:97, :133]
    small = Reduction(size=1).shrink(image)
    assert small.shape == (48, 66, 3)
    large = enlarge(pipeline.segment(small), (97, 133))
    for index, id in enumerate(large.segments.ids):
        rows, columns = np.nonzero(large.segment_map == id)
        assert large.segments.areas_px[index] == rows.size
        expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert tuple(large.segments.boxes_xyxy[index]) == expected
        assert np.allclose(large.segments.centroids_xy[index], (columns.mean(), rows.mean()), atol=1e-3)
        assert np.all(large.label_map[rows, columns] == large.segments.class_ids[index])
