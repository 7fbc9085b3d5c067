"""The paired bootstrap: against hand-computed differences, and what must always hold."""

import numpy as np
import pytest

from ovsr_ros.evaluation.bootstrap import compare_mean_miou, compare_miou
from ovsr_ros.evaluation.metrics import ClassCounts


def counts(*rows):
    return ClassCounts(*(np.array(column, np.int64) for column in rows))


def random_counts(rng, num_images):
    return [counts(*rng.integers(1, 50, (3, 4))) for _ in range(num_images)]


def total_miou(images):
    total = ClassCounts.zeros(len(images[0].true_positive))
    for image in images:
        total += image
    return total.summary()["miou"]


def test_the_difference_is_that_of_the_summed_counts():
    rng = np.random.default_rng(3)
    base, other = random_counts(rng, 12), random_counts(rng, 12)
    difference = compare_miou(base, other)
    assert difference.value == pytest.approx(total_miou(other) - total_miou(base), abs=1e-12)
    assert difference.low < difference.value < difference.high


def test_one_image_leaves_no_room_for_chance():
    # Class 0: 4/8 against 6/8; class 1 is not in the truth, its false positives count for nothing.
    base, other = counts([4, 0], [2, 1], [2, 0]), counts([6, 0], [0, 5], [2, 0])
    difference = compare_miou([base], [other])
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.25, 0.25, 0.25))


def test_equal_runs_do_not_differ_whatever_is_drawn():
    images = random_counts(np.random.default_rng(0), 9)
    difference = compare_miou(images, images)
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
    assert not difference.is_clear


def test_a_gain_on_every_image_is_clear_and_one_on_a_few_is_not():
    plain = counts([50, 50], [10, 10], [10, 10])
    better, worse = counts([60, 60], [5, 5], [5, 5]), counts([42, 42], [15, 15], [15, 15])
    assert compare_miou([plain] * 20, [better] * 20).is_clear
    assert not compare_miou([plain] * 20, [better] * 10 + [worse] * 10).is_clear


def test_swapping_the_runs_turns_the_interval_around():
    rng = np.random.default_rng(5)
    base, other = random_counts(rng, 8), random_counts(rng, 8)
    there, back = compare_miou(base, other), compare_miou(other, base)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize(("num_base", "num_other"), [(0, 0), (2, 3)])
def test_runs_over_other_images_are_refused(num_base, num_other):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=f"got {num_base} and {num_other}"):
        compare_miou(random_counts(rng, num_base), random_counts(rng, num_other))


# --- Several sets ---


def test_the_mean_over_sets_counts_each_as_much_however_many_images_it_has():
    rng = np.random.default_rng(7)
    sets = [(random_counts(rng, n), random_counts(rng, n)) for n in (3, 40)]
    mean = compare_mean_miou(sets)
    values = [total_miou(other) - total_miou(base) for base, other in sets]
    assert mean.value == pytest.approx(sum(values) / 2, abs=1e-12)
    assert mean.low < mean.value < mean.high


def test_one_set_is_the_bootstrap_over_its_images():
    rng = np.random.default_rng(8)
    base, other = random_counts(rng, 9), random_counts(rng, 9)
    assert compare_mean_miou([(base, other)]) == compare_miou(base, other)


def test_sets_are_resampled_independently_of_each_other():
    """Two sets of equal content: independent draws narrow the interval by the root of 2, equal ones would not."""
    rng = np.random.default_rng(9)
    base, other = random_counts(rng, 60), random_counts(rng, 60)
    one, two = compare_miou(base, other), compare_mean_miou([(base, other)] * 2)
    assert two.value == pytest.approx(one.value)
    assert (one.high - one.low) / (two.high - two.low) == pytest.approx(2**0.5, rel=0.1)


def test_a_set_of_one_image_adds_no_chance():
    """Resampled within itself it is always the same: what varies is half of what the other set varies."""
    rng = np.random.default_rng(10)
    base, other = random_counts(rng, 30), random_counts(rng, 30)
    alone = compare_miou(base, other)
    single = ([base[0]], [base[0]])
    with_single = compare_mean_miou([(base, other), single])
    assert (with_single.low, with_single.high) == pytest.approx((alone.low / 2, alone.high / 2))


def test_sets_that_do_not_pair_are_refused():
    image = random_counts(np.random.default_rng(0), 1)
    with pytest.raises(ValueError, match="at least one set"):
        compare_mean_miou([])
    with pytest.raises(ValueError, match="got 1 and 2"):
        compare_mean_miou([(image, image), (image, image * 2)])
