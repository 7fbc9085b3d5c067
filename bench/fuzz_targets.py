"""What reads input from outside, each with a strategy that makes such input and what must hold of what comes of it.

A target raises what its reader must not raise. An error of this package that the reader's docstring names is a right
answer: it says what was expected and what came.
"""

from __future__ import annotations

import array
import io
import json
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from hypothesis import strategies as st
from safetensors.torch import save
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ovsr_ros import msg
from ovsr_ros.config import find_presets
from ovsr_ros.errors import (
    ConfigError,
    ImageError,
    ModelError,
    OvsrError,
    VocabularyError,
    VocabularyFileError,
)
from ovsr_ros.messages.camera_model import to_intrinsics
from ovsr_ros.messages.depth_image import to_depth_m
from ovsr_ros.messages.encodings import ENCODINGS
from ovsr_ros.messages.images import decode_compressed, read_image
from ovsr_ros.models.checkpoint import read_state_dict
from ovsr_ros.nodes.conversions.messages import to_category_requests
from ovsr_ros.options import replace_flat
from ovsr_ros.settings import PipelineOptions, load_settings, options_in_use, values_in_use
from ovsr_ros.vocabulary.category import Operation
from ovsr_ros.vocabulary.file import VocabularyFile
from ovsr_ros.vocabulary.registry import VocabularyRegistry


@dataclass(frozen=True)
class Target:
    """inputs: what it is given. read: takes one of them, and raises AssertionError, or more, where it went wrong."""

    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], None]


@contextmanager
def refused_by(*errors: type[OvsrError]) -> Iterator[None]:
    """Let these errors pass, if they say something."""
    said = None
    try:
        yield
    except errors as error:
        said = str(error)
    assert said is None or 20 < len(said) < 20_000, f"an error of {len(said)} characters: {said[:100]!r}"


# --- Messages of cameras ---

_NAMES = sorted({*ENCODINGS, "16UC1", "32FC1", "8UC1", "RGB8", "bayer_bggr8", "yuv422_yuy2", "nv12", "nv24"})
_SIDES = st.one_of(st.integers(0, 24), st.sampled_from([0, 1, 2, 65_535, 2**31, 2**32 - 1]))


@st.composite
def image_messages(draw: st.DrawFn) -> Image:
    """Of any encoding and size; steps and lengths that fit, nearly fit, or do not."""
    encoding = draw(st.one_of(st.sampled_from(_NAMES), st.text(max_size=12)))
    height, width = draw(_SIDES), draw(_SIDES)
    known = ENCODINGS.get(encoding.lower())
    bytes_per_pixel = known.channels * known.bytes_per_value if known else draw(st.sampled_from([1, 2, 3, 4, 8]))
    row_bytes = width * bytes_per_pixel
    step = row_bytes + draw(st.one_of(st.just(0), st.integers(-4, 16), st.integers(-(2**32), 2**32)))
    rows = draw(st.sampled_from([1.0, 1.5, 2.0, 3.0]))
    length = int(min(step, row_bytes) * height * rows) + draw(st.one_of(st.just(0), st.integers(-9, 9)))
    message = Image(height=height, width=width, encoding=encoding, is_bigendian=draw(st.integers(0, 255)))
    message.step = int(np.clip(step, 0, 2**32 - 1))
    message.data = array.array("B", draw(_bytes_of(int(np.clip(length, 0, 20_000)))))
    return message


