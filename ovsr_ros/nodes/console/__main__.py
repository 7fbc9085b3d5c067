"""The process of the operator's page: `ros2 run ovsr_ros console`, `python -m ovsr_ros.nodes.console`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ovsr_ros.interpreter import CONSOLE
from ovsr_ros.nodes.process import EXIT_FAILED, ExitRequest, run_process

if TYPE_CHECKING:
    from rclpy.node import Node


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Serve the page until told to end.

    The exit code is 0, 1 (it broke down) or 2 (bad arguments, an address that cannot be listened on, a Python that
    lacks something).
    """
    arguments = list(sys.argv if args is None else args)
    # Before NiceGUI is imported: it would keep a folder where it was started; nothing here is kept by it.
    os.environ.setdefault("NICEGUI_STORAGE_PATH", os.devnull)
    run_process("console", lambda exit_request: _create(exit_request, arguments), args, CONSOLE)


def _create(exit_request: ExitRequest, arguments: Sequence[str]) -> list[Node]:
    # Here, not above: a signal during the import must still end the process.
    from rclpy.utilities import remove_ros_args

    from ovsr_ros.nodes.console.arguments import parse

    options = parse(remove_ros_args(list(arguments))[1:])
    from ovsr_ros.console.access import Origins, is_loopback
    from ovsr_ros.console.changes import ChangeLog
    from ovsr_ros.console.saved import SavedVocabularies
    from ovsr_ros.console.web.gate import Access
    from ovsr_ros.console.web.server import Binding, Server
    from ovsr_ros.console.web.services import Services
    from ovsr_ros.nodes.console.node import ConsoleNode

    log = ChangeLog(options.folder / "changes.jsonl")
    node = ConsoleNode(log)
    services = Services(node, log, SavedVocabularies(options.folder / "vocabularies"))
    origins = Origins(is_loopback(options.host), options.host_names)
    access = Access(origins, options.tokens, f"ovsr_console_{options.port}")
    binding = Binding(options.host, options.port, options.certificate, options.key, options.is_proxied)
    server = Server(services, access, binding, lambda: exit_request(EXIT_FAILED))
    node.on_close(server.close)
    print(f"console: {server.url}", flush=True)
    if options.tokens is not None and options.are_made:
        print(f"console: to change things: {server.url}?token={options.tokens.operator}", flush=True)
        print(f"console: to look only: {server.url}?token={options.tokens.view}", flush=True)
    return [node]


if __name__ == "__main__":
    main()
