"""The node's own options, beside the pipeline's."""

from __future__ import annotations

from dataclasses import dataclass, field

from ovsr_ros.options import option


@dataclass(frozen=True)
class DepthOptions:
    """How a depth image is found for an image."""

    sync: str = option(
        "approximate",
        help="how depth images are matched with images by their stamps, where depth has publishers; none: no 3D",
        choices=("none", "exact", "approximate"),  # not "off", which YAML reads as false
    )
    slop_s: float = option(
        0.02, help="how far apart the stamps may be with depth.sync approximate", min=0.0, max=10.0, unit="s"
    )
    wait_s: float = option(
        0.05,
        help="how long a frame waits for its depth image, if that is not there when the segments are",
        min=0.0,
        max=1.0,
        unit="s",
    )
    unit_m: float = option(
        0.001,
        help="what a 16UC1 or mono16 depth image counts in: 0.001 is millimetres, as REP 118 has it; 0.0001 where the "
        "camera counts in 0.1 mm; 32FC1 is in metres always",
        min=1e-6,
        max=1.0,
        unit="m",
    )
    queue: int = option(10, help="how many depth images are kept until their image is processed", min=1, max=200)


@dataclass(frozen=True)
class NodeOptions:
    """How the node runs, whatever the pipeline."""

    rate_hz: float = option(10.0, help="how often the newest image is taken", min=0.1, max=120.0, unit="Hz")
    frames_in_flight: int = option(
        0,
        help="how many images may be in work at once: more frames a second, each no sooner; 0: two on a CPU with two "
        "cores or more, unless the backend is trident, else one",
        min=0,
        max=8,
        read_only=True,
    )
    image_transport: str = option("raw", help="how images arrive", choices=("raw", "compressed"), read_only=True)
    rotation: int = option(
        0,
        help="by how many degrees images are turned clockwise before the networks see them, so that up is up: 180 for "
        "a camera that hangs upside down; all outputs are in the image's own frame",
        min=0,
        max=270,
        choices=(0, 90, 180, 270),
        unit="degrees",
        read_only=True,
    )
    ignore_mask: str = option(
        "",
        help="image file of the camera's aspect: what is not black there, such as the robot's own body, is no part of "
        "any segment, and unlabeled; empty: none",
        read_only=True,
    )
    target_frame: str = option(
        "",
        help="frame in which ~/detections_3d and ~/markers say where things are, such as base_link or map, through tf2 "
        "at the image's stamp; empty: the camera's optical frame",
        read_only=True,
    )
    image_timeout_s: float = option(
        5.0, help="how long no image may come before the node says so", min=0.1, max=3600.0, unit="s"
    )
    always_process: bool = option(False, help="whether frames are labelled while nobody subscribes to the results")
    memory_budget_mib: int = option(
        0,
        help="memory that a frame may take: on a GPU of all tensors, models included, on a CPU what the process grows "
        "by; after a frame that took more, batches are halved (clip.batch, trident.windows.memory_mb), then the "
        "resolution; 0: no limit",
        min=0,
        max=1048576,
        unit="MiB",
    )
    overlay_jpeg_quality: int = option(
        85, help="quality of ~/overlay/compressed; more is larger and sharper", min=1, max=100
    )
    statistics_window_s: float = option(
        10.0,
        help="how far back the rates and latencies in ~/statistics and /diagnostics go",
        min=1.0,
        max=120.0,
        unit="s",
    )
    depth: DepthOptions = field(default_factory=DepthOptions)
    categories: tuple[str, ...] = option(
        (), help='what to look for: "name" or "name; synonym; #rrggbb", with as many synonyms as you like'
    )
    vocabulary_file: str = option(
        "",
        help="file that keeps ids, colours, categories and version over restarts, one per node ({node} in it: the "
        "node's name); empty: none",
        read_only=True,
    )
