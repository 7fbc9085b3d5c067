"""The scripts of bench/, as modules."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"


@pytest.fixture(scope="session")
def load_script():
    """A script by its name, imported as when it is run: its folder is where it looks for the others."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCH))
    yield importlib.import_module
    sys.path.remove(str(BENCH))
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and Path(sys.modules[name].__file__).parent == BENCH:
            del sys.modules[name]  # names as plain as these are not to be found by other tests


@pytest.fixture
def run_script(load_script, tmp_path):
    """Run a script's main in this process, with its result in a folder of its own; returns the result."""
    import json

    def run(name, *arguments):
        path = tmp_path / f"{name}.json"
        assert load_script(name).main([*arguments, "--output", str(path)]) == 0
        text = path.read_text(encoding="utf-8")
        assert str(tmp_path) not in text
        result = json.loads(text)
        assert {"command", "commit", "machine", "versions", "load_average"} <= set(result)
        return result

    return run
