"""Names of one thing come nearer to each other, by as much as is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from ovsr_ros.models.imagenet_names import Synset
from ovsr_ros.pocket.kin import with_kin

NAMES = ("sofa", "couch", "lounge", "sink", "cesspool", "dog")
SYNSETS = (
    Synset(("Sofa", "couch", "lounge"), "a seat"),
    Synset(("sink",), "a basin"),
    Synset(("cesspool", "sink"), "a hole"),
    Synset(("dog", "hound that is no name"), "an animal"),
)


@pytest.fixture
def targets() -> np.ndarray:
    drawn = np.random.default_rng(0).standard_normal((len(NAMES), 16)) + 0.7  # nouns are a little alike
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)


def likeness(values: np.ndarray, one: str, other: str) -> float:
    return float(values[NAMES.index(one)].astype(float) @ values[NAMES.index(other)].astype(float))


def test_names_of_one_thing_come_nearer_and_others_stay(targets: np.ndarray) -> None:
    before = targets.copy()
    near, nearer = (with_kin(NAMES, targets, SYNSETS, share) for share in (0.3, 0.6))
    assert np.array_equal(targets, before)
    for one, other in (("sofa", "couch"), ("couch", "lounge"), ("sink", "cesspool")):
        assert likeness(before, one, other) + 0.1 < likeness(near, one, other)
    assert likeness(near, "sofa", "couch") < likeness(nearer, "sofa", "couch")
    assert np.array_equal(near[-1], before[-1]), "its only other name is none of these"
    np.testing.assert_allclose(np.linalg.norm(near.astype(float), axis=1), 1, atol=2e-3)
    assert near.dtype == np.float16
    np.testing.assert_allclose(with_kin(NAMES, targets, SYNSETS, 0.0), before, atol=1e-3)


def test_the_name_that_is_nearer_already_counts_more(targets: np.ndarray) -> None:
    values = targets.astype(float)
    values[1] += 0.8 * values[0]
    values[2] += 0.3 * values[0]
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    targets = values.astype(np.float16)
    cosines = values[1:3] @ values[0]
    assert cosines.min() > 0.05, "else one of them would not count at all"
    mean = (cosines**2) @ values[1:3]
    expected = 0.7 * values[0] + 0.3 * mean / np.linalg.norm(mean)
    found = with_kin(NAMES, targets, SYNSETS, 0.3)[0]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=2e-3)


def test_a_name_that_is_unlike_all_others_of_its_thing_stays(targets: np.ndarray) -> None:
    values = targets.copy()
    values[1], values[2] = -values[0], -values[0]
    np.testing.assert_allclose(with_kin(NAMES, values, SYNSETS, 0.5)[0], values[0], atol=1e-3)
