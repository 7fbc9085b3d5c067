"""Who may do what: tokens, sessions, the rate at which tokens may be tried, and where a request may come from."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from ovsr_ros.errors import ConfigError

_SESSION_S = 12 * 3600.0
_MOST_SESSIONS = 1000
_SHORTEST_TOKEN = 16
_MOST_TRIES, _TRY_WINDOW_S = 5, 60.0
_MOST_TRIES_OF_ALL = 50
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Role(Enum):
    """What a browser may do: VIEW looks, OPERATOR changes."""

    VIEW = "view"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Tokens:
    """The secrets that open the page, each at least 16 characters; they differ. None: that role has none."""

    operator: str
    view: str | None

    def find_role(self, token: str) -> Role | None:
        """The role that a token gives; takes as long for a wrong one as for a right one."""
        digest = _digest(token)
        is_operator = hmac.compare_digest(digest, _digest(self.operator))
        is_view = hmac.compare_digest(digest, _digest(self.view or ""))
        if is_operator:
            return Role.OPERATOR
        return Role.VIEW if is_view and self.view else None


def make_tokens() -> Tokens:
    """New ones, of 128 random bits each."""
    return Tokens(secrets.token_urlsafe(16), secrets.token_urlsafe(16))


def read_tokens(path: Path) -> Tokens:
    """The tokens in a file with lines "operator: TOKEN" and "view: TOKEN", which only its owner can read.

    Raises ConfigError where it cannot be read, others may read it (its mode is not 600 or 400), or what it holds is no
    token.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o177:
                raise ConfigError(
                    f"{path}: expected a file with mode 600, got {mode:o}, so that others can read the tokens: "
                    f"chmod 600 {path}"
                )
            text = file.read(4096)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror or error if isinstance(error, OSError) else "not text in UTF-8"
        raise ConfigError(f"{path}: the tokens cannot be read: {reason}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, colon, token = (part.strip() for part in line.partition(":"))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not colon or name not in ("operator", "view") or name in found:
            raise ConfigError(f"{path}, line {number}: expected 'operator: TOKEN' or 'view: TOKEN', each once")
        if len(token) < _SHORTEST_TOKEN:
            raise ConfigError(
                f"{path}, line {number}: expected a token of at least {_SHORTEST_TOKEN} characters, got {len(token)}"
            )
        found[name] = token
    if "operator" not in found:
        raise ConfigError(f"{path}: expected a line 'operator: TOKEN', and 'view: TOKEN' for those who may only look")
    if found.get("view") == found["operator"]:
        raise ConfigError(f"{path}: the operator's token and the one for viewing are the same: they must differ")
    return Tokens(found["operator"], found.get("view"))


class TryLimit:
    """How often wrong tokens may come: five a minute from one address, fifty from all together. Thread-safe."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._failures: list[tuple[float, str]] = []

    def wait_s(self, address: str) -> float:
        """How long this address has to wait before its next try; 0: not at all."""
        with self._lock:
            self._forget()
            own = [when for when, who in self._failures if who == address]
            if len(own) >= _MOST_TRIES:
                return own[-_MOST_TRIES] + _TRY_WINDOW_S - self._now()
            if len(self._failures) >= _MOST_TRIES_OF_ALL:
                return self._failures[-_MOST_TRIES_OF_ALL][0] + _TRY_WINDOW_S - self._now()
            return 0.0

    def failed(self, address: str) -> None:
        """A wrong token came from there."""
        with self._lock:
            self._forget()
            self._failures.append((self._now(), address))

    def _forget(self) -> None:
        begin = self._now() - _TRY_WINDOW_S
        self._failures = [failure for failure in self._failures if failure[0] > begin][-_MOST_TRIES_OF_ALL:]


class Sessions:
    """Browsers that have shown a token; each is known by a random name in its cookie, for 12 hours. Thread-safe."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._sessions: dict[bytes, tuple[Role, float]] = {}

    def open(self, role: Role) -> str:
        """A new session's name."""
        name = secrets.token_urlsafe(24)
        with self._lock:
            self._sessions[_digest(name)] = (role, self._now() + _SESSION_S)
            while len(self._sessions) > _MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
        return name

    def find_role(self, name: str) -> Role | None:
        """The role of a session; None where there is none, or it is over."""
        with self._lock:
            role, end = self._sessions.get(_digest(name), (None, 0.0))
            return role if self._now() < end else None

    def close(self, name: str) -> None:
        """End a session."""
        with self._lock:
            self._sessions.pop(_digest(name), None)


class Origins:
    """From where a request may come: pages of this server's own, under the names that it goes by.

    names: host names by which it is reached through a proxy, in addition. is_loopback: it is bound to this machine's
    own address; then no other names count, so that no name that somebody else's DNS gives out leads here.
    """

    def __init__(self, is_loopback: bool, names: Iterable[str] = ()) -> None:
        self._names = {name.lower() for name in names}
        self._is_loopback = is_loopback

    def find_problem(self, headers: Mapping[str, str], is_websocket: bool) -> str:
        """Why a request is refused; empty where it may come in. headers: by lower-case name."""
        host = headers.get("host", "")
        name = _host_name(host)
        if not (name in self._names or (name in _LOOPBACK_NAMES if self._is_loopback else name)):
            return f"the host '{host}' is not one of this page's names: start the console with --host-name NAME"
        origin = headers.get("origin")
        if origin is None:
            return "a websocket without an origin" if is_websocket else ""
        if origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
            return f"it comes from a page of '{origin}', not from this one"
        return ""


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches the address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _host_name(host: str) -> str:
    """The name or address in a Host header, without its port; empty where it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
