"""Every parameter over ROS's own services: described, ranged, live or refused, and checked together."""

from __future__ import annotations

import itertools

import pytest
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, ListParameters, SetParameters
from rclpy.parameter import Parameter

from ovsr_ros.node_options import NodeOptions
from ovsr_ros.nodes.parameter_node import StartOptions
from ovsr_ros.options import iter_options
from ovsr_ros.settings import options_in_use

INFOS = [*iter_options(StartOptions), *iter_options(NodeOptions), *options_in_use("ovsr")]
LIVE = [info for info in INFOS if not info.read_only]
OF_THE_MODEL = {"features.known_words"}
"""What not every model can do."""
CHANGEABLE = [info for info in LIVE if info.name not in OF_THE_MODEL]
FIXED = [info for info in INFOS if info.read_only and len(info.choices or ("any", "other")) > 1]
# Where another value must fit the other options, or costs much to try.
OTHER_VALUES = {
    "categories": ["mug", "wall; paint; #102030"],
    "text.something_else": ["nothing", "something else"],
    "text.background_names": ["sky"],
    "rate_hz": 30.0,
    "score_threshold": 0.01,
    "features.input_short_side": 96,
    "clip.dense_short_side": 64,
    "clip.recognition": "dense",
    "precision": "bf16",
    "clusters.k_min": 3,
    "alignment.unlabeled_bias": -1.0,
}


@pytest.fixture
def ovsr(shared_ovsr):
    return shared_ovsr


def by_name(info):
    return info.name


def other_value(info, value):
    """A valid value other than the present one."""
    if info.name in OTHER_VALUES:
        return OTHER_VALUES[info.name]
    if info.choices is not None:
        return next(choice for choice in info.choices if choice != value)
    if info.type is bool:
        return not value
    if info.type is str:
        return f"{value}x"
    step = 1 if info.type is int else (info.max - info.min) / 1000
    return value + step if value + step <= info.max else value - step


def set_one(ovsr, name, value):
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    return ovsr.client.call("/ovsr/set_parameters", SetParameters, request).results[0]


def test_every_option_is_a_parameter_and_described_with_its_range(ovsr):
    listed = ovsr.client.call("/ovsr/list_parameters", ListParameters, ListParameters.Request(depth=0)).result.names
    assert {info.name for info in INFOS} <= set(listed)
    request = DescribeParameters.Request(names=[info.name for info in INFOS])
    descriptors = ovsr.client.call("/ovsr/describe_parameters", DescribeParameters, request).descriptors
    for info, descriptor in zip(INFOS, descriptors, strict=True):
        assert descriptor.description.startswith(info.help), info.name
        assert descriptor.read_only == info.read_only, info.name
        if info.choices is not None:
            assert all(str(choice) in descriptor.additional_constraints for choice in info.choices), info.name
        if info.is_tuple or info.type not in (int, float):
            continue
        (found,) = descriptor.integer_range if info.type is int else descriptor.floating_point_range
        assert (found.from_value, found.to_value) == (info.min, info.max), info.name
        wanted = ParameterType.PARAMETER_INTEGER if info.type is int else ParameterType.PARAMETER_DOUBLE
        assert descriptor.type == wanted, info.name


@pytest.mark.parametrize("info", CHANGEABLE, ids=by_name)
def test_a_live_parameter_changes_between_two_frames(ovsr, info):
    before = ovsr.get_parameter(info.name)
    value = other_value(info, before)
    try:
        result = set_one(ovsr, info.name, value)
        assert result.successful, result.reason
        assert ovsr.get_parameter(info.name) == value
        segments = ovsr.label(ovsr.image((64, 80)))
        assert segments.segments, "the frame after it"
    finally:
        result = set_one(ovsr, info.name, before)
    assert result.successful, result.reason


def test_known_words_of_a_model_that_was_taught_none_are_refused_with_the_reason(ovsr):
    result = set_one(ovsr, "features.known_words", 1.0)
    assert not result.successful
    assert "features.known_words: expected 0 where features.model names a timm network" in result.reason
    assert ovsr.get_parameter("features.known_words") == 0.0


