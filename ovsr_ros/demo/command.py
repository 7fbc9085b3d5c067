"""`ovsr demo`: look at the scenes, and train the embedded models on them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from ovsr_ros.demo.scenes import SPLITS, Scene

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `demo` and its own sub-commands."""
    demo = subparsers.add_parser("demo", help="the rendered scenes and the embedded models trained on them")
    actions = demo.add_subparsers(dest="action", required=True)
    render = actions.add_parser("render", help="draw scenes to PNG files, with their ground truth")
    render.add_argument("--out", type=Path, default=Path("demo_output"), help="folder to write to")
    render.add_argument("--seed", type=int, default=0, help="first scene's seed")
    render.add_argument("--count", type=int, default=4, help="how many scenes")
    render.add_argument("--split", choices=tuple(SPLITS), default="val")
    render.add_argument("--size", default="640x480", help="WIDTHxHEIGHT in pixels")
    render.set_defaults(run=run_render)
    train = actions.add_parser("train", help="train the embedded models from nothing; goes on where it was interrupted")
    train.add_argument(
        "--work", type=Path, default=Path(".cache/demo_training"), help="rendered scenes and checkpoints"
    )
    train.add_argument("--out", type=Path, required=True, help="folder for the finished weights")
    train.add_argument(
        "--only", choices=("features", "clip"), help="one of the two models; clip needs the features in --out"
    )
    train.add_argument("--scenes", type=int, default=2000, help="training scenes to render; two views of each")
    train.add_argument("--feature-steps", type=int, default=6000)
    train.add_argument("--clip-steps", type=int, default=6200)
    train.add_argument("--segmented-images", type=int, default=1000, help="images of the pool to segment for CLIP")
    train.add_argument("--batch", type=int, nargs=2, default=(8, 96), metavar=("FEATURES", "CLIP"))
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--device", default="cuda" if _has_cuda() else "cpu")
    train.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    train.set_defaults(run=run_train)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def run_render(arguments: argparse.Namespace) -> int:
    """Write SEED.png, SEED_categories.png (index into scenes.CATEGORIES) and SEED_names.txt per scene."""
    width, height = (int(side) for side in arguments.size.split("x"))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        frame = Scene(seed, split=arguments.split).render(0.0, (width, height))
        stem = arguments.out / f"scene_{arguments.split}_{seed:05d}"
        cv2.imwrite(f"{stem}.png", frame.image[..., ::-1])
        cv2.imwrite(f"{stem}_categories.png", frame.category_map)
        Path(f"{stem}_names.txt").write_text("\n".join(frame.instance_names) + "\n", encoding="utf-8")
        print(f"{stem}.png  {', '.join(frame.instance_names)}")
    return 0


def run_train(arguments: argparse.Namespace) -> int:
    """Render what is missing, train what is unfinished, write fp16 weights with their configurations."""
    import torch

    from ovsr_ros.demo import export, pool, train_clip, train_features
    from ovsr_ros.demo.segment_crops import segment_pool

    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    device = torch.device(arguments.device)
    pool_directory = arguments.work / "pool"
    pool.render_pool(pool_directory, "train", arguments.scenes, arguments.threads)
    material = pool.load_pool(pool_directory, "train", arguments.scenes)
    print(f"{len(material.images)} images, {len(material.crops)} crops")
    if arguments.only != "clip":
        weights = train_features.train(
            material,
            arguments.work / f"features-{arguments.seed}.pt",
            arguments.feature_steps,
            arguments.batch[0],
            arguments.seed,
            device,
        )
        print(f"wrote {export.write('features', weights, arguments.out, vars(arguments))}")
    if arguments.only != "features":
        segments = segment_pool(
            material,
            arguments.segmented_images,
            arguments.out / train_features.ARCHITECTURE,
            arguments.work / f"segments-{arguments.seed}.npz",
        )
        weights = train_clip.train(
            material,
            segments,
            arguments.work / f"clip-{arguments.seed}.pt",
            arguments.clip_steps,
            arguments.batch[1],
            arguments.seed,
            device,
        )
        print(f"wrote {export.write('clip', weights, arguments.out, vars(arguments))}")
    return 0
