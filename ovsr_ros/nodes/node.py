"""The node `ovsr`: its life. Input: listening.py; frames: segmenter.py; services: services.py; health: report.py."""

from __future__ import annotations

import itertools
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.timer import Timer

from ovsr_ros.backends.view import View
from ovsr_ros.errors import OvsrError
from ovsr_ros.low_priority import urgent_work
from ovsr_ros.models.memory import describe_shortage, is_out_of_memory
from ovsr_ros.nodes.bond import Bond
from ovsr_ros.nodes.health.log_forwarding import forward_logs, stop_forwarding
from ovsr_ros.nodes.health.monitor import StreamMonitor
from ovsr_ros.nodes.health.oddities import Oddities
from ovsr_ros.nodes.health.silence import SilenceWatch
from ovsr_ros.nodes.health.throttle import ThrottledLog
from ovsr_ros.nodes.listening import Listening
from ovsr_ros.nodes.model_access import ModelAccess
from ovsr_ros.nodes.outputs import Outputs
from ovsr_ros.nodes.parameter_node import ParameterNode
from ovsr_ros.nodes.pause import Pause
from ovsr_ros.nodes.process import EXIT_FAILED
from ovsr_ros.nodes.report import Report, Standing
from ovsr_ros.nodes.segmenter import ArrivedImage, Segmenter
from ovsr_ros.nodes.services import Services
from ovsr_ros.nodes.target_frame import TargetFrame
from ovsr_ros.nodes.worker import NewestItemWorker, WaitForTurn
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.vocabulary.category import Operation, parse_category

WARM_UP_HW = (480, 640)
_WATCH_PERIOD_S = 0.2
_ERROR_PERIOD_S = 5.0
_WARNING_PERIOD_S = 10.0
_UNFORESEEN = (
    "the next image is tried. If this goes on, take back the parameter that was changed last, or clean the node up and "
    "configure it anew (ros2 lifecycle set), and report what follows"
)


