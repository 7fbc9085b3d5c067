"""The process of one node or several: signals, executors, exit code.

ROS is imported only once the signal handlers stand.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from ovsr_ros.errors import OvsrError
from ovsr_ros.interpreter import NODE, explained_imports
from ovsr_ros.names import shown, undecoded
from ovsr_ros.nodes.health.throttle import ThrottledLog
from ovsr_ros.nodes.middleware import make_room_for_images

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node

EXIT_FAILED = 1
"""The node could not do its work, or broke down."""
EXIT_BAD_CONFIG = 2
"""It was to start with arguments or a configuration that cannot be used, or by a Python that lacks a package."""
REBUILD = "colcon build --packages-select ovsr_ros --cmake-args -DPython3_EXECUTABLE=PYTHON"
"""Makes another Python start what `ros2 run` and `ros2 launch` start; see `explained_imports`."""

_M_ARENA_MAX = -8  # in glibc's malloc.h
_NUM_THREADS = 4
_SWITCH_S = 0.001
_GRACE_S = 1.0
_ERROR_PERIOD_S = 5.0
_RAPID_S, _MOST_RAPID = 0.01, 100


class ExitRequest:
    """The wish to end the process, from a signal or from the node: the first one counts.

    It holds no lock, and waits at a pipe. A signal's handler interrupts the main thread wherever that is: a lock that
    is held at that moment would never be free again. And what the handler of a signal writes wakes the main thread
    whichever thread the signal came to.
    """

    def __init__(self) -> None:
        self._codes: list[int] = []
        self._starting = True
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    @property
    def is_set(self) -> bool:
        """Whether somebody asked."""
        return bool(self._codes)

    @property
    def code(self) -> int:
        """Exit code asked for; 0 when nobody asked."""
        return self._codes[0] if self._codes else 0

    def __call__(self, code: int) -> None:
        """Ask the process to end with this code."""
        self._codes.append(code)
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._writer, b"\0")

    def wait(self) -> None:
        """Block until somebody asks."""
        while not self._codes:
            os.read(self._reader, 64)

    def close(self) -> None:
        """Give the pipe back; signals have no effect on this request from here on."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in (self._reader, self._writer):
            os.close(descriptor)

    def install_signal_handlers(self) -> None:
        """Let SIGINT and SIGTERM end the process with code 0."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def started(self) -> None:
        """From here on there is something to close before the process ends."""
        self._starting = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._starting:
            # Imports take seconds and cannot be interrupted in good order; there is nothing to close yet.
            os._exit(0)
        self(0)


def run_process(
    name: str,
    create: Callable[[ExitRequest], Sequence[Node]],
    args: Sequence[str] | None = None,
    needs: Sequence[str] = NODE,
) -> NoReturn:
    """Run nodes until SIGINT, SIGTERM or the request of one of them, and end the process.

    create: called once ROS is initialised; what it imports is imported then. An OvsrError that it raises, and what
        rclpy refuses, ends in one message and exit code 2.
    needs: the modules that it imports, see `explained_imports`: where they cannot be had, that ends in the same way.
    """
    code = _run_nodes(name, create, args, needs)
    # The interpreter's own end takes seconds where torch is loaded, and waits for threads that are in the middle of a
    # frame or of a model's file. Everything that others can see, the DDS entities, is closed by now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run_nodes(
    name: str, create: Callable[[ExitRequest], Sequence[Node]], args: Sequence[str] | None, needs: Sequence[str]
) -> int:
    # By default, OpenMP's threads spin while they wait for each other. A robot's cores have other work to do, and where
    # one of the threads has to wait for its core, a frame took 14 times as long as with threads that sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Frames in flight ask for Python's lock a thousand times each, and get it at once unless somebody computes in
    # Python: an answer with 250 categories, words made into tokens. By default they then wait for up to 5 ms.
    sys.setswitchinterval(_SWITCH_S)
    _limit_malloc_arenas()
    for argument in sys.argv if args is None else args:
        problem = undecoded(argument)
        if problem:
            print(f"{name}: argument '{shown(argument)}' {problem}", file=sys.stderr)
            return EXIT_BAD_CONFIG
    exit_request = ExitRequest()
    exit_request.install_signal_handlers()
    make_room_for_images()
    try:
        with explained_imports(needs, REBUILD):
            import rclpy
            from rclpy.executors import MultiThreadedExecutor
            from rclpy.logging import get_logger
            from rclpy.signals import SignalHandlerOptions
    except OvsrError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_BAD_CONFIG
    try:
        rclpy.init(args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy raises several types, of which some versions lack some
        print(f"{name}: ROS arguments cannot be used: {_first_line(error)}", file=sys.stderr)
        return EXIT_BAD_CONFIG
    try:
        with explained_imports(needs, REBUILD):
            nodes = create(exit_request)
    except Exception as error:
        ours, theirs = isinstance(error, OvsrError), _is_raised_by_rclpy(error)
        if ours or theirs:
            reason = str(error) if ours else f"cannot start: {_first_line(error)}; mend the ROS arguments or parameters"
        else:
            reason = f"cannot start:\n{traceback.format_exc()}"
        get_logger(name).fatal(reason)
        get_logger(name).debug(traceback.format_exc())
        rclpy.try_shutdown()
        return EXIT_BAD_CONFIG if ours or theirs else EXIT_FAILED
    exit_request.started()
    # An executor each: one looks at all that it has before every callback, and one that fails takes no other with it.
    running = [_Running(node, MultiThreadedExecutor(_NUM_THREADS), exit_request) for node in nodes]
    exit_request.wait()
    if _finish_within(_GRACE_S, [each.close for each in running]):
        rclpy.try_shutdown()
    return exit_request.code


def _limit_malloc_arenas() -> None:
    """Let all threads allocate from two of glibc's arenas, unless MALLOC_ARENA_MAX says otherwise.

    Each of a node's many threads would have an arena of its own, and each keeps what was freed between blocks in use:
    after twenty rounds of configure and cleanup, 40 % more resident memory.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's; other C libraries have none
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 2)


