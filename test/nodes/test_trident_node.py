"""The node with Trident: its parameters, frames, and changes between them."""

from __future__ import annotations

import time

import pytest
from ovsr_ros.srv import SetVocabulary

REPLACE = SetVocabulary.Request.REPLACE
ANSWER_S = 2.0
SLOW_S = 180.0


@pytest.fixture
def trident(trident_models):
    """Parameters that start the node with Trident's tiny models."""
    options = {f"trident.{name}": value for name, value in trident_models.options().items()}
    return {"backend": "trident", **{name.replace(".", "__"): value for name, value in options.items()}}


def test_frames_are_labelled_and_words_change(start_node, ovsr, trident):
    start_node(**trident)
    ovsr.wait_until_active()
    assert ovsr.label().vocabulary_version == 1
    assert ovsr.set_vocabulary(REPLACE, "wall", "floor").success
    segments = ovsr.label()
    assert segments.vocabulary_version == 2
    assert segments.segments


def test_its_own_parameters_are_declared_and_change(start_node, ovsr, trident):
    node = start_node(**trident)
    ovsr.wait_until_active()
    assert node.has_parameter("trident.masks.method")
    assert not node.has_parameter("clusters.k_max")
    assert ovsr.set_parameters(trident__masks__method="none").successful
    assert ovsr.label().segments
    refused = ovsr.set_parameters(trident__windows__stride=96)
    assert not refused.successful
    assert "leaves gaps" in refused.reason
    refused = ovsr.set_parameters(clusters__k_max=4)
    assert not refused.successful
    assert "another backend's" in refused.reason


def test_without_it_none_of_its_parameters_are_there(start_node):
    node = start_node(autostart=False)
    assert node.has_parameter("clusters.k_max")
    assert not node.has_parameter("trident.masks.method")


@pytest.fixture
def slow_node(start_node, ovsr, trident):
    """On a large image SAM's masks take it seconds: regions of any size prompt SAM, and every mask counts."""
    slow = {"coarse_threshold": 0.0, "iou_threshold": 0.0, "min_area": 1, "prompts_at_once": 1}
    slow = {f"trident__masks__{name}": value for name, value in slow.items()}
    start_node(**{**trident, **slow, "score_threshold": 0.0, "categories": ["wall", "floor", "mug", "ball", "lamp"]})
    ovsr.wait_until_active()


@pytest.mark.slow
@pytest.mark.usefixtures("slow_node")
def test_words_change_while_masks_are_drawn(ovsr):
    """Who sets the vocabulary meanwhile does not wait for them."""
    image = ovsr.image((3000, 4000))
    begin = time.monotonic()
    first = ovsr.result("/ovsr/segments", ovsr.send(image), SLOW_S)
    whole_s = time.monotonic() - begin
    assert whole_s > 1.0, f"a frame of {whole_s:.1f} s is too quick to show anything"
    assert first.vocabulary_version == 1
    image.header = ovsr.new_header()
    header = ovsr.send(image)
    time.sleep(whole_s / 4)  # among the masks: what comes before them takes a tenth of the time
    begin = time.monotonic()
    assert ovsr.set_vocabulary(REPLACE, "table", "chair").success
    assert time.monotonic() - begin < min(ANSWER_S, whole_s / 3)
    assert len(ovsr.segments) == 1, "the frame was in work all the time"
    assert ovsr.result("/ovsr/segments", header, SLOW_S).vocabulary_version == 2


@pytest.mark.slow
@pytest.mark.usefixtures("slow_node")
def test_a_slow_frame_comes_though_its_words_change_all_the_time(ovsr):
    image = ovsr.image((1200, 1600))
    begin = time.monotonic()
    ovsr.result("/ovsr/segments", ovsr.send(image), SLOW_S)
    whole_s = time.monotonic() - begin
    image.header = ovsr.new_header()
    header = ovsr.send(image)
    begin, versions = time.monotonic(), []
    while not any(segments.header == header for segments in list(ovsr.segments)):
        assert time.monotonic() - begin < 15 * whole_s, "four times would do, were the words not being changed"
        answer = ovsr.set_vocabulary(REPLACE, "wall", "floor", "mug", "ball", f"thing {len(versions)}")
        versions.append(answer.vocabulary.version)
    assert len(versions) > 3, "it was in vain a few times"
    assert ovsr.segments[-1].vocabulary_version in versions
