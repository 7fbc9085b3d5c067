"""Open-vocabulary segmentation of camera images: the library, and the ROS 2 nodes built on it."""

from pkgutil import extend_path

# The generated message modules (`ovsr_ros.msg`, `ovsr_ros.srv`) live in the install space while this folder may come
# from a checkout: one package name, two places.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
