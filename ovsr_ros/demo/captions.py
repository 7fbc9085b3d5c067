"""What the scenes' things are called in training: captions at several levels of detail, and which of them are true.

A concept is (pattern, colour, kind), where pattern and colour may be left open: "red mug" is true of every red mug.
Names kept for tests never occur here: held-out combinations, and the kinds' unseen synonyms with all their own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ovsr_ros.demo.materials import COLORS, FLOORS, PATTERNS, WALLS
from ovsr_ros.demo.objects import KINDS
from ovsr_ros.vocabulary.prompts import TEMPLATES

SOMETHING_ELSE = "something else"
TRAINING_TEMPLATES = (
    "{}",
    "{}",
    "a photo of a {}.",
    "a photo of a {}.",
    "a photo of the {}.",
    *TEMPLATES["simple7"],
    "a rendering of a {}.",
    "a blurry photo of a {}.",
    "a close-up photo of a {}.",
    "a cropped photo of the {}.",
    "a dark photo of the {}.",
    "a bright photo of a {}.",
)


@dataclass(frozen=True)
class Concept:
    """What a caption says: None leaves an attribute open. surface: a wall's or floor's own name, None for any."""

    kind: str
    color: str | None = None
    pattern: str | None = None
    surface: str | None = None

    def covers(self, other: Concept) -> bool:
        """Whether a caption of this concept is true of a thing fully described by `other`."""
        return (
            self.kind == other.kind
            and (self.color is None or self.color == other.color)
            and (self.pattern is None or self.pattern == other.pattern)
            and (self.surface is None or self.surface == other.surface)
        )


def concept_of(name: str) -> Concept:
    """The concept of an instance name such as "striped red mug" or "brick wall", or of a kind such as "mug"."""
    if name in WALLS:
        return Concept("wall", surface=name)
    if name in FLOORS:
        return Concept("floor", surface=name)
    if " " not in name:
        return Concept(name)
    pattern, color, kind = name.split(" ")
    return Concept(kind, color, pattern)


def generalise(concept: Concept, rng: np.random.Generator) -> Concept:
    """The concept with attributes left open by chance."""
    if concept.surface is not None:
        return Concept(concept.kind, surface=concept.surface if rng.random() < 0.45 else None)
    keep_color, keep_pattern = ((False, False), (True, False), (True, True), (False, True))[
        int(rng.choice(4, p=(0.38, 0.17, 0.35, 0.10)))
    ]
    return Concept(concept.kind, concept.color if keep_color else None, concept.pattern if keep_pattern else None)


def random_concept(rng: np.random.Generator) -> Concept:
    """A concept drawn by chance, never a held-out combination; used as a caption that is true of nothing in view."""
    from ovsr_ros.demo.scenes import ObjectName

    while True:
        if rng.random() < 0.15:
            surface = str(rng.choice((*WALLS, *FLOORS)))
            return generalise(concept_of(surface), rng)
        name = ObjectName(str(rng.choice(PATTERNS)), str(rng.choice(list(COLORS))), str(rng.choice(list(KINDS))))
        if not name.held_out:
            return generalise(concept_of(str(name)), rng)


def describe(concept: Concept, rng: np.random.Generator, filler_words: Sequence[str]) -> str:
    """A caption of the concept, in chance words: a synonym, a template, now and then a word that means nothing here."""
    if concept.surface is not None:
        noun = concept.surface
    elif concept.kind in KINDS:
        noun = str(rng.choice((concept.kind, concept.kind, *KINDS[concept.kind].synonyms)))
    else:
        noun = concept.kind
    words = [word for word in (concept.pattern, concept.color, noun) if word is not None]
    if rng.random() < 0.2:
        words.insert(0, str(rng.choice(filler_words)))
    return str(rng.choice(TRAINING_TEMPLATES)).format(" ".join(words))


def reserved_words() -> frozenset[str]:
    """Words that mean something in the scenes, or belong to a name kept for tests; never used as fillers."""
    words = {"wall", "floor", "something", "else", "photo", *COLORS, *PATTERNS}
    for phrase in (*WALLS, *FLOORS):
        words.update(phrase.split(" "))
    for name, kind in KINDS.items():
        for phrase in (name, *kind.synonyms, *kind.unseen_synonyms):
            words.update(phrase.split(" "))
    for template in TRAINING_TEMPLATES:
        words.update(template.replace("{}", "").replace(".", "").split())
    return frozenset(words)
