"""YAML text as values; whatever is wrong with it is one kind of error."""

from __future__ import annotations

from typing import Any

import yaml

_MOST_VALUES = 100_000
"""In a text, its aliases counted each time: a few lines of aliases of aliases stand for more than any memory holds."""


def load_yaml(text: str, loader: type[yaml.BaseLoader | yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """What YAML text holds: by SafeLoader plain Python values, no objects.

    Raises yaml.YAMLError, and nothing else: also for a date that there is not, a number or a nesting that Python does
    not take, aliases that contain themselves, or more than 100,000 values.
    """
    try:
        content = yaml.load(text, loader)
        _check_size(content)
    except yaml.YAMLError:
        raise
    except RecursionError as error:
        raise yaml.YAMLError("nested too deep") from error
    except Exception as error:  # "!!timestamp x" is an AttributeError, "!!int ''" an IndexError
        raise yaml.YAMLError(str(error) or type(error).__name__) from error
    return content


def _check_size(content: Any) -> None:
    waiting, count = [content], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if count > _MOST_VALUES:
            raise yaml.YAMLError(f"expected at most {_MOST_VALUES} values, aliases included, got more")
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set)):
            waiting += value
