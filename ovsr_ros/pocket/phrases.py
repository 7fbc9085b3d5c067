"""The texts that the text tower learns from, and 500 nouns that it does not: the same ones each time.

Names of ImageNet's classes with their definitions, of the data sets' classes, frequent words, and nouns of WordNet
where its files are given; alone, in the plural, behind adjectives and in sentences.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from ovsr_ros.errors import OvsrError
from ovsr_ros.evaluation.datasets.class_files import read_classes
from ovsr_ros.models.byte_pairs import token_texts, vocab_size, words
from ovsr_ros.models.imagenet_names import Synset, imagenet_synsets
from ovsr_ros.pocket.word_lists import COLORS, MATERIALS, SENTENCES, SIZES, STATES, SYNONYMS

NUM_HELD_OUT = 500
NUM_FREQUENT = 20000
"""Merges of open_clip's vocabulary that make the words that are never held out."""
_MAX_WORDS = 14
"""Of a definition: what is behind says little, and the text tower reads no more than its context."""
_VISUAL_PHRASES, _OTHER_PHRASES = 4, 0.4
"""Phrases of each form for a name of a data set's class, and for other names on average."""
_ARTICLE = re.compile("^(an?|the|one|some) ")
_NOUNS = "data.noun"


@dataclass(frozen=True)
class Corpus:
    """Texts to learn from, each once.

    names: things to be seen and what else is said alone. phrases: names with adjectives, in sentences, definitions.
    held_out: nouns that are no text by themselves, nor in the plural, behind adjectives or in sentences; they may occur
    as a word of another name or of a definition. candidates: names of data sets' classes, to look for the nearest of.
    has_wordnet: whether WordNet's nouns are among the names.
    """

    names: tuple[str, ...]
    phrases: tuple[str, ...]
    held_out: tuple[str, ...]
    candidates: tuple[str, ...]
    has_wordnet: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """Names and phrases."""
        return self.names + self.phrases


def make_corpus(vocabulary: Sequence[str], wordnet: Path | None = None, num_held_out: int = NUM_HELD_OUT) -> Corpus:
    """The corpus for a text tower whose frequent words are `vocabulary`; WordNet gives names alone.

    wordnet: the folder with WordNet's data.noun (Debian: wordnet-base, /usr/share/wordnet).

    Raises OvsrError where that file is not there.
    """
    synsets = imagenet_synsets("imagenet-21k")
    usual = imagenet_synsets("imagenet-1k")
    classes = _class_names()
    visual = _unique([*classes, *(name for synset in usual for name in synset.names)])
    asked = [word for pair in SYNONYMS for word in pair]
    held_out = choose_held_out(synsets, {*visual, *asked}, num_held_out)
    kept_out = held_out_forms(held_out)
    nouns = read_wordnet(wordnet) if wordnet is not None else []
    seen = [name for synset in synsets for name in synset.names]
    names = _unique([*visual, *asked, *seen, *vocabulary, *(name for synset in nouns for name in synset.names)])
    names = [name for name in names if form(name) not in kept_out]
    phrases = [shorten(synset.definition) for synset in synsets]
    of_things = _unique([*visual, *asked, *seen])
    phrases += _phrases([name for name in of_things if form(name) not in kept_out], set(visual))
    taken = set(names)
    phrases = [text for text in _unique(phrases) if text not in taken and form(_ARTICLE.sub("", text)) not in kept_out]
    candidates = _unique([*classes, *(synset.names[0].lower() for synset in usual)])
    return Corpus(tuple(names), tuple(phrases), held_out, tuple(candidates), wordnet is not None)


