from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ovsr_ros.config
from ovsr_ros.config import (
    find_presets,
    from_dict,
    from_dict_split,
    iter_options,
    option,
    read_config,
    replace_flat,
    to_flat_dict,
    validate,
)
from ovsr_ros.errors import ConfigError
from ovsr_ros.node_options import NodeOptions
from ovsr_ros.settings import load_settings


@dataclass(frozen=True)
class LensOptions:
    focal_mm: float = option(35.0, help="focal length", min=1, max=1000, unit="mm")
    stops: tuple[int, ...] = option((2, 4), help="apertures", min=1, max=32)
    coating: str = option("single", help="coating", choices=("single", "multi"))


@dataclass(frozen=True)
class CameraOptions:
    name: str = option("left", help="which camera", read_only=True)
    flip: bool = option(False, help="upside down")
    shots: int = option(1, help="how many", min=0)
    lens: LensOptions = field(default_factory=lambda: LensOptions(focal_mm=50.0))

    def __post_init__(self) -> None:
        if self.flip and self.shots == 0:
            raise ValueError("shots: flip needs at least 1, got 0")


# --- From mappings ---


def test_an_empty_mapping_gives_the_defaults() -> None:
    assert from_dict(CameraOptions, {}) == CameraOptions()


def test_nested_and_dotted_keys_say_the_same() -> None:
    nested = from_dict(CameraOptions, {"lens": {"focal_mm": 20, "stops": [1, 8]}})
    assert nested == from_dict(CameraOptions, {"lens.focal_mm": 20.0, "lens.stops": (1, 8)})
    assert nested.lens == LensOptions(20.0, (1, 8))
    assert isinstance(nested.lens.focal_mm, float)


def test_a_section_keeps_its_own_defaults_beside_a_given_key() -> None:
    assert from_dict(CameraOptions, {"lens": {"coating": "multi"}}).lens.focal_mm == 50.0
    assert from_dict(CameraOptions, {"lens": None}) == CameraOptions()