def _bytes_of(length: int) -> st.SearchStrategy[bytes]:
    """Few drawn bytes, repeated: what images hold matters less here than how long they are."""
    return st.binary(min_size=1, max_size=24).map(lambda part: (part * (length // len(part) + 1))[:length])


def _read_image(message: Image) -> None:
    with refused_by(ImageError):
        image = read_image(message)
        assert image.shape == (message.height, message.width, 3)
        assert image.dtype == np.uint8


def _read_depth(given: tuple[Image | CompressedImage, tuple[int, int], float]) -> None:
    message, size_hw, unit_m = given
    with refused_by(ImageError):
        depth_m = to_depth_m(message, size_hw, unit_m)
        assert depth_m.shape == size_hw
        assert depth_m.dtype == np.float32


@st.composite
def depth_messages(draw: st.DrawFn) -> tuple[Image, tuple[int, int], float]:
    """With the size of the image that the depth belongs to, and the unit."""
    message = draw(image_messages())
    message.encoding = draw(st.sampled_from(["16UC1", "32FC1", "mono16", message.encoding]))
    size_hw = draw(st.one_of(st.just((max(message.height, 1), max(message.width, 1))), st.tuples(*[_SMALL] * 2)))
    return message, (min(size_hw[0], 500), min(size_hw[1], 500)), draw(st.floats(1e-6, 1.0))


_SMALL = st.integers(1, 64)
_NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=64),
    st.sampled_from([0.0, -0.0, 1.0, 525.0, -525.0, 5e-324, 1.7e308, float("nan")]),
)


@st.composite
def camera_infos(draw: st.DrawFn) -> tuple[CameraInfo, tuple[int, int]]:
    """Calibrations that are right, but for some of their numbers, and the image's size."""
    height, width = draw(_SMALL), draw(_SMALL)
    info = CameraInfo(height=height, width=width, d=draw(st.lists(_NUMBERS, max_size=8)))
    k = [float(width), 0.0, width / 2, 0.0, float(width), height / 2, 0.0, 0.0, 1.0]
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    for values in (k, p):
        for place, number in draw(st.dictionaries(st.integers(0, len(values) - 1), _NUMBERS, max_size=3)).items():
            values[place] = number
    info.k, info.p = k, p if draw(st.booleans()) else [0.0] * 12
    for field in ("binning_x", "binning_y"):
        setattr(info, field, draw(st.sampled_from([0, 0, 1, 2, 2**32 - 1])))
    for field in ("x_offset", "y_offset", "width", "height"):
        setattr(info.roi, field, draw(st.sampled_from([0, 0, 0, 1, 7, 2**32 - 1])))
    size_hw = (height, width) if draw(st.booleans()) else (draw(_SMALL), draw(_SMALL))
    return info, size_hw


def _read_camera(given: tuple[CameraInfo, tuple[int, int]]) -> None:
    with refused_by(ImageError):
        camera = to_intrinsics(*given)
        numbers = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        assert np.isfinite(numbers).all()
        assert (numbers[:2] > 0).all()


def _files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (40, 30), interpolation=cv2.INTER_CUBIC)
    files = {}
    for name, some in {"color": image, "grey": image[..., 0], "deep": image.astype(np.uint16) * 257}.items():
        for suffix in (".jpg", ".png", ".webp", ".bmp", ".tiff"):
            if name != "deep" or suffix in (".png", ".tiff"):
                files[name + suffix] = cv2.imencode(suffix, some)[1].tobytes()
    return files


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes], most: int = 6) -> bytes:
    """A file's bytes with some changed, cut off, taken out or put in."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, most))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["change", "cut", "take", "put", "zero"]))
        if kind == "change" and data:
            data[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[place:]
        elif kind == "take":
            del data[place : place + draw(st.integers(1, 40))]
        elif kind == "put":
            data[place:place] = draw(st.binary(max_size=8))
        else:
            data[place : place + 16] = bytes(len(data[place : place + 16]))
    return bytes(data)


_FORMATS = ["jpeg", "png", "rgb8; jpeg compressed bgr8", "bayer_rggb8; jpeg compressed bgr8", "16UC1; png compressed "]


@st.composite
def compressed_messages(draw: st.DrawFn) -> CompressedImage:
    """Files of many kinds, damaged or not."""
    data = draw(st.one_of(damaged(list(_files().values())), st.binary(max_size=60)))
    return CompressedImage(
        format=draw(st.one_of(st.sampled_from(_FORMATS), st.text(max_size=30))), data=array.array("B", data)
    )


def _read_compressed(message: CompressedImage) -> None:
    with refused_by(ImageError):
        image = decode_compressed(message)
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert image.dtype == np.uint8


@st.composite
def compressed_depths(draw: st.DrawFn) -> CompressedImage:
    """Depth of both methods and units, damaged or not."""
    values = np.array([[0, 0, 900], [905, 65_535, 0]], np.uint16)
    header = struct.pack("<iff", 0, draw(_NUMBERS32), draw(_NUMBERS32))
    rvl = bytes.fromhex("0300000002000000a1c3892310f3bccd")  # size, then the same values
    data = draw(damaged([cv2.imencode(".png", values)[1].tobytes(), rvl]))
    formats = [f"{unit}; compressedDepth {method}" for unit in ("16UC1", "32FC1") for method in ("png", "rvl")]
    chosen = draw(st.one_of(st.sampled_from(formats), st.text(max_size=30)))
    return CompressedImage(format=chosen, data=array.array("B", draw(st.sampled_from([header, b""])) + data))


_NUMBERS32 = st.one_of(st.floats(width=32), st.sampled_from([0.0, 1000.0, float("nan")]))


def _read_compressed_depth(message: CompressedImage) -> None:
    _read_depth((message, (2, 3), 0.001))


# --- Requests and parameters ---

_WORDS = st.one_of(
    st.sampled_from(
        [
            "mug",
            "Mug",
            "mug; cup",
            "ball; #ff8000",
            "mug; #zzz",
            "mug=3",
            "ball=300",
            ";",
            "",
            "a" * 201,
            "é",
            "e\u0301",
        ]
    ),
    st.text(max_size=20),
)


@st.composite
def category_messages(draw: st.DrawFn) -> msg.Category:
    """As a caller of a service may fill them in."""
    id, is_chosen = draw(st.integers(0, 255)), draw(st.booleans())
    category = msg.Category(name=_encodable(draw(_WORDS)), id=id, id_chosen=is_chosen)
    category.synonyms = [_encodable(word) for word in draw(st.lists(_WORDS, max_size=4))]
    for channel in "rgba":
        value = draw(st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, -1.0, 2.0, float("nan"), float("inf")]))
        setattr(category.color, channel, value)
    return category


def _encodable(text: str) -> str:
    return text.encode("utf-8", "ignore").decode()


_REQUESTS = st.lists(
    st.tuples(st.sampled_from(list(Operation)), st.lists(category_messages(), max_size=5)), min_size=1, max_size=6
)


def _change_words(changes: list[tuple[Operation, list[msg.Category]]]) -> None:
    registry = VocabularyRegistry()
    id_of: dict[str, int] = {}
    for operation, categories in changes:
        before = registry.current
        with refused_by(VocabularyError):
            requests = to_category_requests(categories, names_only=operation == Operation.REMOVE)
            registry.commit(registry.propose(operation, requests))
        now = registry.current
        assert now == before or now.version == before.version + 1
        assert len({category.id for category in now.categories}) == len(now.categories)
        for category in now.categories:
            assert 0 <= category.id <= 253
            assert id_of.setdefault(category.name.casefold(), category.id) == category.id


_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=True, allow_infinity=True),
        st.text(max_size=12),
        st.sampled_from(["auto", "none", 0, 1, -1, 2**63, 1e300]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
_KEYS = [info.name for info in options_in_use("ovsr")]


def _change_options(changes: dict[str, object]) -> None:
    options = PipelineOptions()
    with refused_by(ConfigError):
        values_in_use(replace_flat(options, changes))


# --- Files ---


@contextmanager
def _file(content: bytes, suffix: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"input{suffix}"
        path.write_bytes(content)
        yield path


def _configurations() -> st.SearchStrategy[bytes]:
    presets = [path.read_bytes() for path in find_presets().values()]
    keys = st.one_of(st.sampled_from([*_KEYS, "/**", "ros__parameters", "ovsr", "clusters"]), st.text(max_size=8))
    trees = st.dictionaries(keys, _VALUES, max_size=4)
    odd = [
        "a: 2001-99-99",
        "a: !!python/object:os.system {}",
        "&a [*a]",
        "a: 0x",
        "- " * 300,
        "[" * 3000,
        "a: &x {<<: *x}",
    ]
    return st.one_of(
        damaged(presets),
        trees.map(lambda tree: yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "replace")),
        st.sampled_from(odd).map(str.encode),
        st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
        st.binary(max_size=30),
    )


def _read_configuration(content: bytes) -> None:
    with _file(content, ".yaml") as path, refused_by(ConfigError):
        load_settings(path)


def _vocabulary_content() -> dict[str, Any]:
    registry = VocabularyRegistry()
    categories = [msg.Category(name=name) for name in ("mug=12; cup", "ball; #ff8000", "house plant", "книга")]
    registry.commit(registry.propose(Operation.ADD, to_category_requests(categories)))
    registry.commit(registry.propose(Operation.REMOVE, to_category_requests([msg.Category(name="ball")])))
    with tempfile.TemporaryDirectory() as folder:
        file = VocabularyFile(Path(folder) / "vocabulary.json")
        assert not file.save(registry)
        return dict(json.loads(file.path.read_text(encoding="utf-8")))


@st.composite
def vocabulary_files(draw: st.DrawFn) -> bytes:
    """A file of the node's, with bytes damaged or values replaced."""
    content = _vocabulary_content()
    if draw(st.booleans()):
        return draw(damaged([json.dumps(content, ensure_ascii=False).encode()]))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = content
        while isinstance(place, (dict, list)) and place:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = draw(st.sampled_from(list(keys)))
            if not isinstance(place[key], (dict, list)) or not place[key] or draw(st.integers(0, 3)) == 0:
                if draw(st.booleans()):
                    place[key] = draw(_VALUES)
                else:
                    del place[key]
                break
            place = place[key]
    return json.dumps(content, default=str).encode()


