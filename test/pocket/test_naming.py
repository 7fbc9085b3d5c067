"""Names for cells: who is right, who is a stranger, what hiding does, and the loss's extremes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ovsr_ros.evaluation.sample import IGNORED
from ovsr_ros.pocket.naming import STRIDE, UNKNOWN, Names, WordBook, cell_shares, draw_names, naming_loss
from ovsr_ros.pocket.photos import PhotoSet

WORDS = (("wall",), ("sofa", "settee"), ("lamp", "lampshade", "light"))


def encode(texts: Sequence[str]) -> Tensor:
    """A direction for each text, drawn from the text itself: (N, 48)."""
    drawn = [torch.randn(48, generator=torch.Generator().manual_seed(zlib.crc32(text.encode()))) for text in texts]
    return normalize(torch.stack(drawn), dim=1)


@pytest.fixture
def photos() -> PhotoSet:
    mask = np.zeros((32, 48), np.uint8)
    mask[:, 20:] = 1
    mask[24:] = IGNORED
    weights = np.array([1.0, 2.0, 0.0], np.float32)
    return PhotoSet("homes", [np.zeros((32, 48, 3), np.uint8)], [mask], WORDS, weights)


@pytest.fixture
def strangers() -> Tensor:
    return torch.cat((encode([f"stranger {number}" for number in range(200)]), encode(["wall", "sofa"])))


def test_words_are_encoded_once() -> None:
    asked: list[str] = []

    def count(texts: Sequence[str]) -> Tensor:
        asked.extend(texts)
        return encode(texts)

    book = WordBook(count)
    first = book(["a", "b", "a"])
    torch.testing.assert_close(book(["b", "a", "c"])[:2], first[[1, 0]])
    assert asked == ["a", "b", "c"]


def test_a_cells_shares_are_its_pixels(photos: PhotoSet) -> None:
    shares = cell_shares(photos.masks[0], 3)
    assert shares.shape == (3, 32 // STRIDE, 48 // STRIDE)
    assert shares[:, 0, 0].tolist() == [1, 0, 0]
    assert shares[:, 0, 2].tolist() == [0.5, 0.5, 0]
    assert shares[:, 3].sum() == 0  # not judged


def test_names_are_the_classes_the_unknown_and_strangers(photos: PhotoSet, strangers: Tensor) -> None:
    book = WordBook(encode)
    plain, hidden, spoken = 0, 0, set()
    for seed in range(60):
        names = draw_names(photos, photos.masks[0], book, strangers, np.random.default_rng(seed))
        unknown = int((names.texts @ book([UNKNOWN])[0]).argmax())
        for text in names.texts[: min(unknown, 3)]:
            words = [word for kinds in WORDS for word in kinds]
            spoken.add(words[int((book(words) @ text).argmax())])
        strange = names.texts[unknown + 1 :]
        assert len(strange) >= 32
        assert (strange @ names.texts[:unknown].T).max() < 0.55
        torch.testing.assert_close(names.texts.norm(dim=1), torch.ones(len(names.texts)))
        if len(names.shares) == 3 and unknown == 3:
            plain += 1
            torch.testing.assert_close(names.shares, cell_shares(photos.masks[0], 3))
        else:
            hidden += 1
            assert unknown == len(names.shares) - 1
        torch.testing.assert_close(names.shares.sum(0), cell_shares(photos.masks[0], 3).sum(0))
    assert plain > 20
    assert hidden > 8
    assert spoken == {"wall", "sofa", "settee", "lamp", "lampshade", "light"}


def test_cells_that_are_their_names_cost_least() -> None:
    texts = torch.eye(4)
    shares = torch.zeros(2, 3, 3)
    shares[0, :, :2], shares[1, 0, 2] = 1, 1
    names = Names(texts, shares, torch.tensor([1.0, 5.0]))
    right = torch.zeros(4, 3, 3)
    right[0], right[0, :, 2], right[1, :, 2] = 1, 0, 1
    wrong = right[[2, 3, 0, 1]]
    scale = torch.tensor(20.0)
    assert float(naming_loss(right, names, scale)) < 1e-3
    assert float(naming_loss(wrong, names, scale)) > 15
    one_wrong = right.clone()
    one_wrong[:, 0, 0] = wrong[:, 0, 0]
    rare_wrong = right.clone()
    rare_wrong[:, 0, 2] = wrong[:, 0, 2]
    assert naming_loss(rare_wrong, names, scale) > 4 * naming_loss(one_wrong, names, scale)
    unjudged = right.clone()
    unjudged[:, 1:, 2] = wrong[:, 1:, 2]
    torch.testing.assert_close(naming_loss(unjudged, names, scale), naming_loss(right, names, scale))
    assert float(naming_loss(wrong, Names(texts, shares * 0, names.weights), scale)) == 0
