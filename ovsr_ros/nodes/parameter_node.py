"""A lifecycle node whose ROS parameters are the options of pipeline and node, and whose categories stay one thing."""

from __future__ import annotations

import difflib
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
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
from ovsr_ros.pipeline import State
from ovsr_ros.settings import PipelineOptions, Settings, load_settings, options_in_use
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary, parse_category
from ovsr_ros.vocabulary.change import Change, VocabularyChange
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


@dataclass
class _Prepared:
    """A change. state: None where the models' does not change, or none are loaded. in_force: whether it is."""

    settings: Settings
    state: State | None
    in_force: bool = False


class ParameterNode(LifecycleNode):
    """Declares the parameters, and changes them and the vocabulary, whole or not at all.

    changes: held by whoever changes parameters, the vocabulary or the segmenter; reentrant.
    settings: the options of pipeline and node. segmenter: None while no models are loaded.
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
        self._prepared: _Prepared | None = None
        self.registry = VocabularyRegistry()
        try:
            overrides = read_overrides(self, _INFOS, ros_arguments)
            start = {name: overrides.pop(name) for name in _START & overrides.keys()}
            self.start_options = from_dict(StartOptions, start)
            self.settings = load_settings(self.start_options.config or None, overrides)
            _check_categories(self.node_options.categories)
        except OvsrError:
            ParameterNode.destroy_node(self)
            raise
        self.keeper = VocabularyKeeper(self, self.registry, self.node_options.vocabulary_file)
        self._categories_chosen = "categories" in overrides
        self._declare()
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._parameter_services = ParameterServices(self)

    @property
    def node_options(self) -> NodeOptions:
        return self.settings.node

    @property
    def pipeline_options(self) -> PipelineOptions:
        return self.settings.pipeline

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary in force; an empty one while no models are loaded."""
        return Vocabulary() if self.segmenter is None else self.registry.current

    @property
    def example_model_id(self) -> str:
        """As of `State`; empty while no models are loaded."""
        segmenter = self.segmenter
        return "" if segmenter is None else segmenter.pipeline.state.example_model_id

    def require_segmenter(self) -> Segmenter:
        """The segmenter. Raises OvsrError when no models are loaded."""
        segmenter = self.segmenter
        if segmenter is None:
            raise OvsrError(
                f"no models are loaded: configure the node first (ros2 lifecycle set {self.get_fully_qualified_name()} "
                "configure)"
            )
        return segmenter

    def change_vocabulary(
        self, operation: Operation, requests: Sequence[CategoryRequest], expected_version: int = 0
    ) -> VocabularyChange:
        """`apply_change` of categories."""
        return self.apply_change((operation, requests), expected_version)

    def apply_change(self, change: Change, expected_version: int = 0) -> VocabularyChange:
        """Change the vocabulary, and the parameter `categories` with it.

        expected_version: the one that the change was made from; 0: any.

        Raises VocabularyError with every reason against the change, or because another version is in force, OvsrError
        when no models are loaded.
        """
        with self.changes:
            self.require_segmenter()
            self.registry.expect(expected_version)
            before = self.registry.current
            self._change([], change)
            done = VocabularyChange(before, self.registry.current)
        self.keeper.save()  # others need not wait for the disk
        return done

    def restore_vocabulary(self) -> None:
        """Let ids, colours, version and categories go on from the file, if there is one.

        Categories that were given as a parameter win over the file's; its ids hold for them, too.
        """
        with self.changes:
            if self.keeper.restore() and not self._categories_chosen:
                self._change([to_parameter(_INFOS["categories"], to_parameter_value(self.registry.current))])

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

    def on_node_options_changed(self) -> None:
        """Called when a change of parameters has been applied."""

    def _set_parameters(self, parameter_list: list[Parameter[Any]]) -> SetParametersResult:
        with self.changes:
            try:
                parameters = normalise(parameter_list, _INFOS)
                _refuse_unknown(self, parameters)
                self._change(parameters)
            except OvsrError as error:
                return SetParametersResult(successful=False, reason=str(error))
            except Exception as error:  # out of memory while words are encoded, say: the caller gets an answer
                return SetParametersResult(successful=False, reason=f"{type(error).__name__}: {error}")
            has_categories = any(parameter.name == "categories" for parameter in parameters)
            self._categories_chosen |= has_categories
            if self.segmenter is None or not has_categories:
                return SetParametersResult(successful=True)
        problem = self.keeper.save()
        return SetParametersResult(successful=True, reason=f"not saved: {problem}" if problem else "")

    def _change(self, parameters: list[Parameter[Any]], words: Change | None = None) -> None:
        """The one way in which options, parameters and words change: all of them, or nothing. Holds `changes`.

        First everything that takes long or can fail, of which nothing is seen; then `_commit`, once rclpy has nothing
        against the parameters either; then rclpy stores and announces them.

        words: None: those of the parameter `categories`, if it is among the parameters and differs.

        Raises OvsrError with the reason for which the change is refused, and whatever preparing it raises.
        """
        changes = {parameter.name: parameter.value for parameter in parameters}
        node_changes, pipeline_changes = (
            {info.name: changes[info.name] for info in iter_options(cls) if info.name in changes}
            for cls in _OPTION_CLASSES
        )
        node, pipeline = self.node_options, self.pipeline_options
        if parameters:
            node, pipeline = replace_flat(node, node_changes), replace_flat(pipeline, pipeline_changes)
        state, segmenter = None, self.segmenter
        if words is None and node.categories != self.node_options.categories:
            words = (Operation.REPLACE, _read_categories(node.categories))
        if segmenter is None:
            _check_categories(node.categories)
        elif words or pipeline_changes:
            state = segmenter.pipeline.prepare(pipeline_changes, words)
            if words:
                node = replace_flat(node, {"categories": to_parameter_value(state.vocabulary)})
                parameters = [parameter for parameter in parameters if parameter.name != "categories"]
                if list(self.get_parameter("categories").value) != list(node.categories):
                    parameters.append(to_parameter(_INFOS["categories"], node.categories))
        self._prepared = prepared = _Prepared(Settings(pipeline, node), state)
        try:
            if not parameters:
                self._commit()
            else:
                result = super().set_parameters_atomically(parameters)
                if not result.successful:
                    raise ConfigError(result.reason)
            self.on_node_options_changed()
        except Exception:
            if not prepared.in_force:
                raise
            # What is left is to announce it on /parameter_events; the change itself is whole.
            self.get_logger().error(f"a change is in force, but not announced:\n{traceback.format_exc()}")
        finally:
            self._prepared = None

    def _on_set_parameters(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        self._commit()
        return SetParametersResult(successful=True)

    def _commit(self) -> None:
        """Put what is prepared in force."""
        prepared = self._prepared
        if prepared is None:  # a parameter is declared
            return
        before = self.registry.current
        if prepared.state is not None:
            self.require_segmenter().commit(prepared.state)
        self.settings, prepared.in_force = prepared.settings, True
        if self.registry.current is not before:
            self.get_logger().info(f"vocabulary, {VocabularyChange(before, self.registry.current).describe()}")

    def _declare(self) -> None:
        values = {
            name: value
            for options in (self.start_options, self.node_options, self.pipeline_options)
            for name, value in to_flat_dict(options).items()
        }
        infos = [info for cls in (StartOptions, NodeOptions) for info in iter_options(cls)]
        declare_options(self, infos + options_in_use(self.pipeline_options.backend), values)


def _refuse_unknown(node: Node, parameters: Sequence[Parameter[Any]]) -> None:
    """Raises ConfigError for parameters that are not there or cannot change, before anything is done for the others."""
    for parameter in parameters:
        if not node.has_parameter(parameter.name):
            raise ConfigError(_describe_unknown(parameter.name))
        if node.describe_parameter(parameter.name).read_only:
            raise ConfigError(f"{parameter.name}: a read-only parameter; restart the node with another value")


def _describe_unknown(name: str) -> str:
    if name in _INFOS:
        return f"parameter '{name}' is another backend's than the one that this node was started with"
    nearest = difflib.get_close_matches(name, _INFOS, n=1, cutoff=0.0)[0]
    return f"unknown parameter '{name}'; the nearest known one is '{nearest}'"


def _check_categories(categories: Sequence[str]) -> None:
    try:
        VocabularyRegistry().propose(Operation.REPLACE, _read_categories(categories))
    except VocabularyError as error:
        raise VocabularyError(f"categories: {error}") from error


def _read_categories(categories: Sequence[str]) -> list[CategoryRequest]:
    return [parse_category(text) for text in categories]
