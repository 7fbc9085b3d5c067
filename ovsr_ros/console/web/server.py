"""The server: FastAPI with the page, the pictures and the assets behind the gate, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, WebSocket
from nicegui import Client, ui
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

from ovsr_ros.console.link import LinkError
from ovsr_ros.console.web.gate import Access, Gate
from ovsr_ros.console.web.page import ConsolePage
from ovsr_ros.console.web.pictures import PictureSocket
from ovsr_ros.console.web.services import Services, wait
from ovsr_ros.errors import ConfigError

_ASSETS = Path(__file__).parent / "assets"
_START_S = 20.0
_STOP_S = 2.0
_MOST_MESSAGE_BYTES = 2**20
_RECONNECT_S = 10.0
"""How long the server keeps what a browser had, once that is gone; its pings are late after half of that."""


@dataclass(frozen=True)
class Binding:
    """Where the page is.

    port: 0 for one that is free. certificate, key: files, for TLS; None: none. is_proxied: a proxy on this machine
    tells who asks, in X-Forwarded-For and X-Forwarded-Proto.
    """

    host: str = "127.0.0.1"
    port: int = 8077
    certificate: Path | None = None
    key: Path | None = None
    is_proxied: bool = False

    def url(self, port: int) -> str:
        """The page's address."""
        scheme = "https" if self.certificate else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{port}/"


class Server:
    """Serves the page from its construction until `close`. One in a process: NiceGUI has one application.

    on_failure: called where it ends by itself.

    Raises ConfigError where it cannot listen there, or a certificate cannot be used.
    """

    def __init__(self, services: Services, access: Access, binding: Binding, on_failure: Callable[[], None]) -> None:
        self._server = uvicorn.Server(_configure(_make_app(services), access, binding))
        self._binding = binding
        self._on_failure = on_failure
        self._is_closing = False
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()
        self._wait_until_started()

    @property
    def url(self) -> str:
        """The page's address, with the port that it has."""
        ports = [socket.getsockname()[1] for server in self._server.servers for socket in server.sockets]
        return self._binding.url(ports[0])

    def close(self) -> None:
        """End it; browsers are told, or cut off after two seconds."""
        self._is_closing = True
        self._server.should_exit = True
        self._thread.join(_STOP_S)
        self._server.force_exit = True
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        try:
            self._server.run()
        except SystemExit:
            self._failure = "it cannot listen there: is the port taken, is the address this machine's?"
        except Exception as error:
            self._failure = f"{type(error).__name__}: {error}"
        if not self._is_closing and self._server.started:
            self._on_failure()

    def _wait_until_started(self) -> None:
        waiting = threading.Event()
        for _ in range(int(_START_S / 0.02)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            waiting.wait(0.02)
        where = self._binding.url(self._binding.port)
        raise ConfigError(f"{where} cannot be served: {self._failure or 'it has not started in time'}")


def _configure(app: FastAPI, access: Access, binding: Binding) -> uvicorn.Config:
    try:
        config = uvicorn.Config(
            Gate(app, access),
            host=binding.host,
            port=binding.port,
            ssl_certfile=binding.certificate,
            ssl_keyfile=binding.key,
            proxy_headers=binding.is_proxied,
            server_header=False,
            log_level="warning",
            ws_max_size=_MOST_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
            limit_concurrency=400,
            lifespan="on",
        )
        config.load()
    except OSError as error:
        raise ConfigError(
            f"the certificate {binding.certificate} with the key {binding.key or 'in it'} cannot be used: "
            f"{error.strerror or error}"
        ) from error
    return config


def _make_app(services: Services) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/assets", StaticFiles(directory=_ASSETS), name="assets")

    @app.websocket("/pictures")
    async def pictures(websocket: WebSocket) -> None:
        await PictureSocket(services.link, websocket).serve()

    @app.get("/examples")
    async def example(node: str, id: int) -> Response:
        if node not in services.link.names():
            return PlainTextResponse("no such node", 404)
        try:
            jpeg = await wait(services.link.thumbnail(node, id))
        except LinkError as error:
            return PlainTextResponse(str(error), 404)
        return Response(jpeg, media_type="image/jpeg", headers={"cache-control": "no-store"})

    @ui.page("/", title="ovsr console", dark=None)
    def page(request: Request, client: Client) -> None:
        ConsolePage(services, request, client)

    ui.run_with(
        app,
        title="ovsr console",
        binding_refresh_interval=None,
        reconnect_timeout=_RECONNECT_S,
        tailwind=False,
        gzip_middleware_factory=None,
        show_welcome_message=False,
        language="en-US",
    )
    return app
