"""The node's vocabulary over restarts, and when its file cannot be read or written."""

from __future__ import annotations

import json

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter

from ovsr_ros import srv

REPLACE, ADD, REMOVE = (
    srv.SetVocabulary.Request.REPLACE,
    srv.SetVocabulary.Request.ADD,
    srv.SetVocabulary.Request.REMOVE,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "vocabulary.json"


@pytest.fixture
def start(start_node, ovsr, path):
    """Configures a node, and nothing more, with the file; ends the node that it started before."""
    nodes = []

    def start(**parameters):
        if nodes:
            nodes[-1].destroy_node()
        ovsr.diagnostics.clear()
        nodes.append(start_node(autostart=False, vocabulary_file=str(path), **parameters))
        assert nodes[-1].trigger_configure().name == "SUCCESS"
        return nodes[-1]

    return start


def ids_of(vocabulary):
    return {category.name: category.id for category in vocabulary.categories}


def change(node, operation, *texts):
    from ovsr_ros.vocabulary.category import Operation, parse_category

    return node.change_vocabulary(Operation(operation), [parse_category(text) for text in texts]).after


def test_ids_words_colours_and_versions_go_on_after_a_restart(start, path):
    first = start()
    change(first, ADD, "wall; paint; #102030", "floor")
    before = change(first, REMOVE, "ball", "floor")
    assert json.loads(path.read_text(encoding="utf-8"))["version"] == before.version == 3

    second = start()
    assert second.vocabulary.categories == before.categories, "the file's words, not those of the config file"
    assert second.vocabulary.version > before.version
    assert list(second.get_parameter("categories").value) == ["mug; cup", "wall; paint; #102030"]
    assert ids_of(change(second, ADD, "table", "floor")) == {"mug": 0, "wall": 2, "floor": 3, "table": 4}


def test_chosen_ids_are_a_label_space_that_outlives_restarts(start):
    change(start(), REPLACE, "road=7", "wall=200", "mug")
    second = start()
    assert list(second.get_parameter("categories").value) == ["mug", "road=7", "wall=200"]
    third = start(categories=["sky=30", "wall"])
    assert ids_of(third.vocabulary) == {"sky": 30, "wall": 200}


def test_categories_given_as_a_parameter_win_and_get_the_file_s_ids(start):
    first = start()
    version = change(first, REPLACE, "wall", "floor").version
    second = start(categories=["floor", "table", "ball"])
    assert ids_of(second.vocabulary) == {"ball": 1, "floor": 3, "table": 4}
    assert second.vocabulary.version > version


def test_categories_set_before_configuring_win_too(start, start_node, path):
    change(start(), REPLACE, "wall")
    start().destroy_node()
    node = start_node(autostart=False, vocabulary_file=str(path))
    assert node.set_parameters([Parameter("categories", value=["table"])])[0].successful
    assert node.trigger_configure().name == "SUCCESS"
    assert ids_of(node.vocabulary) == {"table": 3}


def test_cleanup_and_configure_go_on_as_well(start, path):
    node = start()
    change(node, REPLACE, "wall")
    assert node.trigger_cleanup().name == "SUCCESS"
    path.write_text("is not read again")
    assert node.trigger_configure().name == "SUCCESS"
    assert ids_of(node.vocabulary) == {"wall": 2}
    assert json.loads(path.read_text(encoding="utf-8"))["version"] == node.vocabulary.version


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "a file that this node wrote"),
        ('{"format": "ovsr_ros vocabulary", "format_version": 9}', "newer"),
    ],
)
def test_an_unusable_file_is_kept_and_said_and_the_node_goes_on(start, ovsr, path, content, said):
    path.parent.mkdir()
    path.write_text(content)
    node = start()
    assert ids_of(node.vocabulary) == {"mug": 0, "ball": 1}
    aside = path.with_name("vocabulary.json.bad")
    assert aside.read_text() == content
    ovsr.client.wait(lambda: ovsr.errors(said), "an error that says what is wrong")
    assert str(aside) in ovsr.errors(said)[0]
    ovsr.client.wait(lambda: said in ovsr.status_message("vocabulary"), "the same in /diagnostics")
    assert ovsr.status("vocabulary").level == DiagnosticStatus.WARN
    assert ids_of(start().vocabulary) == {"mug": 0, "ball": 1}, "the new file is good"


