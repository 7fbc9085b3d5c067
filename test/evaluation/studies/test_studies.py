"""`ovsr evaluate --study`: what it refuses, and what every study's files hold."""

import json
import sys

import numpy as np
import pytest

from ovsr_ros.cli import main
from ovsr_ros.errors import ConfigError, OvsrError
from ovsr_ros.evaluation.extras import import_extra
from ovsr_ros.evaluation.studies import STUDIES, Study, StudyRequest
from ovsr_ros.evaluation.studies.plots import Curve, plot_counts, plot_thresholds
from ovsr_ros.evaluation.studies.study import rows_table, without_nan


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--study", "unknwon", "--out", "x"], "did you mean 'unknown'"),
        (["--study", "clusters"], "--out DIR"),
        (["--study", "clusters", "--out", "x", "--dataset", "voc21"], "expected --dataset scenes"),
        (["--study", "clusters", "--out", "x", "--split", "test2"], "got scenes test2"),
    ],
)
def test_unfit_arguments_are_refused(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *words]) == 2
    assert told in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_every_study_exists():
    for name in STUDIES:
        __import__(f"ovsr_ros.evaluation.studies.{name}")


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("skimage.segmentation", "scikit-image", "evaluation"),
        ("sklearn.cluster", "scikit-learn", "evaluation"),
        ("matplotlib", "matplotlib", "evaluation"),
        ("h5py", "h5py", "photos"),
    ],
)
def test_a_library_that_is_missing_is_named_with_the_command_that_installs_it(module, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)  # as Python marks a module that cannot be imported
    with pytest.raises(OvsrError, match=rf'{package} .*pip install "ovsr_ros\[{extra}\]"'):
        import_extra(module)


def test_a_study_leaves_figures_page_and_pictures(tmp_path, seeded_options):
    request = StudyRequest(seeded_options, tmp_path / "deep" / "out", split="test")
    curve = Curve("a share", np.array([0.0, np.nan, 1.0]), target=0.7)
    picture = plot_thresholds((0.0, 0.5, 1.0), [curve], 0.3, "A caption. " * 20)
    paths = Study("some", "# Some", {"value": float("nan"), "pair": (1, 2)}, {"curve": picture}).write(request)
    assert [path.name for path in paths] == ["some_test.json", "some_test.md", "some_test_curve.png"]
    figures = json.loads(paths[0].read_text())
    assert (figures["study"], figures["split"], figures["value"], figures["pair"]) == ("some", "test", None, [1, 2])
    assert figures["weights"]["clip"]["sha256"]
    assert figures["options"]["score_threshold"] == seeded_options.score_threshold
    assert "say nothing about COCO" in paths[1].read_text()


def test_a_folder_that_cannot_be_written_is_named(tmp_path, seeded_options):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        Study("some", "# Some", {}).write(StudyRequest(seeded_options, tmp_path / "file" / "out"))


def test_plots_name_their_axes_and_lines():
    figure = plot_counts(
        np.array([2, 3, 3]), np.array([2, 4, 3]), {"adaptive": {2: 0.5, 3: 0.7}, "K = 8": {2: 0.2, 3: 0.4}}, "Caption."
    )
    left, right = figure.axes
    assert left.get_xlabel() == right.get_xlabel() == "true number of categories in view"
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["adaptive", "K = 8"]
    mean = next(line for line in left.get_lines() if line.get_label() == "mean")
    assert list(mean.get_ydata()) == [2.0, 3.5]


def test_tables_and_json_have_no_nan():
    assert without_nan({"a": [float("nan"), (0.5,)]}) == {"a": [None, [0.5]]}
    table = rows_table([{"a_name": "x", "value": float("nan")}, {"a_name": "y", "value": 0.25}])
    assert "a name" in table
    assert "nan" not in table
    assert "0.250" in table
    assert rows_table([]) == ""
