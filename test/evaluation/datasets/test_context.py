"""context60 and context59, on a folder written here."""

import pytest

from ovsr_ros.errors import DatasetError, SampleError
from ovsr_ros.evaluation.datasets import open_dataset

MASK = [[0, 1, 59, 5, 0], [40, 255, 2, 2, 0], [3, 3, 3, 3, 58]]


@pytest.fixture
def root(files):
    files.text("VOC2010/ImageSets/SegmentationContext/val.txt", "2008_000002\n2008_000003\n")
    files.noise("VOC2010/JPEGImages/2008_000002.jpg", (5, 3))
    files.noise("VOC2010/JPEGImages/2008_000003.jpg", (5, 3))
    files.grey("VOC2010/SegmentationClassContext/2008_000002.png", MASK)
    files.grey16("VOC2010/SegmentationClassContext/2008_000003.png", MASK)
    return files.root / "VOC2010"


def test_context60(root):
    dataset = open_dataset("context60", root, "val", "engineered")
    assert len(dataset.classes) == 60
    assert dataset.classes[40] == "potted plant"
    assert dataset.background == 0
    assert dataset.background_names == ("background",)
    for index in (0, 1):
        sample = dataset.load(index)
        assert sample.truth.tolist() == MASK
        assert sample.word_classes == tuple(range(1, 60))
        assert sample.words[39] == "pottedplant"
        assert sample.words[58] == "wood"


def test_context59(root):
    dataset = open_dataset("context59", root.parent, "val", "plain")
    assert len(dataset.classes) == 59
    assert dataset.background is None
    sample = dataset.load(0)
    assert sample.truth.tolist() == [[255, 0, 58, 4, 255], [39, 255, 1, 1, 255], [2, 2, 2, 2, 57]]
    assert sample.words[0] == "aeroplane"


def test_a_value_of_the_full_annotation(files, root):
    """The Detail API's own ids, up to 458, were not converted."""
    files.grey16("VOC2010/SegmentationClassContext/2008_000003.png", [[415] * 5] * 3)
    with pytest.raises(SampleError, match=r"2008_000003\.png: expected values 0 to 59 and 255, came 415 in 15 pixels"):
        open_dataset("context60", root).load(1)


def test_an_image_without_a_mask_and_a_truncated_one(files, root):
    (root / "SegmentationClassContext/2008_000003.png").unlink()
    files.cut("VOC2010/JPEGImages/2008_000002.jpg")
    dataset = open_dataset("context59", root)
    with pytest.raises(SampleError, match=r"2008_000003\.png: expected a mask, came no such file"):
        dataset.load(1)
    with pytest.raises(SampleError, match=r"2008_000002\.jpg: expected an image"):
        dataset.load(0)


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("JPEGImages", "PASCAL VOC 2010 development kit"),
        ("SegmentationClassContext", "Detail API"),
        ("ImageSets/SegmentationContext/val.txt", "Detail API"),
    ],
)
def test_a_root_that_lacks_a_part(root, part, source):
    (root / part).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=rf"VOC2010/{part}: this .* missing; .*{source}"):
        open_dataset("context60", root)
