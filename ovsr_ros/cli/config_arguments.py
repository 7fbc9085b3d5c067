"""The arguments that choose a configuration, shared by the commands."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ovsr_ros.config import parse_overrides

if TYPE_CHECKING:
    from ovsr_ros.settings import Settings


def add_config_arguments(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Add --config and --set."""
    described = "" if default is None else f" (default {default})"
    parser.add_argument("--config", default=default, metavar="PRESET|FILE", help=f"preset or YAML file{described}")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one option; VALUE in YAML"
    )


def load_chosen_settings(arguments: argparse.Namespace, **overrides: object) -> Settings:
    """The settings that --config and --set choose; overrides that are not None come last.

    Raises ConfigError.
    """
    from ovsr_ros.settings import load_settings  # on demand: torch takes seconds

    given = {key: value for key, value in overrides.items() if value is not None}
    return load_settings(arguments.config, {**parse_overrides(arguments.set), **given})
