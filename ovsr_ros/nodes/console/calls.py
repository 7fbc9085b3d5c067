"""Services of a node, called from a thread that waits, with words for whatever does not come."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import ReentrantCallbackGroup

from ovsr_ros.console.link import LinkError
from ovsr_ros.nodes.qos import service_qos

if TYPE_CHECKING:
    from rclpy.node import Node

_FIND_S = 3.0
_GONE_S = 4.0
_STEP_S = 0.25


class Calls:
    """Calls services of other nodes; their clients are kept. Thread-safe."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._group = ReentrantCallbackGroup()
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def call(self, name: str, type: Any, request: Any, timeout_s: float) -> Any:
        """The answer. name: the service's.

        Raises LinkError where the service is not there, goes away, or does not answer in time.
        """
        with self._lock:
            client = self._clients.get(name)
            if client is None:
                client = self._node.create_client(type, name, qos_profile=service_qos(), callback_group=self._group)
                self._clients[name] = client
        if not client.wait_for_service(timeout_sec=_FIND_S):
            raise LinkError(f"{name} is not there: the node is gone, or has just started; try again once it is back")
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        deadline, gone_since = time.monotonic() + timeout_s, None
        while not answered.wait(_STEP_S):
            now = time.monotonic()
            gone_since = None if client.service_is_ready() else gone_since or now
            if now > deadline or (gone_since is not None and now - gone_since > _GONE_S):
                client.remove_pending_request(future)
                why = "went away before it answered" if gone_since else f"has not answered within {timeout_s:g} s"
                raise LinkError(f"{name} {why}: whether it was done shows once the node is heard again")
        return future.result()

    def forget(self, prefix: str) -> None:
        """Give back the clients of a node's services."""
        with self._lock:
            names = [name for name in self._clients if name.startswith(prefix)]
            clients = [self._clients.pop(name) for name in names]
        for client in clients:
            self._node.destroy_client(client)
