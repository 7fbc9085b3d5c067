"""Examples of categories: how they change with the vocabulary, and what a file keeps of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsr_ros.errors import VocabularyError, VocabularyFileError
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, parse_category
from ovsr_ros.vocabulary.change import Forgetting, Teaching, VocabularyChange
from ovsr_ros.vocabulary.example import MAX_EXAMPLES, MAX_EXAMPLES_IN_FORCE, Example
from ovsr_ros.vocabulary.example_rows import ExampleRows
from ovsr_ros.vocabulary.file import VocabularyFile
from ovsr_ros.vocabulary.registry import VocabularyRegistry

JPEG = b"\xff\xd8 a picture"


def example(seed=0, model_id="clip/1", thumbnail=b""):
    embedding = np.random.default_rng(seed).standard_normal(8).astype(np.float32)
    return Example(embedding / np.linalg.norm(embedding), model_id, thumbnail=thumbnail)


def apply(registry, operation, *texts):
    return registry.commit(registry.propose(operation, [parse_category(text) for text in texts]))


def teach(registry, name, **kwargs):
    return registry.commit(registry.propose_change(Teaching(parse_category(name), example(**kwargs))))


def forget(registry, *ids):
    return registry.commit(registry.propose_change(Forgetting(ids)))


def ids_by_name(vocabulary):
    return {category.name: [example.id for example in category.examples] for category in vocabulary.categories}


@pytest.fixture
def registry():
    registry = VocabularyRegistry()
    apply(registry, Operation.REPLACE, "mug; cup", "ball")
    return registry


def test_a_category_learns_and_forgets(registry):
    assert ids_by_name(teach(registry, "ball", seed=1)) == {"mug": [], "ball": [1]}
    assert ids_by_name(teach(registry, "MUG", seed=2)) == {"mug": [2], "ball": [1]}
    after = teach(registry, "ball", seed=3)
    assert (ids_by_name(after), after.version) == ({"mug": [2], "ball": [1, 3]}, 4)
    np.testing.assert_array_equal(after.by_id(1).examples[0].embedding, example(1).embedding)
    assert ids_by_name(forget(registry, 1, 2)) == {"mug": [], "ball": [3]}
    assert ids_by_name(teach(registry, "ball", seed=1)) == {"mug": [], "ball": [3, 4]}, "an id is given once"


def test_a_synonym_stands_for_its_category(registry):
    assert ids_by_name(teach(registry, "Cup")) == {"mug": [1], "ball": []}


def test_an_unknown_name_becomes_a_category(registry):
    after = teach(registry, "drill; power drill; #102030")
    assert ids_by_name(after) == {"mug": [], "ball": [], "drill": [1]}
    drill = after.by_id(2)
    assert (drill.synonyms, drill.color_rgb) == (("power drill",), (16, 32, 48))


def test_a_name_keeps_its_examples_as_it_keeps_its_id(registry):
    teach(registry, "ball")
    apply(registry, Operation.REMOVE, "ball")
    assert ids_by_name(apply(registry, Operation.ADD, "Ball")) == {"mug": [], "Ball": [1]}, "undone"
    assert ids_by_name(apply(registry, Operation.REPLACE, "ball; sphere")) == {"ball": [1]}
    apply(registry, Operation.REPLACE, "mug")
    assert ids_by_name(teach(registry, "ball", seed=1)) == {"mug": [], "ball": [1, 2]}
    forget(registry, 1)
    apply(registry, Operation.REMOVE, "ball")
    assert ids_by_name(apply(registry, Operation.ADD, "ball")) == {"mug": [], "ball": [2]}, "what is forgotten stays so"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "name: empty|empty"),
        ("a\nb", "control character"),
        ("something else", "built in"),
        ("mug; beaker", "'mug' is present already: an example is for its name alone"),
        ("mug; #ff0000", "set_vocabulary"),
        ("glass; cup", "synonym of 'mug' already"),
    ],
)
def test_a_name_that_cannot_be_taught_is_refused_and_changes_nothing(registry, name, said):
    before = registry.state
    with pytest.raises(VocabularyError, match=said):
        teach(registry, name)
    assert registry.state == before


def test_examples_have_an_end(registry):
    for seed in range(MAX_EXAMPLES):
        teach(registry, "mug", seed=seed)
    with pytest.raises(VocabularyError, match=r"'mug' has 16 examples already, the most; take some out: 1, 2, "):
        teach(registry, "mug")
    count = MAX_EXAMPLES
    while count < MAX_EXAMPLES_IN_FORCE:
        count += 1
        teach(registry, f"thing {count // MAX_EXAMPLES}", seed=count)
    with pytest.raises(VocabularyError, match="256 examples already, the most in all"):
        teach(registry, "ball")


def test_too_many_categories_are_refused():
    registry = VocabularyRegistry()
    apply(registry, Operation.REPLACE, *(f"thing {number}" for number in range(254)))
    with pytest.raises(VocabularyError, match="254 categories already"):
        teach(registry, "one more")
    assert ids_by_name(teach(registry, "thing 7"))["thing 7"] == [1]


@pytest.mark.parametrize(
    ("ids", "said"),
    [((), "no example is named; in force: 1"), ((1, 7), "example 7 is unknown; in force: 1"), ((0,), "example 0 is")],
)
def test_an_example_that_is_not_there_cannot_be_forgotten(registry, ids, said):
    teach(registry, "mug")
    with pytest.raises(VocabularyError, match=said):
        forget(registry, *ids)
    assert ids_by_name(registry.current) == {"mug": [1], "ball": []}


def test_of_two_proposals_one_is_committed(registry):
    one, other = (registry.propose_example(CategoryRequest("mug"), example(seed)) for seed in (1, 2))
    registry.commit(one)
    with pytest.raises(VocabularyError, match="changed meanwhile"):
        registry.commit(other)


def test_a_change_is_told():
    registry = VocabularyRegistry()
    before = registry.current
    after = teach(registry, "mug")
    assert VocabularyChange(before, after).describe() == (
        "version 1: 1 category; added 'mug' (id 0); 'mug' has 1 example"
    )
    later = teach(registry, "mug")
    assert VocabularyChange(after, later).describe() == "version 2: 1 category; 'mug' learned example 2"
    last = forget(registry, 1, 2)
    assert VocabularyChange(later, last).describe() == "version 3: 1 category; 'mug' forgot examples 1, 2"


@pytest.mark.parametrize(
    ("embedding", "said"),
    [
        (np.zeros((2, 4), np.float32), r"expected an embedding \(D,\) of float32, got \(2, 4\)"),
        (np.ones(4, np.float64) / 2, "got .* float64"),
        (np.zeros(0, np.float32), "expected an embedding"),
        (np.zeros(4, np.float32), "length 1, got 0"),
        (np.full(4, np.nan, np.float32), "length 1, got nan"),
    ],
)
def test_what_is_no_embedding_is_refused(embedding, said):
    with pytest.raises(VocabularyError, match=said):
        Example(embedding, "clip/1")


# --- Rows ---


def test_rows_are_those_of_the_model_in_force_and_stand_beside_their_text(registry):
    teach(registry, "ball", seed=1)
    teach(registry, "mug", seed=2, model_id="clip/2")
    teach(registry, "ball", seed=3)
    teach(registry, "mug", seed=4)
    vocabulary = registry.current
    rows = ExampleRows.gather(vocabulary, "clip/1")
    assert (rows.text_rows.tolist(), len(rows)) == ([0, 1, 1], 3)
    expected = np.stack([example(seed).embedding for seed in (4, 1, 3)])
    np.testing.assert_array_equal(rows.embeddings.numpy(), expected)
    assert [other.id for other in vocabulary.examples_of_others("clip/1")] == [2]
    assert ExampleRows.gather(vocabulary, "clip/3") is None
    assert [other.id for other in vocabulary.examples_of_others("")] == [1, 2, 3, 4]


# --- Files ---


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vocabulary.json"


def same(one, other):
    """Embeddings and pictures included, which do not count for equality."""
    pairs = [
        (first, second)
        for known, again in zip(one.known, other.known, strict=True)
        for first, second in zip(known.examples, again.examples, strict=True)
    ]
    assert one == other
    assert all(np.array_equal(first.embedding, second.embedding) for first, second in pairs)
    assert all(first.thumbnail == second.thumbnail for first, second in pairs)
    return len(pairs)


def test_a_file_keeps_examples_with_their_model(registry, path):
    teach(registry, "mug", seed=1, thumbnail=JPEG)
    teach(registry, "ball", seed=2, model_id="clip/2")
    teach(registry, "ball", seed=3)
    forget(registry, 3)
    apply(registry, Operation.REMOVE, "ball")
    assert VocabularyFile(path).save(registry) == ""
    state = VocabularyFile(path).load()
    assert same(state, registry.state) == 2
    content = json.loads(path.read_text())
    assert (content["format_version"], content["examples_given"]) == (2, 3)
    other = VocabularyRegistry()
    other.restore(state)
    assert ids_by_name(apply(other, Operation.ADD, "ball")) == {"mug": [1], "ball": [2]}
    assert ids_by_name(teach(other, "mug")) == {"mug": [1, 4], "ball": [2]}, "ids go on"


def test_a_file_without_examples_is_one_for_earlier_versions(registry, path):
    VocabularyFile(path).save(registry)
    content = json.loads(path.read_text())
    assert content["format_version"] == 1
    assert "example" not in path.read_text()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["mug", "ball", "drill"]), st.booleans()), max_size=12))
def test_a_restored_registry_goes_on_as_the_first_would(tmp_path_factory, steps):
    registry, path = VocabularyRegistry(), tmp_path_factory.mktemp("file") / "vocabulary.json"
    apply(registry, Operation.REPLACE, "mug", "ball")
    for seed, (name, forgets) in enumerate(steps):
        after = teach(registry, name, seed=seed, thumbnail=JPEG)
        if forgets:
            forget(registry, after.examples[0].id)
    VocabularyFile(path).save(registry)
    other = VocabularyRegistry()
    other.restore(VocabularyFile(path).load())
    same(registry.state, other.state)
    assert teach(registry, "drill") == teach(other, "drill")


def spoiled(text, **changes):
    content = json.loads(text)
    content["names"][0]["examples"][0].update(changes)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: spoiled(text, id=0), "example: id: expected 1"),
        (lambda text: spoiled(text, id=True), "example: id: expected 1"),
        (lambda text: spoiled(text, id=9), "examples: expected ids from 1 to 1"),
        (lambda text: spoiled(text, model=""), "model: expected a model's id"),
        (lambda text: spoiled(text, embedding="?"), "embedding: expected base64"),
        (lambda text: spoiled(text, embedding=None), "embedding: expected base64"),
        (lambda text: spoiled(text, embedding="AAA="), "expected values of 4 bytes, got 2"),
        (lambda text: spoiled(text, embedding="AAAAAA=="), "length 1, got 0"),
        (lambda text: spoiled(text, thumbnail="AAAA"), "thumbnail: expected a jpeg"),
        (lambda text: text.replace('"thumbnail"', '"picture"'), "'thumbnail' is missing"),
        (lambda text: text.replace('"examples_given": 1', '"examples_given": -1'), "examples_given: expected"),
        (lambda text: json.dumps({**json.loads(text), "format_version": 4}), "newer version of ovsr_ros"),
    ],
)
def test_a_damaged_example_is_named(registry, path, spoil, said):
    teach(registry, "mug", thumbnail=JPEG)
    VocabularyFile(path).save(registry)
    path.write_text(spoil(path.read_text()))
    with pytest.raises(VocabularyFileError, match=said):
        VocabularyFile(path).load()
