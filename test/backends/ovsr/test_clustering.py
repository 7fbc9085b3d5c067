import pytest
import torch

from ovsr_ros.backends.ovsr.clustering import clamp_count, count_by_eigengap, count_by_energy, count_by_gavish_donoho


def test_energy_counts_values_over_the_fraction():
    values = torch.tensor([10.0, 6.0, 3.1, 3.0, 1.0])
    assert count_by_energy(values, 0.3) == 3
    assert count_by_energy(values, 0.05) == 5
    assert count_by_energy(values, 1.0) == 0


def test_energy_of_nothing_is_zero():
    assert count_by_energy(torch.zeros(4), 0.3) == 0
    assert count_by_energy(torch.zeros(0), 0.3) == 0


@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_eigengap_finds_the_step(count):
    strong = torch.linspace(1.0, 0.9, count)
    weak = torch.linspace(0.2, 0.1, 20)
    assert count_by_eigengap(torch.cat((strong, weak)), 24) == count


def test_eigengap_looks_no_further_than_its_bound():
    values = torch.cat((torch.linspace(1.0, 0.9, 9), torch.linspace(0.2, 0.1, 20)))
    assert count_by_eigengap(values, 5) <= 5
    assert count_by_eigengap(torch.tensor([1.0, 0.5]), 5) == 1
    assert count_by_eigengap(torch.zeros(10), 5) == 1


@pytest.mark.parametrize("rank", [1, 4, 10])
def test_gavish_donoho_finds_the_rank_under_white_noise(rank):
    generator = torch.Generator().manual_seed(rank)
    shape = (1500, 150)
    signal = torch.randn(shape[0], rank, generator=generator) @ torch.randn(rank, shape[1], generator=generator)
    noisy = signal + 0.5 * torch.randn(shape, generator=generator)
    assert count_by_gavish_donoho(torch.linalg.svdvals(noisy), shape) == rank


def test_clamp():
    assert clamp_count(0, 2, 24, 5504) == 2
    assert clamp_count(100, 2, 24, 5504) == 24
    assert clamp_count(7, 2, 24, 5504) == 7
    assert clamp_count(7, 2, 24, 4) == 4
    assert clamp_count(0, 2, 24, 1) == 1
