"""Rendered training material on disk: images with category maps for the feature network, crops with masks for CLIP.

Rendering an image costs more than a training step can wait for, so scenes are drawn once, in parallel, and reused with
augmentation. Each shard is one file written whole; a run that was interrupted goes on with the shards that are missing.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ovsr_ros.atomic_file import write_atomically
from ovsr_ros.demo.scenes import CATEGORIES, Rendering, Scene

IMAGE_WH = (640, 480)
CROP_PX = 96
CROP_MARGIN = 0.45
SCENES_PER_SHARD = 50
MAX_INSTANCES = 14
"""The wall, the floor and twelve objects."""
VIEWS_PER_SCENE = 2


@dataclass(frozen=True)
class Pool:
    """Training material.

    images: (N, 480, 640, 3) uint8, RGB. categories: (N, 480, 640) uint8, index into scenes.CATEGORIES.
    instances: (N, 480, 640) uint8, index into the image's row of instance_names: (N, I) full names, "" beyond the last.
    crops: (M, 96, 96, 4) uint8: RGB, and the instance's mask as 0 or 255, the instance's box with a margin around it.
    names: (M,) full names of the crops' instances.
    """

    images: NDArray[np.uint8]
    categories: NDArray[np.uint8]
    instances: NDArray[np.uint8]
    instance_names: NDArray[np.str_]
    crops: NDArray[np.uint8]
    names: NDArray[np.str_]


def render_pool(directory: Path, split: str, num_scenes: int, num_workers: int) -> None:
    """Render the shards that are missing under `directory`; shows a progress bar."""
    directory.mkdir(parents=True, exist_ok=True)
    num_shards = -(-num_scenes // SCENES_PER_SHARD)
    missing = [i for i in range(num_shards) if not _shard_path(directory, split, i).exists()]
    if not missing:
        return
    with ProcessPoolExecutor(num_workers) as executor:
        futures = [executor.submit(_render_shard, directory, split, shard) for shard in missing]
        for future in tqdm(as_completed(futures), total=len(futures), desc=f"render {split}", unit="shard"):
            future.result()


def load_pool(directory: Path, split: str, num_scenes: int) -> Pool:
    """The pool in memory; render it first."""
    shards = [np.load(_shard_path(directory, split, i)) for i in range(-(-num_scenes // SCENES_PER_SHARD))]
    fields = ("images", "categories", "instances", "instance_names", "crops", "names")
    return Pool(*(np.concatenate([shard[field] for shard in shards]) for field in fields))


def _shard_path(directory: Path, split: str, shard: int) -> Path:
    return directory / f"{split}-{shard:04d}.npz"


def _render_shard(directory: Path, split: str, shard: int) -> None:
    cv2.setNumThreads(1)
    images, categories, instances, instance_names = [], [], [], []
    crops, names = [], []
    for seed in range(shard * SCENES_PER_SHARD, (shard + 1) * SCENES_PER_SHARD):
        rng = np.random.default_rng([7, seed])
        scene = Scene(seed, num_objects=int(rng.integers(1, 10)), split=split)
        for _ in range(VIEWS_PER_SCENE):
            frame = scene.render(float(rng.uniform(0, 60)), IMAGE_WH)
            images.append(frame.image)
            categories.append(frame.category_map)
            instances.append(frame.instance_map.astype(np.uint8))
            instance_names.append([*frame.instance_names, *[""] * (MAX_INSTANCES - len(frame.instance_names))])
            for crop, name in cut_crops(frame):
                crops.append(crop)
                names.append(name)
    with write_atomically(_shard_path(directory, split, shard), is_shared=True) as file:
        np.savez(
            file,
            images=np.stack(images),
            categories=np.stack(categories),
            instances=np.stack(instances),
            instance_names=np.array(instance_names, "U32"),
            crops=np.stack(crops),
            names=np.array(names),
        )


def cut_crops(frame: Rendering, min_area_px: int = 120) -> list[tuple[NDArray[np.uint8], str]]:
    """A square crop (CROP_PX, CROP_PX, 4) of each instance that shows at least `min_area_px` pixels, with its name."""
    found = []
    for instance, name in enumerate(frame.instance_names):
        mask = frame.instance_map == instance
        if mask.sum() >= min_area_px:
            found.append((cut_crop(frame.image, mask), name))
    return found


def cut_fragment(pool: Pool, rng: np.random.Generator, min_area_px: int = 40) -> tuple[NDArray[np.uint8], str]:
    """A piece of a wall or floor as a clustering would leave it: a crop (CROP_PX, CROP_PX, 4), and "wall" or "floor".

    The surface is parted along chance lines, or it is the rim around an object; one connected piece is taken.
    """
    while True:
        index = int(rng.integers(len(pool.images)))
        categories = pool.categories[index, ::2, ::2]  # half the size is enough for a crop of a large surface
        kind = int(rng.integers(2))
        surface = categories == kind
        if rng.random() < 0.3:
            reach = 2 * int(rng.integers(3, 12)) + 1
            surface &= cv2.dilate((categories > 1).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
        ys, xs = np.nonzero(surface)
        if len(ys) < min_area_px:
            continue
        place = int(rng.integers(len(ys)))
        piece = _piece_around(surface, int(ys[place]), int(xs[place]), rng)
        if piece.sum() < min_area_px:
            continue
        image = cv2.resize(pool.images[index], categories.shape[::-1], interpolation=cv2.INTER_AREA)
        return cut_crop(np.asarray(image, np.uint8), piece), CATEGORIES[kind]


def _piece_around(surface: NDArray[np.bool_], y: int, x: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The connected part of a surface that holds (y, x), after up to four chance lines have parted it."""
    height, width = surface.shape
    rows, columns = np.ogrid[:height, :width]
    kept = surface.copy()
    for _ in range(int(rng.integers(5))):
        angle = float(rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]))
        distance = (columns - rng.uniform(0, width)) * np.cos(angle) + (rows - rng.uniform(0, height)) * np.sin(angle)
        kept &= (distance > 0) == (distance[y, x] > 0)
    labels = np.asarray(cv2.connectedComponents(kept.astype(np.uint8))[1])
    return np.asarray(labels == labels[y, x])


