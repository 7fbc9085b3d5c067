"""Arguments of the launch files, read and checked before the first process is started. Needs no ROS to be read.

A launch file's arguments are text. Here they become what the processes are started with: topics, and parameters in a
file whose strings are quoted, so that ROS's YAML parser, too, reads them as text.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import shlex
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ovsr_ros.config import parse_device_index, read_config, read_words
from ovsr_ros.errors import ConfigError
from ovsr_ros.node_options import NodeOptions
from ovsr_ros.nodes.cameras import TOPICS, Camera, format_cameras, parse_cameras
from ovsr_ros.nodes.console.arguments import parse as parse_console
from ovsr_ros.nodes.topic_names import find_namespace_problem, find_topic_problem
from ovsr_ros.options import check_value, iter_options
from ovsr_ros.vocabulary.category import CategoryRequest, normalise_requests

ParameterValue = str | bool | int | float | list[str]

OF_LAUNCH_ITSELF = frozenset(
    {"emulate_tty", "launch-prefix", "launch-prefix-filter", "ros_namespace", "sigkill_timeout", "sigterm_timeout"}
)
"""Arguments that launch and launch_ros read, whatever the launch file declares."""

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")

_TRUE = frozenset({"true", "yes", "on", "y", "1"})
_FALSE = frozenset({"false", "no", "off", "n", "0"})
_COMPRESSED = "/compressed"


@dataclass(frozen=True)
class NodeProcess:
    """A process of the executable ovsr_node.

    namespace: "" for the launch's own; name: None where each node in the process has its own namespace.
    topics: by the input's name, where it comes from. arguments: those before the ROS arguments.
    """

    namespace: str
    name: str | None
    topics: Mapping[str, str]
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeLaunch:
    """What `ovsr.launch.py` starts; params_file is read before the parameters, which win."""

    processes: tuple[NodeProcess, ...]
    parameters: Mapping[str, ParameterValue]
    params_file: Path | None
    log_level: str


def check_known(given: Iterable[str], known: Iterable[str]) -> None:
    """Raises ConfigError that names the nearest known argument when one that was given is unknown."""
    names = sorted(known)
    unknown = sorted(set(given) - set(names) - OF_LAUNCH_ITSELF)
    if unknown:
        nearest = (difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0] for name in unknown)
        hints = "; ".join(
            f"unknown argument '{name}', the nearest is '{near}'" for name, near in zip(unknown, nearest, strict=True)
        )
        raise ConfigError(f"{hints}; known are {', '.join(names)}")


def describe_inherited(names: Sequence[str]) -> str:
    """What a user is told of arguments that a launch file around this one has, and that do not count here."""
    return (
        f"{', '.join(names)}: set elsewhere in this launch, so not for ovsr_ros; to hand them on, name them among the "
        "arguments of the include"
    )


def read_node_launch(values: Mapping[str, str]) -> NodeLaunch:
    """What the arguments of `ovsr.launch.py` ask for; those that are missing or empty leave the choice to the node.

    Raises ConfigError that names the argument, what was expected and what came.
    """
    for name, value in values.items():
        check_text(name, value)
    given = {name: value.strip() for name, value in values.items() if value.strip()}
    parameters = _read_parameters(given)
    return NodeLaunch(
        _read_processes(given, is_compressed=parameters.get("image_transport") == "compressed"),
        parameters,
        _read_params_file(given["params_file"]) if "params_file" in given else None,
        read_log_level(given.get("log_level", "info")),
    )


def read_console_launch(values: Mapping[str, str]) -> tuple[str, ...] | None:
    """The arguments of the operator's page; None where it is not to be started.

    Raises ConfigError that names the argument, what was expected and what came; of `console_arguments` also what the
    page itself would refuse.
    """
    wanted = values.get("console", "").strip() or "false"
    if not read_truth("console", wanted):
        return None
    text = values.get("console_arguments", "")
    check_text("console_arguments", text)
    try:
        arguments = tuple(shlex.split(text))
        parse_console(arguments)
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"console_arguments: {error}") from error
    return arguments


def read_truth(name: str, text: str, *others: str) -> bool:
    """The truth value that `text` names, in YAML's words or as a number. Raises ConfigError for other text.

    others: what the argument may be besides, for the message.
    """
    if text.lower() not in _TRUE | _FALSE:
        *first, last = ("true", "false", *others)
        raise ConfigError(f"{name}: expected {', '.join(first)} or {last}, got '{text}'")
    return text.lower() in _TRUE


def read_log_level(text: str) -> str:
    """The level, or LOGGER:=LEVEL, as rcl's --log-level takes it. Raises ConfigError for other text."""
    level = text.rpartition(":=")[2]
    if level.lower() not in LOG_LEVELS:
        nearest = difflib.get_close_matches(level.lower(), LOG_LEVELS, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise ConfigError(f"log_level: expected one of {', '.join(LOG_LEVELS)}, got '{text}'{hint}")
    return text


def read_categories(text: str) -> list[str]:
    """The categories in "mug; cup; #ff8000, ball", or in a YAML list: ["mug; cup", "ball"]; [] and "," are none.

    Each is text as written, whatever YAML takes it for.

    Raises ConfigError when a list cannot be read, or the node would refuse a category.
    """
    categories: object = [part.strip() for part in text.split(",") if part.strip()]
    if text.startswith("["):
        try:
            categories = read_words(text)
        except yaml.YAMLError:
            categories = None
    if not isinstance(categories, list) or not all(isinstance(category, str) for category in categories):
        raise ConfigError(
            f'categories: expected "mug; cup, ball" or ["mug; cup", "ball"], got {text}; in a list, put quotes around '
            "what has a comma, a bracket, or a colour"
        )
    problems = normalise_requests([CategoryRequest(category) for category in categories], names_only=False)[1]
    if problems:
        raise ConfigError(f"categories: {'; '.join(problems)}")
    return categories


def write_parameters(parameters: Mapping[str, ParameterValue], node: str = "ovsr") -> Path:
    """A parameter file in the folder for temporary files, for every node of that name; the caller removes it."""
    # Such a section wins over a node's own in `params_file`, which /** would not.
    content = {f"/**/{node}": {"ros__parameters": dict(parameters)}}
    with tempfile.NamedTemporaryFile("w", prefix="ovsr_parameters_", suffix=".yaml", delete=False) as file:
        yaml.dump(content, file, Dumper=_QuotingDumper, default_flow_style=False, width=math.inf, sort_keys=False)
    return Path(file.name)


class _QuotingDumper(yaml.SafeDumper):
    """Quotes every string, so that no YAML parser takes one for a number, a truth value or nothing."""


_QuotingDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def _read_parameters(given: Mapping[str, str]) -> dict[str, ParameterValue]:
    parameters: dict[str, ParameterValue] = {}
    if "config" in given:
        read_config(given["config"])
        parameters["config"] = given["config"]
    if "device" in given:
        parse_device_index(given["device"])
        parameters["device"] = given["device"]
    if "image_transport" in given:
        _check("image_transport", given["image_transport"], "image_transport")
        parameters["image_transport"] = given["image_transport"]
    if "vocabulary_file" in given:
        parameters["vocabulary_file"] = given["vocabulary_file"]
    for name in ("autostart", "use_sim_time"):
        if name in given:
            parameters[name] = read_truth(name, given[name])
    if "rate" in given:
        parameters["rate_hz"] = _read_rate(given["rate"])
    if "categories" in given:
        parameters["categories"] = read_categories(given["categories"])
    return parameters


def _read_rate(text: str) -> float:
    try:
        rate_hz = float(text)
    except ValueError:
        raise ConfigError(f"rate: expected a number of images per second, such as 10, got '{text}'") from None
    _check("rate", rate_hz, "rate_hz")
    return rate_hz


def check_text(name: str, value: str) -> None:
    """Raises ConfigError when an argument's value holds bytes that are no text."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ConfigError(f"{name}: expected text in UTF-8, got {value!r}")


def _check(argument: str, value: object, option: str) -> None:
    """Raises ConfigError when the node's option cannot have the argument's value."""
    info = next(info for info in iter_options(NodeOptions) if info.name == option)
    check_value(dataclasses.replace(info, name=argument), value)


def _read_processes(given: Mapping[str, str], is_compressed: bool) -> tuple[NodeProcess, ...]:
    processes = given.get("processes", "one")
    if processes not in ("one", "several"):
        raise ConfigError(f"processes: expected one or several, got '{processes}'")
    namespace = _read_namespace(given.get("namespace", ""))
    topics = {name: _without_transport(given[name], name, is_compressed) for name in TOPICS if name in given}
    for name, topic in topics.items():
        problem = find_topic_problem(topic)
        if problem:
            hint = "; a file is for the parameter of that name, in params_file" if name == "ignore_mask" else ""
            raise ConfigError(f"{name}: expected a topic such as /camera/{name}, got {topic!r}: {problem}{hint}")
    if "cameras" not in given:
        return (NodeProcess(namespace, "ovsr", topics),)
    cameras = [
        Camera(
            camera.name,
            {name: _without_transport(topic, name, is_compressed) for name, topic in camera.topics.items()},
        )
        for camera in parse_cameras(given["cameras"])
    ]
    for camera in cameras:
        _read_namespace(camera.namespace_in(namespace))
    if processes == "one":
        return (NodeProcess(namespace, None, topics, ("--cameras", format_cameras(cameras))),)
    return tuple(NodeProcess(camera.namespace_in(namespace), "ovsr", {**topics, **camera.topics}) for camera in cameras)


def _read_namespace(text: str) -> str:
    if not text:
        return ""
    namespace = text.rstrip("/") or "/"
    problem = find_namespace_problem(namespace)
    if problem:
        raise ConfigError(f"namespace: expected a name such as /robot1, got {text!r}: {problem}")
    return namespace


def _without_transport(topic: str, name: str, is_compressed: bool) -> str:
    """The image topic as the node takes it, which adds /compressed itself."""
    return topic.removesuffix(_COMPRESSED) or topic if is_compressed and name == "image" else topic


def _read_params_file(text: str) -> Path:
    """Raises ConfigError when there is no such file, or it has not the layout of a parameter file."""
    path = Path(text).expanduser()
    try:
        documents = list(yaml.compose_all(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader))
    except OSError as error:
        raise ConfigError(f"params_file: {path}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"params_file: {path}: not YAML: {' '.join(str(error).split())}") from error
    if not all(_has_parameter_layout(document) for document in documents if document is not None):
        raise ConfigError(
            f"params_file: {path}: expected a ROS parameter file, {{/**: {{ros__parameters: {{rate_hz: 10.0}}}}}}; "
            "options alone belong into a file for config"
        )
    return path


def _has_parameter_layout(node: yaml.Node) -> bool:
    """Whether every branch of mappings comes to ros__parameters, as rcl wants it."""
    if not isinstance(node, yaml.MappingNode):
        return False
    return all(
        isinstance(child, yaml.MappingNode)
        if isinstance(key, yaml.ScalarNode) and key.value == "ros__parameters"
        else _has_parameter_layout(child)
        for key, child in node.value
    )
