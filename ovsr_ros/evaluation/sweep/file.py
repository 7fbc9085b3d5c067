"""Sweep files: which options to vary, over which values, on which images. bench/sweeps/ holds one.

config: demo                       # preset or file that the base starts from
base: {score_threshold: 0.3}       # options of every run, over the configuration
dataset: scenes                    # also: root, split, names, limit, every; or several in a list: see `image_sets`
protocols: [hungarian]             # what is measured; as the option --protocol
groups:
  - name: linkage                  # one option over values, everything else as the base
    option: clusters.linkage
    values: [ward, average]
  - name: crop style               # or named sets of options that change together
    sets:
      box: {crops.style: box, crops.centered: false}
      blur: {crops.style: blur}
      graph: {finder: {method: felzenszwalb, scale: 1000.0, sigma: 0.8, min_size: 600}}  # not our clustering
runs:                              # free combinations, in a table of their own
  everything plain: {smoothing.iterations: 0, alignment.method: none}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.baselines.region_finders import RegionFinder, describe, make_finder
from ovsr_ros.evaluation.protocols import PROTOCOLS
from ovsr_ros.evaluation.sweep.image_sets import SET_KEYS, ImageSet, read_sets
from ovsr_ros.evaluation.sweep.yaml_file import check_keys, nearest, read_yaml
from ovsr_ros.options import replace_flat
from ovsr_ros.settings import PipelineOptions, load_settings

FINDER = "finder"
"""Key of a set that names another method; see `region_finders.make_finder`."""
RUNS_GROUP = "runs"
"""Name of the group that holds the free combinations."""


@dataclass(frozen=True)
class Run:
    """One set of options to be measured. changes: what differs from the base, by dotted option name.

    finder: what finds the regions in place of our clustering; None: our clustering.
    """

    name: str
    changes: Mapping[str, object]
    options: PipelineOptions
    finder: RegionFinder | None = None

    def described_changes(self) -> dict[str, object]:
        """What differs from the base as plain values: the options, and under `finder` another method."""
        return {**self.changes, **({} if self.finder is None else {FINDER: describe(self.finder)})}


@dataclass(frozen=True)
class Group:
    """Runs that stand in one table. option: the option that they vary; "" where they vary several."""

    name: str
    option: str
    runs: tuple[Run, ...]

    @property
    def title(self) -> str:
        """Its table's heading."""
        return self.name + (f" (`{self.option}`)" if self.option not in ("", self.name) else "")


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read and checked.

    base_changes: options of every run, over the configuration's. sets: on which images. protocols: what is measured;
        (): the file does not say.
    """

    name: str
    config: str
    base_changes: Mapping[str, object]
    base: Run
    sets: tuple[ImageSet, ...]
    protocols: tuple[str, ...]
    groups: tuple[Group, ...]

    @property
    def num_runs(self) -> int:
        """Runs with different options, the base among them: each is measured once."""
        return len({(run.options, run.finder) for run in self.all_runs()})

    def all_runs(self) -> list[Run]:
        """The base, then every group's runs; some may have equal options."""
        return [self.base, *(run for group in self.groups for run in group.runs)]


_MakeRun = Callable[[str, Mapping[str, object], str], Run]
"""Builds a run from its name, its options and the place in the file, for messages."""

_KEYS: Mapping[str, type] = {
    "config": str,
    "base": dict,
    **SET_KEYS,
    "datasets": list,
    "protocols": list,
    "groups": list,
    "runs": dict,
}
_GROUP_KEYS: Mapping[str, type] = {"name": str, "option": str, "values": list, "sets": dict}


