"""A node's parameter services: whatever a request holds, it is answered, and one call is one change."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.parameter import Parameter
from rclpy.parameter_service import ParameterService

from ovsr_ros.nodes.health.throttle import ThrottledLog

MAX_PARAMETERS = 256
"""Most parameters in one call: more than a node has."""

_WARNING_PERIOD_S = 10.0


class ParameterServices(ParameterService):
    """rclpy's parameter services, for a node that was made with `start_parameter_services=False`.

    rclpy lets a value of unknown type end the process, and sets a call's parameters one by one, each a change of its
    own. Here a call's parameters are one change where that is possible; where it is refused, they are tried one by one,
    so that each that can be set is.
    """

    def __init__(self, node: Any) -> None:
        self.log_too_many = ThrottledLog(lambda text: node.get_logger().warning(text), _WARNING_PERIOD_S)
        super().__init__(node)

    def _set_parameters_callback(
        self, request: SetParameters.Request, response: SetParameters.Response
    ) -> SetParameters.Response:
        node, messages = self._get_node(), request.parameters
        if len(messages) > MAX_PARAMETERS:
            response.results = [_too_many(messages)] * len(messages)
            return response
        results: list[SetParametersResult | None] = [None] * len(messages)
        last: dict[str, int] = {}  # of a parameter that is set several times, only the last value would stay
        parameters: dict[str, Parameter[Any]] = {}
        for index, message in enumerate(messages):
            parameter, refusal = _read(message)
            if parameter is None:
                results[index] = refusal
            else:
                last[message.name], parameters[message.name] = index, parameter
        together = _set(node, list(parameters.values()))
        for name, index in last.items():
            alone = together.successful or len(parameters) == 1
            results[index] = together if alone else _set(node, [parameters[name]])
        response.results = [result or results[last[messages[index].name]] for index, result in enumerate(results)]
        return response

    def _set_parameters_atomically_callback(
        self, request: SetParametersAtomically.Request, response: SetParametersAtomically.Response
    ) -> SetParametersAtomically.Response:
        messages = request.parameters
        if len(messages) > MAX_PARAMETERS:
            response.result = _too_many(messages)
            return response
        read = [_read(message) for message in messages]
        refusals = [refusal for parameter, refusal in read if parameter is None]
        parameters = [parameter for parameter, _ in read if parameter is not None]
        response.result = refusals[0] if refusals else _set(self._get_node(), parameters)
        return response

    def _describe_parameters_callback(
        self, request: DescribeParameters.Request, response: DescribeParameters.Response
    ) -> DescribeParameters.Response:
        return response if _asks_too_much(self, request) else super()._describe_parameters_callback(request, response)

    def _get_parameters_callback(
        self, request: GetParameters.Request, response: GetParameters.Response
    ) -> GetParameters.Response:
        return response if _asks_too_much(self, request) else super()._get_parameters_callback(request, response)

    def _get_parameter_types_callback(
        self, request: GetParameterTypes.Request, response: GetParameterTypes.Response
    ) -> GetParameterTypes.Response:
        return response if _asks_too_much(self, request) else super()._get_parameter_types_callback(request, response)


def _read(message: ParameterMessage) -> tuple[Parameter[Any] | None, SetParametersResult]:
    """The parameter, or None and why it is none."""
    try:
        return Parameter.from_parameter_msg(message), SetParametersResult(successful=True)
    except (TypeError, ValueError):
        known = ", ".join(f"{kind.value} {kind.name.lower()}" for kind in Parameter.Type if kind.value)
        reason = f"{message.name}: expected a value of type {known}, got type {message.value.type}"
        return None, SetParametersResult(successful=False, reason=reason)


def _set(node: Any, parameters: Sequence[Parameter[Any]]) -> SetParametersResult:
    try:
        return node.set_parameters_atomically(list(parameters))
    except Exception as error:  # rclpy's of several types, or a fault of ours: who asked is answered, and nothing ends
        names = ", ".join(parameter.name for parameter in parameters[:3])
        node.get_logger().error(f"setting {names} failed:\n{traceback.format_exc()}")
        return SetParametersResult(successful=False, reason=f"{type(error).__name__}: {error}")


def _too_many(messages: Sequence[ParameterMessage]) -> SetParametersResult:
    return SetParametersResult(
        successful=False,
        reason=f"expected at most {MAX_PARAMETERS} parameters in one call, got {len(messages)}; nothing was set",
    )


def _asks_too_much(services: ParameterServices, request: Any) -> bool:
    """Whether the answer is none at all, as for a name that is not known; these services have no field for a reason."""
    if len(request.names) <= MAX_PARAMETERS:
        return False
    services.log_too_many(
        f"a request for {len(request.names)} parameters is answered with none: at most {MAX_PARAMETERS} in one call"
    )
    return True
