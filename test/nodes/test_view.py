"""Cameras that hang upside down or see their own robot, over DDS: outputs are in the image's own frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image

from ovsr_ros import msg, srv
from ovsr_ros.backends.view import View
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.nodes.conversions.images import to_image_message, to_rgb_array


@pytest.mark.parametrize("rotation", [90, 180])
def test_an_image_is_labelled_as_if_it_were_upright(start_node, ovsr, rotation):
    node = start_node(rotation=rotation)
    ovsr.wait_until_active()
    ovsr.watch(node, "/ovsr/segment_map", Image)
    upright = to_rgb_array(ovsr.image((120, 160)))
    seen = np.ascontiguousarray(np.rot90(upright, rotation // 90))
    header = ovsr.send(to_image_message(seen, "rgb8", ovsr.new_header()))
    segments = ovsr.result("/ovsr/segments", header)
    assert (segments.height, segments.width) == seen.shape[:2]
    expected = node.segmenter.pipeline.segment(upright)
    label_map, segment_map = (
        to_label_array(ovsr.result(f"/ovsr/{topic}", header)) for topic in ("label_map", "segment_map")
    )
    np.testing.assert_array_equal(np.rot90(label_map, -rotation // 90), expected.label_map)
    np.testing.assert_array_equal(np.rot90(segment_map, -rotation // 90), expected.segment_map)
    for segment in segments.segments:
        rows, columns = np.nonzero(segment_map == segment.id)
        assert (segment.x_min, segment.y_min) == (columns.min(), rows.min())
        assert (segment.x_max, segment.y_max) == (columns.max() + 1, rows.max() + 1)


def test_the_robot_s_own_body_is_no_part_of_anything(start_node, ovsr, tmp_path):
    mask = np.zeros((60, 80), np.uint8)
    mask[40:, 20:60] = 255
    cv2.imwrite(str(tmp_path / "body.png"), mask)
    node = start_node(ignore_mask=str(tmp_path / "body.png"), rotation=180)
    ovsr.wait_until_active()
    ovsr.watch(node, "/ovsr/segment_map", Image)
    header = ovsr.send(ovsr.image((120, 160)))
    label_map, segment_map = (
        to_label_array(ovsr.result(f"/ovsr/{topic}", header)) for topic in ("label_map", "segment_map")
    )
    is_body = mask.repeat(2, 0).repeat(2, 1) > 0
    assert np.all(label_map[is_body] == 255)
    assert np.all(segment_map[is_body] == 0)
    assert (label_map[~is_body] != 255).mean() > 0.7
    ids = {segment.id for segment in ovsr.result("/ovsr/segments", header).segments}
    assert ids == set(np.unique(segment_map)) - {0}

    ovsr.send(ovsr.image((120, 120)))
    said = "ignore_mask: is 80x60, which is not the image's aspect, 120x120"
    ovsr.client.wait(lambda: ovsr.errors(said), "the refusal of an image of another aspect")
    assert ovsr.label(ovsr.image((240, 320))).segments, "the node goes on"


class PaintedOnly(View):
    """As for a backend that leaves nothing out: what is ignored is grey, and cut out afterwards."""

    def upright_mask(self, size_hw):
        return None


def test_what_is_pointed_at_beside_the_body_is_what_was_looked_at(start_node, ovsr):
    """Ids have gaps where segments are covered: an example, and embeddings, are those of the segment all the same."""
    view = PaintedOnly(0, np.arange(80)[None].repeat(60, 0) < 50)
    node = start_node()
    ovsr.wait_until_active()
    node.segmenter._look = lambda size_hw: view
    ovsr.watch(node, "/ovsr/segment_embeddings", msg.SegmentEmbeddings)
    image = ovsr.image((120, 160))
    header = ovsr.send(image)
    segments = ovsr.result("/ovsr/segments", header).segments
    assert [segment.id for segment in segments] != list(range(1, len(segments) + 1)), "no segment is covered"
    found = ovsr.result("/ovsr/segment_embeddings", header)
    assert list(found.ids) == [segment.id for segment in segments]
    rows = np.array(found.data).reshape(-1, found.dimensions)
    with torch.inference_mode():
        every = node.segmenter.pipeline.embed(view.upright(to_rgb_array(image)))
    np.testing.assert_allclose(rows, every.embeddings.numpy()[np.array(found.ids) - 1], atol=1e-4)
    request = srv.TeachCategory.Request(name="thing", track_id=segments[-1].track_id)
    answer = ovsr.client.call("/ovsr/teach", srv.TeachCategory, request)
    assert answer.success, answer.message
    (example,) = node.vocabulary.examples
    np.testing.assert_allclose(example.embedding, rows[-1], atol=1e-4)


def test_a_mask_that_cannot_be_read_keeps_the_node_from_starting(start_node, ovsr, tmp_path):
    codes = []
    start_node(codes.append, ignore_mask=str(tmp_path / "none.png"))
    ovsr.client.wait(lambda: codes, "the node to ask for its end")
    assert codes == [1]
    ovsr.client.wait(lambda: ovsr.errors("none.png: expected an image file: No such file"), "the reason in the log")
