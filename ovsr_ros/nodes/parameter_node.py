"""A lifecycle node whose ROS parameters are the options of pipeline and node, and whose categories stay one thing."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from ovsr_ros.errors import ConfigError, OvsrError, VocabularyError
from ovsr_ros.node_options import NodeOptions
from ovsr_ros.nodes.conversions.messages import to_parameter_value
from ovsr_ros.nodes.health.throttle import ThrottledLog
from ovsr_ros.nodes.input.inputs import Inputs
from ovsr_ros.nodes.parameter_services import ParameterServices
from ovsr_ros.nodes.parameters import arguments_of, declare_options, normalise, read_overrides, to_parameter
from ovsr_ros.nodes.segmenter import Segmenter
from ovsr_ros.nodes.vocabulary_keeper import VocabularyKeeper
from ovsr_ros.options import from_dict, iter_options, option, replace_flat, to_flat_dict
from ovsr_ros.settings import PipelineOptions, load_settings, options_in_use
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary, parse_category
from ovsr_ros.vocabulary.change import VocabularyChange
from ovsr_ros.vocabulary.registry import VocabularyRegistry

_REFUSAL_PERIOD_S = 5.0
_OPTION_CLASSES = (NodeOptions, PipelineOptions)


@dataclass(frozen=True)
class StartOptions:
    """What is decided before the node is there."""

    config: str = option(
        "ovsr", help="preset or path of a YAML file; explicit parameters win; empty: built-in defaults", read_only=True
    )
    autostart: bool = option(True, help="configure and activate without being told", read_only=True)


_START = frozenset(info.name for info in iter_options(StartOptions))
_INFOS = {info.name: info for cls in (StartOptions, *_OPTION_CLASSES) for info in iter_options(cls)}


class ParameterNode(LifecycleNode):
    """Declares the parameters, applies their changes whole or not at all, and mirrors the vocabulary in `categories`.

    changes: held by whoever changes parameters, the vocabulary or the segmenter; reentrant. It makes a change and what
        follows from it (the parameter after the vocabulary, the vocabulary after the parameter) one step.
    segmenter: None while no models are loaded.
    inputs: where its topics come from.
    log_refusal: gets the reason for which a change was refused, for the log.
    registry: ids, colours and versions, which outlive the models.
    keeper: the registry's file, with which they outlive the node.

    arguments: the process's ROS arguments, for what rclpy does not tell of them.

    Raises ConfigError when a parameter given at start is unknown or cannot be used, VocabularyError for its categories.
    """

    def __init__(self, name: str, arguments: Sequence[str] = (), **node_arguments: Any) -> None:
        super().__init__(name, start_parameter_services=False, **node_arguments)
        ros_arguments = arguments_of(arguments, node_arguments)
        self.inputs = Inputs(self, ros_arguments, "--cameras" in arguments)
        self.changes = threading.RLock()
        self.log_refusal = ThrottledLog(lambda text: self.get_logger().warning(text), _REFUSAL_PERIOD_S)
        self.segmenter: Segmenter | None = None
        self._mirroring = False
        self.registry = VocabularyRegistry()
        try:
            overrides = read_overrides(self, _INFOS, ros_arguments)
            start = {name: overrides.pop(name) for name in _START & overrides.keys()}
            self.start_options = from_dict(StartOptions, start)
            settings = load_settings(self.start_options.config or None, overrides)
            _check_categories(settings.node.categories)
        except OvsrError:
            ParameterNode.destroy_node(self)
            raise
        self.node_options, self.pipeline_options = settings.node, settings.pipeline
        self.keeper = VocabularyKeeper(self, self.registry, settings.node.vocabulary_file)
        self._categories_chosen = "categories" in overrides
        self._declare()
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._parameter_services = ParameterServices(self)

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary in force; an empty one while no models are loaded."""
        segmenter = self.segmenter
        return Vocabulary() if segmenter is None else segmenter.vocabulary

    def require_segmenter(self) -> Segmenter:
        """The segmenter. Raises OvsrError when no models are loaded."""
        segmenter = self.segmenter
        if segmenter is None:
            raise OvsrError(
                f"no models are loaded: configure the node first (ros2 lifecycle set {self.get_fully_qualified_name()} "
                "configure)"
            )
        return segmenter

    def change_vocabulary(self, operation: Operation, requests: Sequence[CategoryRequest]) -> VocabularyChange:
        """Change the vocabulary, and the parameter `categories` with it.

        Raises VocabularyError with every reason against the change, OvsrError when no models are loaded.
        """
        with self.changes:
            change = self.require_segmenter().change_vocabulary(operation, requests)
            self.mirror_categories()
        self.keeper.save()  # others need not wait for the disk
        return change

    def restore_vocabulary(self) -> None:
        """Let ids, colours, version and categories go on from the file, if there is one.

        Categories that were given as a parameter win over the file's; its ids hold for them, too.
        """
        with self.changes:
            if self.keeper.restore() and not self._categories_chosen:
                self.mirror_categories()

    def mirror_categories(self) -> None:
        """Let the parameter `categories` show the registry's vocabulary, which is the one in force."""
        with self.changes:
            value = to_parameter_value(self.registry.current)
            self.node_options = replace_flat(self.node_options, {"categories": value})
            if list(self.get_parameter("categories").value) == value:
                return
            self._mirroring = True
            try:
                super().set_parameters_atomically([to_parameter(_INFOS["categories"], value)])
            finally:
                self._mirroring = False

    def set_parameters_atomically(self, parameter_list: list[Parameter[Any]]) -> SetParametersResult:
        """Set parameters all or none; a whole number is accepted where a float is meant."""
        result = self._set_parameters(parameter_list)
        if not result.successful:
            self.log_refusal(f"parameters refused: {result.reason}")
        return result

    def set_parameters(self, parameter_list: list[Parameter[Any]]) -> list[SetParametersResult]:
        """Set parameters one by one."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def destroy_node(self) -> None:
        """Destroy the node, and let it go from the ROS graph at once."""
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()  # it would keep the node there until it is collected

    def _set_parameters(self, parameter_list: list[Parameter[Any]]) -> SetParametersResult:
        with self.changes:
            try:
                parameters = normalise(parameter_list, _INFOS)
            except ConfigError as error:
                return SetParametersResult(successful=False, reason=str(error))
            unknown = [parameter.name for parameter in parameters if not self.has_parameter(parameter.name)]
            if unknown:
                return SetParametersResult(successful=False, reason=_describe_unknown(unknown[0]))
            result = super().set_parameters_atomically(parameters)
            changed = {parameter.name for parameter in parameters}
            if not result.successful or "categories" not in changed:
                return result
            self._categories_chosen = True
            if self.segmenter is None:
                return result
            self.mirror_categories()
        problem = self.keeper.save()
        return SetParametersResult(successful=True, reason=f"not saved: {problem}" if problem else "")

    def on_node_options_changed(self) -> None:
        """Called when a change of parameters has been applied."""

    def _declare(self) -> None:
        values = {
            name: value
            for options in (self.start_options, self.node_options, self.pipeline_options)
            for name, value in to_flat_dict(options).items()
        }
        infos = [info for cls in (StartOptions, NodeOptions) for info in iter_options(cls)]
        declare_options(self, infos + options_in_use(self.pipeline_options.backend), values)

    def _on_set_parameters(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        if self._mirroring:
            return SetParametersResult(successful=True)
        try:
            self._apply({parameter.name: parameter.value for parameter in parameters})
        except OvsrError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except Exception as error:  # out of memory while words are encoded, say: the caller gets an answer
            return SetParametersResult(successful=False, reason=f"{type(error).__name__}: {error}")
        return SetParametersResult(successful=True)

    def _apply(self, changes: Mapping[str, object]) -> None:
        node_changes, pipeline_changes = (
            {info.name: changes[info.name] for info in iter_options(cls) if info.name in changes}
            for cls in _OPTION_CLASSES
        )
        node_options = replace_flat(self.node_options, node_changes)
        pipeline_options = replace_flat(self.pipeline_options, pipeline_changes)
        segmenter = self.segmenter

        def update_pipeline() -> None:
            if segmenter is not None and pipeline_changes:
                segmenter.update_options(pipeline_changes)

        if node_options.categories == self.node_options.categories:
            update_pipeline()
        elif segmenter is None:
            _check_categories(node_options.categories)
        else:
            requests = [parse_category(text) for text in node_options.categories]
            segmenter.change_vocabulary(Operation.REPLACE, requests, before_commit=update_pipeline)
        self.node_options, self.pipeline_options = node_options, pipeline_options
        self.on_node_options_changed()


def _describe_unknown(name: str) -> str:
    if name in _INFOS:
        return f"parameter '{name}' is another backend's than the one that this node was started with"
    nearest = difflib.get_close_matches(name, _INFOS, n=1, cutoff=0.0)[0]
    return f"unknown parameter '{name}'; the nearest known one is '{nearest}'"


def _check_categories(categories: Sequence[str]) -> None:
    try:
        VocabularyRegistry().propose(Operation.REPLACE, [parse_category(text) for text in categories])
    except VocabularyError as error:
        raise VocabularyError(f"categories: {error}") from error
