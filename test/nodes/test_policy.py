"""config/ovsr.policy.xml allows what the running node has, and nothing more."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

POLICY = Path(__file__).resolve().parent.parent.parent / "config" / "ovsr.policy.xml"
OF_VISION_MSGS = {f"/ovsr/{name}" for name in ("label_info", "detections", "detections_3d")}
"""There where vision_msgs is installed."""
AT_TIMES = {"/depth", "/camera_info", "/ignore_mask", "/tf", "/tf_static", "/clock", "/parameter_events"}
"""Subscribed to while depth, or the mask, has publishers, with target_frame, and with use_sim_time."""


@pytest.fixture
def ovsr(shared_ovsr):
    return shared_ovsr


@pytest.fixture(scope="module")
def profile():
    (found,) = ElementTree.parse(POLICY).getroot().findall("enclaves/enclave/profiles/profile")
    return found


def allowed(profile, kind, what):
    """Full names, as sros2 makes them of the policy's."""
    own = f"{profile.get('ns')}{profile.get('node')}"
    names = [each.text for group in profile.findall(f"{kind}s[@{what}='ALLOW']") for each in group.findall(kind)]
    assert len(names) == len(set(names)), "twice"
    return {name.replace("~", own, 1) if name[0] == "~" else f"/{name.lstrip('/')}" for name in names}


def test_it_publishes_what_is_allowed(ovsr, profile):
    node = ovsr.client.node
    found = {name for name, _ in node.get_publisher_names_and_types_by_node("ovsr", "/")}
    assert allowed(profile, "topic", "publish") - OF_VISION_MSGS == found - OF_VISION_MSGS


def test_it_subscribes_to_what_is_allowed(ovsr, profile):
    found = {name for name, _ in ovsr.client.node.get_subscriber_names_and_types_by_node("ovsr", "/")}
    names = allowed(profile, "topic", "subscribe")
    assert names - AT_TIMES <= found <= names


def test_it_answers_what_is_allowed(ovsr, profile):
    found = {name for name, _ in ovsr.client.node.get_service_names_and_types_by_node("ovsr", "/")}
    assert allowed(profile, "service", "reply") == found
    assert not ovsr.client.node.get_client_names_and_types_by_node("ovsr", "/")
    assert not profile.findall("services[@request]")
