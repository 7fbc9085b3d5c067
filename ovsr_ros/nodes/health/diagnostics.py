"""The node's state as /diagnostics shows it: levels, words, and what to do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time

from ovsr_ros.nodes.health.monitor import StreamStatistics
from ovsr_ros.nodes.input.depth_source import DepthHealth
from ovsr_ros.nodes.input.mask_source import MaskHealth
from ovsr_ros.nodes.target_frame import TargetHealth
from ovsr_ros.nodes.worker import WorkerCounts
from ovsr_ros.vocabulary.category import Vocabulary

_RECENT_ERROR_S = 10.0


@dataclass(frozen=True)
class NodeHealth:
    """Everything that diagnostics are made of.

    state: the lifecycle state's name. failure: why configuring failed, or empty.
    resting: active, but paused, or nobody subscribes to the results and always_process is off.
    paused: an operator wants no image to be labelled for now.
    silence: why no image arrives and what to do, or empty while images come.
    oddity: what is wrong with images that are used all the same and what to do, or empty.
    losses: why images are lost on the way and what to do, or empty while few are.
    vocabulary_file: where the vocabulary is kept, or empty.
    vocabulary_file_problem: what is wrong with that file and what to do, or empty.
    unused_examples: which examples count for nothing, why and what to do, or empty.
    memory_bytes: what the models and buffers occupy on the device; 0 when nothing is loaded.
    depth, masks: None while the node is not active. target: None without a target frame.
    unserved: who subscribes and gets nothing and what to do, or empty.
    starved: why nearly none of the images that arrive are labelled and what to do, or empty.
    namesakes: that other nodes have this one's name and what to do, or empty.
    reduction: what is reduced to keep the memory budget and what to do, or empty.
    frame_memory_mib: what the last frame took; NaN without a budget.
    """

    state: str
    failure: str
    silence: str
    topic: str
    num_publishers: int
    counts: WorkerCounts
    statistics: StreamStatistics
    resting: bool
    worker_alive: bool
    device: str
    memory_bytes: int
    vocabulary: Vocabulary
    vocabulary_file: str = ""
    vocabulary_file_problem: str = ""
    unused_examples: str = ""
    paused: bool = False
    depth: DepthHealth | None = None
    masks: MaskHealth | None = None
    target: TargetHealth | None = None
    oddity: str = ""
    unserved: str = ""
    starved: str = ""
    namesakes: str = ""
    reduction: str = ""
    frame_memory_mib: float = math.nan
    losses: str = ""


def to_diagnostics(node_name: str, health: NodeHealth, now: Time) -> DiagnosticArray:
    """Five statuses: the input, the depth, the segmentation, the vocabulary, the name.

    node_name: fully qualified, such as "/ovsr".
    """
    statuses = [
        _input_status(health),
        _depth_status(health),
        _segmentation_status(health),
        _vocabulary_status(health),
        _name_status(node_name, health),
    ]
    for status in statuses:
        status.name = f"{node_name.lstrip('/')}: {status.name}"
        status.hardware_id = health.device
    array = DiagnosticArray(status=statuses)
    array.header.stamp = now.to_msg()
    return array


def _input_status(health: NodeHealth) -> DiagnosticStatus:
    statistics, counts, masks = health.statistics, health.counts, health.masks
    if health.state != "active":
        level, message = DiagnosticStatus.OK, f"not subscribed: the node is {health.state}"
    elif health.silence:
        level, message = DiagnosticStatus.WARN, health.silence
    elif health.losses:
        arrive = _number(statistics.sent_rate_hz - statistics.lost_rate_hz)
        level = DiagnosticStatus.WARN
        message = f"{arrive} of {_number(statistics.sent_rate_hz)} Hz arrive on {health.topic}: {health.losses}"
    elif health.oddity:
        level, message = DiagnosticStatus.WARN, f"used all the same: {health.oddity}"
    elif masks is not None and masks.problem:
        level, message = DiagnosticStatus.WARN, masks.problem
    else:
        level, message = DiagnosticStatus.OK, f"{_number(statistics.input_rate_hz)} Hz on {health.topic}"
    values = [
        ("topic", health.topic),
        ("publishers", str(health.num_publishers)),
        ("rate [Hz]", _number(statistics.input_rate_hz)),
        ("since last image [s]", _number(statistics.since_image_s)),
        ("received", str(counts.received)),
        ("lost on the way in the window", str(statistics.num_lost)),
        ("dropped for a newer one", str(counts.dropped)),
        ("not processed, at rest", str(counts.rested)),
        ("skipped, same stamp", str(counts.repeated)),
        ("ignore_mask", "" if masks is None else masks.topic),
        ("since last mask [s]", _number(math.nan if masks is None else masks.since_last_s)),
    ]
    return _status("image input", level, message, values)


def _depth_status(health: NodeHealth) -> DiagnosticStatus:
    depth, target = health.depth, health.target
    if depth is None:
        return _status("depth", DiagnosticStatus.OK, f"not subscribed: the node is {health.state}", [])
    if depth.sync == "none":
        level, message = DiagnosticStatus.OK, "off: depth.sync is none"
    elif depth.problem:
        level, message = DiagnosticStatus.WARN, depth.problem
    elif target is not None and target.problem:
        level, message = DiagnosticStatus.WARN, target.problem
    elif not depth.asked:
        level, message = DiagnosticStatus.OK, f"{depth.topic} has 0 publishers: no 3D"
    else:
        level, message = DiagnosticStatus.OK, f"{depth.matched} frames with depth"
    values = [
        ("topic", depth.topic),
        ("camera_info", depth.info_topic),
        ("publishers", str(depth.num_publishers)),
        ("frames with depth", str(depth.matched)),
        ("frames without", str(depth.missed)),
        ("stamp, depth minus image [ms]", _milliseconds(depth.offset_s)),
        ("target_frame", "" if target is None else target.frame),
        ("frames without a transform", "0" if target is None else str(target.missed)),
    ]
    return _status("depth", level, message, values)


def _segmentation_status(health: NodeHealth) -> DiagnosticStatus:
    statistics, counts = health.statistics, health.counts
    if health.failure:
        level, message = DiagnosticStatus.ERROR, health.failure
    elif health.state == "active" and not health.worker_alive:
        level, message = DiagnosticStatus.ERROR, "the worker thread has ended; deactivate and activate the node"
    elif statistics.last_frame_failed and not health.resting:
        level, message = DiagnosticStatus.ERROR, f"the last frame failed: {statistics.last_error}"
    elif statistics.since_error_s < _RECENT_ERROR_S:
        level, message = DiagnosticStatus.WARN, f"a frame failed lately: {statistics.last_error}"
    elif health.state != "active":
        level, message = DiagnosticStatus.OK, health.state
    elif health.paused:
        level, message = DiagnosticStatus.OK, "paused: ~/set_enabled with true lets it go on"
    elif health.starved:
        level, message = DiagnosticStatus.WARN, health.starved
    elif health.unserved:
        level, message = DiagnosticStatus.WARN, f"not served: {health.unserved}"
    elif health.resting:
        level, message = DiagnosticStatus.OK, "no subscribers: resting"
    elif health.reduction:
        level, message = DiagnosticStatus.WARN, f"reduced: {health.reduction}"
    else:
        rate, latency = _number(statistics.output_rate_hz), _milliseconds(statistics.latency.mean_s)
        level, message = DiagnosticStatus.OK, f"{rate} Hz, {latency} ms"
    values = [
        ("state", health.state),
        ("paused", str(health.paused).lower()),
        ("rate [Hz]", _number(statistics.output_rate_hz)),
        ("latency, mean [ms]", _milliseconds(statistics.latency.mean_s)),
        ("latency, 95th percentile [ms]", _milliseconds(statistics.latency.p95_s)),
        ("image age when published [ms]", _milliseconds(statistics.age.mean_s)),
        *((f"stage {stage} [ms]", _milliseconds(durations.mean_s)) for stage, durations in statistics.stages.items()),
        ("segments embedded anew [%]", _number(100 * statistics.embedded_share)),
        ("processed", str(counts.processed)),
        ("failed", str(counts.failed)),
        ("last error", statistics.last_error),
        ("device", health.device),
        ("memory [MiB]", _number(health.memory_bytes / 2**20)),
        ("memory of a frame [MiB]", _number(health.frame_memory_mib)),
    ]
    return _status("segmentation", level, message, values)


def _vocabulary_status(health: NodeHealth) -> DiagnosticStatus:
    vocabulary = health.vocabulary
    if health.state in ("active", "inactive") and not vocabulary.categories:
        level = DiagnosticStatus.WARN
        message = "no categories: everything stays unlabeled; call ~/set_vocabulary or set the parameter 'categories'"
    elif health.vocabulary_file_problem:
        level = DiagnosticStatus.WARN
        message = f"vocabulary_file: {health.vocabulary_file_problem}"
    elif health.unused_examples:
        level, message = DiagnosticStatus.WARN, health.unused_examples
    else:
        level = DiagnosticStatus.OK
        message = f"version {vocabulary.version}, {len(vocabulary.categories)} categories"
    values = [
        ("version", str(vocabulary.version)),
        ("categories", str(len(vocabulary.categories))),
        ("names", ", ".join(vocabulary.names)),
        ("examples", str(len(vocabulary.examples))),
        ("vocabulary file", health.vocabulary_file),
    ]
    return _status("vocabulary", level, message, values)


def _name_status(node_name: str, health: NodeHealth) -> DiagnosticStatus:
    if health.namesakes:
        return _status("name", DiagnosticStatus.WARN, health.namesakes, [])
    return _status("name", DiagnosticStatus.OK, f"the only node called {node_name}", [])


def _status(name: str, level: bytes, message: str, values: Sequence[tuple[str, str]]) -> DiagnosticStatus:
    return DiagnosticStatus(
        name=name, level=level, message=message, values=[KeyValue(key=key, value=value) for key, value in values]
    )


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def _milliseconds(seconds: float) -> str:
    return _number(seconds * 1e3)
