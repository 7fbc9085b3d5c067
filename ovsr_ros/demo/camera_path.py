"""The demo scenes' camera: a pinhole that pans, tilts, zooms and shakes along a smooth path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo.parts import rotation

Array = NDArray[np.float32]


@dataclass(frozen=True)
class CameraPose:
    """Where the camera is and how it looks.

    position: (3,) metres, world frame (x right, y up, z into the scene).
    to_world: (3, 3), the camera's frame (x right, y up, z forward) to the world's.
    focal: focal length in units of the image's height.
    """

    position: Array
    to_world: Array
    focal: float

    def matrix(self, size_wh: tuple[int, int]) -> NDArray[np.float64]:
        """Intrinsic matrix K for an image of that size, pixels: (3, 3)."""
        width, height = size_wh
        f = self.focal * height
        return np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]], np.float64)

    def rays(self, size_wh: tuple[int, int]) -> Array:
        """A direction per pixel in the world's frame, one unit long along the optical axis: (H, W, 3)."""
        width, height = size_wh
        k = self.matrix(size_wh)
        x = (np.arange(width, dtype=np.float32) - np.float32(k[0, 2])) / np.float32(k[0, 0])
        y = -(np.arange(height, dtype=np.float32) - np.float32(k[1, 2])) / np.float32(k[1, 1])
        right, up, forward = self.to_world.T.astype(np.float32)
        return np.asarray(x[None, :, None] * right + y[:, None, None] * up + forward, np.float32)

    def project(self, points: Array, size_wh: tuple[int, int]) -> tuple[Array, Array]:
        """World points (N, 3) to pixels (N, 2) and depths along the optical axis (N,), metres."""
        local = (points - self.position) @ self.to_world
        depth = np.maximum(local[:, 2], 1e-3)
        k = self.matrix(size_wh)
        u = k[0, 0] * local[:, 0] / depth + k[0, 2]
        v = -k[1, 1] * local[:, 1] / depth + k[1, 2]
        return np.stack([u, v], axis=1).astype(np.float32), local[:, 2].astype(np.float32)


@dataclass(frozen=True)
class CameraPath:
    """A camera's motion: sums of slow sines with chance phases, the same for the same seed.

    height: of the camera over the floor, metres. pitch: radians, positive looks down. focal: as in `CameraPose`.
    """

    height: float
    pitch: float
    focal: float
    phases: Array
    amplitude: float

    @classmethod
    def draw(cls, rng: np.random.Generator, amplitude: float = 1.0) -> CameraPath:
        """A path for a scene; amplitude 0 stands still."""
        height = float(rng.uniform(1.0, 1.5))
        phases = rng.uniform(0, 2 * np.pi, 12).astype(np.float32)
        return cls(height, float(rng.uniform(0.18, 0.30)), float(rng.uniform(0.95, 1.15)), phases, amplitude)

    def at(self, time_s: float) -> CameraPose:
        """The view at a time, seconds."""
        p, a = self.phases, self.amplitude

        def wave(index: int, period_s: float) -> float:
            start = np.sin(p[index])
            return float(np.sin(2 * np.pi * time_s / period_s + p[index]) - start)

        shake = 0.0022 * a
        yaw = a * 0.085 * wave(0, 11.0) + shake * wave(1, 0.37)
        pitch = self.pitch + a * 0.03 * wave(2, 7.3) + shake * wave(3, 0.29)
        roll = shake * wave(4, 0.51)
        position = np.array(
            [a * 0.22 * wave(5, 13.0), self.height + a * 0.05 * wave(6, 5.1), a * 0.10 * wave(7, 9.0)], np.float32
        )
        focal = self.focal * (1 + 0.05 * a * wave(8, 17.0))
        return CameraPose(position, rotation((pitch, yaw, 0.0)) @ rotation((0.0, 0.0, roll)), focal)
