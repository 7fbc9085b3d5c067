"""What must hold of every frame that is published, whatever image, words and threshold it came from."""

from __future__ import annotations

import random

import numpy as np
from sensor_msgs.msg import Image

from ovsr_ros.messages.images import to_label_array

REPLACE = 0
WORDS = ("mug; cup", "ball", "wall", "floor", "table")


def check_frame(labels, confidences, segment_ids, segments):
    """Each pixel has the class of its segment, and its score as confidence: 0 where it is unlabeled."""
    assert labels.shape == confidences.shape == segment_ids.shape == (segments.height, segments.width)
    assert not confidences[labels == 255].any()
    assert (labels[segment_ids == 0] == 255).all()
    assert set(np.unique(segment_ids)) - {0} == {segment.id for segment in segments.segments}
    for segment in segments.segments:
        inside = segment_ids == segment.id
        assert (labels[inside] == segment.class_id).all()
        confidence = 0 if segment.class_id == 255 else round(segment.score * 255)
        assert np.abs(confidences[inside].astype(int) - confidence).max() <= 1


def test_pixels_say_what_their_segments_say_and_nothing_where_unlabeled(active_node, ovsr, client):
    client.collect("/ovsr/confidence", Image)
    client.collect("/ovsr/segment_map", Image)
    chosen = random.Random(0)
    unlabeled = set()
    for number in range(12):
        assert ovsr.set_vocabulary(REPLACE, *chosen.sample(WORDS, number % 4)).success
        # Around what random networks are sure of, so that some segments pass and some do not.
        assert ovsr.set_parameters(score_threshold=chosen.choice((0.0, 0.3, 0.5, 1.0))).successful
        header = ovsr.send(ovsr.image((64 + 8 * number, 80), seed=number))
        segments = ovsr.result("/ovsr/segments", header)
        maps = [
            to_label_array(ovsr.result(topic, header))
            for topic in ("/ovsr/label_map", "/ovsr/confidence", "/ovsr/segment_map")
        ]
        check_frame(*maps, segments)
        unlabeled.add(bool((maps[0] == 255).any()))
    assert unlabeled == {True, False}, "frames of both kinds were seen"
