"""Bags are labelled by a vocabulary with examples, as a node keeps it: anew, again, and wherever it was stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from room_bags import images_of, room_images, write_ros2
from rosbags.highlevel import AnyReader
from taught_words import teach_words

from ovsr_ros.cli import main
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.recordings import labels as labels_module
from ovsr_ros.recordings.cluster import Worker
from ovsr_ros.recordings.job import LabelJob, Outcome, to_job
from ovsr_ros.recordings.job_words import read_words, to_words
from ovsr_ros.recordings.record import key_of_fast_half
from ovsr_ros.vocabulary.category import Operation
from ovsr_ros.vocabulary.file import VocabularyFile
from ovsr_ros.vocabulary.registry import VocabularyRegistry

OPTIONS = ["--config", "demo", "--set", "text.cache_directory=none", "--device", "cpu"]
PICTURES = ["--masks", "--coco", "--sheet"]


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    return write_ros2(tmp_path_factory.mktemp("bags") / "room", images_of(room_images(4, (320, 240), seed=35)))


@pytest.fixture(scope="module")
def labelled(bag, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("labelled")
    assert label(bag, out, "--categories", *CATEGORIES) == 0
    return out


def label(bag: Path, out: Path, *arguments: object) -> int:
    return main(["bags", "label", str(bag), "--out", str(out), *OPTIONS, *PICTURES, *map(str, arguments)])


def relabel(folder: Path, *arguments: object) -> int:
    return main(["bags", "relabel", str(folder), *PICTURES, *map(str, arguments)])


@pytest.fixture(scope="module")
def vocabulary_file(labelled, tmp_path_factory) -> Path:
    return teach_words(labelled / "room", tmp_path_factory.mktemp("node") / "vocabulary.json")


@pytest.fixture(scope="module")
def anew(bag, vocabulary_file, tmp_path_factory) -> Path:
    """The bag, labelled by that vocabulary."""
    out = tmp_path_factory.mktemp("anew")
    assert label(bag, out, "--vocabulary", vocabulary_file) == 0
    return out


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "recording.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def read(folder: Path, topic: str) -> list:
    with AnyReader([folder / "labels"]) as reader:
        found = [each for each in reader.connections if each.topic == f"/ovsr/{topic}"]
        return [reader.deserialize(data, connection.msgtype) for connection, _, data in reader.messages(found)]


def test_labels_have_the_vocabulary_s_ids_colours_and_examples(anew, vocabulary_file) -> None:
    (message,) = read(anew / "room", "vocabulary")
    assert [(each.id, each.id_chosen, each.name) for each in message.categories] == [
        *((40, True, "wall"), (41, False, "floor"), (42, False, "thing"))
    ]
    thing = message.categories[2]
    assert [(each.id, bool(each.used)) for each in thing.examples] == [(1, True), (2, False)]
    assert (thing.color.r, round(thing.color.g, 2), thing.color.b) == (1.0, 0.5, 0.0)
    by_name = json.loads((anew / "room" / "recording.json").read_text())["summary"]["by_name"]
    assert by_name["thing"] > 0.1, "the largest segment looks like its example"


def test_the_examples_are_why(labelled, anew, tmp_path) -> None:
    assert relabel(labelled, "--out", tmp_path, "--categories", "wall=40; ceiling", "floor", "thing; #ff8000") == 0
    without, by_example = (
        json.loads((folder / "room" / "recording.json").read_text())["summary"]["by_name"]
        for folder in (tmp_path, anew)
    )
    assert without["thing"] < by_example["thing"]


@pytest.mark.parametrize("options", [[], ["--set", "examples.rule=alone", "--set", "examples.margin=0.4"]])
def test_relabelled_is_labelled_anew(bag, labelled, anew, vocabulary_file, tmp_path, options) -> None:
    copied = shutil.copytree(labelled, tmp_path / "copied")
    assert relabel(copied, "--vocabulary", vocabulary_file, *options) == 0
    if options:
        assert label(bag, tmp_path / "anew", "--vocabulary", vocabulary_file, *options) == 0
        assert contents(tmp_path / "anew" / "room") != contents(anew / "room"), "the options count"
    expected = contents((tmp_path / "anew" if options else anew) / "room")
    assert contents(copied / "room") == expected


class Killed(BaseException):
    """As a signal ends a process, for tests: nobody catches it."""


def test_what_is_stopped_goes_on_and_what_is_done_is_left_alone(
    bag, anew, vocabulary_file, tmp_path, monkeypatch, capsys
) -> None:
    def stop(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(labels_module.LabelWriter, "write_frame", stop)
        with pytest.raises(Killed):
            label(bag, tmp_path, "--vocabulary", vocabulary_file)
    assert label(bag, tmp_path, "--vocabulary", vocabulary_file) == 0
    assert contents(tmp_path / "room") == contents(anew / "room")
    capsys.readouterr()
    assert label(bag, tmp_path, "--vocabulary", vocabulary_file) == 0
    error = capsys.readouterr().err
    assert "was labelled already" in error
    assert (
        "1 of 2 examples is not used ('thing'): they were taught to other weights than those in use; they are kept for "
        "these; teach them again (~/teach), or take them out"
    ) in error
    content = json.loads(vocabulary_file.read_text())
    del content["names"][2]["examples"][0]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    assert label(bag, tmp_path, "--vocabulary", other) == 0
    assert "was labelled already" not in capsys.readouterr().err
    assert contents(tmp_path / "room") != contents(anew / "room")


def test_a_job_is_the_same_job_on_another_machine(bag, anew, vocabulary_file, tmp_path) -> None:
    record = json.loads((anew / "room" / "recording.json").read_text())
    job = replace(to_job(record["job"]), folder=str(tmp_path / "room"))
    state = VocabularyFile(vocabulary_file).load()
    assert state is not None
    made = replace(job, vocabulary=to_words(state.vocabulary))
    sent = json.loads(json.dumps(asdict(made)))
    assert key_of_fast_half(to_job(sent)) == key_of_fast_half(made) == record["fast_key"]
    assert key_of_fast_half(replace(made, vocabulary={})) != record["fast_key"]
    outcome = Worker(1).work(sent, -1)  # what a worker of Ray's does of a whole bag
    assert isinstance(outcome, Outcome)
    assert contents(tmp_path / "room") == contents(anew / "room")


def test_a_job_has_what_labels_depend_on_and_no_more(vocabulary_file) -> None:
    state = VocabularyFile(vocabulary_file).load()
    assert state is not None
    words = to_words(state.vocabulary)
    assert b"a picture" not in json.dumps(words).encode()
    assert "gone" not in json.dumps(words)
    found = read_words((), (), words)
    assert found.version == 1
    assert found.categories == state.vocabulary.categories
    for first, second in zip(found.examples, state.vocabulary.examples, strict=True):
        np.testing.assert_array_equal(first.embedding, second.embedding)
    assert key_of_fast_half(LabelJob("", "", {}, ("a",))) == key_of_fast_half(
        LabelJob("", "", {}, ("a",), vocabulary={})
    )


def test_a_list_that_the_page_has_saved_will_do(labelled, tmp_path) -> None:
    lists = {
        "a.yaml": 'categories:\n- "wall=40; ceiling"\n- "floor; #00ff00"\n',
        "b.txt": "# ours\nwall=40; ceiling\nfloor",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        out = tmp_path / "out" / name
        assert relabel(labelled, "--out", out, "--vocabulary", tmp_path / name) == 0
        (message,) = read(out / "room", "vocabulary")
        assert [(each.id, each.name, each.synonyms) for each in message.categories] == [
            *((40, "wall", ["ceiling"]), (41, "floor", []))
        ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ('{"format": "ovsr_ros vocabulary", ', "expected JSON, got something else"),
        ('{"format": "ovsr_ros vocabulary", "format_version": 99}', "a newer version of ovsr_ros wrote it"),
        ("mug\nmug", "'mug' is a duplicate"),
        ("# nothing\n", "expected categories, one a line, or YAML with a list under 'categories'; got none"),
    ],
)
def test_a_file_that_is_none_is_one_line(labelled, bag, tmp_path, capsys, content: str | None, said: str) -> None:
    path = tmp_path / "words.json"
    if content is not None:
        path.write_text(content)
    assert relabel(labelled, "--vocabulary", path) == 2
    error = capsys.readouterr().err
    assert error.startswith("ovsr: ")
    assert str(path) in error
    assert said in error
    assert error.count("\n") == 1
    assert label(bag, tmp_path / "out", "--vocabulary", path) == 2


def test_other_words_beside_it_are_refused(labelled, vocabulary_file, tmp_path, capsys) -> None:
    (tmp_path / "ids.txt").write_text("7: wall\n")
    for others in (["--categories", "mug"], ["--ids", tmp_path / "ids.txt"]):
        assert relabel(labelled, "--vocabulary", vocabulary_file, *others) == 2
        assert "--vocabulary: has the words and their ids; expected no --categories" in capsys.readouterr().err


def test_a_node_without_words_has_none(labelled, tmp_path, capsys) -> None:
    registry = VocabularyRegistry()
    registry.commit(registry.propose(Operation.REPLACE, []))
    VocabularyFile(tmp_path / "empty.json").save(registry)
    assert relabel(labelled, "--vocabulary", tmp_path / "empty.json") == 2
    assert "empty.json: expected words in force, got none" in capsys.readouterr().err
