"""What a tracker knows of a stream, as plain arrays and numbers: to be kept in a file that can hold nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.tracking.evidence import Evidence, from_arrays
from ovsr_ros.tracking.keyframes import Keyframe, Thumbnail
from ovsr_ros.tracking.reuse import EmbeddingPlan, Observation
from ovsr_ros.tracking.tracks import Tracks

Arrays = dict[str, NDArray[Any]]

_EVIDENCE = "evidence."
_THUMBNAIL = ("image", "low", "high", "parts", "inner", "areas")
_TRACKS = ("ids", "weights", "seen_s", "positions_xy", "areas")


@dataclass(frozen=True)
class StreamState:
    """What is known after a frame.

    evidence: a map for being in no segment, and one for each track in sight. tracks: those in sight, then those out of
    sight. source: what the embeddings were made by. plan: what is to be embedded of the next frame.
    """

    time_s: float
    small: NDArray[np.uint8]
    evidence: Evidence
    tracks: Tracks
    source: object
    plan: EmbeddingPlan


def pack(state: StreamState) -> tuple[Arrays, dict[str, Any]]:
    """A state as arrays by name, and the rest as JSON has it; its source is not among them.

    The arrays may be the state's own, which the next frame may write into: write them down at once.
    """
    tracks, plan = state.tracks, state.plan
    arrays: Arrays = {
        "small": state.small,
        **{f"{_EVIDENCE}{name}": values for name, values in state.evidence.to_arrays().items()},
        "embeddings": tracks.embeddings.cpu().numpy(),
        **{f"tracks.{name}": getattr(tracks, name) for name in _TRACKS},
    }
    for number, keyframe in plan.keyframes.items():
        arrays[f"keyframe.{number}.origins"] = keyframe.origins
        for name in _THUMBNAIL:
            arrays[f"keyframe.{number}.{name}"] = getattr(keyframe.thumbnail, name)
    seen = [None if each is None else _observation_to_list(each) for each in tracks.observations]
    plain = {
        "time_s": state.time_s,
        "observations": seen,
        "plan": {"whole": plan.whole, "credit": float(plan.credit), "embedded_s": plan.embedded_s},
        "keyframes": list(plan.keyframes),
    }
    return arrays, plain


def unpack(arrays: Arrays, plain: dict[str, Any], source: object, device: torch.device) -> StreamState:
    """The state that was packed, equal in every bit. source: as the pipeline has it now.

    Raises KeyError, TypeError or ValueError for anything else.
    """
    observations = np.full(len(plain["observations"]), None, object)
    for index, each in enumerate(plain["observations"]):
        observations[index] = None if each is None else Observation(*each)
    tracks = Tracks(
        embeddings=torch.from_numpy(arrays["embeddings"]).to(device),
        observations=observations,
        **{name: arrays[f"tracks.{name}"] for name in _TRACKS},
    )
    keyframes = {}
    for number in plain["keyframes"]:
        thumbnail = Thumbnail(**{name: arrays[f"keyframe.{number}.{name}"] for name in _THUMBNAIL})
        keyframes[int(number)] = Keyframe(thumbnail, arrays[f"keyframe.{number}.origins"])
    lists = {name.removeprefix(_EVIDENCE): each for name, each in arrays.items() if name.startswith(_EVIDENCE)}
    plan = EmbeddingPlan(**plain["plan"], keyframes=keyframes)
    return StreamState(plain["time_s"], arrays["small"], from_arrays(lists, device), tracks, source, plan)


def _observation_to_list(observation: Observation) -> list[int | float]:
    each = observation
    return [int(each.keyframe), int(each.part), float(each.time_s), int(each.count), float(each.changed_s)]
