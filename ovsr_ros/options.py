"""Options: frozen dataclasses whose fields carry help, range and choices.

ROS parameters and `--set` are generated from the same fields, so an option is described in one place. Its names are
dotted: `features.levels` is the field `levels` of the section `features`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import math
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ovsr_ros.errors import ConfigError

Scalar = str | int | float | bool
OptionValue = Scalar | tuple[Scalar, ...]
T = TypeVar("T")
_SCALARS: tuple[type, ...] = (str, int, float, bool)
_METADATA_KEY = "ovsr_option"


@dataclass(frozen=True)
class OptionInfo:
    """What is known of one option; `type` is str, int, float, bool, or the element's type where `is_tuple`.

    min and max are inclusive; for a tuple they, and choices, hold for each element.
    """

    name: str
    type: type
    is_tuple: bool
    default: OptionValue
    help: str
    min: float | None
    max: float | None
    choices: tuple[Scalar, ...] | None
    unit: str
    read_only: bool

    @property
    def type_name(self) -> str:
        """The type in words, for messages: `float`, `list of int`."""
        return f"list of {self.type.__name__}" if self.is_tuple else self.type.__name__


def option(
    default: OptionValue,
    *,
    help: str,
    min: float | None = None,
    max: float | None = None,
    choices: Sequence[Scalar] | None = None,
    unit: str = "",
    read_only: bool = False,
) -> Any:
    """A dataclass field with what it means, its range (inclusive) and its choices; read-only: fixed once loaded."""
    metadata = {
        "help": help,
        "min": min,
        "max": max,
        "choices": None if choices is None else tuple(choices),
        "unit": unit,
        "read_only": read_only,
    }
    return dataclasses.field(default=default, metadata={_METADATA_KEY: metadata})


def from_dict(cls: type[T], mapping: Mapping[str, object], where: str = "") -> T:
    """Build the options `cls` from a mapping, nested by section or with dotted keys; what it lacks keeps its default.

    where: what the mapping was read from, put in front of messages.

    Raises ConfigError for an unknown key (naming the nearest known one) or a value of wrong type, range or choice.
    """
    options: T = from_dict_split((cls,), mapping, where)[0]
    return options


def from_dict_split(classes: Sequence[type[Any]], mapping: Mapping[str, object], where: str = "") -> tuple[Any, ...]:
    """Build several options side by side from one mapping in which their keys share a namespace.

    Raises ConfigError as `from_dict`; a key is unknown when none of the classes has it.
    """
    values: list[dict[str, object]] = [{info.name: info.default for info in iter_options(cls)} for cls in classes]
    owners = {name: flat for flat in values for name in flat}
    for key, value in flatten(mapping, {name.rpartition(".")[0] for name in owners}, where).items():
        if key not in owners:
            raise ConfigError(_in(where, f"unknown key '{key}'; the nearest known key is '{_nearest(key, owners)}'"))
        owners[key][key] = value
    return tuple(_build(cls, "", flat, where) for cls, flat in zip(classes, values, strict=True))


def replace_flat(options: T, changes: Mapping[str, object], where: str = "") -> T:
    """A copy of `options` with the options named by dotted keys changed, all of them or none.

    Raises ConfigError as `from_dict`.
    """
    values = to_flat_dict(options)
    for key in changes:
        if key not in values:
            raise ConfigError(_in(where, f"unknown key '{key}'; the nearest known key is '{_nearest(key, values)}'"))
    return _build(type(options), "", {**values, **changes}, where)


def to_flat_dict(options: object) -> dict[str, OptionValue]:
    """Every option's value by its dotted name."""
    flat: dict[str, OptionValue] = {}
    for info in iter_options(type(options)):
        value: Any = options
        for part in info.name.split("."):
            value = getattr(value, part)
        flat[info.name] = value
    return flat


def iter_options(cls: type) -> list[OptionInfo]:
    """Every option of `cls` and of its sections, in the order they are written."""
    return list(_options_of(cls))


@functools.cache  # annotations are text, which takes 20 ms to be read: more than a change of parameters else takes
def _options_of(cls: type) -> tuple[OptionInfo, ...]:
    infos: list[OptionInfo] = []
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            defaults = to_flat_dict(_section_default(field, typing.cast(type, hint)))
            for info in iter_options(typing.cast(type, hint)):
                name = f"{field.name}.{info.name}"
                infos.append(dataclasses.replace(info, name=name, default=defaults[info.name]))
            continue
        if _METADATA_KEY not in field.metadata:
            raise TypeError(f"{cls.__name__}.{field.name}: declare it by option(), or as a section's dataclass")
        element, is_tuple = _element_type(hint, f"{cls.__name__}.{field.name}")
        default = typing.cast(OptionValue, field.default)
        metadata = field.metadata[_METADATA_KEY]
        infos.append(OptionInfo(name=field.name, type=element, is_tuple=is_tuple, default=default, **metadata))
    return tuple(infos)