def read_sweep(path: Path, overrides: Mapping[str, object] | None = None, config: str | None = None) -> Sweep:
    """Read a sweep file. overrides: options of every run, by dotted name; config: both stronger than the file's.

    Raises ConfigError for a file that is no such YAML, an unknown key or option (naming the nearest), a bad value.
    """
    content = read_yaml(path)
    where = str(path)
    check_keys(content, _KEYS, where)
    config = config or content.get("config") or "demo"
    base = {**_flat(content.get("base") or {}, f"{where}: base"), **(overrides or {})}

    try:
        options = load_settings(config, base).pipeline
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error

    def make_run(name: str, changes: Mapping[str, object], place: str) -> Run:
        return Run(name, changes, replace_flat(options, changes, place))

    listed = content.get("groups") or []
    groups = [_read_group(entry, f"{where}: groups[{i}]", make_run) for i, entry in enumerate(listed)]
    if content.get("runs"):
        groups.append(Group(RUNS_GROUP, "", _read_sets(content["runs"], f"{where}: runs", make_run)))
    if not groups:
        raise ConfigError(f"{where}: expected `groups` or `runs`, and neither has an entry")
    names = [group.name for group in groups]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where}: two groups are called '{name}'; give each its own name")
    return Sweep(
        name=path.stem,
        config=config,
        base_changes=base,
        base=Run("base", {}, options),
        sets=read_sets(content, where),
        protocols=_read_protocols(content.get("protocols"), where),
        groups=tuple(groups),
    )


def _read_protocols(listed: list[Any] | None, where: str) -> tuple[str, ...]:
    if listed is None:
        return ()
    if not listed:
        raise ConfigError(f"{where}: protocols: expected one or more of {', '.join(PROTOCOLS)}, got none")
    for name in listed:
        if name not in PROTOCOLS:
            raise ConfigError(
                f"{where}: protocols: expected one or more of {', '.join(PROTOCOLS)}, got {name!r}; the nearest is "
                f"'{nearest(str(name), PROTOCOLS)}'"
            )
    return tuple(dict.fromkeys(listed))


def _read_group(entry: Any, where: str, make_run: _MakeRun) -> Group:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: expected a group with a name, got {entry!r}")
    check_keys(entry, _GROUP_KEYS, where)
    has_values, has_sets = "values" in entry or "option" in entry, "sets" in entry
    if has_values == has_sets:
        given = ", ".join(entry) or "nothing"
        raise ConfigError(f"{where}: expected either `option` with `values`, or `sets`, got {given}")
    if has_sets:
        if not entry.get("name"):
            raise ConfigError(f"{where}: a group of `sets` needs a `name`")
        return Group(entry["name"], "", _read_sets(entry["sets"], where, make_run))
    option, values = entry.get("option"), entry.get("values")
    if not option or not values:
        raise ConfigError(f"{where}: expected `option` and at least one of its `values`, got {entry!r}")
    runs = tuple(make_run(show_value(value), {option: value}, where) for value in values)
    return Group(str(entry.get("name") or option), str(option), runs)


def _read_sets(sets: Mapping[Any, Any], where: str, make_run: _MakeRun) -> tuple[Run, ...]:
    if not sets:
        raise ConfigError(f"{where}: expected at least one set of options")
    runs = []
    for name, changes in sets.items():
        place = f"{where}: {name}"
        options = dict(changes) if isinstance(changes, Mapping) else (changes or {})
        spec = options.pop(FINDER, None) if isinstance(options, dict) else None
        run = make_run(str(name), _flat(options, place), place)
        runs.append(run if spec is None else replace(run, finder=make_finder(spec, f"{place}: {FINDER}")))
    return tuple(runs)


def show_value(value: object) -> str:
    """An option's value as a table shows it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(element) for element in value) or "none"
    return str(value)


def _flat(mapping: Any, where: str) -> dict[str, object]:
    """Options by dotted name, whether they are written in sections or dotted."""
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{where}: expected options, such as {{score_threshold: 0.3}}, got {mapping!r}")
    flat: dict[str, object] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": inner for name, inner in _flat(value, where).items()}
        else:
            flat[str(key)] = value
    return flat
