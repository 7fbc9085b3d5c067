"""Many bags on many machines, by Ray: who works on what, and what happens when one of them is gone.

A worker holds the models and has one bag at a time, or one piece of a long bag. What it has done is on disk: when it
dies, another one goes on from there, and so does another driver.
"""

from __future__ import annotations

import importlib
import os
import re
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from ovsr_ros import __version__
from ovsr_ros.errors import ConfigError, OvsrError
from ovsr_ros.recordings.job import LabelJob, Outcome, to_job
from ovsr_ros.recordings.labelling import begin_bag, end_bag, label_piece

MOST_TRIES = 3
"""A bag, or piece of one, that has ended so many workers is given up."""

_ADDRESS = re.compile(r"(auto|local|ray://\S+|[^/\s]+:\d+)?")
_LOOK_S = 5.0
_WHOLE = -1
_END = -2


@dataclass(frozen=True)
class Crew:
    """The workers. count: how many; 0: as many as the cluster has room for. cpus: cores of each. on_gpu: whether each
    has a GPU of its own; None: where the cluster has any.
    """

    count: int = 0
    cpus: int = 2
    on_gpu: bool | None = None

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ConfigError(f"--workers: expected 1 or more, got {self.count}")
        if self.cpus < 1:
            raise ConfigError(f"--worker-cpus: expected 1 or more, got {self.cpus}")


class Worker:
    """What runs in a worker's process."""

    def __init__(self, num_threads: int) -> None:
        torch.set_num_threads(num_threads)

    def introduce(self) -> tuple[str, str]:
        """The package's version here, and the node's id."""
        import ray

        return __version__, ray.get_runtime_context().get_node_id()

    def work(self, content: dict[str, Any], part: int) -> Any:
        """Do a bag's part: an `Outcome`, the numbers of the pieces to do, None for one that is done, or an error."""
        job = to_job(content)
        try:
            if part == _WHOLE:
                return begin_bag(job)
            return end_bag(job) if part == _END else label_piece(job, part)
        except OvsrError as error:
            return error


@dataclass(frozen=True)
class _Unit:
    """bag: its place among the jobs. part: of it; a piece's number, or one of the constants."""

    bag: int
    part: int


def check_ray(address: str) -> None:
    """Raises ConfigError where Ray is not installed, or the address is none."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported: nothing is sent to its makers
    try:
        importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise ConfigError(f"--ray needs the package {error.name}, which is not installed: pip install ray") from error
    if not _ADDRESS.fullmatch(address):
        raise ConfigError(
            f"--ray {address}: expected the address of a Ray cluster, HOST:PORT, or nothing behind it; bags are named "
            "before the options"
        )


def label_bags(
    jobs: Sequence[LabelJob],
    address: str = "",
    crew: Crew = Crew(),
    tell: Callable[[int], object] = lambda done: None,
) -> list[Outcome]:
    """Label each bag on some worker of a Ray cluster; the outcomes are in the order of the jobs.

    address: of the cluster; empty: the one that runs here, or else one on this machine alone that ends with the work.
    tell: called with how many bags are done.

    Raises ConfigError where there is no such cluster, or no room in it; what `label_bag` raises; ConfigError where no
    worker can be started.
    """
    check_ray(address)
    ray = _connect(address)
    try:
        return _Work(ray, jobs, crew, tell).run()
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "namespace": "ovsr"}
    alone: dict[str, Any] = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        _knock(address)
        try:
            ray.init(address or "auto", **quiet)
        except ConnectionError:
            if address or os.environ.get("RAY_ADDRESS"):
                raise
            ray.init(**alone, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"--ray {address}: no Ray cluster can be used there: {reason}; see `ray status`") from error
    return ray


def _knock(address: str) -> None:
    """Raises OSError where nobody listens, which Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_LOOK_S).close()