def _section_default(field: dataclasses.Field[Any], cls: type) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return cls() if field.default is dataclasses.MISSING else field.default


def validate(options: object, where: str = "") -> None:
    """Check options that were constructed directly. Raises ConfigError as `from_dict`."""
    replace_flat(options, {}, where)


def check_value(info: OptionInfo, value: object, where: str = "") -> OptionValue:
    """The value as the option's type: lists become tuples, whole numbers floats.

    Raises ConfigError when type, range or choice do not fit.
    """
    if not info.is_tuple:
        return _check_scalar(info, value, where)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(_in(where, f"{info.name}: expected {info.type_name}, such as [a, b], got {value!r}"))
    return tuple(_check_scalar(info, element, where) for element in value)


def _check_scalar(info: OptionInfo, value: object, where: str) -> Scalar:
    if info.type is float and isinstance(value, str) and "e" in value.lower():
        # YAML 1.1 reads 1e-3, written without a point, as text.
        with contextlib.suppress(ValueError):
            value = float(value)
    if info.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, info.type) or (isinstance(value, bool) and info.type is not bool):
        expected = info.type.__name__ + (" elements" if info.is_tuple else "")
        raise ConfigError(_in(where, f"{info.name}: expected {expected}, got {value!r} ({type(value).__name__})"))
    scalar = typing.cast(Scalar, value)
    if info.choices is not None and scalar not in info.choices:
        listed = ", ".join(str(choice) for choice in info.choices)
        nearest = difflib.get_close_matches(str(scalar), [str(choice) for choice in info.choices], n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ConfigError(_in(where, f"{info.name}: expected one of {listed}, got {scalar!r}{hint}"))
    if isinstance(scalar, (int, float)) and not isinstance(scalar, bool):
        low = -math.inf if info.min is None else info.min
        high = math.inf if info.max is None else info.max
        if not (math.isfinite(scalar) and low <= scalar <= high):
            unit = f" {info.unit}" if info.unit else ""
            raise ConfigError(_in(where, f"{info.name}: expected {_range(info)}{unit}, got {scalar}"))
    return scalar


def _range(info: OptionInfo) -> str:
    if info.min is not None and info.max is not None:
        return f"{info.min:g} to {info.max:g}"
    if info.min is not None:
        return f"at least {info.min:g}"
    return f"at most {info.max:g}" if info.max is not None else "a finite number"


def _build(cls: type[T], prefix: str, flat: Mapping[str, object], where: str) -> T:
    hints = typing.get_type_hints(cls)
    infos = {info.name: info for info in iter_options(cls)}
    values: dict[str, object] = {}
    for field in dataclasses.fields(typing.cast(Any, cls)):
        name = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            values[field.name] = _build(typing.cast(type, hints[field.name]), f"{name}.", flat, where)
        else:
            values[field.name] = check_value(dataclasses.replace(infos[field.name], name=name), flat[name], where)
    try:
        return cls(**values)
    except (ConfigError, ValueError) as error:  # from a class that checks its fields against each other
        raise ConfigError(_in(where, f"{prefix}{error}")) from error


def flatten(mapping: Mapping[str, object], sections: set[str], where: str, prefix: str = "") -> dict[str, object]:
    """A mapping's values by dotted key. sections: names of which only sections may stand, and an empty one may.

    Raises ConfigError as `from_dict`.
    """
    flat: dict[str, object] = {}
    for key, value in mapping.items():
        if not isinstance(key, str):
            raise ConfigError(_in(where, f"{prefix}: expected text as key, got {key!r}"))
        name = prefix + key
        if isinstance(value, Mapping):
            found = flatten(value, sections, where, f"{name}.")
        elif name in sections and value is None:
            found = {}  # a section of which every line is commented out
        elif name in sections:
            raise ConfigError(_in(where, f"{name}: expected a section of options, got {value!r}"))
        else:
            found = {name: value}
        for twice in flat.keys() & found.keys():
            raise ConfigError(_in(where, f"{twice}: given twice, once under its section and once with its dotted name"))
        flat |= found
    return flat


def _element_type(hint: Any, name: str) -> tuple[type, bool]:
    if hint in _SCALARS:
        return hint, False
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is ... and arguments[0] in _SCALARS:
        return arguments[0], True
    raise TypeError(f"{name}: options are str, int, float, bool, or tuple[one of these, ...], not {hint}")


def _nearest(key: str, known: Iterable[str]) -> str:
    names = list(known)
    same_leaf = [name for name in names if name.rpartition(".")[2] == key.rpartition(".")[2]]
    return same_leaf[0] if same_leaf else difflib.get_close_matches(key, names, n=1, cutoff=0.0)[0]


def _in(where: str, message: str) -> str:
    return f"{where}: {message}" if where else message
