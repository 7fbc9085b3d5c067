"""The proxy's attention against its formula, query by query."""

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from ovsr_ros.backends.trident.proxy import mean_cosine, proxy_attention


def tokens(batch, count, channels=5, seed=0):
    return torch.randn(batch, count, channels, generator=torch.Generator().manual_seed(seed)) + 0.5


@pytest.mark.parametrize(("batch", "count"), [(1, 1), (1, 9), (3, 7)])
def test_the_mean_is_over_all_pairs_of_all_windows(batch, count):
    x = tokens(batch, count)
    pairs = [
        float(cosine_similarity(window[i], window[j], dim=0))
        for window in x
        for i in range(count)
        for j in range(count)
    ]
    assert float(mean_cosine(x)) == pytest.approx(sum(pairs) / len(pairs), rel=1e-5)


@pytest.mark.parametrize(("beta", "gamma"), [(1.2, 3.0), (0.0, 1.0), (1.0, 20.0)])
def test_weights_are_a_softmax_over_those_alike_enough(beta, gamma):
    x = tokens(2, 6)
    mean = mean_cosine(x)
    found = proxy_attention(x, mean, beta, gamma)
    for window in range(2):
        for query in range(6):
            scores = [
                gamma * (float(cosine_similarity(x[window, query], x[window, key], dim=0)) - beta * float(mean))
                for key in range(6)
            ]
            weights = [math.exp(score) if score >= 0 else 0.0 for score in scores]
            expected = torch.tensor([weight / sum(weights) for weight in weights])
            torch.testing.assert_close(found[window, query], expected, atol=1e-5, rtol=1e-4)


def test_a_token_that_nothing_is_alike_keeps_its_own_value():
    x = tokens(1, 4)
    torch.testing.assert_close(proxy_attention(x, torch.tensor(2.0), 1.0, 3.0)[0], torch.eye(4))
