import torch

from ovsr_ros.backends.ovsr.clustering import clamp_count, count_by_energy


def test_energy_counts_values_over_the_fraction():
    values = torch.tensor([10.0, 6.0, 3.1, 3.0, 1.0])
    assert count_by_energy(values, 0.3) == 3
    assert count_by_energy(values, 0.05) == 5
    assert count_by_energy(values, 1.0) == 0


def test_energy_of_nothing_is_zero():
    assert count_by_energy(torch.zeros(4), 0.3) == 0
    assert count_by_energy(torch.zeros(0), 0.3) == 0


def test_clamp():
    assert clamp_count(0, 2, 24, 5504) == 2
    assert clamp_count(100, 2, 24, 5504) == 24
    assert clamp_count(7, 2, 24, 5504) == 7
    assert clamp_count(7, 2, 24, 4) == 4
    assert clamp_count(0, 2, 24, 1) == 1
