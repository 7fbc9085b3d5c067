"""The log: who changed what; what can be undone."""

from __future__ import annotations

import pytest

from ovsr_ros.console.changes import ELSEWHERE, ChangeLog
from ovsr_ros.vocabulary.category import CategoryRequest, Operation
from ovsr_ros.vocabulary.registry import VocabularyRegistry


@pytest.fixture
def node():
    """A registry that tells a log of each change, as a node does."""
    return Node(ChangeLog())


class Node:
    def __init__(self, log):
        self.log = log
        self.registry = VocabularyRegistry()
        self.log.saw("/a", self.registry.current, self.change(Operation.REPLACE, "mug", tell=False))

    def change(self, operation, *names, tell=True):
        before = self.registry.current
        after = self.registry.commit(self.registry.propose(operation, [CategoryRequest(name) for name in names]))
        if tell:
            self.log.saw("/a", before, after)
        return after

    def said(self):
        return [(entry.who, entry.version) for entry in self.log.entries()]


def test_the_first_vocabulary_that_is_heard_is_no_change(node):
    assert node.log.entries() == []
    assert node.log.last_change("/a", node.registry.current) is None


@pytest.mark.parametrize("is_announced_first", [True, False])
def test_a_change_is_its_operators_whether_answer_or_topic_comes_first(node, is_announced_first):
    before = node.registry.current
    after = node.change(Operation.ADD, "ball", tell=False)
    steps = [lambda: node.log.announce("/a", "Ann", "added", 2), lambda: node.log.saw("/a", before, after)]
    for step in steps if is_announced_first else reversed(steps):
        step()
    assert node.said() == [("Ann", 2)]
    assert node.log.last_change("/a", after).describe().endswith("added 'ball' (id 1)")


def test_a_change_from_elsewhere_is_told_as_that(node):
    node.change(Operation.ADD, "ball")
    (entry,) = node.log.entries()
    assert (entry.who, entry.version) == (ELSEWHERE, 2)
    assert "added 'ball' (id 1)" in entry.what


def test_changes_are_undone_one_after_the_other_and_an_undo_is_none_to_be_undone(node):
    first = node.registry.current
    second = node.change(Operation.ADD, "ball")
    node.change(Operation.ADD, "chair")
    for expected in (second, first):
        change = node.log.last_change("/a", node.registry.current)
        node.log.undoes("/a", change)
        node.change(Operation.REPLACE, *change.before.names)
        assert node.registry.current.categories == expected.categories
    assert node.log.last_change("/a", node.registry.current) is None


def test_a_node_that_begins_anew_has_nothing_to_undo(node):
    after = node.change(Operation.ADD, "ball")
    again = Node(ChangeLog()).registry.current
    node.log.saw("/a", after, again)
    assert node.log.last_change("/a", again) is None
    node.log.announce("/a", "Ann", "added", 2)
    assert node.said()[0] == ("Ann", 2)


def test_the_log_is_kept_and_a_line_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "folder" / "changes.jsonl"
    log = ChangeLog(path, now=lambda: 12.5)
    log.say("/a", "Ann", "asked", refused="no")
    log.announce("/a", "Bob", "added", 3)
    path.write_text(path.read_text() + '{"time_s": 1, "no')
    again = ChangeLog(path)
    assert again.entries() == log.entries()
    assert [(entry.who, entry.refused) for entry in again.entries()] == [("Bob", ""), ("Ann", "no")]


def test_where_the_log_cannot_be_kept_it_goes_on_and_says_so(tmp_path):
    (tmp_path / "file").touch()
    log = ChangeLog(tmp_path / "file" / "changes.jsonl")
    log.say("/a", "Ann", "asked")
    assert len(log.entries()) == 1
    assert "the log is not kept: File exists" in log.problem
