"""Requests about parameters as any client may send them: each is answered, none ends the node, a call is one change."""

from __future__ import annotations

import pytest
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterEvent, ParameterType, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.parameter import Parameter

from ovsr_ros.nodes.demo.camera import DemoCamera
from ovsr_ros.nodes.parameter_services import MAX_PARAMETERS


def to_message(name, value):
    return Parameter(name, value=value).to_parameter_msg()


def of_type(number, name="rate_hz"):
    return ParameterMessage(name=name, value=ParameterValue(type=number))


def set_each(ovsr, *messages):
    request = SetParameters.Request(parameters=list(messages))
    return ovsr.client.call("/ovsr/set_parameters", SetParameters, request).results


def set_all(ovsr, *messages):
    request = SetParametersAtomically.Request(parameters=list(messages))
    return ovsr.client.call("/ovsr/set_parameters_atomically", SetParametersAtomically, request).result


@pytest.mark.parametrize("number", [10, 11, 99, 255])
@pytest.mark.parametrize("name", ["rate_hz", "categories", "no_such", "", "use_sim_time"])
def test_a_value_of_unknown_type_is_refused(shared_ovsr, number, name):
    for result in (set_each(shared_ovsr, of_type(number, name))[0], set_all(shared_ovsr, of_type(number, name))):
        assert not result.successful
        assert f"{name}: expected a value of type 1 bool" in result.reason
        assert f"got type {number}" in result.reason
    assert shared_ovsr.label().segments


@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("name", ["rate_hz", "categories", "features.levels", "config", "no_such", "use_sim_time", ""])
def test_an_empty_value_of_any_type_is_answered(shared_ovsr, number, name):
    """What the value is by default: 0, false, no text, an empty list."""
    before = shared_ovsr.get_parameter("categories")
    result = set_all(shared_ovsr, of_type(number, name))
    fits = (name, number) in [("use_sim_time", ParameterType.PARAMETER_BOOL)]
    empties = name == "categories" and number > ParameterType.PARAMETER_STRING
    assert result.successful == (fits or empties), result.reason
    assert result.successful or result.reason
    assert set_all(shared_ovsr, to_message("categories", before)).successful


@pytest.mark.parametrize(
    ("service", "service_type"),
    [
        ("get_parameters", GetParameters),
        ("describe_parameters", DescribeParameters),
        ("get_parameter_types", GetParameterTypes),
    ],
)
@pytest.mark.parametrize("names", [[], [""], ["no_such"], ["rate_hz", "no.such"], ["a\nb"], ["rate_hz"] * 300])
def test_questions_about_anything_are_answered(shared_ovsr, service, service_type, names):
    assert shared_ovsr.client.call(f"/ovsr/{service}", service_type, service_type.Request(names=names)) is not None
    assert shared_ovsr.get_parameter("rate_hz") == 50.0


def test_lists_of_anything_are_answered(shared_ovsr):
    for request in ({"depth": 2**63}, {"prefixes": ["", ".", "features"]}, {"prefixes": ["x" * 1000], "depth": 1}):
        answer = shared_ovsr.client.call("/ovsr/list_parameters", ListParameters, ListParameters.Request(**request))
        assert answer is not None


def test_parameters_of_one_call_are_one_change(shared_ovsr):
    events = shared_ovsr.client.collect("/parameter_events", ParameterEvent)
    messages = [to_message("num_runners_up", number % 5) for number in range(200)]
    values = {"clusters.k_max": 20, "score_threshold": 0.1, "refinement.radius": 3, "num_runners_up": 4}
    messages += [to_message(name, value) for name, value in values.items()]
    results = set_each(shared_ovsr, *messages)
    assert len(results) == len(messages)
    assert all(result.successful for result in results)
    shared_ovsr.client.wait(lambda: events, "the event of the change")
    # One more change, after which nothing of the first can be on its way any more.
    set_all(shared_ovsr, to_message("score_threshold", 0.0))
    shared_ovsr.client.wait(lambda: len(events) > 1, "the event of the second change")
    changed = [sorted(parameter.name for parameter in event.changed_parameters) for event in events]
    assert changed == [sorted(values), ["score_threshold"]]
    assert {name: shared_ovsr.get_parameter(name) for name in values} == {**values, "score_threshold": 0.0}


def test_what_can_be_set_is_set_beside_what_is_refused(shared_ovsr):
    before = shared_ovsr.get_parameter("clusters.k_min")
    results = set_each(
        shared_ovsr,
        to_message("rate_hz", 40.0),
        to_message("clusters.k_min", 1000),
        to_message("no_such", 1),
        of_type(10, "depth.slop_s"),
        to_message("score_threshold", 0.2),
        to_message("rate_hz", 50.0),
    )
    assert [result.successful for result in results] == [True, False, False, False, True, True]
    for result, said in zip(
        results[1:4], ("clusters.k_min", "unknown parameter 'no_such'", "got type 10"), strict=True
    ):
        assert said in result.reason
    assert shared_ovsr.get_parameter("rate_hz") == 50.0
    assert shared_ovsr.get_parameter("score_threshold") == 0.2
    assert shared_ovsr.get_parameter("clusters.k_min") == before
    assert set_all(shared_ovsr, to_message("score_threshold", 0.0)).successful


def test_a_call_has_a_bound_that_is_told(shared_ovsr):
    messages = [to_message("rate_hz", 20.0)] * 10_000
    results = set_each(shared_ovsr, *messages)
    assert len(results) == len(messages)
    said = f"expected at most {MAX_PARAMETERS} parameters in one call, got 10000; nothing was set"
    assert {(result.successful, result.reason) for result in results} == {(False, said)}
    assert set_all(shared_ovsr, *messages).reason == said
    assert shared_ovsr.get_parameter("rate_hz") == 50.0


def test_an_empty_list_has_its_type_so_that_clients_can_add_to_it(start_node, ovsr):
    start_node(autostart=False)
    assert set_all(ovsr, of_type(ParameterType.PARAMETER_STRING_ARRAY, "categories")).successful
    lists = {"categories": ParameterType.PARAMETER_STRING_ARRAY, "text.background_names": 9, "features.levels": 7}
    for name, number in lists.items():
        assert ovsr.describe_parameter(name).type == number
        request = GetParameterTypes.Request(names=[name])
        assert list(ovsr.client.call("/ovsr/get_parameter_types", GetParameterTypes, request).types) == [number]
    assert set_all(ovsr, to_message("text.background_names", ["sky"])).successful
    assert set_all(ovsr, of_type(ParameterType.PARAMETER_BYTE_ARRAY, "text.background_names")).successful
    assert ovsr.describe_parameter("text.background_names").type == ParameterType.PARAMETER_STRING_ARRAY
    assert ovsr.get_parameter("text.background_names") == []


def test_the_demo_camera_answers_as_well(context, client, spin):
    spin(DemoCamera(context=context, use_global_arguments=False))
    request = SetParameters.Request(parameters=[of_type(10), to_message("rate_hz", 3.0)])
    results = client.call("/demo_camera/set_parameters", SetParameters, request).results
    assert [result.successful for result in results] == [False, False]
    assert "read-only" in results[1].reason
