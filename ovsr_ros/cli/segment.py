"""`ovsr segment`: image files in; label map or segment map, overlay and JSON out."""

from __future__ import annotations

import argparse
import glob
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ovsr_ros.cli.config_arguments import FULL, SMALL, add_config_arguments, load_chosen_settings, with_default_preset
from ovsr_ros.cli.segment_examples import ExamplePicture, parse_example, teach_pictures
from ovsr_ros.cli.segment_output import (
    JSON,
    LABEL_MAP,
    OVERLAY,
    SEGMENT_MAP,
    Output,
    labels_output,
    segments_output,
)
from ovsr_ros.errors import ConfigError, ImageError
from ovsr_ros.vocabulary.category import CategoryRequest, Operation, parse_category
from ovsr_ros.vocabulary.registry import VocabularyRegistry

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from numpy.typing import NDArray

    from ovsr_ros.settings import Settings

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}

Answer = Callable[["NDArray[np.uint8]", Path], Output]
"""What is written of an image, (H, W, 3) uint8 RGB, that was read from this file. Raises ImageError."""


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `segment`."""
    description = (
        f"Writes NAME{LABEL_MAP} (class ids, 255 unlabeled), NAME{OVERLAY} and NAME{JSON} for each image; with "
        f"--segments-only NAME{SEGMENT_MAP} (16-bit segment ids, 0 none) in place of the label map."
    )
    parser = subparsers.add_parser("segment", help="label the pixels of image files", description=description)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help='file, folder, or pattern such as "frames/*.png"')
    parser.add_argument(
        "--categories",
        action="append",
        default=[],
        metavar="NAME",
        help='a category, "name" or "name; synonym"; repeat for more; otherwise those of the configuration',
    )
    parser.add_argument(
        "--example",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a picture of a thing, without what is transparent in it: segments that look like it are rather of the "
        "category NAME, one of the others or a new one; repeat for more",
    )
    parser.add_argument(
        "--segments-only", action="store_true", help="find segments and name none: needs no words, and no CLIP"
    )
    parser.add_argument("--out", type=Path, default=Path("ovsr_output"), metavar="DIR", help="folder to write to")
    add_config_arguments(parser, None, f" (default {FULL} where its models are on this machine, else {SMALL})")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Segment each image; 1 when one could not be read, the others having been done."""
    requests = _parse_categories(arguments.categories)  # a bad one is told before the seconds that torch takes
    if arguments.segments_only and requests:
        raise ConfigError("--segments-only: no word is looked for; expected no --categories beside it; leave one out")
    pictures = [parse_example(text) for text in arguments.example]
    if arguments.segments_only and pictures:
        raise ConfigError("--segments-only: nothing is named; expected no --example beside it; leave one out")
    answer, remark = with_default_preset(arguments, lambda: _prepare(arguments, requests, pictures))
    if remark:
        print(f"ovsr: {remark}", file=sys.stderr)
    status = 0
    names = _OutputNames(arguments.out)
    for path in _find_images(arguments.images):
        started = time.perf_counter()
        try:
            output = answer(read_image(path), path)
        except ImageError as error:
            print(f"ovsr: {error if str(path) in str(error) else f'{path}: {error}'}", file=sys.stderr)
            status = 1
            continue
        stem = names.stem_for(path)
        _write(stem, output.contents)
        print(f"{path} -> {stem}{OVERLAY}  {output.summary}  {time.perf_counter() - started:.2f} s")
    return status


def _prepare(
    arguments: argparse.Namespace, requests: Sequence[CategoryRequest], pictures: Sequence[ExamplePicture]
) -> Answer:
    """What answers, its models loaded, and the folder to write to made."""
    settings = load_chosen_settings(arguments, device=arguments.device)
    requests = requests or _parse_categories(settings.node.categories)
    if not (requests or pictures or arguments.segments_only):
        raise ConfigError(
            'no categories to look for; name them: --categories "mug; cup" --categories ball; or --segments-only'
        )
    _make_folder(arguments.out)
    return _find_segments(settings) if arguments.segments_only else _label(settings, requests, pictures)


def _label(settings: Settings, requests: Sequence[CategoryRequest], pictures: Sequence[ExamplePicture] = ()) -> Answer:
    """With these words in force, and these examples. Raises ConfigError, ModelError, VocabularyError and ImageError."""
    from ovsr_ros.pipeline import Pipeline  # on demand: torch takes seconds

    pipeline = Pipeline(settings.pipeline)
    pipeline.set_vocabulary(Operation.REPLACE, requests)
    teach_pictures(pipeline, pictures)
    return lambda image, path: labels_output(path, image, pipeline.segment(image), pipeline.vocabulary)


def _find_segments(settings: Settings) -> Answer:
    """By the stages before words alone. Raises ConfigError for a backend without such stages, and ModelError."""
    from ovsr_ros.ops.image import check_image  # on demand: torch takes seconds
    from ovsr_ros.pipeline import load_segmenter

    segmenter = load_segmenter(settings.pipeline)

    def answer(image: NDArray[np.uint8], path: Path) -> Output:
        check_image(image)
        return segments_output(path, image, segmenter.segment(image))

    return answer


def _parse_categories(texts: Sequence[str]) -> list[CategoryRequest]:
    """Raises VocabularyError for a name that cannot be used, or two that are one."""
    requests = [parse_category(text) for text in texts]
    VocabularyRegistry().propose(Operation.REPLACE, requests)
    return requests


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB, turned as its EXIF data says.

    Raises ImageError when it cannot be read, or is damaged.
    """
    from ovsr_ros.image_files import decode_upright

    try:
        encoded = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return decode_upright(encoded)
    except ImageError as error:
        raise ImageError(f"{path}: not an image that can be read ({len(encoded)} bytes): it is {error}") from error


def _write(stem: str, contents: Mapping[str, bytes]) -> None:
    """Raises ConfigError when that is impossible."""
    try:
        for end, content in contents.items():
            Path(f"{stem}{end}").write_bytes(content)
    except OSError as error:
        raise ConfigError(f"--out: {stem}: cannot be written: {error.strerror or error}") from error


class _OutputNames:
    """Files of the same name from different folders get numbers: nothing of this run is overwritten by it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()

    def stem_for(self, path: Path) -> str:
        name, number = path.stem, 1
        while name in self._taken:
            number += 1
            name = f"{path.stem}_{number}"
        self._taken.add(name)
        return str(self._folder / name)


def _find_images(inputs: Sequence[str]) -> Iterator[Path]:
    for text in inputs:
        path = Path(text).expanduser()
        if path.is_dir():
            yield from _images_in(sorted(path.iterdir()))
        elif path.exists() or not glob.has_magic(text):
            yield path
        else:
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
            found = list(_images_in([Path(match) for match in matches]))
            yield from found or [path]


def _images_in(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        # What an earlier run wrote beside its images is not an image to segment.
        if (
            path.is_file()
            and path.suffix.lower() in _SUFFIXES
            and not path.name.endswith((LABEL_MAP, SEGMENT_MAP, OVERLAY))
        ):
            yield path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be made: {error.strerror or error}") from error
