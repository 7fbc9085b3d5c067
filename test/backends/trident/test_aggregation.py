"""SAM's filtered attention against its formula, head by head and query by query."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from ovsr_ros.backends.trident.aggregation import FilteredAttention


def attention(heads, count, seed=0, offset=0.3):
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(heads, count, count, generator=generator).softmax(-1)
    values = torch.randn(heads, count, 4, generator=generator) + offset
    return probabilities, values


def literal(probabilities, values, factor, negative, highest):
    heads, count, _ = values.shape
    cosines = [
        [[float(cosine_similarity(v[i], v[j], dim=0)) for j in range(count)] for i in range(count)] for v in values
    ]
    matrix = torch.zeros(count, count)
    for query in range(count):
        threshold = factor * sum(sum(head[query]) for head in cosines) / (heads * count)
        if negative is not None and threshold < 0:
            threshold = negative
        threshold = min(threshold, highest)
        for head in range(heads):
            for key in range(count):
                if cosines[head][query][key] > threshold:
                    matrix[query, key] += float(probabilities[head, query, key]) / heads
        matrix[query] /= matrix[query].sum()
    return matrix


def build(probabilities, values, piece, *arguments):
    filtered = FilteredAttention(values, *arguments)
    for head, whole in enumerate(probabilities):
        for first in range(0, len(whole), piece):
            filtered.add(head, first, whole[first : first + piece])
    return filtered.matrix()


@pytest.mark.parametrize("piece", [1, 4, 100])
@pytest.mark.parametrize(("heads", "count"), [(1, 1), (2, 7), (4, 11)])
def test_pieces_give_the_matrix_of_the_formula(heads, count, piece):
    probabilities, values = attention(heads, count)
    found = build(probabilities, values, piece, 1.2)
    torch.testing.assert_close(found, literal(probabilities, values, 1.2, None, 0.9))


@pytest.mark.parametrize(("factor", "negative"), [(0.0, None), (3.0, 0.6), (1.2, 0.6), (10.0, None)])
def test_thresholds_below_zero_and_near_one(factor, negative):
    probabilities, values = attention(3, 9, seed=2, offset=0.0)  # some means are negative
    found = build(probabilities, values, 5, factor, negative)
    torch.testing.assert_close(found, literal(probabilities, values, factor, negative, 0.9))
    torch.testing.assert_close(found.sum(1), torch.ones(9))


def test_a_query_whose_own_probability_vanishes_keeps_itself():
    values = torch.eye(3)[None]
    found = build(torch.tensor([[[0.0, 0.5, 0.5]] * 3]), values, 3, 1.0)
    torch.testing.assert_close(found, torch.eye(3))


def test_what_is_added_is_left_as_it_is():
    probabilities, values = attention(2, 5)
    before = probabilities.clone()
    build(probabilities, values, 2, 1.2)
    assert torch.equal(probabilities, before)
