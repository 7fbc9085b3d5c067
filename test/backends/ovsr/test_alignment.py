import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from ovsr_ros.backends.ovsr.alignment import joint_cosines, match_probabilities


def embeddings(num_images, num_texts, dims, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = normalize(torch.randn(num_images, dims, generator=generator) + 1.0, dim=1)
    texts = normalize(torch.randn(num_texts, dims, generator=generator) + 0.5, dim=1)
    return images, texts


def literal_cosines(images, texts, energy, max_rank):
    """Stack, full SVD, project on the top right-singular vectors, renormalise, in float64; and the rank."""
    stack = np.concatenate((images.numpy(), texts.numpy())).astype(np.float64)
    _, values, right = np.linalg.svd(stack, full_matrices=False)
    cumulative = np.cumsum(values**2) / np.sum(values**2)
    rank = min(int(np.sum(cumulative < energy - 1e-12)) + 1, max_rank, len(values))
    projected = stack @ right[:rank].T
    projected /= np.linalg.norm(projected, axis=1, keepdims=True)
    return projected[: len(images)] @ projected[len(images) :].T, rank


def kept_shares(images, texts, rank):
    """Of the rows of each pair, the share that the projection keeps of the one of which it keeps less: (N, T)."""
    stack = np.concatenate((images.numpy(), texts.numpy())).astype(np.float64)
    kept = ((stack @ np.linalg.svd(stack, full_matrices=False)[2][:rank].T) ** 2).sum(1)
    return np.minimum(kept[: len(images), None], kept[None, len(images) :])


@pytest.mark.parametrize(
    "shape",
    [
        (12, 20, 128),
        (3, 2, 16),
        (40, 60, 32),
        (1, 1, 8),
        (64, 2, 16),
        (5, 16, 16),
        (4, 30, 32),
        (9, 280, 300),
        (9, 450, 400),
    ],
)
@pytest.mark.parametrize(("energy", "max_rank"), [(0.3, 512), (0.9, 512), (0.99, 512), (1.0, 512), (1.0, 2)])
def test_probabilities_are_those_of_a_literal_svd(shape, energy, max_rank):
    images, texts = embeddings(*shape)
    found = match_probabilities(joint_cosines(images, texts, energy, max_rank), 20.0)
    logits = 20.0 * literal_cosines(images, texts, energy, max_rank)[0]
    expected = np.exp(logits - logits.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_every_share_of_energy_gives_a_literal_svds_cosines(seed):
    """However many vectors are kept, and whichever Gram matrix is the smaller."""
    rng = np.random.default_rng(seed)
    shape = int(rng.integers(1, 40)), int(rng.integers(1, 90)), int(rng.integers(4, 60))
    images, texts = embeddings(*shape, seed)
    decay = torch.logspace(0, -1, shape[2])
    images, texts = normalize(images * decay, dim=1), normalize(texts * decay, dim=1)
    ranks = set()
    for energy in (0.2, 0.5, 0.7, 0.85, 0.95, 0.99, 0.999):
        expected, rank = literal_cosines(images, texts, energy, 4096)
        error = np.abs(joint_cosines(images, texts, energy, 4096).numpy() - expected)
        # What float32 loses weighs the more the less of a row is kept: of some, a ten-thousandth.
        assert (error * kept_shares(images, texts, rank)).max() < 4e-6
        ranks.add(rank)
    assert len(ranks) > 1 or min(shape) == 1


def test_full_energy_changes_no_cosine():
    images, texts = embeddings(5, 9, 64)
    torch.testing.assert_close(joint_cosines(images, texts, 1.0, 512), images @ texts.T, atol=1e-5, rtol=0)


def test_rows_sum_to_one_and_follow_the_cosine():
    images, texts = embeddings(6, 4, 32)
    probabilities = match_probabilities(images @ texts.T, 100.0)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(6))
    assert torch.equal(probabilities.argmax(1), (images @ texts.T).argmax(1))
    assert torch.equal(match_probabilities(texts @ texts.T, 100.0).argmax(1), torch.arange(4))


def test_order_of_the_texts_does_not_matter():
    images, texts = embeddings(6, 7, 32)
    order = torch.tensor([3, 1, 6, 0, 5, 2, 4])
    one = match_probabilities(joint_cosines(images, texts, 0.95, 512), 50.0)
    other = match_probabilities(joint_cosines(images, texts[order], 0.95, 512), 50.0)
    torch.testing.assert_close(one[:, order], other, atol=1e-3, rtol=0)


def test_a_bias_adds_to_its_texts_logits():
    images, texts = embeddings(6, 4, 32)
    cosines = images @ texts.T
    plain, none = match_probabilities(cosines, 10.0), torch.zeros(4)
    torch.testing.assert_close(match_probabilities(cosines, 10.0, none), plain)
    biased = match_probabilities(cosines, 10.0, torch.tensor([0.0, 0.0, -1.5, 0.0]))
    torch.testing.assert_close(biased.sum(1), torch.ones(6))
    odds, odds_before = biased[:, 2] / biased[:, 0], plain[:, 2] / plain[:, 0]
    torch.testing.assert_close(odds / odds_before, torch.full((6,), float(np.exp(-1.5))))
    torch.testing.assert_close(biased[:, 1] / biased[:, 0], plain[:, 1] / plain[:, 0])


def test_no_segments():
    _, texts = embeddings(1, 7, 32)
    assert match_probabilities(joint_cosines(torch.zeros(0, 32), texts, 0.95, 512), 50.0).shape == (0, 7)


def test_no_texts():
    images, _ = embeddings(3, 1, 32)
    assert joint_cosines(images, torch.zeros(0, 32), 0.95, 512).shape == (3, 0)