class OvsrNode(ParameterNode):
    """Labels the newest camera image with the operator's words.

    configure loads the models and warms them up, activate subscribes and starts the timer, deactivate stops both,
    cleanup frees the device. With `autostart` (the default) the node configures and activates itself as soon as it is
    spun; where that fails, a missing model for one, it logs one error that names the remedy and asks its process to
    end with code 1, so that a launch file's respawn or on_exit sees it. Without `autostart` a lifecycle manager is in
    charge: configure answers with a failure, and the node stays unconfigured with the reason in /diagnostics.

    request_exit: called with an exit code when an autostarted node cannot start.
    arguments: the process's ROS arguments.

    Raises ConfigError or VocabularyError when a parameter's name or value cannot be used.
    """

    def __init__(
        self, request_exit: Callable[[int], None], arguments: Sequence[str] = (), **node_arguments: Any
    ) -> None:
        super().__init__("ovsr", arguments, **node_arguments)
        self._request_exit = request_exit
        self._state = "unconfigured"
        self._failure = ""
        self._pause = Pause(self._apply_pause, lambda text: self.get_logger().info(text), lambda: self._state)
        self._view = View()
        self._listening: Listening | None = None
        self._target_frame: TargetFrame | None = None
        self._track_ids = itertools.count(1)  # outlives the models: an id is never given twice
        self._monitor = StreamMonitor(self.node_options.statistics_window_s)
        self._log_error = ThrottledLog(lambda text: self.get_logger().error(text), _ERROR_PERIOD_S)
        self._oddities = Oddities(lambda text: self.get_logger().warning(f"image used all the same: {text}"))
        self._silence = SilenceWatch(
            warn=lambda text: self.get_logger().warning(text),
            inform=lambda text: self.get_logger().info(text),
            period_s=_WARNING_PERIOD_S,
        )
        self._worker = NewestItemWorker[ArrivedImage]("segmentation", self._process, self._on_frame_error)
        # Timers run on a steady clock: a simulation that stands still must not silence the diagnostics.
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._bond = Bond(self, self._create_timer)
        self._log_forwarding = forward_logs(self.get_logger())
        self._report = Report(self, self._standing, self._worker, self._monitor, self._silence, self._oddities)
        self._ovsr_services = Services(self, self._log_error, self._pause.set_enabled)
        self._watch_timer = self._create_timer(_WATCH_PERIOD_S, self._watch)
        self._diagnostics_timer = self._create_timer(1.0, self._report.publish)
        self._autostart_timer = self._create_timer(0.0, self._autostart) if self.start_options.autostart else None

    # --- Life ---

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the models, warm them up, encode the categories, offer the outputs."""
        self._state, self._failure = "configuring", ""
        with self.changes:
            try:
                self._load()
            except OvsrError as error:
                return self._fail_to_configure(str(error))
            except Exception as error:
                self.get_logger().error(traceback.format_exc())
                return self._fail_to_configure(f"{type(error).__name__}: {error}")
        self._state = "inactive"
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, and start the worker and its timer."""
        try:
            self._start()
        except Exception as error:
            # Unsaid, rclpy would keep the reason to itself.
            self._stop(None)
            self._failure = (
                f"activate failed: {type(error).__name__}: {error}; mend that and activate the node again "
                f"(ros2 lifecycle set {self.get_fully_qualified_name()} activate)"
            )
            self.get_logger().error(f"{self._failure}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.FAILURE
        self._state, self._failure = "active", ""
        if not self.start_options.autostart:  # there is a manager
            self._bond.tie()
        return super().on_activate(state)

    def _start(self) -> None:
        assert self.segmenter is not None
        self._monitor.reset()
        self._worker.start(self.segmenter.models.frames_in_flight, self.segmenter.models.prepare_thread)
        self._listening = Listening(
            self,
            self._view,
            self._worker,
            self._monitor,
            self._silence,
            self.segmenter.asks_for_depth,
            self._is_wanted,
            self._create_timer,
        )
        self.segmenter.start()
        self._listening.begin()

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop; once this has returned nothing is published."""
        self._stop(None)
        self._state = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the models and take the outputs back; ids of categories stay theirs."""
        self._unload()
        self._state = "unconfigured"
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from whatever state."""
        self._stop(None)
        self._unload()
        self._state = "finalized"
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured after a transition that raised."""
        self._stop(None)
        self._unload()
        self._state = "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Stop the worker, then destroy the node."""
        self._stop(None)
        self._unload()
        self.keeper.close()
        stop_forwarding(self._log_forwarding)
        super().destroy_node()

    def _autostart(self) -> None:
        assert self._autostart_timer is not None
        self._autostart_timer.cancel()
        started = (
            self.trigger_configure() == TransitionCallbackReturn.SUCCESS
            and self.trigger_activate() == TransitionCallbackReturn.SUCCESS
        )
        self._report.publish()  # who waits for the node need not wait for the next second
        if not started:
            self._request_exit(EXIT_FAILED)

    def _load(self) -> None:
        begin = time.monotonic()
        self.restore_vocabulary()
        self._view = View.read(self.node_options.rotation, self.node_options.ignore_mask)
        if self.node_options.target_frame and self._target_frame is None:
            self._target_frame = TargetFrame(self, self.node_options.target_frame)
        self.get_logger().info("loading models ...")
        pipeline = Pipeline(self.pipeline_options, self.registry)
        outputs = Outputs(
            self, lambda: self.node_options.overlay_jpeg_quality, has_embeddings=bool(pipeline.state.example_model_id)
        )
        models = ModelAccess(self, pipeline, self.node_options.frames_in_flight, self._budget_mib)
        self.segmenter = Segmenter(
            self,
            pipeline,
            models,
            outputs,
            self._monitor,
            self._oddities,
            self._track_ids,
            lambda: self._pause.is_set,
            self._look,
            self._target_frame,
        )
        try:
            pipeline.warm_up(WARM_UP_HW)
            self.change_vocabulary(Operation.REPLACE, [parse_category(text) for text in self.node_options.categories])
        except BaseException:
            self._unload()
            raise
        unused = self.segmenter.explain_unused_examples()
        if unused:
            self.get_logger().warning(unused)
        self.get_logger().info(
            f"models loaded on {pipeline.device} in {time.monotonic() - begin:.1f} s, {len(self.vocabulary)} categories"
        )

    def _budget_mib(self) -> int:
        return self.node_options.memory_budget_mib

    def _fail_to_configure(self, reason: str) -> TransitionCallbackReturn:
        self._state, self._failure = "unconfigured", reason
        self.get_logger().error(reason)
        return TransitionCallbackReturn.FAILURE

    def _stop(self, timeout_s: float | None) -> None:
        self._bond.break_off()
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
        if self.segmenter is not None:
            self.segmenter.stop()
        self._worker.stop(timeout_s)

    def _unload(self) -> None:
        with self.changes:
            segmenter, self.segmenter = self.segmenter, None
            if segmenter is not None:
                segmenter.close()

    def _create_timer(self, period_s: float, callback: Callable[[], None]) -> Timer:
        def guarded() -> None:
            try:
                callback()
            except Exception:
                # What escapes a callback ends the executor; while the node is being destroyed, its entities may raise.
                if self.context.ok():
                    self._log_error(f"a timer's callback failed:\n{traceback.format_exc()}")

        return self.create_timer(
            period_s, guarded, callback_group=MutuallyExclusiveCallbackGroup(), clock=self._steady_clock
        )

    # --- Frames ---

    def _apply_pause(self) -> None:
        segmenter, listening = self.segmenter, self._listening
        if segmenter is not None:
            segmenter.settle()
        if listening is not None and not self._pause.is_set:
            listening.look()
        self._report.publish()  # who looks at the state need not wait for the next second

    def _look(self, size_hw: tuple[int, int]) -> View:
        listening = self._listening
        return self._view if listening is None else listening.masks.view(size_hw)

    def _is_wanted(self) -> bool:
        segmenter = self.segmenter
        if segmenter is None or self._pause.is_set:
            return False
        return bool(self.node_options.always_process or segmenter.has_subscribers())

    def _process(self, arrived: ArrivedImage, arrival: float, wait_for_turn: WaitForTurn) -> None:
        segmenter = self.segmenter
        if segmenter is not None:
            with urgent_work():
                segmenter.process(arrived, arrival, wait_for_turn)

    def _on_frame_error(self, error: Exception) -> None:
        segmenter, details = self.segmenter, ""
        if isinstance(error, OvsrError):
            text = str(error)
        elif is_out_of_memory(error) and segmenter is not None:
            text = f"{describe_shortage(error)}; {segmenter.models.remedy}"
        else:
            text = f"{type(error).__name__}: {error}"
            details = f"; {_UNFORESEEN}\n" + "".join(traceback.format_exception(error))
        self._monitor.frame_failed(text)
        self._log_error(f"image skipped: {text}{details}")

    def on_node_options_changed(self) -> None:
        """Let a changed rate or window take effect."""
        self._monitor.window_s = self.node_options.statistics_window_s
        listening = self._listening
        if listening is not None:
            listening.set_rate_hz(self.node_options.rate_hz)

    # --- Health ---

    def _watch(self) -> None:
        self.keeper.retry()
        listening = self._listening
        if listening is not None:
            listening.watch()

    def _standing(self) -> Standing:
        return Standing(
            state=self._state,
            failure=self._failure,
            paused=self._pause.is_set,
            wanted=self._is_wanted(),
            segmenter=self.segmenter,
            listening=self._listening,
            target_frame=self._target_frame,
        )
