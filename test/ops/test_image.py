import numpy as np
import pytest
import torch

from ovsr_ros.errors import ImageError
from ovsr_ros.ops.image import check_image, has_contrast, normalize, resize, scaled_size_hw, to_tensor

CPU = torch.device("cpu")


@pytest.mark.parametrize("size_hw", [(16, 16), (48, 64), (640, 480), (480, 640), (20, 3000)])
def test_usable_images_pass(size_hw):
    check_image(np.zeros((*size_hw, 3), np.uint8))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((32, 32), np.uint8), "one channel"),
        (np.zeros((32, 32, 1), np.uint8), "one channel"),
        (np.zeros((32, 32, 4), np.uint8), r"got shape \(32, 32, 4\)"),
        (np.zeros((2, 32, 32, 3), np.uint8), "got shape"),
        (np.zeros((32, 32, 3), np.float32), "got dtype float32"),
        (np.zeros((15, 400, 3), np.uint8), "got 400x15"),
        (np.zeros((0, 0, 3), np.uint8), "got 0x0"),
        (np.lib.stride_tricks.as_strided(np.zeros(3, np.uint8), (10000, 10000, 3), (0, 0, 1)), "at most"),
        ([[1, 2, 3]], "got list"),
    ],
)
def test_unusable_image_is_refused_with_what_came(image, message):
    with pytest.raises(ImageError, match=message):
        check_image(image)


def test_to_tensor_keeps_pixels_of_any_memory_layout():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    read_only = image.copy()
    read_only.flags.writeable = False
    for view in (image, image[:, ::-1], image[..., ::-1], np.asfortranarray(image), read_only):
        tensor = to_tensor(view, CPU)
        assert tensor.shape == (1, 3, 20, 30)
        assert tensor.dtype == torch.uint8
        assert np.array_equal(tensor[0].permute(1, 2, 0).numpy(), view)


@pytest.mark.parametrize(
    ("size_hw", "expected"),
    [
        ((480, 640), (256, 341)),
        ((640, 480), (341, 256)),
        ((100, 100), (256, 256)),
        ((100, 1000), (64, 640)),  # 10 to 1 is more than 2.5 to 1: the long side is bounded
        ((16, 8000), (1, 640)),
    ],
)
def test_scaled_size(size_hw, expected):
    assert scaled_size_hw(size_hw, 256, 2.5) == expected


def test_resize_of_uint8_agrees_with_float():
    image = torch.randint(0, 256, (1, 3, 97, 131), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    as_float = resize(image.float(), (40, 50))
    assert (resize(image, (40, 50)).float() - as_float).abs().max() <= 1.01
    assert resize(image, (97, 131)) is image


def test_normalize_is_mean_and_deviation_of_the_unit_range():
    image = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    mean, std = torch.tensor([0.5, 0.25, 0.1]), torch.tensor([0.2, 0.3, 0.4])
    expected = (image.double() / 255 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    torch.testing.assert_close(normalize(image, mean, std).double(), expected, atol=1e-6, rtol=1e-6)


def test_has_contrast_is_per_image():
    images = torch.full((3, 3, 8, 8), 100, dtype=torch.uint8)
    images[1, 2, 0, 0] = 102
    images[2, 2, 0, 0] = 103
    assert has_contrast(images).tolist() == [False, False, True]
