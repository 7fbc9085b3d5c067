"""`ovsr segment`: image files in; label map, overlay and JSON out."""

from __future__ import annotations

import argparse
import glob
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ovsr_ros.cli.config_arguments import add_config_arguments, load_chosen_settings
from ovsr_ros.errors import ConfigError, ImageError
from ovsr_ros.vocabulary.category import SOMETHING_ELSE, Operation, parse_category
from ovsr_ros.vocabulary.registry import VocabularyRegistry

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from numpy.typing import NDArray

    from ovsr_ros.results import Segmentation
    from ovsr_ros.vocabulary.category import Vocabulary

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_LABEL_MAP, _OVERLAY = "_label_map.png", "_overlay.png"


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `segment`."""
    description = f"Writes NAME{_LABEL_MAP} (class ids, 255 unlabeled), NAME{_OVERLAY} and NAME.json for each image."
    parser = subparsers.add_parser("segment", help="label the pixels of image files", description=description)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help='file, folder, or pattern such as "frames/*.png"')
    parser.add_argument(
        "--categories",
        action="append",
        default=[],
        metavar="NAME",
        help='a category, "name" or "name; synonym"; repeat for more; otherwise those of the configuration',
    )
    parser.add_argument("--out", type=Path, default=Path("ovsr_output"), metavar="DIR", help="folder to write to")
    add_config_arguments(parser, "ovsr")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Segment each image; 1 when one could not be read, the others having been done."""
    settings = load_chosen_settings(arguments, device=arguments.device)
    categories = arguments.categories or settings.node.categories
    if not categories:
        raise ConfigError('no categories to look for; name them: --categories "mug; cup" --categories ball')

    from ovsr_ros.pipeline import Pipeline  # on demand: torch takes seconds

    requests = [parse_category(text) for text in categories]
    VocabularyRegistry().propose(Operation.REPLACE, requests)  # a bad category is told before models are loaded
    _make_folder(arguments.out)
    pipeline = Pipeline(settings.pipeline)
    vocabulary = pipeline.set_vocabulary(Operation.REPLACE, requests)
    status = 0
    names = _OutputNames(arguments.out)
    for path in _find_images(arguments.images):
        started = time.perf_counter()
        try:
            image = read_image(path)
            segmentation = pipeline.segment(image)
        except ImageError as error:
            print(f"ovsr: {error if str(path) in str(error) else f'{path}: {error}'}", file=sys.stderr)
            status = 1
            continue
        stem = names.stem_for(path)
        write_result(stem, path, image, segmentation, vocabulary)
        print(f"{path} -> {stem}{_OVERLAY}  {summary(segmentation, vocabulary)}  {time.perf_counter() - started:.2f} s")
    return status


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB, turned as its EXIF data says.

    Raises ImageError when it cannot be read, or is damaged.
    """
    import cv2

    from ovsr_ros.image_files import decode_image

    try:
        encoded = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        as_stored = decode_image(encoded)
    except ImageError as error:
        raise ImageError(f"{path}: not an image that can be read ({len(encoded)} bytes): it is {error}") from error
    # It is whole. OpenCV turns it, unless it is stricter: about a jpeg that lacks no more than its end marker, say.
    turned = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return as_stored if turned is None else np.ascontiguousarray(turned[..., ::-1], np.uint8)


def write_result(
    stem: str, path: Path, image: NDArray[np.uint8], segmentation: Segmentation, vocabulary: Vocabulary
) -> None:
    """Write STEM_label_map.png (mono8), STEM_overlay.png and STEM.json. Raises ConfigError when that is impossible."""
    from ovsr_ros.drawing import overlay

    described = json.dumps(to_json(path, segmentation, vocabulary), indent=2, ensure_ascii=False)
    try:
        Path(f"{stem}{_LABEL_MAP}").write_bytes(_png(segmentation.label_map))
        Path(f"{stem}{_OVERLAY}").write_bytes(_png(overlay(image, segmentation, vocabulary)[..., ::-1]))
        Path(f"{stem}.json").write_text(described + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out: {stem}: cannot be written: {error.strerror or error}") from error


def to_json(path: Path, segmentation: Segmentation, vocabulary: Vocabulary) -> dict[str, Any]:
    """The segments and the vocabulary, as plain values; pixels are in the label map."""
    segments = segmentation.segments
    names = {category.id: category.name for category in vocabulary.categories}
    return {
        "image": str(path),
        "height": segmentation.label_map.shape[0],
        "width": segmentation.label_map.shape[1],
        "categories": [
            {"id": category.id, "name": category.name, "synonyms": category.synonyms, "color_rgb": category.color_rgb}
            for category in vocabulary.categories
        ],
        "segments": [
            {
                "id": int(segments.ids[row]),
                "class_id": int(segments.class_ids[row]),
                "label": names.get(int(segments.class_ids[row]), ""),
                "score": round(float(segments.scores[row]), 4),
                "runners_up": [
                    {"class_id": int(id), "label": names.get(int(id), SOMETHING_ELSE), "score": round(float(score), 4)}
                    for id, score in zip(segments.runner_up_ids[row], segments.runner_up_scores[row], strict=True)
                    if score > 0
                ],
                "box_xyxy": segments.boxes_xyxy[row].tolist(),
                "area_px": int(segments.areas_px[row]),
                "centroid_xy": [round(float(value), 2) for value in segments.centroids_xy[row]],
            }
            for row in range(len(segments))
        ],
        "stage_seconds": {stage: round(seconds, 4) for stage, seconds in segmentation.stage_seconds.items()},
    }


def summary(segmentation: Segmentation, vocabulary: Vocabulary) -> str:
    """How many segments, and which categories cover how much of the image, the largest first."""
    shares = np.bincount(segmentation.label_map.ravel(), minlength=256) / segmentation.label_map.size
    present = sorted(
        (category for category in vocabulary.categories if shares[category.id]), key=lambda c: -shares[c.id]
    )
    listed = [f"{category.name} {100 * shares[category.id]:.0f} %" for category in present]
    return f"{len(segmentation.segments)} segments: {', '.join([*listed, f'unlabeled {100 * shares[255]:.0f} %'])}"


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
        if path.is_file() and path.suffix.lower() in _SUFFIXES and not path.name.endswith((_LABEL_MAP, _OVERLAY)):
            yield path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be made: {error.strerror or error}") from error


def _png(image: NDArray[np.uint8]) -> bytes:
    import cv2

    _, encoded = cv2.imencode(".png", np.ascontiguousarray(image))
    return bytes(encoded)
