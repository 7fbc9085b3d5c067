"""folder: images and masks of one's own with a class file."""

import numpy as np
import pytest

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets import open_dataset

CLASSES = "ignored: 255 3\n0: background: sky; wall\n700: mug; cup\n9: ball\n"


@pytest.fixture
def root(files):
    files.text("classes.txt", CLASSES)
    files.noise("images/b.png", (5, 3))
    files.noise("images/a.JPG", (5, 3))
    files.text("images/notes.txt", "no image")
    files.grey16("masks/a.png", [[0, 700, 9, 255, 3]] * 3)
    files.paletted("masks/b.png", [[0, 0, 9, 9, 255]] * 3)
    files.grey("masks/c.png", [[0]])
    return files.root


def test_folder(root):
    dataset = open_dataset("folder", root)
    assert [dataset.name_of(index) for index in range(len(dataset))] == ["a", "b"]
    assert dataset.classes == ("background", "mug", "ball")
    assert dataset.background == 0
    assert dataset.background_names == ("sky", "wall")
    assert dataset.names_used == "classes.txt"
    sample = dataset.load(0)
    assert sample.words == ("mug; cup", "ball")
    assert sample.word_classes == (1, 2)
    assert sample.truth.tolist() == [[0, 1, 2, 255, 255]] * 3
    assert dataset.load(1).truth.tolist() == [[0, 0, 2, 2, 255]] * 3


def test_another_class_file_and_values_that_are_counted(files, root):
    path = files.text("mine.txt", "\n".join(f"class {index}" for index in range(10)))
    dataset = open_dataset("folder", root, class_file=path)
    assert dataset.names_used == "mine.txt"
    assert dataset.background is None
    assert dataset.load(1).truth.tolist() == [[0, 0, 9, 9, 255]] * 3
    with pytest.raises(SampleError, match=r"masks/a\.png: expected values 0 to 9 and 255, came 700 in 3 pixels"):
        dataset.load(0)


@pytest.mark.parametrize("shape", [(6, 10), (30, 50), (31, 51), (2, 3)])
def test_a_mask_of_another_resolution_keeps_it(files, root, shape):
    files.grey("masks/b.png", np.full(shape, 9))
    assert open_dataset("folder", root).load(1).truth.shape == shape


@pytest.mark.parametrize("shape", [(50, 30), (30, 40), (60, 60), (33, 50), (100, 150)])
def test_a_mask_of_another_shape_is_refused(files, root, shape):
    files.noise("images/b.png", (50, 30))
    files.grey("masks/b.png", np.full(shape, 9))
    with pytest.raises(SampleError, match=rf"b\.png: expected 50x30 pixels or that .* came {shape[1]}x{shape[0]}"):
        open_dataset("folder", root).load(1)


def test_an_image_without_a_mask_and_a_truncated_one(files, root):
    (root / "masks/b.png").unlink()
    files.noise("images/a.JPG", (50, 30))
    files.cut("images/a.JPG")
    dataset = open_dataset("folder", root)
    with pytest.raises(SampleError, match=r"masks/b\.png: expected a mask, came no such file"):
        dataset.load(1)
    with pytest.raises(SampleError, match=r"images/a\.JPG: expected an image"):
        dataset.load(0)


@pytest.mark.parametrize("part", ["images", "masks", "classes.txt"])
def test_a_root_that_lacks_a_part(root, part):
    (root / part).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=f"{part}: (this folder is missing|expected a class file)"):
        open_dataset("folder", root)


def test_no_images(root):
    for path in (root / "images").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match=r"images: expected images .* came none"):
        open_dataset("folder", root)


def test_two_images_of_one_name(files, root):
    files.noise("images/a.webp", (5, 3))
    with pytest.raises(DatasetError, match=r"a\.webp: expected one file of this name, came a\.JPG beside it"):
        open_dataset("folder", root)


def test_it_has_no_splits(root):
    with pytest.raises(DatasetError, match="folder: expected one of the splits val, got 'train'"):
        open_dataset("folder", root, "train")
