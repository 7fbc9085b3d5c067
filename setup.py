"""The ROS-free face of the package: `pip install .` gives the library and the `ovsr` command.

In a ROS 2 workspace this file is not used: package.xml and CMakeLists.txt build the messages and install everything.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "ovsr_ros" / "__init__.py").read_text(encoding="utf-8"), re.M)
README = ROOT / "README.md"

setup(
    name="ovsr_ros",
    version=VERSION.group(1) if VERSION else "0",
    description="Open-vocabulary segmentation of camera images, with categories that can change while it runs",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    author="ovsr_ros maintainers",
    author_email="maintainers@ovsr-ros.invalid",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    # The generated message modules are not here: they exist in a ROS 2 workspace only, and so do the nodes.
    packages=find_packages(include=["ovsr_ros", "ovsr_ros.*"], exclude=["ovsr_ros.nodes", "ovsr_ros.nodes.*"]),
    package_data={
        "ovsr_ros": ["py.typed"],
        "ovsr_ros.demo": ["weights/*", "weights/*/*"],
        "ovsr_ros.evaluation": ["classes/*.txt"],
    },
    data_files=[("share/ovsr_ros/config", sorted(str(path) for path in Path("config").glob("*.yaml")))],
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
        "timm>=1.0.15",
        "torch>=2.2",
        "torchvision>=0.17",
        "tqdm>=4.57",
    ],
    extras_require={
        "evaluation": ["matplotlib>=3.5", "scikit-image>=0.19", "scikit-learn>=1.0"],
        "trident": ["segment-anything>=1.0"],
    },
)