def test_names_that_an_earlier_version_took_cost_no_ids(start, ovsr, path):
    names = ["mug\u200b", "m\ufffdg", "mug", "wall"]
    content = {
        "format": "ovsr_ros vocabulary",
        "format_version": 1,
        "version": 4,
        "categories": [{"id": id, "name": names[id], "synonyms": []} for id in (0, 1, 3)],
        "names": [{"id": id, "name": name, "color": None} for id, name in enumerate(names)],
    }
    path.parent.mkdir()
    path.write_text(json.dumps(content), encoding="utf-8")
    node = start()
    assert ids_of(node.vocabulary) == {"mug": 0, "wall": 3}
    assert list(node.get_parameter("categories").value) == ["mug", "wall"]
    ovsr.client.wait(lambda: "U+FFFD at character 2" in ovsr.status_message("vocabulary"), "a warning that says why")
    assert ovsr.status("vocabulary").level == DiagnosticStatus.WARN
    assert ids_of(change(node, ADD, "floor")) == {"mug": 0, "wall": 3, "floor": 4}
    assert ids_of(start().vocabulary) == {"mug": 0, "wall": 3, "floor": 4}
    status = ovsr.client.wait(lambda: ovsr.status("vocabulary"), "the second node's status")
    assert status.level == DiagnosticStatus.OK, "nothing is left out any more"
    assert not list(path.parent.glob("*.bad"))


def test_two_nodes_do_not_share_a_file(start, start_node, ovsr, path):
    first = start()
    content = path.read_text()
    second = start_node(autostart=False, vocabulary_file=str(path), categories=["table"])
    assert second.trigger_configure().name == "SUCCESS"
    ovsr.client.wait(lambda: ovsr.errors("in use by another node"), "an error that says so")
    assert ids_of(second.vocabulary) == {"table": 0}
    assert path.read_text() == content
    assert ids_of(change(first, ADD, "wall")) == {"mug": 0, "ball": 1, "wall": 2}


def test_the_node_s_name_can_be_part_of_the_file_s(start_node, tmp_path):
    node = start_node(autostart=False, vocabulary_file=str(tmp_path / "{node}.json"))
    assert node.trigger_configure().name == "SUCCESS"
    assert json.loads((tmp_path / "ovsr.json").read_text(encoding="utf-8"))["version"] == node.vocabulary.version


def test_the_file_is_fixed_while_the_node_runs(start):
    (result,) = start().set_parameters([Parameter("vocabulary_file", value="/tmp/other")])
    assert not result.successful
    assert "read-only" in result.reason


def test_on_a_full_disk_the_node_goes_on_says_so_and_saves_later(start_node, ovsr, path):
    start_node(vocabulary_file=str(path))
    ovsr.wait_until_active()
    path.with_name(".vocabulary.json.part").symlink_to("/dev/full")  # the disk is full, for one write
    answer = ovsr.set_vocabulary(ADD, "wall")
    assert answer.success
    assert answer.message.startswith("version 2: 3 categories; added 'wall' (id 2); not saved: ")
    assert answer.message.endswith(f"{path}: No space left on device; free space there")
    segments = ovsr.label()
    assert segments.vocabulary_version == 2
    assert segments.segments
    ovsr.client.wait(lambda: "No space left" in ovsr.status_message("vocabulary"), "the cause in /diagnostics")
    assert ovsr.status("vocabulary").level == DiagnosticStatus.WARN
    ovsr.client.wait(
        lambda: any("in force, but not saved" in log.msg and "free space" in log.msg for log in ovsr.logs), "a warning"
    )
    ovsr.client.wait(lambda: json.loads(path.read_text())["version"] == 2, "another attempt")
    ovsr.client.wait(lambda: ovsr.status("vocabulary").level == DiagnosticStatus.OK, "the end of the warning")
    assert ovsr.set_vocabulary(ADD, "floor").message == "version 3: 4 categories; added 'floor' (id 3)"


def test_where_nothing_can_be_written_the_node_labels_all_the_same(start_node, ovsr):
    """The kernel lets nobody make files there, not even root."""
    start_node(vocabulary_file="/sys/kernel/vocabulary.json")
    ovsr.wait_until_active()
    answer = ovsr.set_vocabulary(REPLACE, "wall", "floor")
    assert answer.success
    assert "another vocabulary_file" in answer.message
    assert ovsr.label().vocabulary_version == 2
    result = ovsr.set_parameters(categories=["ball"])
    assert result.successful
    assert "another vocabulary_file" in result.reason
