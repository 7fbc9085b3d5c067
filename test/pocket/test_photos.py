"""Photographs as training draws them: which are read, what is left out, what a crop shows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ovsr_ros.errors import ConfigError, DatasetError
from ovsr_ros.evaluation.sample import IGNORED
from ovsr_ros.pocket.augment import CROP_HW, draw_crop
from ovsr_ros.pocket.class_words import NEVER_SEEN, OTHER_WORDS, training_words
from ovsr_ros.pocket.photos import PhotoFolder, class_weights, load_photos

COLORS = np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200), (0, 0, 0)], np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of 100 x 140: a wall, a sofa or a lamp on it, a stripe that is not judged."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    (tmp_path / "classes.txt").write_text("0: wall\n3: sofa; couch\n7: lamp\nignored: 255\n", encoding="utf-8")
    for number in range(3):
        mask = np.zeros((100, 140), np.uint8)
        mask[40:, 20 : 60 + 20 * number] = (3, 7, 3)[number]
        mask[:5] = 255
        shown = np.select([mask == 3, mask == 7, mask == 255], [1, 2, 3], 0)
        assert cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), COLORS[shown][..., ::-1])
        assert cv2.imwrite(str(tmp_path / "masks" / f"{number}.png"), mask)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b", PhotoFolder(Path("a/b"))),
        ("a[::2]", PhotoFolder(Path("a"), None, None, 2)),
        ("a[1:]", PhotoFolder(Path("a"), 1, None, None)),
        ("a[2:8:3]", PhotoFolder(Path("a"), 2, 8, 3)),
        ("a[b]", PhotoFolder(Path("a[b]"))),
    ],
)
def test_folders_are_named_as_python_slices_lists(text: str, expected: PhotoFolder) -> None:
    assert PhotoFolder.parse(text) == expected


def test_a_step_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a\[::0\]: expected a step of 1 or more, got 0"):
        PhotoFolder.parse("a[::0]")


def test_the_images_asked_for_are_read(folder: Path) -> None:
    photos = load_photos(PhotoFolder(folder, 1), 50)
    assert [image.shape for image in photos.images] == [(50, 70, 3)] * 2
    assert [mask.shape for mask in photos.masks] == [(50, 70)] * 2
    assert [words[0] for words in photos.words] == ["wall", "sofa", "lamp"]
    assert set(np.unique(photos.masks[0])) == {0, 2, IGNORED}
    assert set(np.unique(photos.masks[1])) == {0, 1, IGNORED}
    with pytest.raises(ConfigError, match="expected images to train on, got none of its 3"):
        load_photos(PhotoFolder(folder, 5), 50)
    with pytest.raises(DatasetError, match="nowhere"):
        load_photos(PhotoFolder(folder / "nowhere"), 50)


def test_of_classes_that_are_left_out_neither_pixels_nor_words_remain(folder: Path) -> None:
    photos = load_photos(PhotoFolder(folder), 100, ["sofa"])
    assert [words[0] for words in photos.words] == ["wall", "lamp"]
    assert set(np.unique(photos.masks[0])) == {0, IGNORED}
    assert set(np.unique(photos.masks[1])) == {0, 1, IGNORED}
    assert not {word for words in photos.words for word in words} & {"sofa", "couch", *OTHER_WORDS["sofa"]}


def test_rare_classes_count_more_and_absent_ones_not() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:4] = 1
    mask[20:] = IGNORED
    weights = class_weights([mask], 3)
    shares = np.array([16, 4, 0]) / 20
    assert weights[2] == 0
    assert weights[1] / weights[0] == pytest.approx(4**0.4)
    assert (weights * shares).sum() == pytest.approx(1.0)


def test_words_for_words_that_are_tried_later_are_never_trained() -> None:
    unseen = {word.lower() for word in NEVER_SEEN.values()}
    assert training_words("sofa; couch")[:4] == ("sofa", "settee", "loveseat", "divan")
    assert training_words("pavement; sidewalk")[0] == "pavement"
    assert training_words("couch") == ("sofa", "settee", "sofa bed")
    assert training_words("zebra; striped horse") == ("zebra", "striped horse")
    assert not {word.lower() for name in OTHER_WORDS for word in training_words(name)} & unseen


def test_a_crop_and_its_mask_show_the_same(folder: Path) -> None:
    photos = load_photos(PhotoFolder(folder), 448)
    sizes = set()
    for seed in range(12):
        image, mask = draw_crop(photos.images[0], photos.masks[0], np.random.default_rng(seed))
        assert image.shape == (*CROP_HW, 3)
        assert mask.shape == CROP_HW
        assert image.flags.c_contiguous
        inner = cv2.erode((mask == 1).astype(np.uint8), np.ones((9, 9))) > 0
        outer = cv2.erode((mask == 0).astype(np.uint8), np.ones((9, 9))) > 0
        if inner.any() and outer.any():
            green, red = image[inner].mean(0), image[outer].mean(0)
            assert green[1] - green[0] > red[1] - red[0] + 30, "the sofa is green, the wall red, whatever the light"
            sizes.add(int(inner.sum()))
        again, _ = draw_crop(photos.images[0], photos.masks[0], np.random.default_rng(seed))
        assert np.array_equal(image, again)
    assert len(sizes) > 6
