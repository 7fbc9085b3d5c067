"""A real interpreter with few packages: a virtual environment that sees only those that a test leaves it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class BarePython:
    """folder: where it is made. It finds the checkout, ROS 2 as far as that is sourced, and what `see` lets it.

    python: the interpreter. packages: the folder that comes first on its path.
    """

    def __init__(self, folder: Path) -> None:
        settings = Path(sys.prefix, "pyvenv.cfg")
        sees_system = settings.exists() and "include-system-site-packages = true" in settings.read_text().lower()
        venv.create(folder / "bare", system_site_packages=sees_system, symlinks=True)
        self.python = folder / "bare" / "bin" / "python"
        self.packages = folder / "packages"
        self.packages.mkdir()

    def see(self, *but: str) -> None:
        """Let it find every package of this interpreter except those of these names."""
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if entry.name.partition(".")[0] not in but and entry.suffix != ".pth":
                (self.packages / entry.name).symlink_to(entry)

    def add(self, module: str, content: str) -> None:
        """Give it a package of that name with this code."""
        folder = self.packages / module
        if folder.is_symlink():
            folder.unlink()
        folder.mkdir()
        (folder / "__init__.py").write_text(content, encoding="utf-8")

    def run(self, *words: str, without: Collection[str] = (), cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        """Run it with these arguments. without: leave out entries of PYTHONPATH whose path has one of these in it."""
        own = sysconfig.get_path("purelib")
        inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != own]
        inherited = [path for path in inherited if not any(part in path for part in without)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(self.packages), *inherited])}
        return subprocess.run(
            [str(self.python), *words],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