@pytest.mark.parametrize("info", FIXED, ids=by_name)
def test_a_read_only_parameter_is_refused_with_the_reason(ovsr, info):
    before = ovsr.get_parameter(info.name)
    value = [*before, 4] if info.is_tuple else other_value(info, before)
    result = set_one(ovsr, info.name, value)
    assert not result.successful
    assert "read-only" in result.reason
    assert ovsr.get_parameter(info.name) == before


RANGED = [info for info in LIVE if info.type in (int, float) and not info.is_tuple]
BEYOND = [(info, sign) for info, sign in itertools.product(RANGED, (-1, 1))]


@pytest.mark.parametrize(("info", "sign"), BEYOND, ids=[f"{info.name}{sign:+d}" for info, sign in BEYOND])
def test_beyond_its_range_a_value_is_refused_with_the_range(ovsr, info, sign):
    before = ovsr.get_parameter(info.name)
    result = set_one(ovsr, info.name, info.min - 1 if sign < 0 else info.max + 1)
    assert not result.successful
    assert f"{info.name}: expected {info.min:g} to {info.max:g}" in result.reason
    assert ovsr.get_parameter(info.name) == before


CHOICES = [info for info in LIVE if info.choices is not None and not info.is_tuple]


@pytest.mark.parametrize("info", CHOICES, ids=by_name)
def test_what_is_no_choice_is_refused_with_the_choices(ovsr, info):
    result = set_one(ovsr, info.name, "no such choice")
    assert not result.successful
    assert f"{info.name}: expected one of {', '.join(map(str, info.choices))}" in result.reason


def test_a_wrong_type_and_an_unknown_name_are_refused_with_what_was_meant(ovsr):
    assert "expected float, got 'much'" in set_one(ovsr, "score_threshold", "much").reason
    assert "nearest known one is 'score_threshold'" in set_one(ovsr, "score_treshold", 0.5).reason


def test_values_that_contradict_each_other_are_refused_together_and_taken_together(ovsr):
    assert "k_min" in set_one(ovsr, "clusters.k_min", 33).reason
    refused = ovsr.set_parameters(clusters__k_min=30, clusters__k_max=20, score_threshold=0.9)
    assert not refused.successful
    assert "k_min" in refused.reason
    assert ovsr.get_parameter("score_threshold") != 0.9, "all or none"
    assert ovsr.set_parameters(clusters__k_min=30, clusters__k_max=40).successful
    assert ovsr.label(ovsr.image((64, 80))).segments
    assert ovsr.set_parameters(clusters__k_min=2, clusters__k_max=32).successful


def test_words_and_how_they_are_encoded_change_in_one_call(ovsr):
    before = {"categories": ovsr.get_parameter("categories"), "text__templates": "single"}
    version = ovsr.get_vocabulary().version
    assert ovsr.set_parameters(categories=["wall", "floor"], text__templates="plain").successful
    assert ovsr.get_parameter("text.templates") == "plain"
    assert ovsr.get_vocabulary().version == version + 1
    refused = ovsr.set_parameters(categories=["wall", "wall"], text__templates="simple7")
    assert "duplicate" in refused.reason
    assert ovsr.get_parameter("text.templates") == "plain"
    assert ovsr.set_parameters(**before).successful


def test_a_chosen_colour_is_shown_by_the_parameter_whoever_chose_it(ovsr):
    before = ovsr.get_parameter("categories")
    assert set_one(ovsr, "categories", ["mug; cup; #FF0000"]).successful
    color = ovsr.get_vocabulary().categories[0].color
    assert (color.r, color.g, color.b) == (1.0, 0.0, 0.0)
    assert ovsr.set_vocabulary(1, "lamp; #00ff00").success
    assert ovsr.get_parameter("categories") == ["mug; cup; #ff0000", "lamp; #00ff00"]
    assert ovsr.set_vocabulary(0, "mug; cup", "lamp").success
    assert ovsr.get_parameter("categories") == ["mug; cup; #ff0000", "lamp; #00ff00"], "kept with the name"
    assert set_one(ovsr, "categories", before).successful
