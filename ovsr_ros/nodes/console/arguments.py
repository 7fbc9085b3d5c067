"""The command line of the console, before `--ros-args`. Needs neither ROS nor NiceGUI."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ovsr_ros.console.access import Tokens, is_loopback, make_tokens, read_tokens
from ovsr_ros.errors import ConfigError

PORT = 8077
HOST = "127.0.0.1"


@dataclass(frozen=True)
class ConsoleOptions:
    """How the console is started. tokens: None where none is needed. are_made: by this start, to be printed once.

    host_names: under which it is reached, in addition. folder: where vocabularies and the log are kept.
    """

    host: str
    port: int
    tokens: Tokens | None
    are_made: bool
    certificate: Path | None
    key: Path | None
    is_proxied: bool
    host_names: tuple[str, ...]
    folder: Path


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; ROS arguments follow --ros-args, {self.format_usage().strip()}")


def parse(arguments: Sequence[str]) -> ConsoleOptions:
    """The command line without the program's name and the ROS arguments.

    Raises ConfigError for what cannot be used, a token file among it.
    """
    parser = _Parser(
        prog="console", description="The operator's page for every node ovsr on the network.", allow_abbrev=False
    )
    parser.add_argument("--host", default=HOST, help=f"address to listen on (default {HOST}: this machine alone)")
    parser.add_argument("--port", type=int, default=PORT, help=f"port, 0 for a free one (default {PORT})")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with mode 600 and lines 'operator: TOKEN', 'view: TOKEN'; default: none is needed on this machine's "
        "own address, on others two are made and printed",
    )
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="TLS certificate chain, PEM")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the certificate's private key, PEM")
    parser.add_argument(
        "--behind-proxy",
        action="store_true",
        help="a proxy on this machine hands requests on, and says in X-Forwarded-For whose: a token is needed then",
    )
    parser.add_argument(
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which browsers reach the page, such as a proxy's; may be given several times",
    )
    parser.add_argument("--folder", type=Path, help="where saved vocabularies and the log are kept")
    options = parser.parse_args(list(arguments))
    if not 0 <= options.port <= 65535:
        raise ConfigError(f"--port: expected 0 to 65535, got {options.port}")
    if options.key and not options.certificate:
        raise ConfigError("--key: expected a --certificate with it, got none")
    for name in ("certificate", "key"):
        path = getattr(options, name)
        if path is not None and not path.is_file():
            raise ConfigError(f"--{name}: there is no file {path}")
    is_open = is_loopback(options.host) and not options.behind_proxy
    tokens = read_tokens(options.token_file) if options.token_file else None if is_open else make_tokens()
    return ConsoleOptions(
        options.host,
        options.port,
        tokens,
        tokens is not None and options.token_file is None,
        options.certificate,
        options.key,
        options.behind_proxy,
        tuple(options.host_name),
        options.folder or default_folder(),
    )


def default_folder() -> Path:
    """Where vocabularies and the log are kept unless told otherwise."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "ovsr_ros" / "console"
