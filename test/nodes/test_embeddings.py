"""What segments look like, and texts in the same space: published, answered, and found by the documented client."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import torch
from sensor_msgs.msg import Image

from ovsr_ros import msg, srv
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.messages.images import to_label_array
from ovsr_ros.nodes.conversions.images import to_rgb_array

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "interfaces.md"
TOPIC = "/ovsr/segment_embeddings"


def encode(ovsr, *texts):
    return ovsr.client.call("/ovsr/encode_text", srv.EncodeText, srv.EncodeText.Request(texts=texts))


def rows(message):
    return np.array(message.data).reshape(-1, message.dimensions)


def test_each_segment_has_the_embedding_that_labels_it(active_node, ovsr):
    ovsr.watch(active_node, TOPIC, msg.SegmentEmbeddings)
    image = ovsr.image()
    header = ovsr.send(image)
    found, segments = ovsr.result(TOPIC, header), ovsr.result("/ovsr/segments", header).segments
    assert list(found.ids) == [segment.id for segment in segments]
    assert list(found.track_ids) == [segment.track_id for segment in segments]
    assert len(segments) > 1
    pipeline = active_node.segmenter.pipeline
    with torch.inference_mode():
        expected = pipeline.embed(to_rgb_array(image)).embeddings.numpy()
    np.testing.assert_allclose(rows(found), expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(rows(found), axis=1), 1.0, atol=1e-4)
    answer = encode(ovsr, "mug; cup", "ball")
    assert answer.model_id == found.model_id == pipeline.state.example_model_id
    np.testing.assert_allclose(rows(answer), pipeline.state.classifier.embeddings.numpy(), atol=1e-5)


def documented_client():
    section = PAGE.read_text(encoding="utf-8").split("\n### Embeddings\n")[1]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def test_the_documented_client_finds_what_no_word_of_the_vocabulary_names(run_module, client, new_ovsr, tmp_path):
    """The node knows no word at all; what the client finds is looked up in the demo camera's ground truth."""
    ovsr = new_ovsr(client, subscribe=False)
    truths, maps = (client.collect(topic, Image) for topic in ("/demo/ground_truth/label_map", "/ovsr/segment_map"))
    (tmp_path / "find.py").write_text(documented_client(), encoding="utf-8")
    run_module("ovsr_ros.nodes.demo_camera", "--ros-args", "-r", "__ns:=/demo", "-p", "seed:=3", "-p", "rate_hz:=1.0")
    arguments = ("-p", "config:=demo", "-p", "categories:=[]", "-r", "image:=/demo/image_raw")
    run_module("ovsr_ros.nodes.ovsr_node", "--ros-args", *arguments)
    ovsr.wait_until_active(120.0)
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    finder = run_module("find", *CATEGORIES, environment={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"})

    def found():
        """(stamp, word, segment) of frames whose ground truth and segment map came, too."""
        seen = {message.header.stamp.sec for message in truths} & {message.header.stamp.sec for message in maps}
        lines = [re.fullmatch(r"(\d+): (.*): segment (\d+), cosine (-?\d\.\d\d)", line) for line in list(finder.lines)]
        return [(int(m[1]), m[2], int(m[3])) for m in lines if m and int(m[1]) in seen]

    client.wait(lambda: len({stamp for stamp, *_ in found()}) >= 4, "the finder's lines of four frames", 120.0)
    truth_of, map_of = ({m.header.stamp.sec: to_label_array(m) for m in messages} for messages in (truths, maps))
    hits = []
    for stamp, word, segment in found():
        truth, mask = truth_of[stamp], map_of[stamp] == segment
        if (truth == CATEGORIES.index(word)).mean() > 0.02:  # in view, and not just its edge
            hits.append(np.bincount(truth[mask], minlength=256).argmax() == CATEGORIES.index(word))
    assert len(hits) >= 4
    assert np.mean(hits) >= 0.7, f"{sum(hits)} of {len(hits)}"