def _read_vocabulary(content: bytes) -> None:
    with _file(content, ".json") as path, refused_by(VocabularyFileError):
        state = VocabularyFile(path).load()
        assert state is not None
        registry = VocabularyRegistry()
        registry.restore(state)
        again = VocabularyFile(path.with_name("again.json"))
        assert not again.save(registry)
        assert VocabularyFile(again.path).load() == registry.state


@st.composite
def weight_files(draw: st.DrawFn) -> bytes:
    """A safetensors file with its header's values replaced, its length, or its bytes damaged."""
    import torch

    whole = save({"a.weight": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.float16)}, {"format": "pt"})
    if draw(st.booleans()):
        return draw(damaged([whole]))
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    name = draw(st.sampled_from(sorted(header)))
    if isinstance(header[name], dict) and draw(st.booleans()):
        field = draw(st.sampled_from(["dtype", "shape", "data_offsets", "more"]))
        header[name][field] = draw(
            st.one_of(_VALUES, st.lists(st.integers(-1, 2**64), max_size=3), st.sampled_from(["F64", "BF16", "X"]))
        )
    else:
        header[draw(st.text(max_size=6))] = draw(_VALUES)
    text = json.dumps(header, default=str).encode()
    stated = draw(st.one_of(st.just(len(text)), st.sampled_from([0, 2**63, len(text) + 1])))
    buffer = io.BytesIO()
    buffer.write(struct.pack("<Q", stated) + text + whole[8 + length :])
    return buffer.getvalue()


def _read_weights(content: bytes) -> None:
    with _file(content, ".safetensors") as path, refused_by(ModelError):
        for value in read_state_dict(path).values():
            assert value.numel() * value.element_size() <= len(content)


def all_targets() -> dict[str, Target]:
    """By name."""
    return {
        "image messages": Target(image_messages(), _read_image),
        "compressed images": Target(compressed_messages(), _read_compressed),
        "depth messages": Target(depth_messages(), _read_depth),
        "compressed depth": Target(compressed_depths(), _read_compressed_depth),
        "camera_info": Target(camera_infos(), _read_camera),
        "vocabulary requests": Target(_REQUESTS, _change_words),
        "parameters": Target(st.dictionaries(st.sampled_from(_KEYS), _VALUES, min_size=1, max_size=3), _change_options),
        "config files": Target(_configurations(), _read_configuration),
        "vocabulary files": Target(vocabulary_files(), _read_vocabulary),
        "weight files": Target(weight_files(), _read_weights),
    }