class _Work:
    """The driver's side: what is to do, and who is doing what.

    No bag is begun before a worker is free for it, and the pieces of a begun one go first.
    """

    def __init__(self, ray: Any, jobs: Sequence[LabelJob], crew: Crew, tell: Callable[[int], object]) -> None:
        self._ray, self._jobs, self._tell = ray, jobs, tell
        self._outcomes: list[Outcome | None] = [None] * len(jobs)
        self._pending = deque(_Unit(bag, _WHOLE) for bag in range(len(jobs)))
        self._pieces_left: Counter[int] = Counter()
        self._tries: Counter[_Unit] = Counter()
        self._began: dict[int, float] = {}
        self._options, room = _resources(ray, crew)
        self._num_threads = crew.cpus
        self._num_workers = min(crew.count or room, room)
        self._starting: dict[Any, Any] = {}
        self._idle: list[tuple[Any, str]] = []
        self._busy: dict[Any, tuple[Any, str, _Unit]] = {}
        self._failed_starts = 0

    def run(self) -> list[Outcome]:
        """Until every bag has an outcome."""
        while any(outcome is None for outcome in self._outcomes):
            self._hire()
            while self._idle and self._pending:
                self._assign(*self._idle.pop(), self._pending.popleft())
            waiting = [*self._busy, *self._starting]
            done, _ = self._ray.wait(waiting, num_returns=1, timeout=_LOOK_S)
            for ref in done:
                if ref in self._starting:
                    self._welcome(ref)
                else:
                    self._take(ref)
        return [outcome for outcome in self._outcomes if outcome is not None]

    def _hire(self) -> None:
        """As many workers as there is work for."""
        wanted = min(self._num_workers, len(self._pending) + len(self._busy))
        for _ in range(wanted - len(self._starting) - len(self._idle) - len(self._busy)):
            actor = self._ray.remote(Worker).options(**self._options).remote(self._num_threads)
            self._starting[actor.introduce.remote()] = actor

    def _welcome(self, ref: Any) -> None:
        actor = self._starting.pop(ref)
        try:
            version, node = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts >= MOST_TRIES and not self._idle and not self._busy:
                raise ConfigError(f"--ray: no worker can be started there: {_reason(error)}") from error
            return
        if version != __version__:
            raise ConfigError(f"--ray: a worker has ovsr_ros {version}, this is {__version__}; install the same on all")
        self._failed_starts = 0
        self._idle.append((actor, node))

    def _assign(self, actor: Any, node: str, unit: _Unit) -> None:
        self._began.setdefault(unit.bag, time.monotonic())
        ref = actor.work.remote(asdict(self._jobs[unit.bag]), unit.part)
        self._busy[ref] = (actor, node, unit)

    def _take(self, ref: Any) -> None:
        actor, node, unit = self._busy.pop(ref)
        try:
            found = self._ray.get(ref)
        except self._ray.exceptions.RayActorError as error:
            self._lost(node, unit, error)
            return
        except self._ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from error  # a fault of ours, as it would be on one machine
        self._idle.append((actor, node))
        if isinstance(found, OvsrError):
            raise found
        if self._outcomes[unit.bag] is not None:
            return  # a piece of a bag that another piece has ended
        if isinstance(found, Outcome):
            self._close(unit.bag, found)
        elif isinstance(found, tuple):
            self._pieces_left[unit.bag] = len(found)
            self._pending.extendleft(_Unit(unit.bag, number) for number in reversed(found))
        else:
            self._pieces_left[unit.bag] -= 1
            if not self._pieces_left[unit.bag]:
                self._pending.appendleft(_Unit(unit.bag, _END))

    def _lost(self, node: str, unit: _Unit, error: Exception) -> None:
        """A worker died over its work, which another one goes on with: three times, unless the machine is gone, too."""
        alive = {each["NodeID"] for each in self._ray.nodes() if each["Alive"]}
        self._tries[unit] += node in alive
        if self._outcomes[unit.bag] is not None:
            return
        if self._tries[unit] < MOST_TRIES:
            self._pending.appendleft(unit)
            return
        job = self._jobs[unit.bag]
        note = f"given up: it has ended its worker {MOST_TRIES} times, the last time so: {_reason(error)}"
        self._close(unit.bag, Outcome(job.bag, job.folder, "given up", notes=(note,)))

    def _close(self, bag: int, outcome: Outcome) -> None:
        seconds = time.monotonic() - self._began[bag] if outcome.seconds else 0.0
        self._outcomes[bag] = replace(outcome, seconds=seconds)
        self._pending = deque(unit for unit in self._pending if unit.bag != bag)
        self._tell(sum(each is not None for each in self._outcomes))


def _resources(ray: Any, crew: Crew) -> tuple[dict[str, Any], int]:
    """What a worker takes of a machine, and how many the cluster has room for. Raises ConfigError where it has none."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    has_gpus = any(machine.get("GPU", 0) >= 1 for machine in machines)
    on_gpu = has_gpus if crew.on_gpu is None else crew.on_gpu
    room = 0
    for machine in machines:
        here = int(machine.get("CPU", 0) // crew.cpus)
        room += min(here, int(machine.get("GPU", 0))) if on_gpu else here
    if not room:
        most = max((int(machine.get("CPU", 0)) for machine in machines), default=0)
        what = f"{crew.cpus} cores and a GPU" if on_gpu else f"{crew.cpus} cores"
        raise ConfigError(
            f"--worker-cpus {crew.cpus}: no machine of the cluster has {what} to spare (the largest has {most} cores)"
        )
    options = {"num_cpus": crew.cpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
    return {**options, **({"num_gpus": 1} if on_gpu else {})}, room


def _reason(error: Exception) -> str:
    """A line of what Ray has to say, which is a page."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.lower() or "exit" in line.lower() or "died" in line.lower()]
    return (told or lines or [type(error).__name__])[-1][:300]
