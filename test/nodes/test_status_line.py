"""The demo's line on a terminal, and without one."""

from __future__ import annotations

import io

import pytest

from ovsr_ros.nodes.status_line import StatusLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")


def test_a_terminal_shows_the_newest_status_on_one_line():
    terminal = Terminal()
    line = StatusLine(terminal)
    for text in ("frame 1", "frame 1", "frame 2, with more to tell than fits"):
        line.update(text)
    line.say("vocabulary 2")
    line.close()
    assert terminal.getvalue() == ("\r\x1b[Kframe 1\r\x1b[Kframe 2, with more \r\x1b[Kvocabulary 2\n"), (
        "each status once, cut to the width, gone before a line that stays"
    )


def test_the_last_status_stays_at_the_end():
    terminal = Terminal()
    line = StatusLine(terminal)
    line.update("frame 9")
    line.close()
    line.close()
    assert terminal.getvalue() == "\r\x1b[Kframe 9\n"


def test_without_a_terminal_plain_lines_come_once_in_a_while():
    stream = io.StringIO()
    line = StatusLine(stream)
    for number in range(5):
        line.update(f"frame {number}")
    line.say("the end")
    line.close()
    assert stream.getvalue() == "frame 0\nthe end\n"
