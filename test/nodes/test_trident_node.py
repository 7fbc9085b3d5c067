"""The node with Trident: its parameters, frames, and changes between them."""

from __future__ import annotations

import pytest
from ovsr_ros.srv import SetVocabulary

REPLACE = SetVocabulary.Request.REPLACE


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
