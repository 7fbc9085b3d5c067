"""Make the ROS message wheels usable by CMake: replace the builder's include paths by this machine's.

The wheels' `share/*/cmake/*.cmake` name folders of the machine that built them (`/opt/python/cp311-cp311/...`), and
CMake refuses to generate with an include folder that does not exist. Run with the virtual environment's Python;
running it twice changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILDER_NUMPY = re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_?core/include")
BUILDER_PYTHON = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")


def fix_cmake_files(prefix: Path, python_include: str, numpy_include: str) -> int:
    """Rewrite the builder's paths in every CMake file under `prefix`/share; return how many files changed."""
    num_changed = 0
    for path in sorted(prefix.glob("share/*/cmake/*.cmake")):
        text = path.read_text(encoding="utf-8")
        fixed = BUILDER_NUMPY.sub(lambda _: numpy_include, text)
        fixed = BUILDER_PYTHON.sub(lambda _: python_include, fixed)
        if fixed != text:
            path.write_text(fixed, encoding="utf-8")
            num_changed += 1
    return num_changed


if __name__ == "__main__":
    count = fix_cmake_files(Path(sys.prefix), sysconfig.get_path("include"), numpy.get_include())
    print(f"{count} CMake files fixed")
