"""A node with a budget goes on labelling large images, coarser, and says so."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Image

UHD_HW = (2160, 3840)
BUDGET_MIB = 60
"""About what a 4K image takes at half the resolution, and a third of what it takes in full."""


def test_a_4k_image_is_labelled_at_a_lower_resolution_said_once_and_in_full_without_a_budget(start_node, ovsr, client):
    node = start_node(memory_budget_mib=BUDGET_MIB)
    ovsr.wait_until_active()
    client.collect("/ovsr/label_map", Image)
    for _ in range(3):
        header = ovsr.send(ovsr.image(UHD_HW))
        label_map = ovsr.result("/ovsr/label_map", header, 60.0)
        assert (label_map.height, label_map.width) == UHD_HW
        assert len(np.unique(np.frombuffer(label_map.data, np.uint8))) >= 1
    client.wait(lambda: warnings(ovsr), "a warning")
    assert "lower features.input_short_side" in warnings(ovsr)[0]
    assert len(warnings(ovsr)) == len(set(warnings(ovsr))) <= 3
    client.wait(lambda: ovsr.status_message("segmentation").startswith("reduced: resolution 1/"), "the reduction shown")
    assert ovsr.status("segmentation").level == b"\x01"
    assert float(ovsr.diagnostic("segmentation", "memory of a frame [MiB]")) > 0
    assert ovsr.set_parameters(memory_budget_mib=0).successful
    ovsr.result("/ovsr/label_map", ovsr.send(ovsr.image(UHD_HW)), 60.0)
    client.wait(lambda: not ovsr.status_message("segmentation").startswith("reduced"), "the reduction gone")
    assert node.segmenter is not None


def warnings(ovsr):
    return [log.msg for log in ovsr.logs if "memory_budget_mib is" in log.msg]