def choose_held_out(synsets: Iterable[Synset], excluded: Collection[str], count: int) -> tuple[str, ...]:
    """Nouns of one or two words that people say: names of ImageNet-21k whose words are all in open_clip's vocabulary.

    The most frequent words, one token each, are not among them: a text tower is to know these by themselves.
    excluded: names not to take. Which are taken is decided by their checksums. Returns `count`, or all there are.
    """
    tokens = token_texts()
    said, frequent = set(words(tokens)), words(tokens[: vocab_size(NUM_FREQUENT)])
    refused = held_out_forms([*excluded, *frequent])
    nouns = {
        name
        for synset in synsets
        for name in synset.names
        if len(name.split(" ")) <= 2 and set(name.split(" ")) <= said and form(name) not in refused
    }
    chosen: dict[str, str] = {}
    for noun in sorted(nouns, key=lambda noun: hashlib.sha256(noun.encode()).digest()):
        if len(chosen) < count and form(noun) not in chosen:
            chosen[form(noun)] = noun
    return tuple(chosen.values())


def form(text: str) -> str:
    """What spellings of one text have in common: its letters and digits in lower case, a last "s" left out."""
    return re.sub(r"[^\w]|_", "", text.lower()).removesuffix("s")


def held_out_forms(nouns: Iterable[str]) -> frozenset[str]:
    """Forms of nouns and of their plurals."""
    return frozenset(form(text) for noun in nouns for text in (noun, plural(noun)))


def plural(noun: str) -> str:
    """The regular plural of an English noun: "box" -> "boxes", "city" -> "cities"."""
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return noun + "es"
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + "s"


def shorten(definition: str) -> str:
    """A definition's first part, without remarks in parentheses, 14 words at most."""
    first = re.sub(r"\([^)]*\)", " ", definition).split(";")[0].split(" or (")[0]
    return " ".join(first.split()[:_MAX_WORDS])


def read_wordnet(folder: Path) -> list[Synset]:
    """WordNet's nouns, proper names left out; see wndb(5). Raises OvsrError where data.noun cannot be read."""
    try:
        lines = (folder / _NOUNS).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise OvsrError(
            f"{folder}: expected WordNet's {_NOUNS}: {error.strerror}; Debian's package wordnet-base has it in "
            "/usr/share/wordnet"
        ) from error
    return list(_parse_wordnet(lines))


def _parse_wordnet(lines: Iterable[str]) -> Iterator[Synset]:
    for line in lines:
        if line.startswith(" "):  # the licence
            continue
        fields, _, definition = line.partition(" | ")
        columns = fields.split(" ")
        names = (columns[4 + 2 * number].replace("_", " ") for number in range(int(columns[3], 16)))
        common = tuple(name for name in names if name.islower())
        if common:
            yield Synset(common, definition.strip())


def _class_names() -> list[str]:
    """All that the class files call their classes: names and synonyms."""
    folder = Path(str(resources.files("ovsr_ros.evaluation"))) / "classes"
    lists = [read_classes(path) for path in sorted(folder.glob("*.txt"))]
    return _unique([name.strip() for classes in lists for word in classes.words for name in word.split(";")])


def _phrases(names: Sequence[str], visual: Collection[str]) -> list[str]:
    """Names in the plural, behind adjectives and in sentences; which ones is drawn from the name itself."""
    phrases = []
    for name in names:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        for make in (_described, _in_sentence, _many):
            count = _VISUAL_PHRASES if name in visual else int(rng.random() < _OTHER_PHRASES)
            phrases += [make(name, rng) for _ in range(count)]
    return phrases


def _described(name: str, rng: np.random.Generator) -> str:
    kinds = (COLORS, SIZES, MATERIALS, STATES)
    chosen = sorted(rng.choice(4, size=1 + int(rng.random() < 0.25), replace=False, p=(0.4, 0.25, 0.2, 0.15)))
    # English puts size before colour before material.
    order = [kind for kind in (1, 3, 0, 2) if kind in chosen]
    return " ".join([*(str(rng.choice(kinds[kind])) for kind in order), name])


def _in_sentence(name: str, rng: np.random.Generator) -> str:
    within = _described(name, rng) if rng.random() < 0.2 else name
    return str(rng.choice(SENTENCES)).replace("{}", within)


def _many(name: str, rng: np.random.Generator) -> str:
    return plural(name)


def _unique(texts: Iterable[str]) -> list[str]:
    """Texts in lower case, each once, in their order; none empty."""
    return list(dict.fromkeys(text.lower() for text in texts if text.strip()))
