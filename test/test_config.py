from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import ovsr_ros.config
from ovsr_ros.config import find_presets, parse_overrides, read_config
from ovsr_ros.errors import ConfigError
from ovsr_ros.settings import load_settings


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plain_file_is_read_as_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "shots: 3\nlens:\n  stops: [1, 2]\n")
    assert read_config(path) == {"shots": 3, "lens": {"stops": [1, 2]}}


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read_config(write(tmp_path / "a.yaml", "# nothing yet\n")) == {}


def test_a_ros_file_gives_this_nodes_parameters_the_special_over_the_general(tmp_path: Path) -> None:
    text = """
    /robot/ovsr: {ros__parameters: {shots: 7, lens: {focal_mm: 20.0}}}
    /**: {ros__parameters: {shots: 3, flip: true, lens: {coating: multi}}}
    demo_camera: {ros__parameters: {speed: 1}}
    """
    found = read_config(write(tmp_path / "a.yaml", text))
    assert found == {"shots": 7, "flip": True, "lens.focal_mm": 20.0, "lens.coating": "multi"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3\n", r"a\.yaml, line 2: not YAML"),
        ("a: \x00\n", r"a\.yaml: not YAML"),
        ("a: 2001-99-99\n", r"a\.yaml: not YAML: month must be in 1..12"),
        ("a: " + "[" * 3000, r"a\.yaml: not YAML: nested too deep"),
        ("a: &a [*a]\n", r"a\.yaml: not YAML: expected at most 100000 values, aliases included"),
        ("- a\n- b\n", r"a\.yaml: expected keys and values, got list"),
        ("/**: {ros__parameters: {a: 1}}\nb: 2\n", r"a\.yaml: 'b' stands beside a node's ros__parameters"),
        ("/**: {ros__parameters: [1]}\n", r"a\.yaml: /\*\*: ros__parameters: expected keys and values"),
    ],
)
def test_an_unusable_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(write(tmp_path / "a.yaml", text))


def test_a_missing_file_names_itself_and_the_presets(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no/such\.yaml.*presets: .*demo.*ovsr"):
        read_config(tmp_path / "no" / "such.yaml")
    with pytest.raises(ConfigError, match="folder"):
        read_config(tmp_path)


def test_presets_are_found_in_the_checkout() -> None:
    presets = find_presets()
    assert {"demo", "faithful", "fast_cpu", "ovsr"} <= presets.keys()
    assert all(path.is_file() for path in presets.values())
    assert read_config("demo")


def test_presets_are_found_in_an_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = tmp_path / "install" / "share" / "ovsr_ros" / "config"
    package = tmp_path / "install" / "lib" / "python3" / "site-packages" / "ovsr_ros"
    share.mkdir(parents=True)
    package.mkdir(parents=True)
    write(share / "mine.yaml", "shots: 2\n")
    (tmp_path / "config").mkdir()
    write(tmp_path / "config" / "not_ours.yaml", "a: 1\n")
    shutil.copy(ovsr_ros.config.__file__, package / "config.py")
    monkeypatch.setattr(ovsr_ros.config, "__file__", str(package / "config.py"))
    assert find_presets() == {"mine": share / "mine.yaml"}
    shutil.rmtree(share)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "nowhere"))
    assert find_presets() == {}


def test_what_a_config_file_has_for_all_nodes_and_is_not_ours_is_left_out_with_a_warning(tmp_path, caplog):
    path = write(tmp_path / "a.yaml", "/**: {ros__parameters: {wheel_radius: 1, clusters.k_max: 9, rate_hertz: 5}}\n")
    assert load_settings(path).pipeline.clusters.k_max == 9
    assert "'wheel_radius', 'rate_hertz' (did you mean 'rate_hz'?)" in caplog.text


@pytest.mark.parametrize("section", ["ovsr", "/**/ovsr"])
def test_under_the_nodes_name_a_config_file_is_read_strictly(tmp_path, section):
    path = write(tmp_path / "a.yaml", f"{section}: {{ros__parameters: {{wheel_radius: 1}}}}\n")
    with pytest.raises(ConfigError, match="unknown key 'wheel_radius'"):
        load_settings(path)


def test_a_section_of_ours_is_read_strictly_for_all_nodes_too(tmp_path):
    path = write(tmp_path / "a.yaml", "/**: {ros__parameters: {clusters: {kmax: 1}}}\n")
    with pytest.raises(ConfigError, match=r"unknown key 'clusters\.kmax'"):
        load_settings(path)


def test_values_are_yaml_and_the_last_one_counts() -> None:
    texts = ["a.b=[1, 2]", "c=0.5", "d=cuda:0", "e=true", "f=", "c=1", "g=x=y"]
    assert parse_overrides(texts) == {"a.b": [1, 2], "c": 1, "d": "cuda:0", "e": True, "f": "", "g": "x=y"}
    assert parse_overrides([]) == {}


@pytest.mark.parametrize("text", ["a", "=3", " = 3"])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected KEY=VALUE"):
        parse_overrides([text])


def test_a_value_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--set a=\[1, 2: the value is not YAML"):
        parse_overrides(["a=[1, 2"])
