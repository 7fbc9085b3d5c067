"""The arguments that choose a configuration, shared by the commands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ovsr_ros.config import parse_overrides
from ovsr_ros.errors import ModelNotFoundError

if TYPE_CHECKING:
    from ovsr_ros.settings import Settings


FULL, SMALL = "ovsr", "pocket"
"""The presets for photographs: with models from a hub, and with those in the package."""

Loaded = TypeVar("Loaded")


def add_config_arguments(parser: argparse.ArgumentParser, default: str | None, described: str = "") -> None:
    """Add --config and --set. described: what holds without --config, where `default` does not say it."""
    described = described if default is None else f" (default {default})"
    parser.add_argument("--config", default=default, metavar="PRESET|FILE", help=f"preset or YAML file{described}")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one option; VALUE in YAML"
    )


def load_chosen_settings(arguments: argparse.Namespace, **overrides: object) -> Settings:
    """The settings that --config and --set choose; overrides that are not None come last.

    Raises ConfigError.
    """
    chosen = parse_overrides(arguments.set) | {key: value for key, value in overrides.items() if value is not None}
    from ovsr_ros.settings import load_settings  # on demand: torch takes seconds

    return load_settings(arguments.config, chosen)


def with_default_preset(arguments: argparse.Namespace, load: Callable[[], Loaded]) -> tuple[Loaded, str]:
    """What `load` makes of the arguments, where --config may not have been given: then by `ovsr`.

    Where the models of `ovsr` are not on this machine, and no --set names others, by `pocket`, whose models are in the
    package. Returns with it what the user is to be told of that, or nothing. Raises what `load` raises.
    """
    if arguments.config is not None:
        return load(), ""
    arguments.config = FULL
    try:
        return load(), ""
    except ModelNotFoundError:
        if any(key.rpartition(".")[2] == "model" for key in parse_overrides(arguments.set)):
            raise
    arguments.config = SMALL
    return load(), (
        f"the preset {SMALL} is used, whose small models are in the package: those of {FULL} are not on this machine; "
        f"get them: ovsr models download --config {FULL}"
    )
