"""Segments over time: those of a stream keep their ids, and what is said of them is smoothed."""

from ovsr_ros.tracking.options import TrackingOptions
from ovsr_ros.tracking.tracker import Tracker

__all__ = ["Tracker", "TrackingOptions"]
