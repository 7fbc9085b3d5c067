"""ROS parameters from the options' dataclasses: names, descriptions, ranges, types come from the fields."""

from __future__ import annotations

import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from ovsr_ros.config import describe_foreign, find_foreign, is_misspelt
from ovsr_ros.errors import ConfigError
from ovsr_ros.nodes.ros_arguments import find_shared_names
from ovsr_ros.options import OptionInfo, OptionValue, check_value

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


def read_overrides(node: Node, known: Collection[str], arguments: Sequence[str]) -> dict[str, object]:
    """The values given on the command line, in parameter files and by the launch file, by name; an empty list as ().

    Parameters that ROS itself gives to every node are left out, and so are, with a warning, those that are given to all
    nodes, in a file or by launch's SetParameter, and that are none of ours: other nodes' most likely. An unknown one
    that is given to this node, or within a section of ours, is left in: it is a mistake. So is one on the command line
    that resembles one of ours.

    known: names of our options. arguments: the process's and the node's own, from which the node has its parameters.
    """
    # rclpy's own way to them, automatically_declare_parameters_from_overrides, fails for an empty list.
    overrides: dict[str, Parameter[Any]] = node._parameter_overrides
    ours = {
        name: () if parameter.value is None else _to_plain(parameter.value)
        for name, parameter in overrides.items()
        if name not in _ROS_PARAMETERS and not name.startswith(_ROS_PREFIXES)
    }
    shared = find_shared_names(arguments)
    foreign = [
        name
        for name in find_foreign(ours, known)
        if (name in shared.on_command_line and not is_misspelt(name, known)) or name in shared.in_files
    ]
    if foreign:
        node.get_logger().warning(describe_foreign(foreign, known))
    return {name: value for name, value in ours.items() if name not in foreign}


def arguments_of(arguments: Sequence[str], node_arguments: Mapping[str, Any]) -> list[str]:
    """The ROS arguments that hold for a node: the process's, if it heeds them, then its own.

    arguments: the process's. node_arguments: what rclpy's Node is constructed with.
    """
    heeds = node_arguments.get("use_global_arguments", True)
    return [*(arguments if heeds else ()), "--", *(node_arguments.get("cli_args") or ())]


def declare_options(node: Node, infos: Iterable[OptionInfo], values: Mapping[str, OptionValue]) -> None:
    """Declare a parameter for each option, with the value that holds now."""
    for info in infos:
        parameter, descriptor = to_parameter(info, values[info.name]), describe_option(info)
        if not info.is_tuple or parameter.value:
            node.declare_parameter(info.name, parameter.value, descriptor, ignore_override=True)
            continue
        # By its type: an empty list is taken for one of bytes, to which nobody could add a word.
        node.declare_parameter(info.name, parameter.type_, descriptor, ignore_override=True)
        Node.set_parameters_atomically(node, [parameter])


def describe_option(info: OptionInfo) -> ParameterDescriptor:
    """The option's description, range and choices, as ROS tools show them."""
    descriptor = ParameterDescriptor(
        name=info.name,
        description=f"{info.help} [{info.unit}]" if info.unit else info.help,
        additional_constraints=_describe_constraints(info),
        read_only=info.read_only,
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
