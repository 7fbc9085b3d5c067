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


def test_without_a_list_all_images_are_the_split_val(root):
    with pytest.raises(DatasetError, match="folder: expected one of the splits val, got 'train'; a split is a list"):
        open_dataset("folder", root, "train")


def names_of(dataset):
    return [dataset.name_of(index) for index in range(len(dataset))]


def test_splits_are_lists_in_the_folder_splits(files, root):
    files.text("splits/hard.txt", "b\n\n  a \n")
    files.text("splits/easy.txt", "\ufeffb.png\r\n")
    files.text("train.txt", "a\n")  # the folder splits says them all
    assert names_of(open_dataset("folder", root, "hard")) == ["b", "a"]
    easy = open_dataset("folder", root, "easy")
    assert easy.split == "easy"
    assert names_of(easy) == ["b"]
    assert easy.load(0).truth.tolist() == [[0, 0, 2, 2, 255]] * 3
    for split in ("val", "train", "../train"):
        with pytest.raises(DatasetError, match=f"folder: expected one of the splits easy, hard, got '{split}'"):
            open_dataset("folder", root, split)


def test_splits_of_the_usual_names_may_lie_beside_the_images(files, root):
    files.text("train.txt", "images/a.JPG\n")
    files.text("notes.txt", "no list of images")
    assert names_of(open_dataset("folder", root, "train")) == ["a"]
    with pytest.raises(DatasetError, match="folder: expected one of the splits train, got 'val'"):
        open_dataset("folder", root)
    files.text("val.txt", "b")
    assert names_of(open_dataset("folder", root)) == ["b"]


def test_stems_with_dots_and_blanks(files, root):
    files.noise("images/a b.v2.png", (5, 3))
    files.noise("images/c.png.png", (5, 3))
    files.text("val.txt", "a b.v2\nc.png\n")
    assert names_of(open_dataset("folder", root)) == ["a b.v2", "c.png"]
    files.text("val.txt", "a b.v2.png\nc.png.png\n")
    assert names_of(open_dataset("folder", root)) == ["a b.v2", "c.png"]


def test_a_listed_image_that_is_missing_is_named_when_it_is_loaded(files, root):
    files.text("val.txt", "a\nnone\n")
    dataset = open_dataset("folder", root)
    assert len(dataset) == 2
    with pytest.raises(SampleError, match=r"images/none\.jpg: expected an image, came no such file"):
        dataset.load(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\na.JPG\n", r"val\.txt: expected each image once, came a 2 times"),
        ("\n \n", r"val\.txt: expected the name of an image on each line, came an empty file; a split is a list"),
    ],
)
def test_lists_that_cannot_be_used(files, root, text, message):
    files.text("val.txt", text)
    with pytest.raises(DatasetError, match=message):
        open_dataset("folder", root)


def test_a_list_that_is_no_text(root):
    (root / "val.txt").write_bytes(b"\xff\xfe\0a")
    with pytest.raises(DatasetError, match=r"val\.txt: expected the name of an image on each line \(UTF-8\)"):
        open_dataset("folder", root)
