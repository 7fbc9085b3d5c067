"""The source `rooms`: a camera's way through a drawn room, with the ground truth of every pixel."""

from __future__ import annotations

from ovsr_ros.demo.scenes import Scene
from ovsr_ros.demo.sources.frame_source import Frame


class RoomSource:
    """Frames of a camera's way through a room, played back and forth; each is drawn when it is first needed.

    On a slow machine drawing a frame takes longer than the camera's period; playing what is drawn takes nothing.

    num_objects: None: as the seed has it. speed: seconds of camera motion per second. clip_s: how long until it goes
    back, seconds.
    """

    def __init__(
        self,
        size_wh: tuple[int, int],
        rate_hz: float,
        seed: int,
        split: str = "test",
        num_objects: int | None = None,
        speed: float = 1.0,
        clip_s: float = 6.0,
    ) -> None:
        self.size_wh = size_wh
        self.rate_hz = rate_hz
        self._scene = Scene(seed, num_objects=num_objects, split=split)
        self._step_s = speed / rate_hz
        self._length = max(2, round(clip_s * rate_hz))
        self._frames: list[Frame] = []
        self._num_read = 0

    @property
    def description(self) -> str:
        """Full names of what is in the room."""
        return ", ".join(self._scene.instance_names)

    @property
    def is_drawn(self) -> bool:
        """Whether every frame of the clip has been drawn."""
        return len(self._frames) == self._length

    def read(self) -> Frame:
        """The next frame: 0, 1, ..., n - 1, n - 2, ..., 1, 0, 1, ..."""
        period = 2 * self._length - 2
        phase = self._num_read % period
        index = min(phase, period - phase)
        self._num_read += 1
        if index == len(self._frames):
            drawn = self._scene.render(index * self._step_s, self.size_wh)
            self._frames.append(Frame(drawn.image, drawn.camera_matrix, drawn.depth_m, drawn.category_map))
        return self._frames[index]

    def close(self) -> None:
        """Nothing is open."""
