"""What every study is asked, and what it leaves behind: figures as JSON, tables as Markdown, pictures as PNG."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovsr_ros.evaluation import provenance
from ovsr_ros.evaluation.figures import number
from ovsr_ros.evaluation.protocols import ProtocolOptions
from ovsr_ros.evaluation.report import SCENES_NOTE, share, table, write_text
from ovsr_ros.evaluation.sample import Dataset
from ovsr_ros.settings import PipelineOptions


@dataclass(frozen=True)
class StudyRequest:
    """What is to be studied. config: the name of the configuration, for headings; options: what it holds.

    dataset: what is studied, where the study is not of rendered scenes alone; None: these. split: val or test, of the
    scenes. limit: images at most; None: the study's own number. out: the folder for everything it writes.
    fresh: judge anew what an earlier run has left there. protocols: what is measured, where a study leaves a choice.
    """

    options: PipelineOptions
    out: Path
    config: str = "demo"
    split: str = "val"
    limit: int | None = None
    workers: int = 1
    progress: bool = False
    fresh: bool = False
    protocols: ProtocolOptions = field(default_factory=ProtocolOptions)
    dataset: Dataset | None = None

    @property
    def part(self) -> str:
        """What is studied, as the names of files have it: the scenes' split, or the data set."""
        return self.split if self.dataset is None else self.dataset.name


@dataclass(frozen=True)
class Study:
    """A study's answers. pictures: matplotlib figures by name; figures: plain values, in which NaN may stand.

    before_words: whether no more was used than the backend's stages before words.
    """

    name: str
    markdown: str
    figures: dict[str, Any]
    pictures: dict[str, Any] = field(default_factory=dict)
    before_words: bool = False

    def write(self, request: StudyRequest) -> list[Path]:
        """Write NAME_SPLIT.json, .md and a .png per picture. Returns their paths."""
        stem = f"{self.name}_{request.part}"
        note = {"note": SCENES_NOTE} if request.dataset is None else {}
        paths = [request.out / f"{stem}.json", request.out / f"{stem}.md"]
        content = {"study": self.name, "split": request.part, "config": request.config, **self.figures}
        content |= {**note, **provenance.everything(request.options, self.before_words)}
        write_text(paths[0], json.dumps(without_nan(content), indent=2, allow_nan=False) + "\n")
        for name, picture in self.pictures.items():
            paths.append(request.out / f"{stem}_{name}.png")
            picture.savefig(paths[-1], dpi=120)
        shown = "".join(f"\n![{path.stem}]({path.name})\n" for path in paths[2:])
        remarks = "".join(f"\n{text}\n" for text in note.values())
        write_text(paths[1], f"{self.markdown}\n{shown}{remarks}")
        return paths


def without_nan(value: Any) -> Any:
    """The value with None for NaN, which JSON does not have, and lists for tuples."""
    if isinstance(value, dict):
        return {str(key): without_nan(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(element) for element in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def rows_table(rows: Sequence[Mapping[str, object]]) -> str:
    """A Markdown table of rows with the same keys, which head the columns; floats with three places, NaN as a dash."""
    if not rows:
        return ""
    header = tuple(key.replace("_", " ") for key in rows[0])
    return table(header, [tuple(map(_cell, row.values())) for row in rows])


def _cell(value: object) -> str:
    return share(number(value)) if isinstance(value, float) else str(value)
