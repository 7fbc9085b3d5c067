"""What a name is: one rule for categories, synonyms and the names of what is no category, wherever they come from."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsr_ros.errors import ConfigError, VocabularyError
from ovsr_ros.names import clean_name, name_key, name_problem
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, format_category, parse_category
from ovsr_ros.vocabulary.registry import VocabularyRegistry
from ovsr_ros.vocabulary.text_embeddings import TextOptions

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
NEW_EMOJI = "\U0001fadc"  # of Unicode 16

# Default-ignorable characters, one of each range.
UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180e\u180f\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2064"
    "\u2065\u2066\u2069\u206f\u3164\ufe00\ufe0e\ufe0f\ufeff\uffa0\ufff0\ufff8\U0001bca0\U0001d173\U000e0000\U000e0001"
    "\U000e0020\U000e0061\U000e007f\U000e0100\U000e01ef\U000e0fff"
)


# --- What is seen alike is one name, and is encoded as one ---


@pytest.mark.parametrize("unseen", UNSEEN, ids=lambda character: f"U+{ord(character):04X}")
def test_what_shows_nothing_is_no_part_of_a_name(unseen):
    for text in (f"mug{unseen}", f"{unseen}mug", f"m{unseen}ug", f" {unseen} mug {unseen} ", f"m{unseen * 3}ug"):
        assert (clean_name(text), name_key(text), name_problem(text)) == ("mug", "mug", "")
    assert "empty" in name_problem(unseen)
    assert "empty" in name_problem(f" {unseen}\u00a0{unseen} ")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("\u202egum\u202c", "gum"),
        ("\u2067\u05e1\u05e4\u05dc\u2069", "\u05e1\u05e4\u05dc"),
        ("mug\u200b\u0301", "mu\u01f5"),  # composed where the two meet
        ("coffee\u00a0\u2007\u3000\u2800mug", "coffee mug"),
        ("mug\ufe0f\u200d", "mug"),
        ("\u2615\u200d", "\u2615"),
        ("mug\u200d\u2615", "mug\u2615"),
        ("auf\u200clage", "auflage"),
        ("\u05d0\u200d\u05d1", "\u05d0\u05d1"),  # Hebrew does not join
        ("\U0001f3f4\U000e0067", "\U0001f3f4"),  # tags without an end
        ("\u2764\u200d\u200d\ufe0f\u200b\U0001f525", "\u2764\ufe0f\u200d\U0001f525"),
    ],
)
def test_a_name_is_cleaned(text, name):
    assert clean_name(text) == name
    assert name_problem(text) == ""
    assert name_key(text) == name_key(name)


@pytest.mark.parametrize(
    "name",
    [
        FAMILY,
        SCOTLAND,
        NEW_EMOJI,
        f"{NEW_EMOJI}\u200d\u2642\ufe0f",
        "\u2764\ufe0f\u200d\U0001f525",
        "\U0001f44d\U0001f3fd",  # a skin's tone
        "\U0001f642\u200d\u2194\ufe0f",
        "1\ufe0f\u20e3",  # a keycap
        "\u203c\ufe0f",
        "\u2934\ufe0f",
        "\u25fc\ufe0f",
        "\U0001f1eb\U0001f1f7",  # a flag of letters
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
        "\u0628\u064e\u200c\u0628",  # behind a vowel's mark
        "\u0d9a\u0dca\u200d\u0dc2",  # Sinhala
        "\u0d28\u0d4d\u200d",  # a chillu of Malayalam
        "\u09b0\u200d\u09cd\u09af",  # Bengali
        "\u845b\U000e0100",  # a variant of an ideograph
        "\u1820\u180b",  # Mongolian
        "caf\u00e9",
        "#1 fan",
        "\u676f\u5b50",
        "AT&T <3",
    ],
    ids=ascii,
)
def test_what_shapes_emoji_and_letters_stays_in_the_name(name):
    assert clean_name(name) == name
    assert name_problem(name) == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Mug", "mUG"),
        ("cafe\u0301", "CAF\u00c9"),
        ("stra\u00dfe", "STRASSE"),
        ("\uff4d\uff55\uff47", "mug"),
        ("\ufb01re", "fire"),
        ("\uff76\uff9e", "\u30ac"),
        ("coffee mug", "\u3000coffee \u00a0 mug\u2003"),
        ("\u2764\ufe0f", "\u2764\ufe0e"),
        ("\u2764\ufe0f\u200d\U0001f525", "\u2764\u200d\U0001f525"),
        ("\u06a9\u062a\u0627\u0628\u200c\u062e\u0627\u0646\u0647", "\u06a9\u062a\u0627\u0628\u062e\u0627\u0646\u0647"),
        ("\u03c3\u03c2", "\u03a3\u03a3"),
    ],
)
def test_spellings_of_one_name_have_one_key(first, second):
    assert name_key(first) == name_key(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FAMILY, FAMILY.replace("\u200d", "")),
        (SCOTLAND, "\U0001f3f4"),
        ("\u2764\u200d\U0001f525", "\u2764\U0001f525"),
        ("\u0131", "i"),  # two letters in Turkish
        ("coffee mug", "coffeemug"),
    ],
)
def test_other_words_have_other_keys(first, second):
    assert name_key(first) != name_key(second)


CHARACTERS = st.one_of(st.characters(), st.sampled_from(f"ab \u0301\u0628\u0d4d\u2764\U0001f3f41\u20e3\u845b{UNSEEN}"))


@given(st.text(CHARACTERS, max_size=12))
def test_cleaning_and_folding_come_to_rest(text):
    name = clean_name(text)
    assert clean_name(name) == name
    assert name_key(name) == name_key(text)
    assert name_key(name_key(text)) == name_key(text)


# --- What is no name ---

REFUSED = (
    ("\ufffd", "decoded wrongly: U+FFFD at character {}"),
    ("\ufffe", "noncharacter: U+FFFE at character {}"),
    ("\ufdd0", "noncharacter: U+FDD0 at character {}"),
    ("\U0001ffff", "noncharacter: U+1FFFF at character {}"),
    ("\U0010fffe", "noncharacter: U+10FFFE at character {}"),
    ("\u0378", f"Unicode {unicodedata.unidata_version} does not assign: U+0378 at character {{}}"),
    ("\U00050000", "does not assign: U+50000 at character {}"),
    ("\ue000", "private use: U+E000 at character {}"),
    ("\U0010fffd", "private use: U+10FFFD at character {}"),
    ("\ufffc", "no text: U+FFFC at character {}"),
    ("\ufff9", "no text: U+FFF9 at character {}"),
    ("\x00", "control characters (such as a tab or a line break): U+0000 at character {}"),
    ("\t", "control characters (such as a tab or a line break): U+0009 at character {}"),
    ("\x1b", "U+001B at character {}"),
    ("\x85", "U+0085 at character {}"),
    ("\x9b", "U+009B at character {}"),
    ("\u2028", "U+2028 at character {}"),
    ("\ud800", "half of a surrogate pair: U+D800 at character {}"),
    ("\udcff", "is not UTF-8: byte 0xFF at character {}"),
    ("\uff1b", "semicolon of another script: U+FF1B at character {}"),
    ("\ufe14", "semicolon of another script: U+FE14 at character {}"),
    ("\u061b", "semicolon of another script: U+061B at character {}"),
    (";", "a semicolon: U+003B at character {}"),
)


@pytest.mark.parametrize(("character", "reason"), REFUSED, ids=ascii)
def test_a_character_that_no_name_has_is_named_with_its_place(character, reason):
    for text in (character, f"mug{character}", f"m{character}ug", f"\u200b{character}"):
        problem = name_problem(text)
        assert reason.format(text.index(character) + 1) in problem
        problem.encode()  # can be sent and written
        assert not any(unicodedata.category(shown) in ("Cc", "Cn") for shown in problem)


@pytest.mark.parametrize("text", ["\u0301", "\u0301mug", "mug \u0301", "\u200b\u0301", "\u093f", "\u20e3", "\u20dd"])
def test_a_mark_without_a_letter_is_refused(text):
    assert "combining mark (U+" in name_problem(text)


@pytest.mark.parametrize("text", ["", " ", "\u00a0", "\u2007", "\u3000", "\u2800", "\U0001d159", "\u3164\u2800"])
def test_what_shows_nothing_at_all_is_empty(text):
    assert name_problem(text).startswith("is empty")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("x" * 201, 201),
        ("a" + "\u0301" * 201, 201),
        ("a" + "\u0323\u0301" * 150_000, 300_001),
        ("a" + "\u0301\ufe0f" * 150_000, 300_001),
        ("x\u200b" * 150_000, 300_000),
    ],
)
def test_a_name_that_is_too_long_is_refused_at_once(text, length):
    begin = time.thread_time()
    assert f"has {length} characters; at most 200" in name_problem(text)
    name_key(text)
    assert time.thread_time() - begin < 2.0, "its normalisation would take a minute"


def test_a_length_is_that_of_what_is_seen():
    assert name_problem("e\u0301" * 200) == name_problem("x\u200b" * 200) == ""


# --- The same for all that are names ---

WRONG = ["mug\ufffd", "\u3164", "\u0301", "mug\ufdd0", "\u200b", "a\tb", "", "x" * 201]


@pytest.mark.parametrize("text", WRONG, ids=ascii)
def test_names_of_what_is_no_category_keep_to_the_rule(text):
    for option in ("something_else", "background_names"):
        with pytest.raises(ConfigError, match=rf"^{option}: name 2: "):
            TextOptions(**{option: ("sky", text)})


def test_names_of_what_is_no_category_are_cleaned():
    options = TextOptions(something_else=("something\u00a0else\u200b",), background_names=("Sky", "sky\ufeff", "wall"))
    assert options.unlabeled_names == ("something else", "Sky", "wall")
    with pytest.raises(ConfigError, match="give each name by itself"):
        TextOptions(background_names=("sky; wall",))


@pytest.mark.parametrize("text", WRONG, ids=ascii)
def test_categories_and_synonyms_keep_to_the_rule(text):
    registry = VocabularyRegistry()
    for request in (CategoryRequest(text), CategoryRequest(f"cup;{text}"), CategoryRequest("cup", (text,))):
        with pytest.raises(VocabularyError, match="category 1"):
            registry.propose(Operation.REPLACE, [request])
    with pytest.raises(VocabularyError, match="synonym 1: 'a; b' has a semicolon"):
        registry.propose(Operation.REPLACE, [CategoryRequest("cup", ("a; b",))])


def test_a_category_is_found_under_every_spelling_and_keeps_its_id():
    registry = VocabularyRegistry()
    registry.commit(registry.propose(Operation.REPLACE, [CategoryRequest("\ufeffmug\u200b; c\u00adup")]))
    assert format_category(registry.current.categories[0]) == "mug; cup"
    for same in ("mug\u2060", "\uff4d\uff55\uff47", "C\u200bUP", "ball; mug\U000e0061"):
        with pytest.raises(VocabularyError, match="is a duplicate"):
            registry.propose(Operation.ADD, [CategoryRequest(same)])
    registry.commit(registry.propose(Operation.REMOVE, [CategoryRequest("\u200emug\U000e0061")]))
    registry.commit(registry.propose(Operation.ADD, [CategoryRequest("ball"), CategoryRequest("\uff2d\uff35\uff27")]))
    assert {category.name: category.id for category in registry.current.categories} == {
        "ball": 1,
        "\uff2d\uff35\uff27": 0,
    }


@pytest.mark.parametrize(
    "text",
    [
        "something\u200b else",
        "\ufeffSomething\u00a0Else",
        "\uff53omething else",
        "some\u00adthing \u2060 else",
        "mug; something else\u200b",
    ],
)
def test_something_else_cannot_be_a_category_in_any_spelling(text):
    with pytest.raises(VocabularyError, match="built in"):
        VocabularyRegistry().propose(Operation.REPLACE, [CategoryRequest(text)])


@pytest.mark.parametrize(
    "text",
    ["#00ff00", "#00FF00\u200b", "\uff0300ff00", "#ff", "#", "# 00ff00", "#orange", "#00ff00; #ff0000", "#0f0; x"],
)
def test_a_colour_alone_is_no_name(text):
    for operation in (Operation.REPLACE, Operation.REMOVE):
        with pytest.raises(
            VocabularyError, match=r"category 1: '.*' is read as a colour, which needs a name before it"
        ):
            VocabularyRegistry().propose(operation, [CategoryRequest(text)])


@pytest.mark.parametrize("text", ["mug;#ff8000\u200b", "mug; \ufeff#ff8000", "mug\u037e#ff8000", "mug ;\u3000#ff8000"])
def test_a_colour_is_read_whatever_invisible_stands_around_it(text):
    request = parse_category(text)
    assert (clean_name(request.name), request.synonyms, request.color_rgb) == ("mug", (), (255, 128, 0))


@given(st.lists(st.text(CHARACTERS, max_size=8), min_size=1, max_size=4))
def test_what_is_taken_can_be_written_and_read_again(texts):
    registry = VocabularyRegistry()
    try:
        vocabulary = registry.propose(Operation.REPLACE, [CategoryRequest(";".join(texts))])
    except VocabularyError:
        return
    written = [parse_category(format_category(category)) for category in vocabulary.categories]
    assert VocabularyRegistry().propose(Operation.REPLACE, written) == vocabulary
