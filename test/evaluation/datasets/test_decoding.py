"""Decoding: every kind of file gives the values that were stored, and a damaged one is told by name."""

import numpy as np
import pytest
from PIL import Image

from ovsr_ros.errors import SampleError
from ovsr_ros.evaluation.datasets.decoding import read_image, read_mask

VALUES = np.array([[0, 1, 2, 255, 7], [20, 254, 3, 0, 1], [9, 9, 9, 128, 200]])


def test_grey_and_paletted_masks_give_the_stored_values(files):
    for path in (files.grey("a.png", VALUES), files.paletted("b.png", VALUES), files.grey16("c.png", VALUES)):
        mask = read_mask(path)
        assert mask.dtype == np.uint16
        assert np.array_equal(mask, VALUES), path


def test_a_16_bit_mask_keeps_values_above_255(files):
    values = VALUES * 257
    assert values.max() == 65535
    assert np.array_equal(read_mask(files.grey16("a.png", values)), values)


def test_a_16_bit_tiff_mask(files):
    assert np.array_equal(read_mask(files.grey16("a.tiff", VALUES * 100)), VALUES * 100)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_masks_of_few_bits_are_not_stretched(files, bits):
    values = np.arange(15).reshape(3, 5) % 2**bits
    assert np.array_equal(read_mask(files.grey_bits("a.png", values, bits)), values)


def test_a_paletted_mask_of_few_colours(files):
    values = np.arange(15).reshape(3, 5) % 4
    path = files.path("a.png")
    image = Image.frombytes("P", (5, 3), values.astype(np.uint8).tobytes())
    image.putpalette([9, 9, 9, 0, 0, 0, 255, 255, 255, 1, 2, 3])
    image.save(path, bits=2)
    assert path.read_bytes()[24] == 2
    assert np.array_equal(read_mask(path), values)


def test_a_float_mask_is_refused(files):
    path = files.path("a.tiff")
    Image.fromarray(np.zeros((3, 5), np.float32)).save(path)
    with pytest.raises(SampleError, match=r"a\.tiff: expected a grey or paletted mask .* mode F"):
        read_mask(path)


def test_a_mask_with_values_that_no_16_bits_hold(files):
    path = files.path("a.tiff")
    Image.fromarray(np.array([[0, 70000]], np.int32)).save(path)
    with pytest.raises(SampleError, match="expected values 0 to 65535, came 0 to 70000"):
        read_mask(path)


def test_a_mask_in_colour_is_refused(files):
    path = files.image("a.png", (4, 3))
    with pytest.raises(SampleError, match=r"a\.png: expected a grey or paletted mask .* mode RGB"):
        read_mask(path)


def test_a_jpeg_mask_is_refused_whatever_it_is_called(files):
    path = files.grey("a.jpg", VALUES)
    path = path.rename(path.with_suffix(".png"))
    with pytest.raises(SampleError, match="JPEG, whose compression changes values"):
        read_mask(path)


def test_an_image_is_rgb(files):
    image = read_image(files.image("a.png", (7, 3), (1, 2, 250)))
    assert image.shape == (3, 7, 3)
    assert image.dtype == np.uint8
    assert image[1, 5].tolist() == [1, 2, 250]


def test_images_of_other_modes_become_rgb(files):
    grey = read_image(files.grey("a.png", VALUES))
    assert np.array_equal(grey, np.repeat(VALUES[..., None], 3, 2))
    deep = read_image(files.grey16("b.png", VALUES * 256 + 99))
    assert np.array_equal(deep, np.repeat(VALUES[..., None], 3, 2))
    paletted = read_image(files.paletted("c.png", [[3, 4]]))
    assert paletted.tolist() == [[[21, 39, 87], [28, 52, 116]]]
    path = files.path("d.jpg")
    Image.new("CMYK", (5, 4), (0, 0, 0, 0)).save(path)
    assert read_image(path).shape == (4, 5, 3)


def test_a_paletted_image_with_transparency_warns_of_nothing(files):
    path = files.path("a.png")
    image = Image.frombytes("P", (2, 1), b"\0\1")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(path, transparency=b"\0\xff")
    assert read_image(path).tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_an_image_is_turned_as_its_camera_says(files):
    path = files.path("a.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right: turn by a quarter
    Image.new("RGB", (30, 20)).save(path, exif=exif)
    assert read_image(path).shape == (30, 20, 3)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_file_cut_short_is_told_by_name(files, share, suffix):
    files.noise(f"a.{suffix}", (90, 70))
    path = files.cut(f"a.{suffix}", share)
    with pytest.raises(SampleError, match=rf"a\.{suffix}: expected an image, came {path.stat().st_size} bytes"):
        read_image(path)


@pytest.mark.parametrize("place", [40, 200, 5000])
def test_a_damaged_png_is_told_by_name(files, place):
    path = files.noise("a.png", (90, 70))
    content = bytearray(path.read_bytes())
    content[place : place + 30] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(SampleError, match=r"a\.png: expected an image"):
        read_image(path)


def test_a_mask_cut_short_is_told_by_name(files):
    values = np.random.default_rng(1).integers(0, 21, (60, 50))
    files.paletted("a.png", values)
    with pytest.raises(SampleError, match=r"a\.png: expected a mask, came \d+ bytes that cannot be decoded"):
        read_mask(files.cut("a.png", 0.6))


def test_missing_files_and_other_files(files):
    with pytest.raises(SampleError, match=r"none\.jpg: expected an image, came no such file"):
        read_image(files.root / "none.jpg")
    with pytest.raises(SampleError, match=r"none\.png: expected a mask, came no such file"):
        read_mask(files.root / "none.png")
    with pytest.raises(SampleError, match="came 5 bytes that cannot be decoded"):
        read_image(files.text("a.jpg", "hello"))
