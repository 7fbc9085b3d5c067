"""What every request passes before anything else sees it: host, origin, size, and who it comes from."""

from __future__ import annotations

import html
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ovsr_ros.console.access import Origins, Role, Sessions, Tokens, TryLimit

MOST_BODY_BYTES = 2**19
ROLE = "ovsr_role"
"""The scope's key for the role of whom a request comes from."""

_LOGIN = "/login"
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer, a browser sends this page's own form with origin null
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_LOGIN_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ovsr console</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>body{{font:16px/1.5 system-ui,sans-serif;display:grid;place-items:center;min-height:90vh;margin:0;padding:16px}}
form{{width:100%;max-width:22rem;display:grid;gap:12px}}h1{{font-size:1.25rem;margin:0}}p{{margin:0}}
input,button{{font:inherit;padding:10px 12px;border-radius:8px;border:1px solid #767676}}
button{{background:#0b5cad;color:#fff;border-color:#0b5cad;cursor:pointer}}
.bad{{color:#b3261e}}@media(prefers-color-scheme:dark){{.bad{{color:#ffb4ab}}}}</style></head>
<body><form method="post" action="{action}"><h1>ovsr console</h1>
<label for="token">Token, as the console printed it when it started</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
<p class="bad" role="alert">{problem}</p><button>Open</button></form></body></html>"""


class TooLargeError(Exception):
    """A body is larger than anything this page takes."""


@dataclass
class Access:
    """Who may come in. tokens: None where whoever reaches the page may change things, on this machine's own address."""

    origins: Origins
    tokens: Tokens | None
    cookie: str = "ovsr_console"
    sessions: Sessions = field(default_factory=Sessions)
    limit: TryLimit = field(default_factory=TryLimit)


class Gate:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        is_websocket = scope["type"] == "websocket"
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        problem = self._access.origins.find_problem(headers, is_websocket)
        if problem:
            await self._refuse(scope, receive, send, 403, f"refused: {problem}\n")
            return
        role = self._find_role(headers)
        if role is None and not is_websocket:
            await self._let_in(scope, receive, send, headers)
        elif role is None:
            await self._refuse(scope, receive, send, 403, "")
        else:
            scope[ROLE] = role
            await self._pass(scope, receive, send, headers)

    def _find_role(self, headers: dict[str, str]) -> Role | None:
        if self._access.tokens is None:
            return Role.OPERATOR
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._access.cookie)
        except CookieError:
            return None
        return None if cookie is None else self._access.sessions.find_role(cookie.value)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        """Take a token, from the address that the console printed or from the form; or ask for one."""
        path, method = scope["path"], scope["method"]
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=20)
        token = query.pop("token", [""])[0] if method == "GET" else ""
        back = "/" + (f"?{urlencode(query, doseq=True)}" if path == "/" and query else "")
        if method == "POST" and path == _LOGIN:
            try:
                form = parse_qs((await _read_body(receive, 4096)).decode("utf-8", "replace"), max_num_fields=4)
            except (TooLargeError, ValueError):
                await self._refuse(scope, receive, send, 413, "too large\n")
                return
            token, back = form.get("token", [""])[0], "/"
        elif not (method == "GET" and path in ("/", _LOGIN)):
            await self._refuse(scope, receive, send, 401, "a token is needed: open this page's first address\n")
            return
        address = scope["client"][0] if scope.get("client") else ""
        wait_s = self._access.limit.wait_s(address) if token else 0.0
        role = self._access.tokens.find_role(token.strip()) if token and wait_s <= 0 and self._access.tokens else None
        response: Response
        if role is not None:
            response = RedirectResponse(back, 303)
            response.set_cookie(
                self._access.cookie,
                self._access.sessions.open(role),
                max_age=12 * 3600,
                secure=scope["scheme"] == "https",
                httponly=True,
                samesite="strict",
            )
        elif token and wait_s > 0:
            text = f"Too many wrong tokens: wait {wait_s:.0f} s, then try again."
            response = HTMLResponse(_login_page(text), 429, {"retry-after": f"{wait_s:.0f}"})
        elif token:
            self._access.limit.failed(address)
            response = HTMLResponse(_login_page("This is not the token."), 403)
        else:
            response = HTMLResponse(_login_page(""), 200 if "text/html" in headers.get("accept", "") else 401)
        await response(scope, receive, _with_headers(send))

    async def _pass(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        if scope["path"] == _LOGIN or (scope["path"] == "/" and b"token=" in scope.get("query_string", b"")):
            if self._access.tokens is not None and scope["path"] == "/":
                await self._let_in(scope, receive, send, headers)  # another token may give another role
            else:
                await RedirectResponse("/", 303)(scope, receive, _with_headers(send))
            return
        try:
            announced = int(headers.get("content-length", "0"))
        except ValueError:
            announced = MOST_BODY_BYTES + 1
        if announced > MOST_BODY_BYTES:
            await self._refuse(scope, receive, send, 413, f"refused: more than {MOST_BODY_BYTES // 1024} kB\n")
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, _bounded(receive), _with_headers(watched_send))
        except TooLargeError:
            if not started:
                await self._refuse(scope, receive, send, 413, f"refused: more than {MOST_BODY_BYTES // 1024} kB\n")

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, text: str) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": text[:100]})
        else:
            await PlainTextResponse(text, status)(scope, receive, _with_headers(send))


def _login_page(problem: str) -> str:
    return _LOGIN_PAGE.format(action=_LOGIN, problem=html.escape(problem))


def _with_headers(send: Send) -> Send:
    """Every answer says that no other page may have it: no CORS, not in a frame, nothing from elsewhere."""

    async def answer(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", ()) if not pair[0].lower().startswith(b"access-control-")]
            message["headers"] = [*kept, *_HEADERS]
        await send(message)

    return answer


def _bounded(receive: Receive) -> Receive:
    """A body that is longer than it may be ends in TooLargeError, whatever its header said."""
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BODY_BYTES:
            raise TooLargeError
        return message

    return bounded


async def _read_body(receive: Receive, most_bytes: int) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += bytes(message.get("body", b""))
        if len(body) > most_bytes:
            raise TooLargeError
        if not message.get("more_body", False):
            return body
