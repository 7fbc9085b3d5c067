"""From a corpus and a teacher to a text tower's files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch

from ovsr_ros.evaluation.provenance import commit, machine
from ovsr_ros.models.byte_pairs import token_texts
from ovsr_ros.models.imagenet_names import imagenet_synsets
from ovsr_ros.models.tokenizer import load_tokenizer
from ovsr_ros.pocket.kin import with_kin
from ovsr_ros.pocket.phrases import Corpus, held_out_forms
from ovsr_ros.pocket.teacher import PACKAGE, Teacher, embed_kept
from ovsr_ros.pocket.text_model import MERGES_FILE, TextTower, make_config, to_half, write_text_tower
from ovsr_ros.pocket.text_report import report
from ovsr_ros.pocket.train_text import Lessons, TextOptions, token_meanings, train


def make_text_tower(
    corpus: Corpus, teacher: Teacher, options: TextOptions, work: Path, out: Path, device: torch.device
) -> dict[str, object]:
    """Train a text tower, or go on where it was interrupted; write its files to `out` and return its figures.

    work: the folder of checkpoints and of the teacher's embeddings. out: holds the merges already.
    """
    model_cfg = make_config(teacher.embedding_dim, options.merges, options.width, options.heads, options.layers)
    merges = out / MERGES_FILE
    tokenize = load_tokenizer(model_cfg["text_cfg"], merges, str(out))
    corpus_checksum = hashlib.sha256("\n".join(corpus.texts).encode()).hexdigest()
    record = {**asdict(options), "corpus_sha256": corpus_checksum, "teacher_sha256": teacher.checksum}
    key = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]
    record |= {
        "names": len(corpus.names),
        "phrases": len(corpus.phrases),
        "teacher": PACKAGE,
        "wordnet": corpus.has_wordnet,
        "commit": commit(),
        "machine": machine(str(device)),
    }
    targets = embed_kept(teacher, corpus.texts, work)
    number = len(corpus.names)
    targets[:number] = with_kin(corpus.names, targets[:number], imagenet_synsets("imagenet-21k"), options.kin)
    lessons = Lessons(tokenize(list(corpus.texts)), targets, len(corpus.names))
    unknown = held_out_forms(corpus.held_out)
    meanings = token_meanings(token_texts(merges), unknown, teacher.encode, options.width)
    trained = train(lessons, model_cfg, meanings, work / f"text-{key}.pt", options, device)
    weights = to_half(trained)
    tower = TextTower(model_cfg, weights, tokenize)
    figures = report(tower.encode, teacher.encode, corpus.held_out, corpus.candidates)
    write_text_tower(out, weights, model_cfg, record, figures)
    return figures
