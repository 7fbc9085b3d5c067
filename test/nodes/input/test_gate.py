"""A shut gate lets nothing begin, an open one as many as it was told; what waited is not taken for the pace."""

from __future__ import annotations

import pytest
from rclpy.qos import QoSProfile
from std_msgs.msg import Int32

from ovsr_ros.nodes.input.gate import Gate


class Entity:
    """What the executor asks for."""


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def entity(gate):
    entity = Entity()
    gate.add_entity(entity)
    return entity


def run(gate, entity):
    began = gate.can_execute(entity) and gate.beginning_execution(entity)
    if began:
        gate.ending_execution(entity)
    return began


def test_an_open_gate_lets_one_at_a_time_begin(gate, entity):
    assert gate.is_open
    assert gate.is_unlimited
    assert gate.beginning_execution(entity)
    assert not gate.can_execute(entity)
    assert not gate.beginning_execution(entity)
    gate.ending_execution(entity)
    assert run(gate, entity)


def test_a_shut_gate_lets_none_begin_and_a_limited_one_its_number(gate, entity):
    gate.shut()
    assert not run(gate, entity)
    assert not gate.beginning_execution(entity), "where the executor had looked before"
    gate.open(2)
    assert [run(gate, entity) for _ in range(4)] == [True, True, False, False]
    assert not gate.is_open
    gate.open()
    assert all(run(gate, entity) for _ in range(5))


def test_a_turn_that_is_refused_costs_none(gate, entity):
    gate.open(1)
    assert gate.beginning_execution(entity)
    gate.open(1)
    assert not gate.beginning_execution(entity), "one at a time"
    gate.ending_execution(entity)
    assert run(gate, entity)


def test_pace_is_told_by_messages_of_which_none_was_passed_over(gate):
    assert gate.tells_pace()
    gate.shut()
    gate.open(3)
    assert [gate.tells_pace() for _ in range(3)] == [False, False, True]
    gate.open(3)
    assert gate.tells_pace(), "it was open all the time"


def test_a_shut_subscription_keeps_the_newest_messages_for_later(client):
    """client: spins a node of the test's in an executor of several threads."""
    gate, received = Gate(), []
    client.node.create_subscription(
        Int32, "/numbers", lambda message: received.append(message.data), QoSProfile(depth=1), callback_group=gate
    )
    publisher = client.publisher("/numbers", Int32, QoSProfile(depth=10))
    publisher.publish(Int32(data=0))
    client.wait(lambda: received == [0], "the first message")
    gate.shut()
    for number in (1, 2, 3):
        publisher.publish(Int32(data=number))
    passed = client.collect("/others", Int32)
    other = client.publisher("/others", Int32, QoSProfile(depth=10))
    other.publish(Int32(data=9))
    client.wait(lambda: passed, "a message of another topic")
    assert received == [0]
    gate.open()
    other.publish(Int32(data=9))  # the executor looks anew
    client.wait(lambda: received == [0, 3], "the newest message, alone")
