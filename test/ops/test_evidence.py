"""Evidence on a grid: which label has most, there and at another resolution."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from ovsr_ros.ops import evidence as votes


def smooth(height, width, num_labels, seed=0, sigma=3.0):
    """Evidence (K, h, w) float32."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=(height, width)), sigma) for _ in range(num_labels)]
    return torch.from_numpy(np.stack(fields).astype(np.float32))


def blobs(*shape, **options):
    """Labels (h, w) int64."""
    return smooth(*shape, **options).argmax(0)


@pytest.mark.parametrize("size_hw", [(480, 640), (64, 86), (100, 37), (33, 200), (20, 30), (1, 1)])
@pytest.mark.parametrize("num_labels", [1, 2, 12])
def test_upsampling_is_the_argmax_of_bilinear_one_hot_maps(size_hw, num_labels):
    labels = blobs(64, 86, num_labels, sigma=1.5)
    upsampled = votes.upsample_labels(labels, size_hw)
    assert upsampled.dtype == labels.dtype
    one_hot = functional.one_hot(labels, num_labels).permute(2, 0, 1)[None].double()
    shares = functional.interpolate(one_hot, size_hw, mode="bilinear", align_corners=False)[0]
    reached = shares.gather(0, upsampled[None].long())[0]
    assert (reached >= shares.amax(0) - 1e-4).all()  # the best label, or one that ties with it


@pytest.mark.parametrize("size_hw", [(480, 640), (64, 86), (100, 37), (33, 200), (20, 30), (1, 1)])
@pytest.mark.parametrize("num_labels", [1, 2, 12])
def test_with_evidence_it_is_the_best_of_those_around_each_pixel(size_hw, num_labels):
    evidence = smooth(64, 86, num_labels)
    labels = votes.find_winners(evidence).int()
    upsampled = votes.upsample_labels(labels, size_hw, evidence)
    assert upsampled.dtype == labels.dtype
    one_hot = functional.one_hot(labels.long(), num_labels).permute(2, 0, 1)[None].double()
    near = functional.interpolate(one_hot, size_hw, mode="bilinear", align_corners=False)[0] > 1e-6
    at_size = functional.interpolate(evidence[None], size_hw, mode="bilinear", align_corners=False)[0]
    reached = at_size.gather(0, upsampled[None].long())[0]
    around = functional.interpolate(functional.max_pool2d(one_hot, 3, 1, 1), size_hw, mode="bilinear")[0] > 0
    assert around.gather(0, upsampled[None].long()).all()
    assert (reached >= at_size.masked_fill(~near, -torch.inf).amax(0) - 1e-5).all()


@pytest.mark.parametrize("with_evidence", [False, True])
def test_upsampling_does_not_depend_on_the_chunks(monkeypatch, with_evidence):
    evidence = smooth(30, 40, 6)
    given = votes.find_winners(evidence), (203, 301), evidence if with_evidence else None
    whole = votes.upsample_labels(*given)
    monkeypatch.setattr(votes, "_PIXELS_AT_ONCE", 100)
    assert torch.equal(votes.upsample_labels(*given), whole)


def test_upsampling_to_the_same_size_copies():
    labels = blobs(30, 40, 6)
    upsampled = votes.upsample_labels(labels, (30, 40))
    assert torch.equal(upsampled, labels)
    assert upsampled.data_ptr() != labels.data_ptr()