def draw_window(
    pool: Pool, size_hw: tuple[int, int], zoom_range: tuple[float, float], rng: np.random.Generator
) -> tuple[slice, slice]:
    """Rows and columns of a chance part of an image, which `size_hw` pixels show enlarged by a zoom from the range."""
    height, width = pool.images.shape[1:3]
    zoom = float(rng.uniform(*zoom_range))
    h, w = min(round(size_hw[0] / zoom), height), min(round(size_hw[1] / zoom), width)
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    return slice(top, top + h), slice(left, left + w)


def cut_crop(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The square around a mask (H, W), with its margin, out of an image (H, W, 3): (CROP_PX, CROP_PX, 4).

    Beyond the image its border is repeated, and the mask is 0.
    """
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    half = min(max(right - left, bottom - top) / 2 * (1 + CROP_MARGIN) + 1, max(height, width))
    x0, y0 = round((left + right) / 2 - half), round((top + bottom) / 2 - half)
    side = round(2 * half)
    inside = slice(max(y0, 0), min(y0 + side, height)), slice(max(x0, 0), min(x0 + side, width))
    beyond = (inside[0].start - y0, y0 + side - inside[0].stop, inside[1].start - x0, x0 + side - inside[1].stop)
    window = cv2.copyMakeBorder(image[inside], *beyond, cv2.BORDER_REPLICATE)
    rgb = cv2.resize(window, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA if side > CROP_PX else cv2.INTER_CUBIC)
    framed = cv2.copyMakeBorder(mask[inside].astype(np.uint8) * 255, *beyond, cv2.BORDER_CONSTANT, value=0)
    soft = cv2.resize(framed, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
    return np.dstack([rgb, soft])
