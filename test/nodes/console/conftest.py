"""A camera, a node and the operator's page as processes, for the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import rclpy
from browser import open_browser
from module_process import Process
from operator_page import TIMEOUT_MS, wait_for_picture
from ovsr_client import Client, Ovsr
from rclpy.context import Context

WORDS = "wall, floor, mug, ball, book"


@dataclass
class Site:
    """What runs. ovsr: what a ROS client sees of the node. url: the page's."""

    folder: Path
    ovsr: Ovsr
    cleanup: ExitStack
    processes: dict[str, Process] = field(default_factory=dict)
    url: str = ""

    def start(self, name: str, module: str, *arguments: str) -> Process:
        process = Process(module, *arguments)
        self.processes[name] = process
        self.cleanup.callback(process.close)
        return process

    def start_camera(self) -> Process:
        parameters = {"seed": 35, "width": 320, "height": 240, "rate_hz": 10.0}
        words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
        return self.start("camera", "ovsr_ros.nodes.demo_camera", "--ros-args", "-r", "__ns:=/demo", *words)

    def start_node(self, namespace: str = "/", categories: str = WORDS) -> Process:
        rules = ["image:=/demo/image_raw", "depth:=/demo/depth_registered/image_rect", f"__ns:={namespace}"]
        words = [word for rule in rules for word in ("-r", rule)]
        words += ["-p", "config:=demo", "-p", f"categories:=[{categories}]", "-p", "image_timeout_s:=1.0"]
        name = "node" if namespace == "/" else f"node in {namespace}"
        return self.start(name, "ovsr_ros.nodes.ovsr_node", "--ros-args", *words)

    def start_console(self, *arguments: str) -> str:
        """Its address."""
        name = f"console{len(self.processes)}"
        words = ["--port", "0", "--folder", str(self.folder / name), *arguments]
        process = self.start(name, "ovsr_ros.nodes.console", *words)
        self.processes.setdefault("console", process)
        return process.wait_for_line("console: http://", 180.0).partition(" ")[2]

    @property
    def console(self) -> Process:
        """The page's process, the first one's."""
        return self.processes["console"]

    def count_subscribers(self, topic: str) -> int:
        return int(self.ovsr.client.node.count_subscribers(topic))


@pytest.fixture(scope="module")
def new_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Site]]:
    with ExitStack() as cleanup:

        def new() -> Site:
            context = Context()
            rclpy.init(context=context)
            cleanup.callback(rclpy.try_shutdown, context=context)
            client = Client(context)
            cleanup.callback(client.close)
            return Site(tmp_path_factory.mktemp("site"), Ovsr(client, subscribe=False), cleanup)

        yield new


@pytest.fixture(scope="module")
def site(new_site: Callable[[], Site]) -> Any:
    """Camera, node and page, once all of them run."""
    site = new_site()
    site.start_camera()
    site.start_node()
    site.url = site.start_console()
    site.ovsr.wait_until_active(180.0)
    return site


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser, site):
    """Opens the page in a browser of its own, and waits for its first picture."""
    contexts = []

    def open_one(url=None, picture=True, **options):
        given = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options}
        context = browser.new_context(**given)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(url or site.url)
        if picture:
            wait_for_picture(page)
        return page

    yield open_one
    for context in contexts:
        context.close()
