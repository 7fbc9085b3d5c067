"""What every request passes, by ASGI itself: no server, no browser."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("nicegui", reason='needs the extra: pip install "ovsr_ros[console]"')

from ovsr_ros.console.access import Origins, Role, Tokens
from ovsr_ros.console.web.gate import MOST_BODY_BYTES, ROLE, Access, Gate

OPERATOR, VIEW = "o" * 16, "v" * 16
OWN = [("host", "robot:8077"), ("accept", "text/html")]


class Site:
    """What stands behind the gate: it keeps what it was given, and allows itself to be read from everywhere."""

    def __init__(self, tokens=None, is_loopback=False):
        self.access = Access(Origins(is_loopback), tokens)
        self.gate = Gate(self, self.access)
        self.scopes = []
        self.bodies = []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        body, more = b"", scope["type"] == "http"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        headers = [(b"access-control-allow-origin", b"*"), (b"x-own", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"in"})

    def ask(self, path="/", method="GET", query="", headers=OWN, chunks=(b"",), kind="http", client="10.0.0.5"):
        """Status, headers and what is sent, of one request."""
        sent, waiting = [], list(chunks)
        scope = {
            "type": kind, "path": path, "method": method, "query_string": query.encode(), "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers], "client": (client, 1),
        }  # fmt: skip

        async def receive():
            if kind == "websocket":
                return {"type": "websocket.connect"}
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

        async def send(message):
            sent.append(message)

        asyncio.run(self.gate(scope, receive, send))
        first = sent[0]
        return first.get("status", first.get("code")), dict(first.get("headers", ())), sent


def cookie(headers):
    return headers[b"set-cookie"].decode().partition(";")[0]


@pytest.fixture
def site():
    return Site(Tokens(OPERATOR, VIEW))


def test_on_this_machines_own_address_nobody_needs_a_token():
    site = Site(is_loopback=True)
    assert site.ask(headers=[("host", "127.0.0.1:8077")])[0] == 200
    assert site.scopes[0][ROLE] is Role.OPERATOR
    assert site.ask(headers=[("host", "elsewhere.example:8077")])[0] == 403, "a name that somebody else gave out"


@pytest.mark.parametrize(("token", "role"), [(OPERATOR, Role.OPERATOR), (VIEW, Role.VIEW)])
def test_a_token_in_the_address_opens_a_session_and_is_seen_no_more(site, token, role):
    status, headers, _ = site.ask(query=f"token={token}&node=%2Fa")
    assert (status, headers[b"location"]) == (303, b"/?node=%2Fa")
    kept = headers[b"set-cookie"].decode().lower()
    assert all(part in kept for part in ("httponly", "samesite=strict"))
    assert token not in kept
    assert site.ask(headers=[*OWN, ("cookie", cookie(headers))])[0] == 200
    assert site.scopes[0][ROLE] is role


def test_a_token_in_the_form_opens_one_too(site):
    status, headers, _ = site.ask("/login", "POST", chunks=(f"token={VIEW}".encode(),))
    assert (status, headers[b"location"]) == (303, b"/")
    site.ask(headers=[*OWN, ("cookie", cookie(headers))])
    assert site.scopes[0][ROLE] is Role.VIEW


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 200),
        ("/_nicegui/x.js", "GET", 401),
        ("/_nicegui_ws/socket.io", "POST", 401),
        ("/login", "GET", 200),
    ],
)
def test_without_a_token_there_is_the_form_and_nothing_else(site, path, method, status):
    got, _, sent = site.ask(path, method)
    assert got == status
    assert (b"Token" in sent[1]["body"]) == (status == 200)
    assert site.scopes == []


def test_wrong_tokens_are_refused_and_after_five_even_the_right_one_waits(site):
    for _ in range(5):
        assert site.ask(query="token=wrong")[0] == 403
    status, headers, _ = site.ask(query=f"token={OPERATOR}")
    assert status == 429
    assert 0 < int(headers[b"retry-after"]) <= 60
    assert site.ask(query=f"token={OPERATOR}", client="10.0.0.6")[0] == 303
    assert site.scopes == []


def test_a_made_up_session_is_none(site):
    for value in ("ovsr_console=made-up", "ovsr_console=", "other=1", '"'):
        assert site.ask("/_nicegui/x.js", headers=[*OWN, ("cookie", value)])[0] == 401


def test_another_token_gives_another_role(site):
    first = cookie(site.ask(query=f"token={VIEW}")[1])
    status, headers, _ = site.ask(query=f"token={OPERATOR}", headers=[*OWN, ("cookie", first)])
    assert status == 303
    site.ask(headers=[*OWN, ("cookie", cookie(headers))])
    assert site.scopes[0][ROLE] is Role.OPERATOR


@pytest.mark.parametrize(
    ("origin", "let_in"),
    [("http://robot:8077", True), ("http://evil.example", False), ("null", False), (None, False)],
)
def test_a_websocket_comes_from_a_page_of_this_server(site, origin, let_in):
    session = cookie(site.ask(query=f"token={OPERATOR}")[1])
    headers = [*OWN, ("cookie", session), *([("origin", origin)] if origin else [])]
    status, _, sent = site.ask("/pictures", kind="websocket", headers=headers)
    assert bool(site.scopes) == let_in
    if not let_in:
        assert (status, sent[0]["type"]) == (1008, "websocket.close")


def test_a_websocket_without_a_session_is_closed(site):
    status, _, _ = site.ask("/pictures", kind="websocket", headers=[*OWN, ("origin", "http://robot:8077")])
    assert (status, site.scopes) == (1008, [])


def test_another_sites_form_is_refused(site):
    session = cookie(site.ask(query=f"token={OPERATOR}")[1])
    headers = [*OWN, ("cookie", session), ("origin", "http://evil.example")]
    assert site.ask("/_nicegui/client/1/upload/2", "POST", headers=headers)[0] == 403


def test_no_other_page_is_told_that_it_may_read_this_one():
    _, headers, _ = Site(is_loopback=True).ask(headers=[("host", "localhost:8077")])
    assert not [name for name in headers if name.startswith(b"access-control")]
    assert headers[b"x-own"] == b"1"
    assert headers[b"x-frame-options"] == b"DENY"
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert b"default-src 'self'" in headers[b"content-security-policy"]


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_body_has_a_bound_whatever_its_header_says(is_announced):
    site = Site(is_loopback=True)
    own = [("host", "127.0.0.1:8077")]
    half = b"x" * (MOST_BODY_BYTES // 2)
    assert site.ask("/upload", "POST", headers=own, chunks=(half, half))[0] == 200
    length = [("content-length", str(3 * len(half)))] if is_announced else []
    assert site.ask("/upload", "POST", headers=[*own, *length], chunks=(half, half, half))[0] == 413
    assert len(site.bodies) == 1
    assert site.ask("/upload", "POST", headers=[*own, ("content-length", "much")])[0] == 413
