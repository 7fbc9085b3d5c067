"""Vocabularies saved by name, imported and exported."""

from __future__ import annotations

import pytest

from ovsr_ros.console.saved import MOST_BYTES, SavedVocabularies, describe_difference, read_vocabulary, to_text, to_yaml
from ovsr_ros.errors import VocabularyError
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary
from ovsr_ros.vocabulary.registry import VocabularyRegistry


def make(*names):
    registry = VocabularyRegistry()
    return registry.commit(registry.propose(Operation.REPLACE, [CategoryRequest(name) for name in names]))


WORDS = make("mug; cup; #ff8000", "no", "été=30; #102030", "#1 fan", "08=7; null")


@pytest.mark.parametrize(("write", "name"), [(to_text, "a.txt"), (to_yaml, "a.yaml"), (to_yaml, "a")])
def test_what_is_exported_is_imported_as_it_was(write, name):
    requests = read_vocabulary(write(WORDS).encode(), name)
    assert make(*(request.name for request in requests)) == WORDS


def test_text_may_have_comments_empty_lines_and_a_mark_at_its_begin():
    requests = read_vocabulary(b"\xef\xbb\xbf# ours\r\nmug; cup\r\n\r\nball\r\n")
    assert [request.name for request in requests] == ["mug; cup", "ball"]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"mug\nMUG", "", "is a duplicate"),
        (b"", "", "expected categories"),
        (b"\xff", "", "expected text in UTF-8; byte 1"),
        (b"x" * (MOST_BYTES + 1), "", "expected at most 256 kB"),
        (b"a: [", "a.yaml", "not YAML"),
        (b"{a: b}", "a.yml", "expected a YAML list"),
        (b"- [a]", "a.yaml", "expected a YAML list"),
        (b"&a [*a, *a]", "a.yaml", "not YAML"),
        (b"\n".join(b"w%d" % number for number in range(255)), "", "255 categories are more than the 254"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(content, name, said):
    with pytest.raises(VocabularyError) as refused:
        read_vocabulary(content, name)
    assert said in str(refused.value)


def test_they_are_saved_listed_loaded_and_removed(tmp_path):
    saved = SavedVocabularies(tmp_path / "folder")
    assert saved.names() == []
    saved.save("Kitchen 2", WORDS)
    saved.save("attic", make("box"))
    assert saved.names() == ["attic", "Kitchen 2"]
    assert make(*(request.name for request in saved.load("Kitchen 2"))) == WORDS
    saved.save("attic", make("trunk"))
    assert [request.name for request in saved.load("attic")] == ["trunk"]
    saved.remove("attic")
    saved.remove("attic")
    assert saved.names() == ["Kitchen 2"]
    with pytest.raises(VocabularyError, match="cannot be read: No such file"):
        saved.load("attic")


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", ".a", "a.", "a" * 65, "a\nb", "\0"])
def test_a_name_is_none_for_another_folder(tmp_path, name):
    saved = SavedVocabularies(tmp_path / "folder")
    for attempt in (lambda: saved.save(name, WORDS), lambda: saved.load(name), lambda: saved.remove(name)):
        with pytest.raises(VocabularyError, match="expected a name of 1 to 64"):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_no_words_are_not_saved_and_a_folder_that_cannot_be_says_so(tmp_path):
    with pytest.raises(VocabularyError, match="no words to save"):
        SavedVocabularies(tmp_path).save("a", Vocabulary(1))
    (tmp_path / "file").touch()
    with pytest.raises(VocabularyError, match=r"cannot be saved in .*: File exists"):
        SavedVocabularies(tmp_path / "file").save("a", WORDS)


def test_the_difference_is_told_before_it_is_made():
    words = [CategoryRequest("MUG"), CategoryRequest("lamp; light")]
    assert describe_difference(make("mug", "ball"), words) == "adds lamp; removes ball"
    assert describe_difference(make("mug"), [CategoryRequest("mug; cup")]).startswith("the same names")
