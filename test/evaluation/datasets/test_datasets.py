"""Data sets by name, and names of one's own for them."""

import pickle

import pytest

from ovsr_ros.errors import DatasetError
from ovsr_ros.evaluation.datasets import DATASETS, open_dataset
from ovsr_ros.evaluation.datasets.files import ranges

ON_FILES = [name for name in DATASETS if not name.startswith(("scenes", "nyuv2"))]  # nyuv2: in test_nyuv2.py


@pytest.fixture
def voc(files):
    files.text("ImageSets/Segmentation/val.txt", "a\n")
    files.noise("JPEGImages/a.jpg", (2, 2))
    files.paletted("SegmentationClass/a.png", [[0, 1], [2, 255]])
    return files.root


def test_names():
    assert DATASETS == (
        "scenes",
        "scenes-held-out",
        "voc20",
        "voc21",
        "context59",
        "context60",
        "coco-object",
        "coco-obj-80",
        "coco-stuff",
        "ade20k",
        "cityscapes",
        "camvid",
        "nyuv2",
        "nyuv2-40",
        "nyuv2-13",
        "folder",
    )


@pytest.mark.parametrize("name", ON_FILES)
def test_a_root_is_needed_and_must_exist(name, tmp_path):
    with pytest.raises(DatasetError, match=f"{name}: expected a folder that holds the data set, got none; .*"):
        open_dataset(name)
    with pytest.raises(DatasetError, match="nowhere: this folder is missing; "):
        open_dataset(name, tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="file: expected a folder; "):
        open_dataset(name, tmp_path / "file")


@pytest.mark.parametrize("name", ON_FILES)
def test_the_first_missing_path_is_named(name, tmp_path):
    with pytest.raises(DatasetError, match=rf"{tmp_path.name}/[\w/]+: this folder is missing; .*\b(is|are)\b"):
        open_dataset(name, tmp_path)


def test_an_unknown_name():
    with pytest.raises(DatasetError, match=r"expected a data set of scenes, .*, got 'voc12'; voc21 is near"):
        open_dataset("voc12")


def test_scenes_take_no_class_file(tmp_path):
    with pytest.raises(DatasetError, match="scenes: expected no class file"):
        open_dataset("scenes", class_file=tmp_path / "classes.txt")


@pytest.mark.parametrize("name", ["scenes", "voc21"])
def test_workers_can_be_sent_a_data_set(name, voc):
    dataset = open_dataset(name, voc)
    copy = pickle.loads(pickle.dumps(dataset))
    assert len(copy) == len(dataset)
    assert copy.name == name
    assert copy.name_of(0) == dataset.name_of(0)


def test_names_of_ones_own(files, voc):
    words = [f"thing {index}; object {index}" for index in range(20)]
    path = files.text("mine.txt", "\n".join(["background: all the rest; surroundings", *words]))
    dataset = open_dataset("voc21", voc, class_file=path)
    sample = dataset.load(0)
    assert dataset.names_used == "mine.txt"
    assert dataset.background_names == ("all the rest", "surroundings")
    assert dataset.classes[1] == "aeroplane"
    assert sample.words == tuple(words)
    assert sample.truth.tolist() == [[0, 1], [2, 255]]
    assert open_dataset("voc20", voc, class_file=path).load(0).words == tuple(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mug", "expected 20 classes and a background on line 1 in the data set's order, came 1 classes"),
        ("\n".join(f"thing {index}" for index in range(21)), "expected 20 classes and .*, came 21 classes"),
        ("\n".join(f"{index}: thing {index}" for index in range(21)), "expected 20 classes and"),
    ],
)
def test_names_that_do_not_fit(files, voc, text, message):
    with pytest.raises(DatasetError, match=message):
        open_dataset("voc21", voc, class_file=files.text("mine.txt", text))


def test_values_of_ones_own_are_for_folders(files, voc):
    lines = ["0: background: rest", *(f"{index}: thing {index}" for index in range(1, 21))]
    with pytest.raises(DatasetError, match=r"mine\.txt: expected no values"):
        open_dataset("voc21", voc, class_file=files.text("mine.txt", "\n".join(lines)))
    lines = ["ignored: 254", *(f"thing {index}" for index in range(20))]
    with pytest.raises(DatasetError, match=r"mine\.txt: expected no values"):
        open_dataset("voc20", voc, class_file=files.text("mine.txt", "\n".join(lines)))


@pytest.mark.parametrize(
    ("values", "text"),
    [([0], "0"), ([2, 0, 1, 255], "0 to 2 and 255"), ([0, 2, 3, 9], "0, 2 to 3 and 9"), ([], "")],
)
def test_ranges_in_words(values, text):
    assert ranges(values) == text