class _Running:
    """A node with the executor and the thread that spin it."""

    def __init__(self, node: Node, executor: Executor, exit_request: ExitRequest) -> None:
        self._node = node
        self._executor = executor
        self._exit_request = exit_request
        self._log_error = ThrottledLog(lambda text: node.get_logger().error(text), _ERROR_PERIOD_S)
        executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="spin", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()  # a node that has threads of its own stops them here

    def _is_ending(self) -> bool:
        return self._exit_request.is_set

    def _spin(self) -> None:
        """Spin whatever callbacks raise: no request of somebody's may end the node.

        An executor that cannot work at all, which raises again and again without a callback between, ends the process.
        """
        from rclpy.executors import InvalidHandle

        num_rapid, begin = 0, time.monotonic()
        while not self._is_ending():
            try:
                self._executor.spin()
            except InvalidHandle:
                # A publisher was destroyed at the very moment at which the executor looked at its events: rclpy
                # expects that of every other entity.
                continue
            except Exception:
                if self._is_ending():
                    return  # the executor was shut down under the spinning thread
                now = time.monotonic()
                num_rapid, begin = num_rapid + 1 if now - begin < _RAPID_S else 0, now
                if num_rapid >= _MOST_RAPID:
                    self._node.get_logger().fatal(f"the executor fails all the time:\n{traceback.format_exc()}")
                    self._exit_request(EXIT_FAILED)
                    return
                self._log_error(f"a callback failed; the node goes on:\n{traceback.format_exc()}")


def _finish_within(seconds: float, actions: Sequence[Callable[[], None]]) -> bool:
    """Whether all actions, done at once, end in that time."""
    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=action, name="close", daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def _is_raised_by_rclpy(error: Exception) -> bool:
    """Whether an argument or a parameter was refused there, rather than something broke down here."""
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    module = "" if innermost is None else str(innermost.tb_frame.f_globals.get("__name__"))
    return "rclpy" in (module.partition(".")[0], type(error).__module__.partition(".")[0])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
