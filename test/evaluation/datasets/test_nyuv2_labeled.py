"""nyuv2 from nyu_depth_v2_labeled.mat: a small HDF5 file of the same arrays, written here, and its MATLAB files."""

import pickle
import sys

import numpy as np
import pytest
from scipy.io import savemat

from ovsr_ros.errors import DatasetError, OvsrError, SampleError
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.datasets.nyuv2 import COARSE

h5py = pytest.importorskip("h5py", reason="the extra photos is not installed")

WIDTH, HEIGHT, NUM_IMAGES, NUM_NAMES = 4, 3, 5, 894
MAPPING = (np.arange(NUM_NAMES) * 7 % 40 + 1).astype(np.uint8)
SPLITS = {"trainNdxs": np.array([[5], [2]], np.uint16), "testNdxs": np.array([[4], [1], [3]], np.uint16)}


@pytest.fixture
def arrays():
    """Images (N, H, W, 3) and labels (N, H, W) as one thinks of them."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (NUM_IMAGES, HEIGHT, WIDTH, 3), np.uint8)
    labels = rng.integers(0, NUM_NAMES + 1, (NUM_IMAGES, HEIGHT, WIDTH), np.uint16)
    labels[:, 0, 0] = 0
    return images, labels


@pytest.fixture
def root(tmp_path, arrays):
    write(tmp_path, *arrays)
    savemat(tmp_path / "splits.mat", SPLITS)
    savemat(tmp_path / "classMapping40.mat", {"mapClass": MAPPING[None]})
    return tmp_path


def write(folder, images, labels, userblock_size=512, **settings):
    """As MATLAB writes them: its first index is the last of HDF5."""
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=userblock_size) as file:
        file.create_dataset("images", data=images.transpose(0, 3, 2, 1), **settings)
        file.create_dataset("labels", data=labels.transpose(0, 2, 1), **settings)
        file["depths"] = np.ones((len(images), WIDTH, HEIGHT), np.float32)


def expected(labels, of_forty):
    """The truth, pixel by pixel."""
    return [[255 if label == 0 else of_forty(int(MAPPING[label - 1])) for label in row] for row in labels]


@pytest.mark.parametrize(
    ("name", "num_classes", "of_forty"),
    [
        ("nyuv2-40", 40, lambda forty: forty - 1),
        ("nyuv2", 37, lambda forty: forty - 1 if forty <= 37 else 255),
    ],
)
def test_images_and_labels_of_a_split(root, arrays, name, num_classes, of_forty):
    images, labels = arrays
    dataset = open_dataset(name, root, "test", "engineered")
    assert (dataset.name, dataset.split, dataset.names_used) == (name, "test", "engineered")
    assert len(dataset.classes) == num_classes
    assert dataset.classes[9] == "bookshelf"
    assert dataset.background is None
    assert dataset.background_names == ()
    assert [dataset.name_of(index) for index in range(len(dataset))] == ["0001", "0003", "0004"]
    for index, number in enumerate((1, 3, 4)):
        sample = dataset.load(index)
        assert sample.name == f"{number:04}"
        assert np.array_equal(sample.image, images[number - 1])
        assert sample.image.flags.c_contiguous
        assert sample.truth.dtype == np.uint8
        assert sample.truth.tolist() == expected(labels[number - 1], of_forty)
        assert sample.words[9] == "bookshelf; bookcase"
        assert sample.word_classes == tuple(range(num_classes))


def test_13_classes_and_the_training_split(root, arrays):
    dataset = open_dataset("nyuv2-13", root, "train")
    assert [dataset.name_of(index) for index in range(len(dataset))] == ["0002", "0005"]
    assert dataset.load(1).truth.tolist() == expected(arrays[1][4], lambda forty: COARSE[forty - 1] - 1)


def test_folders_of_png_come_first(files, root):
    files.noise("image/test/00001.png", (4, 2))
    files.grey("seg40/test/00001.png", [[255, 0, 1, 2]] * 2)
    assert open_dataset("nyuv2", root, "test").load(0).truth.tolist() == [[255, 0, 1, 2]] * 2


def test_workers_can_be_sent_it_and_names_can_be_ones_own(root, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("\n".join(f"thing {index}" for index in range(37)), encoding="utf-8")
    dataset = open_dataset("nyuv2", root, "test", class_file=path)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy == dataset
    assert copy.names_used == "mine.txt"
    assert copy.load(1).words[36] == "thing 36"
    assert copy.classes[36] == "bag"


def test_a_label_that_the_mapping_does_not_know(root):
    savemat(root / "classMapping40.mat", {"mapClass": MAPPING[None, :2]})
    dataset = open_dataset("nyuv2", root, "test")
    with pytest.raises(SampleError, match=r"labeled\.mat, image 1: expected values 0 to 2, came .* in \d+ pixels"):
        dataset.load(0)


def test_an_image_that_cannot_be_read(root, arrays):
    write(root, *arrays, userblock_size=0, chunks=True, compression="gzip")  # chunks are counted from its end, or not
    dataset = open_dataset("nyuv2", root, "test")
    path = root / "nyu_depth_v2_labeled.mat"
    with h5py.File(path) as file:
        chunk = file["images"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    with pytest.raises(SampleError, match=r"labeled\.mat, image 1: expected pixels and labels, came data that cannot"):
        dataset.load(0)
    path.unlink()
    with pytest.raises(SampleError, match=r"labeled\.mat, image 3: expected pixels and labels"):
        dataset.load(1)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_cut_short(root, share):
    path = root / "nyu_depth_v2_labeled.mat"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(
        DatasetError, match=r"labeled\.mat: expected an HDF5 file .*, came \d+ bytes .*nyu_depth_v2\.html"
    ):
        open_dataset("nyuv2", root, "test")


def test_a_file_of_other_arrays(root, arrays):
    images, labels = arrays
    for wrong in (
        (images[:, :, :2], labels),
        (images[:3], labels),
        (images[..., :2], labels),
        (images.astype(np.float32), labels),
        (images, labels.astype(np.uint8)),
    ):
        write(root, *wrong)
        with pytest.raises(
            DatasetError, match=r"expected images \(N, 3, W, H\) uint8 and labels \(N, W, H\) uint16, came"
        ):
            open_dataset("nyuv2", root, "test")
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = images.transpose(0, 3, 2, 1)
    with pytest.raises(DatasetError, match=r"expected an HDF5 file .*labels"):
        open_dataset("nyuv2", root, "test")


@pytest.mark.parametrize("file", ["splits.mat", "classMapping40.mat"])
def test_matlab_files_that_are_missing_or_damaged(root, file):
    path = root / file
    content = path.read_bytes()
    for share in (0.0, 0.5, 0.8):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DatasetError, match=rf"{file}: expected a MATLAB file .*came \d+ bytes .*nyuv2-meta-data"):
            open_dataset("nyuv2", root, "test")
    path.unlink()
    with pytest.raises(DatasetError, match=rf"{file}: this file is missing; .*github\.com/ankurhanda/nyuv2-meta-data"):
        open_dataset("nyuv2", root, "test")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("splits.mat", {"trainNdxs": SPLITS["trainNdxs"]}, r"expected whole numbers under testNdxs, came nothing"),
        (
            "splits.mat",
            {"testNdxs": np.zeros((0, 1))},
            r"expected whole numbers under testNdxs, came an array \(0, 1\)",
        ),
        ("splits.mat", {"testNdxs": np.array([[1.5]])}, "expected whole numbers under testNdxs"),
        ("splits.mat", {"testNdxs": np.array([[0, 3]])}, "expected numbers of 1 to 5 under testNdxs, came 0 to 3"),
        ("splits.mat", {"testNdxs": np.array([[3, 6]])}, "expected numbers of 1 to 5 under testNdxs, came 3 to 6"),
        ("splits.mat", {"testNdxs": np.array([[3, 1, 3]])}, "expected each image once, came 3 2 times"),
        ("classMapping40.mat", {"mapClass": "wall"}, "expected whole numbers under mapClass"),
        ("classMapping40.mat", {"mapClass": np.array([[1, 41]])}, "expected numbers of 1 to 40 under mapClass"),
    ],
)
def test_matlab_files_that_hold_something_else(root, file, content, message):
    savemat(root / file, content)
    with pytest.raises(DatasetError, match=rf"{file}: {message}"):
        open_dataset("nyuv2", root, "test")


def test_without_h5py_the_command_that_installs_it_is_named(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)  # as Python marks a module that cannot be imported
    with pytest.raises(OvsrError, match=r'h5py .*pip install "ovsr_ros\[photos\]"'):
        open_dataset("nyuv2", root, "test")
