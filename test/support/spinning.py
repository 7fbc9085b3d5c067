"""An executor that works in a thread of its own while a test goes on, and is ended without a race."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.executors import Executor, InvalidHandle
from rclpy.task import Future

TIMEOUT_S = 30.0


class Spinner:
    """Spins nodes in a thread, from its construction until `close`, which destroys them.

    An executor must not be shut down while it works: rclpy destroys what the spinning thread is about to trigger, which
    raises there. So that thread is asked to end, and the executor is shut down after it.
    """

    def __init__(self, executor: Executor, *nodes: Any) -> None:
        self._executor = executor
        self._nodes = nodes
        self._end: Future[None] = Future()
        for node in nodes:
            executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._end.set_result(None)
        self._executor.wake()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive(), "a callback does not end"
        self._executor.shutdown()
        for node in self._nodes:
            node.destroy_node()

    def _spin(self) -> None:
        while not self._end.done() and self._executor.context.ok():
            try:
                self._executor.spin_until_future_complete(self._end)
            except InvalidHandle:
                continue  # something was destroyed at the very moment at which the executor looked at it
