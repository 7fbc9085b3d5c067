"""What is wrong with images that are used: logged once each, remembered while it lasts."""

from __future__ import annotations

from ovsr_ros.nodes.health.oddities import Oddities


def test_each_text_is_logged_once_and_the_last_is_remembered():
    logged: list[str] = []
    oddities = Oddities(logged.append)
    assert oddities.recent() == ""
    for text in ("a", "b", "a", "a", "b"):
        oddities(text)
    assert logged == ["a", "b"]
    assert oddities.recent() == "b"


def test_texts_without_end_do_not_flood_the_log():
    logged: list[str] = []
    oddities = Oddities(logged.append)
    for number in range(1000):
        oddities(str(number))
    assert len(logged) < 100
    assert oddities.recent() == "999"
