"""ROS parameters from the options' dataclasses: names, descriptions, ranges, types come from the fields."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from ovsr_ros.config import OptionInfo, OptionValue, check_value
from ovsr_ros.errors import ConfigError

_INT_LIMIT = 2**63 - 1
_SCALAR_TYPES = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
}
_ARRAY_TYPES = {
    bool: Parameter.Type.BOOL_ARRAY,
    int: Parameter.Type.INTEGER_ARRAY,
    float: Parameter.Type.DOUBLE_ARRAY,
    str: Parameter.Type.STRING_ARRAY,
}
# Parameters that ROS itself, not this package, gives to a node.
_ROS_PARAMETERS = frozenset({"use_sim_time", "start_type_description_service"})
_ROS_PREFIXES = ("qos_overrides.",)


def read_overrides(node: Node) -> dict[str, object]:
    """The values given on the command line, in parameter files and by the launch file, by name; an empty list as ().

    Parameters that ROS itself gives to every node are left out.
    """
    # rclpy's own way to them, automatically_declare_parameters_from_overrides, fails for an empty list.
    overrides: dict[str, Parameter[Any]] = node._parameter_overrides
    return {
        name: () if parameter.value is None else _to_plain(parameter.value)
        for name, parameter in overrides.items()
        if name not in _ROS_PARAMETERS and not name.startswith(_ROS_PREFIXES)
    }


def declare_options(node: Node, infos: Iterable[OptionInfo], values: Mapping[str, OptionValue]) -> None:
    """Declare a parameter for each option, with the value that holds now."""
    for info in infos:
        value = values[info.name]
        descriptor = describe_option(info)
        node.declare_parameter(
            info.name, list(value) if isinstance(value, tuple) else value, descriptor, ignore_override=True
        )


def describe_option(info: OptionInfo) -> ParameterDescriptor:
    """The option's description, range and choices, as ROS tools show them."""
    descriptor = ParameterDescriptor(
        name=info.name,
        description=f"{info.help} [{info.unit}]" if info.unit else info.help,
        additional_constraints=_describe_constraints(info),
        read_only=info.read_only,
        # rclpy takes an empty list for a list of bytes: lists are typed by `to_parameter` instead.
        dynamic_typing=info.is_tuple,
    )
    if not info.is_tuple and (info.min is not None or info.max is not None):
        if info.type is int:
            low = -_INT_LIMIT if info.min is None else int(info.min)
            high = _INT_LIMIT if info.max is None else int(info.max)
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
        elif info.type is float:
            low_f = float("-inf") if info.min is None else float(info.min)
            high_f = float("inf") if info.max is None else float(info.max)
            descriptor.floating_point_range = [FloatingPointRange(from_value=low_f, to_value=high_f, step=0.0)]
    return descriptor


def to_parameter(info: OptionInfo, value: object) -> Parameter[Any]:
    """The parameter with the option's own type: whole numbers become floats where floats are meant, [] gets a type.

    Raises ConfigError when the value is not one of the option's type, range or choices.
    """
    checked = check_value(info, _to_plain(value))
    if isinstance(checked, tuple):
        return Parameter(info.name, _ARRAY_TYPES[info.type], list(checked))
    return Parameter(info.name, _SCALAR_TYPES[info.type], checked)


def normalise(parameters: Iterable[Parameter[Any]], infos: Mapping[str, OptionInfo]) -> list[Parameter[Any]]:
    """Parameters as a caller gave them, each option's with its own type; others are left as they are.

    Raises ConfigError as `to_parameter`, and when an option would be deleted.
    """
    normalised = []
    for parameter in parameters:
        info = infos.get(parameter.name)
        if info is None:
            normalised.append(parameter)
        elif parameter.type_ == Parameter.Type.NOT_SET:
            raise ConfigError(f"{parameter.name}: expected {info.type_name}, got nothing; it cannot be deleted")
        else:
            normalised.append(to_parameter(info, parameter.value))
    return normalised


def _describe_constraints(info: OptionInfo) -> str:
    if info.choices is not None:
        return f"{'each ' if info.is_tuple else ''}one of {', '.join(str(choice) for choice in info.choices)}"
    if info.is_tuple and info.min is not None and info.max is not None:
        return f"each {info.min:g} to {info.max:g}"
    if info.is_tuple and info.min is not None:
        return f"each at least {info.min:g}"
    return ""


def _to_plain(value: Any) -> object:
    return list(value) if isinstance(value, (tuple, list, array.array)) else value
