"""What the launch files share: which arguments are theirs, and the node's processes as actions. Needs launch.

All launch files of a launch share one dictionary of arguments: an include leaves what it was given there, and a parent
has arguments of its own, `device` or `rate`. Here only what was given to the launch file itself counts.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ament_index_python.packages import PackageNotFoundError
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteLocal,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    ResetLaunchConfigurations,
    SetLaunchConfiguration,
)
from launch.substitutions import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch_ros.actions import Node
from launch_ros.substitutions import ExecutableInPackage

from ovsr_ros.nodes.launch_arguments import (
    NodeLaunch,
    ParameterValue,
    check_known,
    describe_inherited,
    write_parameters,
)

Arguments = Mapping[str, tuple[str, str]]
"""By the argument's name, its default and what it means."""


@dataclass(frozen=True)
class Given:
    """Names of arguments.

    by_include: among the arguments of the include; the command line comes as those of an include, too. by_group: set by
    the group around the include, where that group holds nothing else that could be meant.
    """

    by_include: set[str]
    by_group: set[str]


def describe_launch(
    arguments: Arguments, start: Callable[[LaunchContext, dict[str, str]], Sequence[LaunchDescriptionEntity]]
) -> LaunchDescription:
    """The description of a launch file. start: from the arguments' values, all that is to be started."""

    def begin(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        values, inherited = read_arguments(context, arguments, find_given(context, description))
        notes = [LogInfo(msg=describe_inherited(inherited))] if inherited else []
        return [*notes, *start(context, values)]

    declarations = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in arguments.items()
    ]
    # In a group, which keeps the arguments' defaults from what a parent includes later.
    description = LaunchDescription([GroupAction([*declarations, OpaqueFunction(function=begin)])])
    return description


def read_arguments(
    context: LaunchContext, arguments: Arguments, given: Given | None
) -> tuple[dict[str, str], list[str]]:
    """The arguments' values, the default where none or nothing was given; and those set elsewhere, which do not count.

    given: None where every argument that is set counts.

    Raises ConfigError for an argument that was given and is not known.
    """
    defaults = {name: default for name, (default, _) in arguments.items()}
    standing = {
        name: context.launch_configurations[name]
        for name in arguments
        if context.launch_configurations.get(name, "").strip() not in ("", defaults[name])
    }
    if given is None:
        return {**defaults, **standing}, []
    check_known(given.by_include, arguments)
    own = {name: value for name, value in standing.items() if name in given.by_include | given.by_group}
    return {**defaults, **own}, [f"{name}:={value}" for name, value in standing.items() if name not in own]


def find_given(context: LaunchContext, description: LaunchDescription) -> Given | None:
    """The arguments that were given to a launch file whose description launch is visiting now.

    None: it was not included, but its description, or what is in it, was used directly: all that is set may be meant.
    """
    inside: LaunchDescriptionEntity | None = None
    visited = _find_visited()
    for entity in visited:
        if inside is description and isinstance(entity, IncludeLaunchDescription):
            names = {_perform(context, name) for name, _ in entity.launch_arguments}
            return Given(names, _find_given_by_group(context, next(visited, None)))
        inside = entity
    return None


def _find_visited() -> Iterator[LaunchDescriptionEntity]:
    """The entities that launch is visiting now, from the innermost outwards.

    launch visits depth first, by a function that calls itself with each `entity`; only its stack knows by which include
    an entity came.
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "visit_all_entities_and_collect_futures":
            yield frame.f_locals["entity"]


def _find_given_by_group(context: LaunchContext, group: LaunchDescriptionEntity | None) -> set[str]:
    if not isinstance(group, GroupAction):
        return set()
    entities = group.get_sub_entities()
    if sum(isinstance(entity, (IncludeLaunchDescription, ExecuteLocal, GroupAction)) for entity in entities) > 1:
        return set()
    if any(isinstance(entity, ResetLaunchConfigurations) for entity in entities):  # forwarding=False
        return set(context.launch_configurations)
    return {_perform(context, entity.name) for entity in entities if isinstance(entity, SetLaunchConfiguration)}


def _perform(context: LaunchContext, text: object) -> str:
    return str(perform_substitutions(context, normalize_to_list_of_substitutions(text)))


def start_node(launch: NodeLaunch) -> list[Node]:
    """The processes of the node, as actions. They share a parameter file."""
    files = [*([str(launch.params_file)] if launch.params_file else []), parameter_file(launch.parameters, "ovsr")]
    return [
        Node(
            package="ovsr_ros",
            executable="ovsr_node",
            namespace=process.namespace,
            name=process.name,
            parameters=files,
            remappings=list(process.topics.items()),
            arguments=[*process.arguments, "--ros-args", "--log-level", launch.log_level],
            output="screen",
            emulate_tty=True,
        )
        for process in launch.processes
    ]


def start_console(arguments: Sequence[str]) -> Node:
    """The process of the operator's page, as an action. One page serves every node on the network."""
    return Node(
        package="ovsr_ros",
        executable="console",
        name="ovsr_console",
        arguments=list(arguments),
        output="screen",
        emulate_tty=True,
    )


def parameter_file(parameters: Mapping[str, ParameterValue], node: str) -> str:
    """The path of a parameter file for every node of that name, which goes when this process ends."""
    path = write_parameters(parameters, node)
    atexit.register(path.unlink, missing_ok=True)
    return str(path)


def find_executable(context: LaunchContext, package: str, executable: str) -> str:
    """The path of a ROS package's executable, "" where it is not installed."""
    try:
        return str(ExecutableInPackage(package=package, executable=executable).perform(context))
    except (PackageNotFoundError, SubstitutionFailure):
        return ""