@pytest.mark.parametrize(
    ("mapping", "parts"),
    [
        ({"shotz": 2}, ["unknown key 'shotz'", "'shots'"]),
        ({"lens": {"focal": 2}}, ["unknown key 'lens.focal'", "'lens.focal_mm'"]),
        ({"stops": [2]}, ["unknown key 'stops'", "'lens.stops'"]),
        ({"lens": 3}, ["lens", "section", "3"]),
        ({"shots": {"a": 1}}, ["unknown key 'shots.a'"]),
        ({"shots": 1.5}, ["shots", "int", "1.5 (float)"]),
        ({"shots": True}, ["shots", "int", "True (bool)"]),
        ({"shots": -1}, ["shots", "at least 0", "-1"]),
        ({"flip": 1}, ["flip", "bool", "1 (int)"]),
        ({"name": 5}, ["name", "str", "5 (int)"]),
        ({"lens.focal_mm": 0.5}, ["lens.focal_mm", "1 to 1000 mm", "0.5"]),
        ({"lens.focal_mm": float("nan")}, ["lens.focal_mm", "1 to 1000 mm", "nan"]),
        ({"lens.focal_mm": "wide"}, ["lens.focal_mm", "float", "'wide'"]),
        ({"lens.stops": [2, 64]}, ["lens.stops", "1 to 32", "64"]),
        ({"lens.stops": "2"}, ["lens.stops", "list of int, such as [a, b]", "'2'"]),
        ({"lens.stops": [2, "4"]}, ["lens.stops", "int elements", "'4'"]),
        ({"lens.coating": "mutli"}, ["lens.coating", "single, multi", "did you mean 'multi'"]),
        ({"flip": True, "shots": 0}, ["shots: flip needs at least 1"]),
        ({"lens": {"stops": [1]}, "lens.stops": [1]}, ["lens.stops", "given twice"]),
        ({3: 4}, ["expected text as key", "3"]),
    ],
)
def test_a_wrong_mapping_is_refused_with_the_key_and_what_was_expected(
    mapping: dict[str, object], parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(CameraOptions, mapping, where="camera.yaml")
    assert str(caught.value).startswith("camera.yaml: ")
    for part in parts:
        assert part in str(caught.value)


def test_yaml_reads_an_exponent_without_a_point_as_text_and_it_still_counts() -> None:
    assert from_dict(LensOptions, {"focal_mm": "1e2"}).focal_mm == 100.0


def test_classes_side_by_side_share_one_namespace() -> None:
    camera, node = from_dict_split((CameraOptions, NodeOptions), {"rate_hz": 5, "shots": 3})
    assert (camera.shots, node.rate_hz) == (3, 5.0)
    with pytest.raises(ConfigError, match="the nearest known key is 'rate_hz'"):
        from_dict_split((CameraOptions, NodeOptions), {"rate_h": 5})


# --- Flat names ---


def test_options_are_listed_with_all_that_ros_needs() -> None:
    infos = {info.name: info for info in iter_options(CameraOptions)}
    assert list(infos) == ["name", "flip", "shots", "lens.focal_mm", "lens.stops", "lens.coating"]
    focal, stops = infos["lens.focal_mm"], infos["lens.stops"]
    assert (focal.type, focal.is_tuple, focal.default, focal.min, focal.max) == (float, False, 50.0, 1, 1000)
    assert (focal.help, focal.unit, focal.read_only, focal.type_name) == ("focal length", "mm", False, "float")
    assert (stops.type, stops.is_tuple, stops.default, stops.type_name) == (int, True, (2, 4), "list of int")
    assert infos["name"].read_only
    assert infos["lens.coating"].choices == ("single", "multi")


def test_a_field_that_is_no_option_is_a_programming_error() -> None:
    @dataclass(frozen=True)
    class Bare:
        size: int = 3

    @dataclass(frozen=True)
    class Odd:
        sizes: tuple[int, int] = option((1, 2), help="")

    with pytest.raises(TypeError, match=r"Bare\.size"):
        iter_options(Bare)
    with pytest.raises(TypeError, match=r"Odd\.sizes"):
        iter_options(Odd)


def test_replace_flat_changes_what_is_named_and_nothing_else() -> None:
    before = CameraOptions(shots=4)
    after = replace_flat(before, {"lens.stops": [8], "flip": True})
    assert to_flat_dict(after) == {**to_flat_dict(before), "lens.stops": (8,), "flip": True}
    assert before == CameraOptions(shots=4)


def test_replace_flat_refuses_the_whole_change() -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        replace_flat(CameraOptions(), {"flip": True, "shots": -2})
    with pytest.raises(ConfigError, match=r"unknown key 'lens\.stop'.*'lens\.stops'"):
        replace_flat(CameraOptions(), {"lens.stop": [1]})


def test_validate_finds_what_a_constructor_lets_through() -> None:
    validate(CameraOptions())
    with pytest.raises(ConfigError, match=r"lens\.focal_mm"):
        validate(CameraOptions(lens=LensOptions(focal_mm=-1.0)))


@given(
    st.builds(
        CameraOptions,
        name=st.text(),
        flip=st.booleans(),
        shots=st.integers(1, 10**6),
        lens=st.builds(
            LensOptions,
            focal_mm=st.floats(1, 1000),
            stops=st.lists(st.integers(1, 32)).map(tuple),
            coating=st.sampled_from(["single", "multi"]),
        ),
    )
)
def test_flat_names_and_values_hold_all_of_the_options(options: CameraOptions) -> None:
    flat = to_flat_dict(options)
    assert from_dict(CameraOptions, flat) == options
    assert replace_flat(CameraOptions(), flat) == options


# --- Files ---


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plain_file_is_read_as_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "shots: 3\nlens:\n  stops: [1, 2]\n")
    assert from_dict(CameraOptions, read_config(path)) == CameraOptions(
        shots=3, lens=LensOptions(focal_mm=50.0, stops=(1, 2))
    )


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read_config(write(tmp_path / "a.yaml", "# nothing yet\n")) == {}


def test_a_ros_file_gives_this_nodes_parameters_the_special_over_the_general(tmp_path: Path) -> None:
    text = """
    /robot/ovsr: {ros__parameters: {shots: 7, lens: {focal_mm: 20.0}}}
    /**: {ros__parameters: {shots: 3, flip: true, lens: {coating: multi}}}
    demo_camera: {ros__parameters: {speed: 1}}
    """
    options = from_dict(CameraOptions, read_config(write(tmp_path / "a.yaml", text)))
    assert options == CameraOptions(shots=7, flip=True, lens=LensOptions(focal_mm=20.0, coating="multi"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3\n", r"a\.yaml, line 2: not YAML"),
        ("a: \x00\n", r"a\.yaml: not YAML"),
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
