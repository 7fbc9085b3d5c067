"""The normalisation rms: what a cell's features weigh beside each other."""

import pytest
import torch

from ovsr_ros.backends.ovsr.features import describe_cells, normalize_level

GRID_HW = (12, 16)


def maps(num_channels, seed=0, size_hw=GRID_HW):
    """A feature map (1, C, h, w), not negative, as activations are."""
    return torch.randn(1, num_channels, *size_hw, generator=torch.Generator().manual_seed(seed)).abs()


def describe(*levels):
    return describe_cells(levels, GRID_HW, "rms")


def test_rows_have_length_1():
    features = describe(maps(8), maps(24, 1, (6, 8)), maps(40, 2, (3, 4)))
    assert features.shape == (12 * 16, 72)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.norm(dim=1), torch.ones(12 * 16))


def test_a_channels_scale_does_not_matter():
    level, other = maps(9), maps(5, 1)
    scales = 2.0 ** torch.arange(-4, 5)[:, None, None]
    torch.testing.assert_close(describe(level * scales, other), describe(level, other))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_a_levels_scale_does_not_matter(scale):
    level, other = maps(9), maps(5, 1)
    torch.testing.assert_close(describe(level * scale, other), describe(level, other))


def test_each_channel_has_root_mean_square_1_over_the_root_of_their_number():
    level = maps(16)[0].flatten(1).T * torch.logspace(-1, 1, 16)
    torch.testing.assert_close(normalize_level(level, "rms").square().mean(0), torch.full((16,), 1 / 16))


def test_what_all_cells_share_stays():
    level = torch.full((20, 4), 3.0)
    torch.testing.assert_close(normalize_level(level, "rms"), torch.full((20, 4), 0.5))
    assert (normalize_level(level, "standardize") == 0).all()


def test_levels_of_many_and_of_few_channels_weigh_the_same():
    few, many = maps(4).sign() * 3, maps(256, 1).sign() * 0.2
    features = describe(few, many)
    half = torch.full((12 * 16,), 0.5)
    torch.testing.assert_close(features[:, :4].square().sum(1), half)
    torch.testing.assert_close(features[:, 4:].square().sum(1), half)
    for num_channels in (1, 4, 256):
        level = normalize_level(maps(num_channels)[0].flatten(1).T, "rms")
        assert float(level.square().sum(1).mean()) == pytest.approx(1.0, rel=1e-4)  # before cells get length 1


def test_a_channel_that_is_0_everywhere_stays_0():
    level = maps(6)
    level[:, 2] = 0
    features = describe(level)
    assert (features[:, 2] == 0).all()
    assert features.isfinite().all()
    torch.testing.assert_close(features.norm(dim=1), torch.ones(12 * 16))


def test_a_channel_of_rounding_noise_says_nothing():
    level = maps(6)
    level[:, 2] *= 1e-9
    assert float(describe(level)[:, 2].max()) < 1e-3


def test_a_map_of_zeros_stays_0():
    assert (describe(torch.zeros(1, 5, 6, 8)) == 0).all()
    beside = describe(torch.zeros(1, 5, 6, 8), maps(4))
    assert (beside[:, :5] == 0).all()
    torch.testing.assert_close(beside.norm(dim=1), torch.ones(12 * 16))
