"""Memory that runs out on a frame: one try at half the size, then a word about it, then the next frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image

from ovsr_ros.nodes import segmentation_node
from ovsr_ros.nodes.conversions import to_label_array
from ovsr_ros.nodes.out_of_memory import enlarge, halve
from ovsr_ros.pipeline import CategoryRequest, Operation, Pipeline, load_settings


class SmallDevice(Pipeline):
    """A pipeline on a device that holds images of up to `max_px` pixels."""

    max_px = 120 * 160 // 4

    def embed(self, image_rgb):
        if image_rgb.shape[0] * image_rgb.shape[1] > self.max_px:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return super().embed(image_rgb)

    def warm_up(self, size_hw=(480, 640)):
        super().warm_up((60, 80))


@pytest.fixture
def small_device(monkeypatch):
    monkeypatch.setattr(segmentation_node, "Pipeline", SmallDevice)


def test_a_frame_too_large_is_labelled_at_half_the_size(small_device, active_node, ovsr, client):
    client.collect("/ovsr/segment_map", Image)
    header = ovsr.send(ovsr.image((120, 160)))
    segments = ovsr.result("/ovsr/segments", header)
    segment_map = to_label_array(ovsr.result("/ovsr/segment_map", header))
    assert segment_map.shape == (120, 160)
    assert (segments.height, segments.width) == (120, 160)
    assert sum(segment.area_px for segment in segments.segments) == np.count_nonzero(segment_map)


def test_a_frame_far_too_large_is_reported_and_the_next_tried(small_device, active_node, ovsr, client):
    ovsr.send(ovsr.image((480, 640)))
    client.wait(lambda: ovsr.errors("lower features.input_short_side"), "an error that names the remedy")
    assert ovsr.label(ovsr.image((60, 80))).segments


def test_an_enlarged_segmentation_measures_like_its_map(node_config):
    pipeline = Pipeline(load_settings(node_config).pipeline)
    pipeline.set_vocabulary(Operation.REPLACE, [CategoryRequest("mug"), CategoryRequest("ball")])
    image = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8).repeat(10, 0).repeat(10, 1)[:97, :133]
    small = halve(image)
    assert small.shape == (48, 66, 3)
    large = enlarge(pipeline.segment(small), (97, 133))
    for index, id in enumerate(large.segments.ids):
        rows, columns = np.nonzero(large.segment_map == id)
        assert large.segments.areas_px[index] == rows.size
        expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert tuple(large.segments.boxes_xyxy[index]) == expected
        assert np.allclose(large.segments.centroids_xy[index], (columns.mean(), rows.mean()), atol=1e-3)
        assert np.all(large.label_map[rows, columns] == large.segments.class_ids[index])
