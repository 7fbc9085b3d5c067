"""Rendered training material on disk: images with category maps for the feature network, crops with masks for CLIP.

Rendering an image costs more than a training step can wait for, so scenes are drawn once, in parallel, and reused with
augmentation. Each shard is one file written whole; a run that was interrupted goes on with the shards that are missing.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ovsr_ros.demo.scenes import CATEGORIES, Frame, Scene

RENDER_WH = (512, 384)
FEATURE_WH = (344, 256)
CROP_PX = 96
CROP_MARGIN = 0.45
SCENES_PER_SHARD = 50
VIEWS_PER_SCENE = 2


@dataclass(frozen=True)
class Pool:
    """Training material.

    images: (N, 256, 344, 3) uint8, RGB. categories: (N, 256, 344) uint8, index into scenes.CATEGORIES.
    crops: (M, 96, 96, 4) uint8: RGB, and the instance's mask as 0 or 255, the instance's box with a margin around it.
    names: (M,) full names of the crops' instances.
    """

    images: NDArray[np.uint8]
    categories: NDArray[np.uint8]
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
    fields = ("images", "categories", "crops", "names")
    return Pool(*(np.concatenate([shard[field] for shard in shards]) for field in fields))


def _shard_path(directory: Path, split: str, shard: int) -> Path:
    return directory / f"{split}-{shard:04d}.npz"


def _render_shard(directory: Path, split: str, shard: int) -> None:
    cv2.setNumThreads(1)
    images, categories, crops, names = [], [], [], []
    for seed in range(shard * SCENES_PER_SHARD, (shard + 1) * SCENES_PER_SHARD):
        rng = np.random.default_rng([7, seed])
        scene = Scene(seed, num_objects=int(rng.integers(1, 10)), split=split)
        for _ in range(VIEWS_PER_SCENE):
            frame = scene.render(float(rng.uniform(0, 60)), RENDER_WH)
            images.append(cv2.resize(frame.image, FEATURE_WH, interpolation=cv2.INTER_AREA))
            categories.append(cv2.resize(frame.category_map, FEATURE_WH, interpolation=cv2.INTER_NEAREST))
            for crop, name in cut_crops(frame):
                crops.append(crop)
                names.append(name)
    path = _shard_path(directory, split, shard)
    temporary = path.with_suffix(f".{os.getpid()}.tmp.npz")
    np.savez(
        temporary,
        images=np.stack(images),
        categories=np.stack(categories),
        crops=np.stack(crops),
        names=np.array(names),
    )
    temporary.replace(path)


def cut_crops(frame: Frame, min_area_px: int = 120) -> list[tuple[NDArray[np.uint8], str]]:
    """A square crop (CROP_PX, CROP_PX, 4) of each instance that shows at least `min_area_px` pixels, with its name."""
    found = []
    pad = max(frame.image.shape[:2])
    padded = np.asarray(cv2.copyMakeBorder(frame.image, pad, pad, pad, pad, cv2.BORDER_REPLICATE), np.uint8)
    for instance, name in enumerate(frame.instance_names):
        mask = frame.instance_map == instance
        if mask.sum() >= min_area_px:
            found.append((_cut(padded, mask, pad), name))
    return found


def cut_fragment(pool: Pool, rng: np.random.Generator, min_area_px: int = 40) -> tuple[NDArray[np.uint8], str]:
    """A piece of a wall or floor as a clustering would leave it: a crop (CROP_PX, CROP_PX, 4), and "wall" or "floor".

    The surface is parted along chance lines, or it is the rim around an object; one connected piece is taken.
    """
    while True:
        index = int(rng.integers(len(pool.images)))
        categories = pool.categories[index]
        kind = int(rng.integers(2))
        surface = categories == kind
        if rng.random() < 0.3:
            reach = 2 * int(rng.integers(3, 14)) + 1
            surface &= cv2.dilate((categories > 1).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
        ys, xs = np.nonzero(surface)
        if len(ys) < min_area_px:
            continue
        place = int(rng.integers(len(ys)))
        piece = _piece_around(surface, int(ys[place]), int(xs[place]), rng)
        if piece.sum() < min_area_px:
            continue
        image = pool.images[index]
        pad = max(image.shape[:2])
        padded = np.asarray(cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE), np.uint8)
        return _cut(padded, piece, pad), CATEGORIES[kind]


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


def _cut(padded: NDArray[np.uint8], mask: NDArray[np.bool_], pad: int) -> NDArray[np.uint8]:
    """The square around a mask (H, W), with its margin, out of an image padded by `pad`: (CROP_PX, CROP_PX, 4)."""
    ys, xs = np.nonzero(mask)
    center = np.array([xs.min() + xs.max() + 1, ys.min() + ys.max() + 1]) / 2
    half = min(max(np.ptp(xs), np.ptp(ys)) / 2 * (1 + CROP_MARGIN) + 1, pad)
    x0, y0 = np.round(center - half + pad).astype(int)
    side = round(2 * half)
    window = slice(y0, y0 + side), slice(x0, x0 + side)
    rgb = cv2.resize(
        padded[window], (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA if side > CROP_PX else cv2.INTER_CUBIC
    )
    framed = cv2.copyMakeBorder(mask.astype(np.uint8) * 255, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    soft = cv2.resize(framed[window], (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
    return np.dstack([rgb, soft])
