"""The corpus: the same each time, held-out nouns kept out of it in every form, and what its parts promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovsr_ros.errors import OvsrError
from ovsr_ros.models.byte_pairs import token_texts, words
from ovsr_ros.models.imagenet_names import Synset
from ovsr_ros.pocket.phrases import (
    NUM_HELD_OUT,
    Corpus,
    choose_held_out,
    form,
    held_out_forms,
    make_corpus,
    plural,
    read_wordnet,
    shorten,
)
from ovsr_ros.pocket.word_lists import COLORS, MATERIALS, SIZES, STATES, SYNONYMS

VOCABULARY = words(token_texts()[:6000])

DATA_NOUN = """\
  1 This software and database is being provided to you, the LICENSEE, by
02958343 06 n 05 car 0 auto 0 automobile 0 machine 6 motorcar 0 001 @ 03791235 n 0000 | a motor vehicle with \
four wheels; usually propelled by an internal combustion engine; "he needs a car to get to work"
09044862 15 n 02 United_States 0 USA 0 001 @ 00000001 n 0000 | North American republic
03001627 06 n 01 coffee_table 0 001 @ 04379243 n 0000 | low table where magazines can be placed
"""


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return make_corpus(VOCABULARY)


def test_the_same_corpus_each_time(corpus: Corpus) -> None:
    assert make_corpus(VOCABULARY) == corpus
    assert len(set(corpus.texts)) == len(corpus.texts)
    assert len(corpus.names) > 30_000
    assert len(corpus.phrases) > 50_000


def test_held_out_nouns_are_no_texts_in_any_form(corpus: Corpus) -> None:
    assert len(set(corpus.held_out)) == NUM_HELD_OUT
    assert all(1 <= len(noun.split()) <= 2 for noun in corpus.held_out)
    unseen = held_out_forms(corpus.held_out)
    assert not [text for text in corpus.texts if form(text) in unseen]
    adjectives = {
        word for kind in (COLORS, SIZES, MATERIALS, STATES) for adjective in kind for word in adjective.split()
    }
    assert not adjectives & set(corpus.held_out)
    made_up = {f"{adjective} {noun}" for adjective in COLORS for noun in corpus.held_out} & set(corpus.phrases)
    assert not made_up
    for noun in corpus.held_out:
        assert not {f"a photo of a {noun}.", f"a {noun}", f"the {noun}", plural(noun)} & set(corpus.phrases)


def test_held_out_nouns_are_neither_class_names_nor_the_most_frequent_words(corpus: Corpus) -> None:
    unseen = held_out_forms(corpus.held_out)
    assert not [name for name in corpus.candidates if form(name) in unseen]
    assert not [word for pair in SYNONYMS for word in pair if form(word) in unseen]
    assert not [word for word in VOCABULARY if form(word) in unseen]


def test_a_larger_count_holds_out_the_same_nouns_and_more(corpus: Corpus) -> None:
    synsets = [Synset((noun,), "") for noun in corpus.held_out]
    few, more = (choose_held_out(synsets, (), count) for count in (20, 60))
    assert more[:20] == few
    assert choose_held_out(synsets, few, 20) == more[20:40]


def test_names_of_data_sets_and_frequent_words_are_among_the_names(corpus: Corpus) -> None:
    names = set(corpus.names)
    assert {"sofa", "couch", "television", "pavement", "floor mat", "night stand", "clothes", "tench"} <= names
    assert set(VOCABULARY) <= names
    assert set(corpus.candidates) <= names
    assert 1000 < len(corpus.candidates) < 2000


def test_class_names_come_behind_adjectives_and_in_sentences(corpus: Corpus) -> None:
    about = [phrase for phrase in corpus.phrases if "refrigerator" in phrase]
    assert any(phrase.split()[0] in COLORS + SIZES + MATERIALS + STATES for phrase in about)
    assert any(phrase.startswith(("a ", "the ")) for phrase in about)
    assert "refrigerators" in about


@pytest.mark.parametrize(
    ("noun", "expected"),
    [("mug", "mugs"), ("box", "boxes"), ("city", "cities"), ("toy", "toys"), ("couch", "couches"), ("bus", "buses")],
)
def test_plurals(noun: str, expected: str) -> None:
    assert plural(noun) == expected


def test_forms_are_the_same_for_spellings_of_one_name() -> None:
    assert form("Hot-Dog") == form("hot dog") == form("hotdogs") == "hotdog"
    assert form("box") != form("boxes")
    assert held_out_forms(["box"]) == {form("box"), form("boxes")}


def test_definitions_are_cut_to_their_first_part() -> None:
    assert shorten("(biology) the basic unit (of life) of all organisms; they may exist alone") == (
        "the basic unit of all organisms"
    )
    assert len(shorten("word " * 40).split()) == 14


def test_wordnets_nouns_are_read_without_proper_names(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(DATA_NOUN)
    synsets = read_wordnet(tmp_path)
    assert [synset.names for synset in synsets] == [
        ("car", "auto", "automobile", "machine", "motorcar"),
        ("coffee table",),
    ]
    assert synsets[1].definition == "low table where magazines can be placed"
    with pytest.raises(OvsrError, match=r"nowhere: expected WordNet's data\.noun: No such file .*wordnet-base"):
        read_wordnet(tmp_path / "nowhere")
