"""Models that several pipelines of one process use: loaded once, freed with the last pipeline that uses them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from ovsr_ros.models.hub import Kind
from ovsr_ros.models.weights import resolve


class SharedModel(Protocol):
    """What never changes once it is loaded, and may be called by several threads at once."""

    model_id: str


M = TypeVar("M", bound=SharedModel)

_lock = threading.Lock()
_loaded: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()


def load_shared(
    model_class: Callable[..., M], kind: Kind, name: str, *arguments: Hashable, allow_download: bool = False
) -> M:
    """`model_class(name, *arguments, allow_download)`, or the one that this process has in use already.

    A model whose weights were replaced since it was loaded is another one. One that is being loaded is waited for.

    Raises ModelError when the model cannot be used.
    """
    key = (model_class, name, *arguments)
    with _lock:
        model: M | None = _loaded.get(key)
        if model is None or resolve(name, kind, allow_download).model_id != model.model_id:
            model = _loaded[key] = model_class(name, *arguments, allow_download)
        return model
