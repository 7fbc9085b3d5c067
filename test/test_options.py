from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsr_ros.errors import ConfigError
from ovsr_ros.node_options import NodeOptions
from ovsr_ros.options import from_dict, from_dict_split, iter_options, option, replace_flat, to_flat_dict, validate


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
