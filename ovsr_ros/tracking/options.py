"""The options of tracking."""

from __future__ import annotations

from dataclasses import dataclass

from ovsr_ros.options import option


@dataclass(frozen=True)
class TrackingOptions:
    """Whether and how segments of a stream are followed; images segmented by themselves never are."""

    enabled: bool = option(
        True, help="whether segments of a stream keep their ids, and borders and scores are smoothed over time"
    )
    rows: int = option(
        240, help="rows of the grid on which segments are followed, along the image's short side", min=32, max=1080
    )
    border_memory_s: float = option(
        0.5,
        help="how long it counts which segment a place was part of: a change that no motion explains shows after 0.7 "
        "of it; 0: borders are each frame's own",
        min=0.0,
        max=10.0,
        unit="s",
    )
    score_memory_s: float = option(
        1.0,
        help="time constant of the average over a segment's embeddings, by which it is scored; 0: each frame's own",
        min=0.0,
        max=60.0,
        unit="s",
    )
    reuse_embeddings: bool = option(
        True, help="whether segments that have not changed keep their track's embedding instead of going through CLIP"
    )
    max_change: float = option(
        2.0,
        help="difference of a segment's colours, at 60 rows and moved with the image, over which it is embedded anew "
        "at once",
        min=0.0,
        max=255.0,
        unit="levels",
    )
    refresh_s: float = option(
        1.0,
        help="age from which an embedding is renewed although nothing has changed, a tenth of the segments per frame "
        "at most",
        min=0.0,
        max=60.0,
        unit="s",
    )
    max_wait_s: float = option(
        1.0,
        help="with dense recognition: shortest time between two looks of CLIP, so how long a new segment may wait "
        "until it shows; 0: it never waits",
        min=0.0,
        max=10.0,
        unit="s",
    )
    min_overlap: float = option(
        0.1, help="overlap, of 1, from which a segment can be the one that was there before", min=0.01, max=1.0
    )
    min_likeness: float = option(
        0.8,
        help="cosine of embeddings from which a segment can be one that was out of sight nearby",
        min=-1.0,
        max=1.0,
    )
    lost_s: float = option(
        3.0,
        help="how long a segment out of sight is remembered; a stream that stops for longer starts anew",
        min=0.1,
        max=60.0,
        unit="s",
    )
