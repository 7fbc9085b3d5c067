"""What an operator's edits ask of a node."""

from __future__ import annotations

import pytest

from ovsr_ros.console import edits
from ovsr_ros.errors import VocabularyError
from ovsr_ros.vocabulary.category import CategoryRequest, Operation
from ovsr_ros.vocabulary.registry import VocabularyRegistry


@pytest.fixture
def registry():
    registry = VocabularyRegistry()
    requests = [CategoryRequest("mug", ("cup",)), CategoryRequest("ball", (), (1, 2, 3)), CategoryRequest("chair")]
    registry.commit(registry.propose(Operation.REPLACE, requests))
    return registry


def apply(registry, request):
    return registry.commit(registry.propose(request.operation, request.categories))


def test_what_is_added_is_what_was_written():
    request = edits.add("mug; cup; #ff8000\n\n ball ")
    assert request.operation == Operation.ADD
    assert [category.name for category in request.categories] == ["mug; cup; #ff8000", " ball "]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (edits.Edit("mug", synonyms=("beaker", "cup")), (0, "mug", ("beaker", "cup"))),
        (edits.Edit("MUG", new_name="Mug"), (0, "Mug", ("cup",))),
        (edits.Edit("mug", new_name="tankard", synonyms=()), (3, "tankard", ())),
    ],
)
def test_one_category_changes_and_the_others_stay(registry, edit, expected):
    before = registry.current
    after = apply(registry, edits.change(before, edit))
    changed = {(each.id, each.name, each.synonyms) for each in after.categories}
    assert expected in changed
    kept = [each for each in before.categories if each.name != "mug"]
    assert [each for each in after.categories if each in kept] == kept
    assert len(after) == 3


def test_a_renamed_word_keeps_a_chosen_colour_and_gets_a_new_one_for_a_colour_of_the_palettes(registry):
    after = apply(registry, edits.change(registry.current, edits.Edit("ball", new_name="globe")))
    assert next(each.color_rgb for each in after.categories if each.name == "globe") == (1, 2, 3)
    after = apply(registry, edits.change(after, edits.Edit("mug", new_name="tankard")))
    red = registry.current.colors[0].tolist()
    assert next(list(each.color_rgb) for each in after.categories if each.name == "tankard") != red


def test_a_chosen_id_is_asked_for_again_but_not_for_another_name():
    registry = VocabularyRegistry()
    vocabulary = apply(registry, edits.add("mug=12\nball"))

    def ids(request):
        return [category.id for category in request.categories]

    assert ids(edits.change(vocabulary, edits.Edit("mug", color_rgb=(1, 2, 3)))) == [12, None]
    assert ids(edits.change(vocabulary, edits.Edit("mug", new_name="cup"))) == [None, None]
    assert ids(edits.undo(vocabulary, vocabulary)) == [12, None]


def test_a_colour_changes_alone(registry):
    after = apply(registry, edits.change(registry.current, edits.Edit("mug", color_rgb=(9, 9, 9))))
    assert [each.color_rgb for each in after.categories][:2] == [(9, 9, 9), (1, 2, 3)]


def test_a_word_that_is_gone_cannot_be_changed(registry):
    with pytest.raises(VocabularyError, match="'lamp' is not in force any more"):
        edits.change(registry.current, edits.Edit("lamp", new_name="light"))


def test_a_word_that_somebody_changed_meanwhile_is_not_written_over(registry):
    seen = registry.current.categories[0]
    after = apply(registry, edits.change(registry.current, edits.Edit("mug", synonyms=("beaker",))))
    with pytest.raises(VocabularyError, match="somebody has changed 'mug' meanwhile, it is \"mug; beaker\" now"):
        edits.change(after, edits.Edit("mug", color_rgb=(9, 9, 9), was=seen))
    edits.change(after, edits.Edit("mug", color_rgb=(9, 9, 9), was=after.categories[0]))


def test_what_writes_the_whole_vocabulary_says_which_version_it_was_made_from(registry):
    first = registry.current
    apply(registry, edits.add("lamp"))
    now = registry.current
    assert edits.change(now, edits.Edit("mug", new_name="tankard", was=first.categories[0])).base == now.version
    assert edits.undo(first, now).base == now.version
    assert edits.replace([CategoryRequest("mug")], first.version).base == first.version
    with pytest.raises(VocabularyError, match="made from version 1, and version 2 is in force"):
        registry.expect(first.version)
    registry.expect(now.version)
    assert (edits.add("lamp").base, edits.remove(["mug"]).base) == (0, 0), "these fit any version"
    registry.expect(0)


def test_undo_leads_back_to_the_same_ids_and_colours(registry):
    before = registry.current
    after = apply(registry, edits.remove(["mug", "ball"]))
    assert apply(registry, edits.undo(before, after)).categories == before.categories
