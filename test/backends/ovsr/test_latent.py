import pytest
import torch

from ovsr_ros.backends.ovsr.latent import rank_by_energy, truncated_svd


def full_svd(matrix):
    return truncated_svd(matrix, 1.0, 10**6)


def decaying(rows, columns, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scales = torch.logspace(0, -2, columns)
    mixing = torch.linalg.qr(torch.randn(columns, columns, generator=generator)).Q
    return torch.randn(rows, columns, generator=generator) * scales @ mixing


@pytest.mark.parametrize("shape", [(5504, 112), (300, 176), (40, 128), (7, 7), (1, 5), (5, 1)])
def test_singular_values_agree_with_a_full_svd(shape):
    matrix = decaying(*shape)
    _, values = full_svd(matrix)
    expected = torch.linalg.svdvals(matrix.double())
    assert values.shape == expected.shape
    assert (values.double() - expected).abs().max() <= 1e-4 * expected[0]
    leading = expected > 0.1 * expected[0]
    torch.testing.assert_close(values[leading].double(), expected[leading], rtol=2e-5, atol=0)


@pytest.mark.parametrize("shape", [(500, 60), (60, 500)])
def test_coordinates_keep_all_inner_products(shape):
    matrix = decaying(*shape)
    coordinates, values = full_svd(matrix)
    tolerance = 2e-5 * float(values[0]) ** 2
    torch.testing.assert_close(coordinates @ coordinates.T, matrix @ matrix.T, rtol=0, atol=tolerance)
    torch.testing.assert_close(coordinates.norm(dim=0)[:10], values[:10], rtol=1e-4, atol=0)


def test_coordinates_are_those_of_a_full_svd_up_to_sign():
    matrix = decaying(400, 30)
    coordinates, _ = full_svd(matrix)
    left, values, _ = torch.linalg.svd(matrix.double(), full_matrices=False)
    expected = left * values
    error = (coordinates[:, :8].double().abs() - expected[:, :8].abs()).abs().max()
    assert error < 1e-4 * values[0]


def test_signs_do_not_depend_on_the_rows_order():
    matrix = decaying(400, 30)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    coordinates, _ = full_svd(matrix)
    permuted, _ = full_svd(matrix[order])
    torch.testing.assert_close(permuted[:, :8], coordinates[order, :8], rtol=0, atol=1e-3)


def test_input_is_not_changed():
    matrix = decaying(50, 20)
    before = matrix.clone()
    full_svd(matrix)
    assert torch.equal(matrix, before)


def test_degenerate_matrices():
    coordinates, values = full_svd(torch.zeros(10, 4))
    assert torch.equal(coordinates, torch.zeros(10, 1))
    assert torch.equal(values, torch.zeros(4))
    coordinates, values = full_svd(torch.zeros(0, 4))
    assert coordinates.shape == (0, 0)
    assert values.shape == (0,)


@pytest.mark.parametrize(
    ("energy", "max_rank", "expected"),
    [(0.5, 16, 1), (0.6, 16, 2), (0.9, 16, 2), (0.99, 16, 3), (1.0, 16, 3), (1.0, 2, 2)],
)
def test_rank_holds_the_energy(energy, max_rank, expected):
    values = torch.tensor([5.0, 4.0, 2.0, 0.0, 0.0])  # squares 25, 16, 4 of 45
    assert rank_by_energy(values, energy, max_rank) == expected


def test_rank_is_monotone_in_energy_and_at_least_one():
    _, values = full_svd(decaying(300, 40))
    ranks = [rank_by_energy(values, energy / 20, 100) for energy in range(1, 21)]
    assert ranks == sorted(ranks)
    assert ranks[0] >= 1
    assert rank_by_energy(torch.zeros(5), 0.9, 3) == 1


def test_truncation_keeps_the_leading_columns():
    coordinates, values = full_svd(decaying(300, 40))
    kept, all_values = truncated_svd(decaying(300, 40), 0.9, 16)
    assert kept.shape[1] == rank_by_energy(values, 0.9, 16)
    assert torch.equal(all_values, values)
    torch.testing.assert_close(kept, coordinates[:, : kept.shape[1]])
