"""A callback that raises, whosever fault it is, ends neither the node nor what else it does."""

from __future__ import annotations

import threading

from lifecycle_msgs.srv import GetAvailableStates, GetState
from rcl_interfaces.msg import Log
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node

from ovsr_ros.nodes.process import EXIT_FAILED, ExitRequest, _Running

NUM_FAULTS = 5


def fail(request, response):
    raise ValueError(f"no sense in {request}")


def answer(request, response):
    response.current_state.label = "well"
    return response


def test_a_request_that_nobody_can_answer_ends_nothing(context, client):
    logs = client.collect("/rosout", Log)
    node = Node("fragile", context=context, use_global_arguments=False)
    node.create_service(GetAvailableStates, "fail", fail)
    node.create_service(GetState, "answer", answer)
    exit_request = ExitRequest()
    running = _Running(node, MultiThreadedExecutor(4, context=context), exit_request)
    try:
        for _ in range(NUM_FAULTS):
            client.call_async("/fail", GetAvailableStates, GetAvailableStates.Request())
            assert client.call("/answer", GetState, GetState.Request()).current_state.label == "well"
        assert not exit_request.is_set
        client.wait(lambda: [log for log in logs if "a callback failed; the node goes on" in log.msg], "the log")
    finally:
        exit_request(0)
        running.close()
        exit_request.close()


class Broken:
    """An executor that cannot even begin."""

    def __init__(self):
        self.ended = threading.Event()

    def add_node(self, node):
        pass

    def spin(self):
        raise RuntimeError("no wait set")

    def shutdown(self):
        pass


def test_an_executor_that_cannot_work_ends_the_process(context):
    exit_request = ExitRequest()
    running = _Running(Node("still", context=context, use_global_arguments=False), Broken(), exit_request)
    exit_request.wait()
    assert exit_request.code == EXIT_FAILED
    running.close()
    exit_request.close()
