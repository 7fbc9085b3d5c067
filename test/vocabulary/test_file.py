"""What a vocabulary's file keeps, and what becomes of one that cannot be used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ovsr_ros.errors import VocabularyFileError
from ovsr_ros.vocabulary.category import Operation, parse_category
from ovsr_ros.vocabulary.file import VocabularyFile
from ovsr_ros.vocabulary.registry import VocabularyRegistry


def apply(registry, operation, *texts):
    return registry.commit(registry.propose(operation, [parse_category(text) for text in texts]))


@pytest.fixture
def registry():
    registry = VocabularyRegistry()
    apply(registry, Operation.REPLACE, "mug; cup; #ff8000", "Wänd", "floor")
    apply(registry, Operation.REMOVE, "floor")
    return registry


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "vocabulary.json"


def test_what_is_saved_is_loaded(path, registry):
    assert VocabularyFile(path).load() is None
    assert VocabularyFile(path).save(registry) == ""
    assert VocabularyFile(path).load() == registry.state
    assert list(path.parent.iterdir()) == [path], "nothing else is left behind"


def test_people_can_read_it(path, registry):
    VocabularyFile(path).save(registry)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (content["format"], content["format_version"], content["version"]) == ("ovsr_ros vocabulary", 1, 2)
    assert content["categories"][0] == {"id": 0, "name": "mug", "synonyms": ["cup"]}
    assert content["names"][0] == {"id": 0, "name": "mug", "color": "#ff8000"}
    assert content["names"][2] == {"id": 2, "name": "floor", "color": None}


def test_nothing_is_written_when_nothing_changed(path, registry):
    file = VocabularyFile(path)
    file.save(registry)
    before = path.stat()
    file.save(registry)
    again = VocabularyFile(path)
    again.load()
    again.save(registry)
    assert path.stat().st_ino == before.st_ino, "each writing makes a new file"
    apply(registry, Operation.ADD, "book")
    file.save(registry)
    assert path.stat().st_ino != before.st_ino


def test_a_link_stays_a_link(tmp_path, path, registry):
    path.parent.mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(path)
    assert VocabularyFile(link).save(registry) == ""
    assert link.is_symlink()
    assert VocabularyFile(path).load() == registry.state


def test_savers_that_wait_for_each_other_all_get_the_newest_state_saved(path):
    registry, file, problems = VocabularyRegistry(), VocabularyFile(path), []

    def change(number):
        for turn in range(5):
            with change_lock:
                apply(registry, Operation.REPLACE, f"thing {number}", f"turn {turn}")
            wanted = registry.current.version
            problems.append(file.save(registry))
            assert json.loads(path.read_text(encoding="utf-8"))["version"] >= wanted

    change_lock = threading.Lock()
    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [""] * 30
    assert VocabularyFile(path).load() == registry.state


# --- Files that cannot be used ---


def saved(registry, path):
    VocabularyFile(path).save(registry)
    return path.read_text(encoding="utf-8")


def changed(text, **changes):
    return json.dumps({**json.loads(text), **changes})


UNUSABLE = {
    "cut short": (lambda text: text[: len(text) // 2], "expected JSON"),
    "empty": (lambda text: "", "expected JSON"),
    "binary": (lambda text: b"\xff\xfe\x00", "no text"),
    "foreign": (lambda text: '{"categories": ["mug"]}', "a file that this node wrote"),
    "a list": (lambda text: "[1, 2]", "a file that this node wrote"),
    "newer": (lambda text: changed(text, format_version=4), "newer version of ovsr_ros"),
    "no names": (lambda text: changed(text, names=[]), "damaged"),
    "no version": (lambda text: changed(text, version=None), "damaged: version: expected 0 to 4294967295, got None"),
    "an id twice": (lambda text: text.replace('"id": 2', '"id": 1'), "damaged: ids"),
    "no such colour": (lambda text: text.replace("#ff8000", "orange"), "damaged: expected a colour such as"),
    "a name that cannot be": (lambda text: text.replace('"cup"', '"a; b"'), "damaged: name"),
    "a field less": (lambda text: text.replace('"synonyms"', '"synonym"'), "damaged: 'synonyms' is missing"),
    "deep": (lambda text: "[" * 100_000, "expected JSON"),
}


@pytest.mark.parametrize(("spoil", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_file_is_named_with_its_fault_and_kept(path, registry, spoil, said):
    content = spoil(saved(registry, path))
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    file = VocabularyFile(path)
    with pytest.raises(VocabularyFileError, match=said) as caught:
        file.load()
    assert str(path) in str(caught.value)
    aside = file.set_aside()
    assert aside == path.with_name("vocabulary.json.bad")
    assert file.save(registry) == ""
    path.write_text("again")
    assert file.set_aside() == path.with_name("vocabulary.json.bad.1")
    assert aside.read_bytes() == (content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("place", ["/dev/full", "."])
def test_what_is_no_file_is_refused_and_left_alone(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VocabularyFileError, match="expected a file"):
        VocabularyFile(place).claim()
    assert list(tmp_path.iterdir()) == []


def test_a_file_belongs_to_one_at_a_time(path):
    first, second = VocabularyFile(path), VocabularyFile(path)
    first.claim()
    with pytest.raises(VocabularyFileError, match="another node"):
        second.claim()
    first.close()
    second.claim()
    second.close()


@pytest.mark.parametrize("folder", ["/sys/kernel", "/dev/null/folder"])
def test_where_nothing_can_be_written_the_cause_and_the_remedy_are_named(registry, folder):
    """Not even by root."""
    file = VocabularyFile(Path(folder) / "vocabulary.json")
    file.claim()
    assert "let the node write to" in file.save(registry)


def test_a_failed_write_leaves_the_file_as_it_was(path, registry):
    file = VocabularyFile(path)
    before = saved(registry, path)
    path.with_name(".vocabulary.json.part").symlink_to("/dev/full")  # the disk is full, for one write
    apply(registry, Operation.ADD, "book")
    problem = file.save(registry)
    assert problem == f"{path}: {os.strerror(28)}; free space there"
    assert path.read_text(encoding="utf-8") == before
    assert file.save(registry) == "", "there is space again"
    assert VocabularyFile(path).load() == registry.state


SAVE_FOREVER = """
import sys
from ovsr_ros.vocabulary.registry import VocabularyRegistry
from ovsr_ros.vocabulary.category import CategoryRequest, Operation
from ovsr_ros.vocabulary.file import VocabularyFile

registry, file = VocabularyRegistry(), VocabularyFile(sys.argv[1])
while True:
    names = [f"thing {(registry.current.version + number) % 200}" for number in range(50)]
    registry.commit(registry.propose(Operation.REPLACE, [CategoryRequest(name) for name in names]))
    assert file.save(registry) == ""
    print(registry.current.version, flush=True)
"""


def test_whoever_is_killed_while_saving_leaves_a_whole_file(path):
    for after in (1, 5, 20):
        command = [sys.executable, "-c", SAVE_FOREVER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(after):
                told = int(process.stdout.readline())
            process.kill()
        state = VocabularyFile(path).load()
        assert state is not None
        assert state.vocabulary.version >= told, "what was said to be saved is saved"
        path.unlink()
