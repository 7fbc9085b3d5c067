"""Real nodes over real DDS; the client that sees them is in ../support."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

# Before anything of ROS is loaded. A domain of our own: no other robot, demo or test run on this machine hears us.
os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 90 + 10))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
# Several processes infer at once here: threads that spin while they wait for each other would slow all of them down.
os.environ["OMP_NUM_THREADS"] = "1"

with warnings.catch_warnings():
    # ROS's generator, which each message type imports when it is first used, imports deprecated modules of Python's.
    warnings.simplefilter("ignore", DeprecationWarning)
    import rosidl_generator_py  # noqa: F401

import rclpy
from module_process import Process, StalledSubscriber
from ovsr_client import Client, Ovsr
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor
from rclpy.parameter import Parameter
from spinning import Spinner

from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import load_settings

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def node_config(seeded_models: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A config file for the node: real architectures with seeded weights, few categories.

    Nodes of this process find its models loaded, by a pipeline that uses them as long as there are tests.
    """
    path = tmp_path_factory.mktemp("node") / "seeded.yaml"
    options = {
        "features.model": seeded_models.features,
        "clip.model": seeded_models.clip,
        "text.cache_directory": "none",
        "score_threshold": 0.0,
        "text.something_else": [],
        "features.grid_rows": 16,
        "features.input_short_side": 64,
        "rate_hz": 50.0,
        "categories": ["mug; cup", "ball"],
    }
    path.write_text(yaml.safe_dump(options), encoding="utf-8")
    with closing(Pipeline(load_settings(str(path)).pipeline)):
        yield path


@contextmanager
def _new_context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context)
    try:
        yield context
    finally:
        rclpy.try_shutdown(context=context)


def _new_executor(context: Context) -> MultiThreadedExecutor:
    """As large as the node's own."""
    return MultiThreadedExecutor(4, context=context)


def _new_node(
    context: Context,
    config: Path,
    request_exit: Callable[[int], None],
    parameters: dict[str, Any],
    arguments: Sequence[str] = (),
) -> Any:
    from ovsr_ros.nodes.node import OvsrNode

    # A lifecycle node's state machine keeps the node's handle until it is collected, and when that goes, so does the
    # /rosout of whatever node has its name then.
    gc.collect()
    values = {"config": str(config), **parameters}
    overrides = [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]
    return OvsrNode(
        request_exit,
        context=context,
        parameter_overrides=overrides,
        use_global_arguments=False,
        cli_args=["--ros-args", *arguments],
    )


@pytest.fixture
def context() -> Iterator[Context]:
    with _new_context() as context:
        yield context


@pytest.fixture
def client(context: Context) -> Iterator[Client]:
    client = Client(context)
    yield client
    client.close()


@pytest.fixture
def ovsr(client: Client) -> Ovsr:
    return Ovsr(client)


@pytest.fixture
def new_ovsr() -> type[Ovsr]:
    """For tests that are to choose what is subscribed to."""
    return Ovsr


@pytest.fixture
def spin(context: Context) -> Iterator[Callable[[Any], Any]]:
    """Spins a node by an executor of its own until the test ends."""
    with ExitStack() as cleanup:

        def start(node: Any) -> Any:
            cleanup.callback(Spinner(_new_executor(context), node).close)
            return node

        yield start


@pytest.fixture
def start_node(context: Context, node_config: Path, spin: Callable[[Any], Any]) -> Callable[..., Any]:
    """Starts an OvsrNode in this process, spun by its own executor.

    Parameters as keywords, '__' for '.'; arguments: its ROS arguments.
    """

    def start(
        request_exit: Callable[[int], None] = lambda code: None, arguments: Sequence[str] = (), **parameters: Any
    ) -> Any:
        return spin(_new_node(context, node_config, request_exit, parameters, arguments))

    return start


@pytest.fixture
def active_node(start_node: Callable[..., Any], ovsr: Ovsr) -> Any:
    """A node that has started itself, and that listens to /image."""
    node = start_node()
    ovsr.wait_until_active()
    return node


@pytest.fixture(scope="module")
def shared_ovsr(node_config: Path) -> Iterator[Ovsr]:
    """An active node for all tests of a module that leave it as they found it."""
    with _new_context() as context:
        client = Client(context)
        node = _new_node(context, node_config, lambda code: None, {})
        with closing(Spinner(_new_executor(context), node)):
            ovsr = Ovsr(client)
            ovsr.wait_until_active()
            yield ovsr
        client.close()


@pytest.fixture
def run_module() -> Iterator[Callable[..., Process]]:
    with ExitStack() as cleanup:

        def run(
            module: str, *arguments: str, environment: dict[str, str] | None = None, fresh: bool = False
        ) -> Process:
            process = Process(module, *arguments, environment=environment, fresh=fresh)
            cleanup.callback(process.close)
            return process

        yield run


@pytest.fixture
def stalled_subscriber() -> Iterator[Callable[[str], Any]]:
    """Starts a process that subscribes to a topic of images, reliably, and stops it before it has taken anything."""
    with ExitStack() as cleanup:

        def start(topic: str) -> Any:
            subscriber = StalledSubscriber(topic)
            cleanup.callback(subscriber.close)
            subscriber.stall()
            return subscriber.process

        yield start


@pytest.fixture
def busy_factor() -> Callable[[], float]:
    """How much longer things take on this machine now: threads that wait for each core, at least 1."""

    def factor() -> float:
        return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))

    return factor
