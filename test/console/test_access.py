"""Tokens, their file, how often they may be tried, sessions, and where requests may come from."""

from __future__ import annotations

import pytest
from hand_clock import HandClock

from ovsr_ros.console.access import Origins, Role, Sessions, Tokens, TryLimit, is_loopback, make_tokens, read_tokens
from ovsr_ros.errors import ConfigError

OPERATOR, VIEW = "o" * 16, "v" * 16


def write(path, text, mode=0o600):
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_each_token_gives_its_role_and_nothing_else_gives_one():
    tokens = Tokens(OPERATOR, VIEW)
    assert tokens.find_role(OPERATOR) is Role.OPERATOR
    assert tokens.find_role(VIEW) is Role.VIEW
    for wrong in ("", "o" * 15, "o" * 17, OPERATOR.upper(), f"{OPERATOR}\n", "\ud800"):
        assert tokens.find_role(wrong) is None
    assert Tokens(OPERATOR, None).find_role("") is None


def test_tokens_that_are_made_are_long_and_never_the_same():
    made = [make_tokens() for _ in range(20)]
    everything = {token for tokens in made for token in (tokens.operator, tokens.view)}
    assert len(everything) == 40
    assert all(len(token) >= 22 for token in everything)


def test_a_token_file_is_read(tmp_path):
    path = write(tmp_path / "tokens", f"# ours\n\noperator: {OPERATOR}\nview:{VIEW}\n")
    assert read_tokens(path) == Tokens(OPERATOR, VIEW)
    assert read_tokens(write(path, f"operator: {OPERATOR}", 0o400)) == Tokens(OPERATOR, None)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o700])
def test_a_token_file_that_others_may_read_is_refused(tmp_path, mode):
    path = write(tmp_path / "tokens", f"operator: {OPERATOR}", mode)
    with pytest.raises(ConfigError, match=f"expected a file with mode 600, got {mode:o}.*chmod 600"):
        read_tokens(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a line 'operator: TOKEN'"),
        (f"view: {VIEW}", "expected a line 'operator: TOKEN'"),
        ("operator: short", "line 1: expected a token of at least 16 characters, got 5"),
        (f"operator: {OPERATOR}\nview: {OPERATOR}", "they must differ"),
        (f"operator: {OPERATOR}\noperator: {OPERATOR}", "line 2: expected 'operator: TOKEN' or 'view: TOKEN'"),
        ("o" * 20, "line 1: expected 'operator: TOKEN'"),
        ("admin: " + "o" * 16, "line 1: expected 'operator: TOKEN'"),
    ],
)
def test_what_is_no_token_file_is_refused_without_showing_a_token(tmp_path, text, said):
    with pytest.raises(ConfigError) as refused:
        read_tokens(write(tmp_path / "tokens", text))
    assert said in str(refused.value)
    assert OPERATOR not in str(refused.value)


def test_a_token_file_that_is_missing_or_no_text_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_tokens(tmp_path / "nosuch")
    path = tmp_path / "tokens"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        read_tokens(path)


def test_after_five_wrong_tokens_an_address_waits_a_minute_and_others_do_not():
    clock = HandClock(1000.0)
    limit = TryLimit(clock)
    for _ in range(5):
        assert limit.wait_s("10.0.0.1") == 0.0
        limit.failed("10.0.0.1")
        clock.now += 1.0
    assert limit.wait_s("10.0.0.1") == pytest.approx(55.0)
    assert limit.wait_s("10.0.0.2") == 0.0
    clock.now += 55.1
    assert limit.wait_s("10.0.0.1") == 0.0


def test_from_many_addresses_fifty_tries_a_minute_are_possible():
    clock = HandClock(1000.0)
    limit = TryLimit(clock)
    for number in range(50):
        assert limit.wait_s(f"10.0.0.{number}") == 0.0
        limit.failed(f"10.0.0.{number}")
    assert limit.wait_s("10.0.1.1") > 0.0
    clock.now += 61.0
    assert limit.wait_s("10.0.1.1") == 0.0


def test_a_session_lasts_twelve_hours_and_ends_when_it_is_closed():
    clock = HandClock(1000.0)
    sessions = Sessions(clock)
    one, other = sessions.open(Role.VIEW), sessions.open(Role.OPERATOR)
    assert (sessions.find_role(one), sessions.find_role(other)) == (Role.VIEW, Role.OPERATOR)
    assert sessions.find_role("") is None
    sessions.close(one)
    assert sessions.find_role(one) is None
    clock.now += 12 * 3600 + 1
    assert sessions.find_role(other) is None


@pytest.mark.parametrize(
    ("headers", "is_websocket", "is_loop", "names", "refused"),
    [
        ({"host": "127.0.0.1:8077"}, False, True, (), False),
        ({"host": "localhost:8077", "origin": "http://localhost:8077"}, True, True, (), False),
        ({"host": "[::1]:8077", "origin": "http://[::1]:8077"}, True, True, (), False),
        ({"host": "robot:8077", "origin": "http://robot:8077"}, True, False, (), False),
        ({"host": "page.example", "origin": "https://page.example"}, True, True, ("page.example",), False),
        # Somebody else's page, a name of somebody else's DNS, another port, no origin, no host.
        ({"host": "127.0.0.1:8077", "origin": "http://evil.example"}, False, True, (), True),
        ({"host": "127.0.0.1:8077", "origin": "null"}, True, True, (), True),
        ({"host": "evil.example:8077", "origin": "http://evil.example:8077"}, True, True, (), True),
        ({"host": "robot:8077", "origin": "http://robot:8078"}, True, False, (), True),
        ({"host": "robot:8077"}, True, False, (), True),
        ({"host": "[::"}, False, False, (), True),
        ({"host": "robot", "origin": "http://[robot"}, True, False, (), True),
        ({}, False, False, (), True),
    ],
)
def test_requests_come_from_this_page_alone(headers, is_websocket, is_loop, names, refused):
    assert bool(Origins(is_loop, names).find_problem(headers, is_websocket)) == refused


def test_which_addresses_only_this_machine_reaches():
    assert all(is_loopback(address) for address in ("127.0.0.1", "127.3.2.1", "::1", "localhost"))
    assert not any(is_loopback(address) for address in ("0.0.0.0", "::", "192.168.1.2", "robot", ""))
