"""voc21 and voc20, on a folder written here: paletted masks, odd sizes, 255s, files that are missing or cut short."""

import pytest

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets import open_dataset

MASK = [[0, 1, 20], [255, 15, 0]]


@pytest.fixture
def root(files):
    files.text("VOC2012/ImageSets/Segmentation/val.txt", "2007_000033\n2007_000042\n\n2007_000061\n2007_000123\n")
    files.text("VOC2012/ImageSets/Segmentation/train.txt", "2007_000042\n")
    for stem in ("2007_000033", "2007_000042", "2007_000061", "2007_000123"):
        files.noise(f"VOC2012/JPEGImages/{stem}.jpg", (3, 2))
    files.noise("VOC2012/JPEGImages/2008_000001.jpg", (3, 2))  # in no list
    files.paletted("VOC2012/SegmentationClass/2007_000033.png", MASK)
    files.grey16("VOC2012/SegmentationClass/2007_000042.png", MASK)
    files.noise("VOC2012/JPEGImages/2007_000123.jpg", (83, 61))
    files.cut("VOC2012/JPEGImages/2007_000123.jpg")
    files.paletted("VOC2012/SegmentationClass/2007_000123.png", [[0] * 83] * 61)
    return files.root / "VOC2012"


def test_voc21(root):
    dataset = open_dataset("voc21", root, "val", "engineered")
    assert len(dataset) == 4
    assert dataset.name_of(1) == "2007_000042"
    assert len(dataset.classes) == 21
    assert dataset.classes[:3] == ("background", "aeroplane", "bicycle")
    assert dataset.background == 0
    assert len(dataset.background_names) == 26
    assert dataset.names_used == "engineered"
    for index in (0, 1):
        sample = dataset.load(index)
        assert sample.name == dataset.name_of(index)
        assert sample.image.shape == (2, 3, 3)
        assert sample.truth.tolist() == MASK
        assert sample.word_classes == tuple(range(1, 21))
        assert sample.words[3] == "ship"
        assert sample.words[19] == "tvmonitor"


def test_voc20(root):
    dataset = open_dataset("voc20", root, "val", "plain")
    assert len(dataset.classes) == 20
    assert dataset.classes[3] == "boat"
    assert dataset.background is None
    assert dataset.background_names == ()
    sample = dataset.load(0)
    assert sample.truth.tolist() == [[255, 0, 19], [255, 14, 255]]
    assert sample.word_classes == tuple(range(20))
    assert sample.words == dataset.classes


def test_the_folder_above_will_do_and_other_splits_exist(root):
    dataset = open_dataset("voc21", root.parent, "train")
    assert [dataset.name_of(index) for index in range(len(dataset))] == ["2007_000042"]
    with pytest.raises(DatasetError, match=r"ImageSets/Segmentation/trainval\.txt: this list of images is missing"):
        open_dataset("voc21", root, "trainval")
    with pytest.raises(DatasetError, match="voc21: expected one of the splits val, train, trainval, got 'test'"):
        open_dataset("voc21", root, "test")


def test_an_image_without_a_mask(root):
    with pytest.raises(SampleError, match=r"SegmentationClass/2007_000061\.png: expected a mask, came no such file"):
        open_dataset("voc21", root).load(2)


def test_a_truncated_image(root):
    with pytest.raises(SampleError, match=r"2007_000123\.jpg: expected an image, came \d+ bytes that cannot be decode"):
        open_dataset("voc21", root).load(3)


def test_an_image_of_the_list_that_is_missing(root):
    (root / "JPEGImages/2007_000033.jpg").unlink()
    with pytest.raises(SampleError, match=r"2007_000033\.jpg: expected an image, came no such file"):
        open_dataset("voc21", root).load(0)


def test_a_mask_with_a_value_that_is_no_class(files, root):
    files.grey("VOC2012/SegmentationClass/2007_000033.png", [[0, 21, 77], [21, 1, 255]])
    with pytest.raises(SampleError, match="expected values 0 to 20 and 255, came 21, 77 in 3 pixels"):
        open_dataset("voc21", root).load(0)


def test_a_mask_of_another_size(files, root):
    files.paletted("VOC2012/SegmentationClass/2007_000033.png", [[0] * 6] * 4)
    with pytest.raises(SampleError, match=r"expected 3x2 pixels, as 2007_000033\.jpg has, came 6x4"):
        open_dataset("voc21", root).load(0)


@pytest.mark.parametrize("part", ["JPEGImages", "SegmentationClass", "ImageSets/Segmentation/val.txt"])
def test_a_root_that_lacks_a_part(root, part):
    (root / part).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=rf"VOC2012/{part}: this .* missing; .*PASCAL VOC 2012 development kit"):
        open_dataset("voc21", root)


def test_an_empty_list(files, root):
    files.text("VOC2012/ImageSets/Segmentation/val.txt", "\n")
    with pytest.raises(DatasetError, match="expected the name of an image on each line, came an empty file"):
        open_dataset("voc21", root)


def test_a_list_that_names_an_image_twice(files, root):
    files.text("VOC2012/ImageSets/Segmentation/val.txt", "2007_000033\n2007_000042\n2007_000033\n")
    with pytest.raises(DatasetError, match=r"val\.txt: expected each image once, came 2007_000033 2 times"):
        open_dataset("voc21", root)
