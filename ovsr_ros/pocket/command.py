"""`ovsr pocket`: train the embedded pair of towers for photographs."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ovsr_ros.errors import OvsrError

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `pocket` and its own sub-commands."""
    pocket = subparsers.add_parser("pocket", help="train the embedded pair of towers for photographs")
    actions = pocket.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_train_text(actions)
    _add_train(actions)


def _add_train_text(actions: _SubParsersAction[argparse.ArgumentParser]) -> None:
    help_text = "train the text tower; goes on where it was interrupted"
    train = actions.add_parser("train-text", help=help_text, description=help_text)
    train.add_argument(
        "--work",
        type=Path,
        default=Path(".cache/pocket_training"),
        help="checkpoints, and the teacher's embeddings, which are kept",
    )
    train.add_argument("--out", type=Path, required=True, help="folder for the finished tower and its figures")
    train.add_argument(
        "--wordnet", type=Path, metavar="FOLDER", help="with WordNet's data.noun: its nouns are learned, too"
    )
    train.add_argument("--steps", type=int, default=2600)
    train.add_argument("--batch", type=int, default=512)
    train.add_argument("--merges", type=int, default=20000, help="of open_clip's byte pairs, the first so many")
    train.add_argument("--width", type=int, default=256)
    train.add_argument("--heads", type=int, default=4)
    train.add_argument("--layers", type=int, default=2)
    train.add_argument(
        "--kin",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="how far names of one thing, by WordNet, are brought together",
    )
    _add_machine(train)
    train.set_defaults(run=run_train_text)


def _add_machine(train: argparse.ArgumentParser) -> None:
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    train.add_argument("--threads", type=int, default=os.cpu_count() or 1)


def run_train_text(arguments: argparse.Namespace) -> int:
    """Embed what is missing, train what is unfinished, write the tower and print its figures."""
    import torch

    from ovsr_ros.models.byte_pairs import token_texts, words, write_merges
    from ovsr_ros.models.device import resolve_device
    from ovsr_ros.pocket.phrases import make_corpus
    from ovsr_ros.pocket.teacher import Teacher, teacher_folder
    from ovsr_ros.pocket.text_model import MERGES_FILE
    from ovsr_ros.pocket.text_run import make_text_tower
    from ovsr_ros.pocket.train_text import TextOptions

    options = TextOptions(**{field.name: getattr(arguments, field.name) for field in fields(TextOptions)})
    device = resolve_device(arguments.device)
    torch.set_num_threads(max(arguments.threads, 1))
    teacher = Teacher(teacher_folder())
    merges = arguments.out / MERGES_FILE
    try:
        write_merges(merges, options.merges)
    except OSError as error:
        raise OvsrError(f"{arguments.out}: expected a folder to write to: {error}; choose another") from error
    corpus = make_corpus(words(token_texts(merges)), arguments.wordnet)
    print(f"{len(corpus.names)} names, {len(corpus.phrases)} phrases, {len(corpus.held_out)} nouns held out")
    figures = make_text_tower(corpus, teacher, options, arguments.work, arguments.out, device)
    print(json.dumps({key: value for key, value in figures.items() if key != "synonyms"}, indent=2))
    print(f"wrote {arguments.out}")
    return 0


def _add_train(actions: _SubParsersAction[argparse.ArgumentParser]) -> None:
    help_text = "train the image tower for a text tower, and write the pair; goes on where it was interrupted"
    train = actions.add_parser("train", help=help_text, description=help_text)
    train.add_argument(
        "data",
        nargs="+",
        metavar="FOLDER",
        help="photographs with masks, as ovsr evaluate --dataset folder reads them; FOLDER[::2] is every second image",
    )
    begin = train.add_mutually_exclusive_group(required=True)
    begin.add_argument("--text", type=Path, metavar="FOLDER", help="what train-text wrote")
    begin.add_argument(
        "--start", type=Path, metavar="PAIR", help="a folder that this command wrote: train that image tower further"
    )
    train.add_argument(
        "--leave-out", nargs="+", default=[], metavar="CLASS", help="classes that the training is to know nothing of"
    )
    train.add_argument("--work", type=Path, default=Path(".cache/pocket_training"), help="checkpoints")
    train.add_argument("--out", type=Path, required=True, help="folder for the finished pair")
    train.add_argument("--steps", type=int, default=4000)
    train.add_argument("--batch", type=int, default=6)
    _add_machine(train)
    train.set_defaults(run=run_train)


def run_train(arguments: argparse.Namespace) -> int:
    """Train what is unfinished, and write the pair."""
    import cv2
    import torch

    from ovsr_ros.models.device import resolve_device
    from ovsr_ros.pocket.image_run import Beginning, make_pair
    from ovsr_ros.pocket.photos import PhotoFolder
    from ovsr_ros.pocket.train_image import ImageOptions

    options = ImageOptions(arguments.steps, arguments.batch, arguments.seed)
    folders = [PhotoFolder.parse(text) for text in arguments.data]
    device = resolve_device(arguments.device)
    torch.set_num_threads(max(arguments.threads, 1))
    cv2.setNumThreads(1)
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OvsrError(f"{arguments.out}: expected a folder to write to: {error}; choose another") from error
    begin = Beginning.of_pair(arguments.start) if arguments.start else Beginning.of_text(arguments.text)
    make_pair(folders, arguments.leave_out, begin, options, arguments.work, arguments.out, device)
    print(f"wrote {arguments.out}")
    return 0
