"""Every reader of what comes from outside, with some hundred odd inputs; bench/fuzz.py has as many as one likes."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

READERS = (
    "image messages",
    "compressed images",
    "depth messages",
    "compressed depth",
    "camera_info",
    "vocabulary requests",
    "parameters",
    "config files",
    "vocabulary files",
    "weight files",
)


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_gives_what_it_documents_or_says_why_not(load_script, reader):
    fuzz = load_script("fuzz")
    targets = fuzz.all_targets()
    assert set(targets) == set(READERS)
    outcome = fuzz.try_inputs(targets[reader], 120, longest_s=60.0)
    assert outcome.problem == ""
    assert outcome.num_inputs >= 120


def test_what_goes_wrong_is_told_with_its_smallest_input(load_script, capsys, monkeypatch):
    fuzz = load_script("fuzz")

    def read(number):
        assert number < 1000, "too large a number"

    targets = {"numbers": fuzz.Target(st.integers(0, 10**6), read)}
    monkeypatch.setattr(fuzz, "all_targets", lambda: targets)
    assert fuzz.main(["--inputs", "100"]) == 1
    printed = capsys.readouterr()
    assert "| **failed** |" in printed.out
    assert "too large a number" in printed.err
    assert "given_input=1000" in printed.err


def test_an_input_that_takes_long_is_a_failure(load_script):
    fuzz = load_script("fuzz")
    outcome = fuzz.try_inputs(fuzz.Target(st.integers(), lambda number: None), 20, longest_s=0.0)
    assert "took 0.0 s" in outcome.problem
