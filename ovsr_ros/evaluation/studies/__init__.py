"""Questions that one table of figures does not answer: `ovsr evaluate --study NAME`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.studies.study import Study, StudyRequest

__all__ = ["STUDIES", "Study", "StudyRequest", "run_study"]

STUDIES: dict[str, str] = {
    "baselines": "other ways to find regions, tuned, against ours, in one table",
    "clusters": "the adaptive number of clusters against the true number of regions, and against a fixed one",
    "flicker": "labels over time, with and without tracking: what changes while the truth does not, and what is right",
    "unknown": "what becomes of objects whose word is not in the vocabulary, over the score threshold",
}
"""Names, and what each is about."""

_OF_ANY_DATA = ("unknown",)
"""Studies that ask for no more truth than a class for each pixel."""


def run_study(arguments: argparse.Namespace) -> int:
    """`--study NAME`: on the rendered scenes, or on --dataset where that will do.

    Writes JSON, Markdown and pictures into --out, and prints the tables.

    Raises ConfigError for an unknown name or unfit arguments, OvsrError where a library it needs is not installed.
    """
    from ovsr_ros.demo.scenes import SPLITS
    from ovsr_ros.evaluation.arguments import SCENES, chosen_dataset, chosen_protocols, chosen_settings

    name = arguments.study
    if name not in STUDIES:
        near = get_close_matches(name, STUDIES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"--study: expected one of {', '.join(STUDIES)}, got {name!r}{hint}")
    of_scenes = arguments.dataset == SCENES
    if (not of_scenes and name not in _OF_ANY_DATA) or (of_scenes and arguments.split not in SPLITS):
        raise ConfigError(
            f"--study {name}: needs ground truth that only rendered scenes have: expected --dataset {SCENES} and "
            f"--split {' or '.join(SPLITS)}, got {arguments.dataset} {arguments.split}"
        )
    if arguments.out is None:
        raise ConfigError(f"--study {name}: needs a folder to write into; name it: --out DIR")
    request = StudyRequest(
        options=chosen_settings(arguments).pipeline,
        out=arguments.out,
        config=arguments.config or ("demo" if of_scenes else "ovsr"),
        dataset=None if of_scenes else chosen_dataset(arguments),
        split=arguments.split,
        limit=arguments.limit,
        workers=arguments.workers,
        progress=True,
        fresh=arguments.fresh,
        protocols=chosen_protocols(arguments),
    )
    run: Callable[[StudyRequest], Study] = import_module(f"{__name__}.{name}").run
    study = run(request)
    paths = study.write(request)
    print(study.markdown)
    for path in paths:
        print(f"wrote {path}", file=sys.stderr)
    return 0
