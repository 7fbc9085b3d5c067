"""Image files as a source: one, or a folder's in turn; damaged ones are left out and told once."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from media_files import grey, level_of, write_image
from PIL import Image

from ovsr_ros.demo.sources.images import ImageSource
from ovsr_ros.errors import SourceError

BOUND_WH = (1280, 1280)


@pytest.fixture
def reports():
    return []


def levels(source, count):
    return [level_of(source.read().image) for _ in range(count)]


def test_images_follow_each_other_by_their_time_and_begin_again(tmp_path, reports):
    files = [write_image(tmp_path / f"{index}.png", 60 * index) for index in (1, 2, 3)]
    source = ImageSource("folder", files, BOUND_WH, rate_hz=4.0, each_s=0.5, report=reports.append)
    assert levels(source, 8) == [60, 60, 120, 120, 180, 180, 60, 60]
    assert (source.size_wh, source.rate_hz, source.description) == ((64, 48), 4.0, "3 images of folder")
    assert reports == []


def test_one_image_is_shown_for_ever_though_its_file_is_gone(tmp_path, reports):
    path = write_image(tmp_path / "a.jpg", 120)
    source = ImageSource("a.jpg", [path], BOUND_WH, 10.0, 0.1, reports.append)
    path.unlink()
    assert levels(source, 30) == [120] * 30


@pytest.mark.parametrize(
    ("size_wh", "bound_wh", "expected"),
    [
        ((400, 100), (200, 200), (200, 50)),
        ((100, 400), (200, 200), (50, 200)),
        ((400, 300), (200, 50), (67, 50)),
        ((100, 80), (200, 200), (100, 80)),
    ],
)
def test_large_images_are_scaled_down_with_their_aspect_and_small_ones_stay(
    tmp_path, reports, size_wh, bound_wh, expected
):
    path = write_image(tmp_path / "a.png", 90, size_wh)
    source = ImageSource("a.png", [path], bound_wh, 10.0, 1.0, reports.append)
    height, width = source.read().image.shape[:2]
    assert source.size_wh == (width, height) == expected


def test_colours_are_rgb_and_grey_files_become_so(tmp_path, reports):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((20, 20, 3), (0, 0, 200), np.uint8))
    cv2.imwrite(str(tmp_path / "grey.png"), grey(70)[..., 0])
    source = ImageSource("folder", sorted(tmp_path.glob("*.png")), BOUND_WH, 1.0, 1.0, reports.append)
    first, second = source.read().image, source.read().image
    assert (first[0, 0].tolist(), second[0, 0].tolist()) == ([70, 70, 70], [200, 0, 0])


def test_damaged_files_are_left_out_and_told_once(tmp_path, reports):
    good = write_image(tmp_path / "a.png", 60)
    cut, text, gone = tmp_path / "b.png", tmp_path / "c.jpg", tmp_path / "d.png"
    cut.write_bytes(good.read_bytes()[:60])
    text.write_text("not an image")
    thin = write_image(tmp_path / "e.png", 60, (300, 8))
    last = write_image(tmp_path / "f.png", 120)
    source = ImageSource("folder", [good, cut, text, gone, thin, last], BOUND_WH, 1.0, 1.0, reports.append)
    assert levels(source, 6) == [60, 120] * 3
    assert len(reports) == 4, "each once"
    for report, path, said in zip(
        reports,
        (cut, text, gone, thin),
        ("expected an image, got a file that is damaged: a png image with a part", "got a file that is not decodable",
         "cannot be read: No such file", "expected an image of at least 16x16 px, got 300x8"),
        strict=True,
    ):  # fmt: skip
        assert report.startswith(f"image left out: {path}: ")
        assert said in report


def test_a_damaged_image_alone_is_refused(tmp_path, reports):
    path = write_image(tmp_path / "a.jpg", 60, (640, 480))
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(
        SourceError, match=r"a\.jpg: expected an image, got a file that is damaged: .*; something loses"
    ):
        ImageSource("a.jpg", [path], BOUND_WH, 1.0, 1.0, reports.append)
    assert reports == []


def test_where_no_file_can_be_read_it_ends(tmp_path, reports):
    files = [write_image(tmp_path / f"{index}.png", 60) for index in range(2)]
    source = ImageSource("folder", files, BOUND_WH, 1.0, 1.0, reports.append)
    for file in files:
        file.unlink()
    assert levels(source, 1) == [60]
    with pytest.raises(
        SourceError, match=r"folder: expected images, of its 2 files none can be read; the first: .*1\.png"
    ):
        source.read()
    with pytest.raises(SourceError, match="of its 2 files none can be read"):
        ImageSource("folder", files, BOUND_WH, 1.0, 1.0, reports.append)


def test_an_image_that_is_too_thin_once_it_fits_is_refused_with_both_sizes(tmp_path, reports):
    path = write_image(tmp_path / "a.png", 60, (4000, 40))
    with pytest.raises(SourceError, match="at least 16x16 px, got 4000x40, 1280x13 within 1280x1280; take another"):
        ImageSource("a.png", [path], BOUND_WH, 1.0, 1.0, reports.append)


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top is on the right: turn by a quarter
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20] = (200, 30, 30)
    Image.fromarray(pixels).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    source = ImageSource("phone.jpg", [tmp_path / "phone.jpg"], (1280, 1280), 10.0, 1.0, print)
    assert source.size_wh == (40, 60)
    image = source.read().image
    assert image[:, 25:, 0].mean() > 180
    assert image[:, :15, 0].mean() < 20
