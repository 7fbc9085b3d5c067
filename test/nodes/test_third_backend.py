"""The node with a backend that none of ours names: see tiny_backend in ../support."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tiny_backend
from ovsr_ros.srv import SetVocabulary
from rcl_interfaces.srv import ListParameters

NODE = "ovsr_ros.nodes.ovsr_node"


@pytest.fixture
def node(run_module, ovsr, tmp_path):
    """A process that knows the backend, and runs the node with it."""
    config = tmp_path / "tiny.yaml"
    config.write_text("{backend: tiny, text.cache_directory: none, score_threshold: 0.0, categories: [red, blue]}")
    path = os.pathsep.join((str(Path(tiny_backend.__file__).parent), os.environ.get("PYTHONPATH", "")))
    process = run_module(
        "tiny_backend", NODE, "--ros-args", "-p", f"config:={config}", environment={**os.environ, "PYTHONPATH": path}
    )
    ovsr.wait_until_active()
    return process


def test_its_own_parameters_change_and_frames_are_labelled(node, ovsr, client):
    refused = ovsr.set_parameters(tiny__grid__side=99)
    assert not refused.successful
    assert "tiny.grid.side: expected 1 to 16, got 99" in refused.reason
    assert "another backend's" in ovsr.set_parameters(clusters__k_max=4).reason
    names = client.call("/ovsr/list_parameters", ListParameters, ListParameters.Request()).result.names
    assert {"tiny.grid.side", "tiny.words.default", "score_threshold", "text.templates"} <= set(names)
    others = ("features.", "clusters.", "clip.", "tracking.", "trident.")
    assert not [name for name in names if name.startswith(others)]

    message = ovsr.image((48, 64))
    message.data = bytes((250, 10, 10)) * (48 * 64)
    labelled = ovsr.label(message)
    assert len(labelled.segments) == 4
    assert set(ovsr.result("/ovsr/label_map", labelled.header).data) == {0}

    assert ovsr.set_vocabulary(SetVocabulary.Request.REPLACE, "green", "blue").success
    assert ovsr.set_parameters(tiny__grid__side=3).successful
    assert ovsr.get_parameter("tiny.grid.side") == 3
    labelled = ovsr.label(ovsr.image((48, 64)))
    assert (labelled.vocabulary_version, len(labelled.segments)) == (2, 9)
