"""The demo: camera and node as two processes over DDS, watched by a third. `make demo` runs it.

Prints one refreshing line and writes an overlay picture every second. On the way the largest object's word is taken out
of the vocabulary and put back, while the node runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ovsr_ros.errors import InterpreterError, OvsrError
from ovsr_ros.interpreter import CONSOLE, NODE, check_modules, explained_imports
from ovsr_ros.nodes.demo.child_process import ChildProcess, start_node, stop_all
from ovsr_ros.nodes.process import EXIT_BAD_CONFIG, EXIT_FAILED
from ovsr_ros.nodes.status_line import StatusLine

if TYPE_CHECKING:
    import argparse

    from ovsr_ros.nodes.demo.arguments import CameraRun

CAMERA_NAMESPACE = "/demo"
OVSR_NODE = "/ovsr"

_SILENCE_S = 60.0
_AWAY_S = 3.0
_CHILD_GRACE_S = 3.0
_LAST_LINES = 15
_OTHER_PYTHON = "PYTHON -m ovsr_ros.nodes.demo"


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0 when it ended as asked or by Ctrl-C, 1 when something broke down.

    2: bad arguments, a source that cannot be shown, or a Python that lacks something.
    """
    try:
        check_modules(NODE, _OTHER_PYTHON)  # the children's, too
        with explained_imports(NODE, _OTHER_PYTHON):
            return _main(arguments)
    except InterpreterError as error:
        print(f"demo: {error}", file=sys.stderr)
        return EXIT_BAD_CONFIG


def _main(arguments: Sequence[str] | None) -> int:
    from ovsr_ros.nodes.demo.arguments import console_url, parse, prepare_camera

    options = parse(arguments)
    if options.console:
        check_modules(CONSOLE, _OTHER_PYTHON)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console = StatusLine()
    try:
        camera = prepare_camera(options, console.say)
    except OvsrError as error:
        print(f"demo: {error}", file=sys.stderr)
        return EXIT_BAD_CONFIG
    options.out.mkdir(parents=True, exist_ok=True)
    console.say(f"overlay pictures and logs go to {options.out.resolve()}")
    if options.console:
        console.say(f"the operator's page, in a moment: {console_url(options)}")
    try:
        _run(options, camera, console, stop)
    except DemoError as failure:
        console.close()
        print(f"demo: {failure}", file=sys.stderr)
        return EXIT_FAILED
    console.close()
    console.say(f"overlay pictures and logs are in {options.out.resolve()}")
    return 0


def _run(options: argparse.Namespace, camera: CameraRun, console: StatusLine, stop: threading.Event) -> None:
    _stay_on_this_machine()
    with ExitStack() as cleanup:
        # The children start first: no thread of ours runs yet, and their imports take longer than ours.
        children = _start_children(options, camera)
        cleanup.callback(stop_all, children, _CHILD_GRACE_S)
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        from ovsr_ros.nodes.demo.observer import DemoObserver
        from ovsr_ros.nodes.demo.show import DemoShow

        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        cleanup.callback(rclpy.try_shutdown)
        observer = DemoObserver(OVSR_NODE, CAMERA_NAMESPACE)
        cleanup.callback(observer.destroy_node)
        changing = not options.keep_vocabulary
        show = DemoShow(observer, console, options.out, options.frames, options.seconds, changing, camera.has_truth)
        executor = SingleThreadedExecutor()
        executor.add_node(observer)
        while not (stop.is_set() or show.is_over):
            executor.spin_once(timeout_sec=0.1)
            _check_children(children)
            if camera.is_live and show.has_begun and show.silent_s > _AWAY_S:
                console.update(_describe_away(children[0], show.silent_s))
                continue
            show.refresh()
            if show.silent_s > _SILENCE_S:
                raise DemoError(_explain_silence(children, observer.diagnostics))
        show.finish()
        executor.shutdown()


def _stay_on_this_machine() -> None:
    """Unless the environment says otherwise: a newcomer's camera is nobody else's business."""
    if not {"ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"} & set(os.environ):
        older = os.environ.get("ROS_DISTRO") in ("humble", "iron")
        os.environ.update({"ROS_LOCALHOST_ONLY": "1"} if older else {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"})


def _start_children(options: argparse.Namespace, camera: CameraRun) -> list[ChildProcess]:
    node = {"config": camera.config, "device": options.device, "rate_hz": max(camera.rate_hz, 0.1)}
    arguments = ["-r", f"image:={CAMERA_NAMESPACE}/image_raw"]
    if camera.has_truth:
        arguments += ["-r", f"depth:={CAMERA_NAMESPACE}/depth_registered/image_rect"]
    if camera.words:
        arguments += ["-p", f"categories:=[{', '.join(map(_quote, camera.words))}]"]
    source = ["-p", f"source:={_quote(camera.source)}", "-r", f"__ns:={CAMERA_NAMESPACE}"]
    children = [
        start_node("camera", "demo_camera", options.out / "camera.log", camera.parameters, source),
        start_node("node", "ovsr_node", options.out / "node.log", node, arguments),
    ]
    if options.console:
        words = ("--port", str(options.console_port))
        children.append(start_node("page", "console", options.out / "console.log", {}, [], words))
    return children


def _quote(text: str) -> str:
    """A YAML string in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def _check_children(children: Sequence[ChildProcess]) -> None:
    for child in children:
        code = child.exit_code
        if code is not None:
            raise DemoError(f"the {child.name} ended with exit code {code}; its last lines:\n{_last_lines(child)}")


def _describe_away(camera: ChildProcess, silent_s: float) -> str:
    said = "".join(camera.last_lines(1)).rpartition("]: ")[2]  # behind level, time and name
    return f"no new image for {silent_s:.0f} s; the camera said last: {said or 'nothing'}"


def _explain_silence(children: Sequence[ChildProcess], diagnostics: dict[str, str]) -> str:
    said = [f"  {name}: {text}" for name, text in diagnostics.items()] or ["  /diagnostics: nothing came from the node"]
    lines = [f"no frame was labelled for {_SILENCE_S:g} s; the node's diagnostics:", *said]
    for child in children:
        lines += [f"last lines of the {child.name} ({child.log_path}):", _last_lines(child)]
    return "\n".join(lines)


def _last_lines(child: ChildProcess) -> str:
    return "\n".join(f"  {line}" for line in child.last_lines(_LAST_LINES)) or "  (it printed nothing)"


if __name__ == "__main__":
    sys.exit(main())
