"""A node's vocabulary file with words that were taught by what a labelled bag shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ovsr_ros.recordings.table import FrameTable
from ovsr_ros.vocabulary.category import Operation, parse_category
from ovsr_ros.vocabulary.change import Teaching
from ovsr_ros.vocabulary.example import Example
from ovsr_ros.vocabulary.file import VocabularyFile
from ovsr_ros.vocabulary.registry import VocabularyRegistry

JPEG = b"\xff\xd8 a picture"


def teach_words(labelled: Path, path: Path) -> Path:
    """Write it: words with ids and a colour, of which one has been taught the largest segment of the first frame.

    labelled: a bag's folder of `ovsr bags label`. Returns path.
    """
    with FrameTable(labelled / "frames.parquet") as table:
        row, model_id = next(table.rows()), table.about["clip"]
    registry = VocabularyRegistry()
    words = ["wall=40; ceiling", "floor", "thing; #ff8000"]
    registry.commit(registry.propose(Operation.REPLACE, [parse_category(word) for word in (*words, "gone")]))
    registry.commit(registry.propose(Operation.REMOVE, [parse_category("gone")]))
    for embedding, model in ((row.embeddings[int(row.areas_px.argmax())], model_id), (row.embeddings[0], "clip/other")):
        vector = embedding.astype(np.float32)
        example = Example(vector / np.linalg.norm(vector), model, thumbnail=JPEG)
        registry.commit(registry.propose_change(Teaching(parse_category("thing"), example)))
    assert VocabularyFile(path).save(registry) == ""
    return path
