"""Procedural scenes with exact ground truth: a room, objects on its floor, a moving camera. Needs numpy and OpenCV.

Everything follows from (seed, split, time): the same call draws the same image, bit for bit, on one machine.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo import objects, render
from ovsr_ros.demo.camera_path import CameraPath, CameraPose
from ovsr_ros.demo.materials import COLORS, FLOORS, PATTERNS, WALLS, floor_texture, to_linear, vary_color, wall_texture
from ovsr_ros.demo.parts import rotation
from ovsr_ros.demo.render import Hits

Array = NDArray[np.float32]

KINDS: tuple[str, ...] = tuple(objects.KINDS)
CATEGORIES: tuple[str, ...] = ("wall", "floor", *KINDS)
"""Category names; the index is the value in `Rendering.category_map`."""
DISTRACTORS: tuple[str, ...] = ("sofa", "bicycle", "dog", "window", "ladder", "shoe", "guitar", "pizza")
"""Words of the demo's vocabulary for which there is nothing in the rooms."""
SPLITS = {"train": 0, "val": 1, "test": 2}
MIN_HEIGHT, MAX_HEIGHT = 0.08, 0.45
"""Bounds on an object's height in the image, as a share of the image's height, seen from the path's start."""


@dataclass(frozen=True)
class ObjectName:
    """What an object is called."""

    pattern: str
    color: str
    kind: str

    def __str__(self) -> str:
        return f"{self.pattern} {self.color} {self.kind}"

    @property
    def held_out(self) -> bool:
        """Whether this combination never occurs in the training and validation splits: about one in ten."""
        return zlib.crc32(str(self).encode()) % 10 == 0


HELD_OUT: tuple[ObjectName, ...] = tuple(
    name
    for kind in KINDS
    for color in COLORS
    for pattern in PATTERNS
    if (name := ObjectName(pattern, color, kind)).held_out
)


@dataclass(frozen=True)
class Rendering:
    """One rendered image with its ground truth.

    image: (H, W, 3) uint8, RGB.
    category_map: (H, W) uint8, index into CATEGORIES.
    instance_map: (H, W) uint16, index into instance_names: 0 the wall, 1 the floor, then the objects.
    instance_names: full names, such as "brick wall", "wooden floor", "striped red mug".
    instance_categories: (len(instance_names),) uint8, index into CATEGORIES.
    depth_m: (H, W) float32, metres along the optical axis.
    camera_matrix: (3, 3) float64, intrinsics in pixels.
    """

    image: NDArray[np.uint8]
    category_map: NDArray[np.uint8]
    instance_map: NDArray[np.uint16]
    instance_names: tuple[str, ...]
    instance_categories: NDArray[np.uint8]
    depth_m: Array
    camera_matrix: NDArray[np.float64]


class Scene:
    """A room with objects.

    seed: any non-negative integer; scenes of different splits never share a random state, whatever their seeds.
    num_objects: 0 to 12; drawn from 2 to 7 when None.
    split: "train", "val" or "test". Held-out combinations occur only in "test".
    only_held_out: draw every object from the held-out combinations (split "test" only).
    motion: size of the camera's motion; 0 stands still.

    Raises ValueError for a split, a number of objects or a combination of arguments outside these.
    """

    def __init__(
        self,
        seed: int,
        num_objects: int | None = None,
        split: str = "train",
        only_held_out: bool = False,
        motion: float = 1.0,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
        if num_objects is not None and not 0 <= num_objects <= 12:
            raise ValueError(f"num_objects: expected 0 to 12, got {num_objects}")
        if only_held_out and split != "test":
            raise ValueError(f"only_held_out: held-out combinations occur in split 'test' only, got {split!r}")
        self.seed, self.split = seed, split
        rng = np.random.default_rng([SPLITS[split], seed])
        self.path = CameraPath.draw(rng, motion)
        self.wall_name, self.floor_name = str(rng.choice(WALLS)), str(rng.choice(FLOORS))
        self.room = _draw_room(rng, self.wall_name, self.floor_name)
        self.light = _draw_light(rng)
        self.names: list[ObjectName] = []
        self.bodies: list[render.Body] = []
        wanted = int(rng.integers(2, 8)) if num_objects is None else num_objects
        self._place(rng, wanted, split, only_held_out)
        self._footprints = [body.footprint() for body in self.bodies]
        self.shadows = render.cast_shadows(self.bodies, self.light)
        self._look = _draw_look(rng)
        self._noise: Array | None = None

    @property
    def instance_names(self) -> tuple[str, ...]:
        """Full names of everything in the scene: the wall, the floor, then the objects."""
        return (self.wall_name, self.floor_name, *(str(name) for name in self.names))

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories in the scene, each once, in the order of CATEGORIES."""
        present = {"wall", "floor", *(name.kind for name in self.names)}
        return tuple(category for category in CATEGORIES if category in present)

    def render(self, time_s: float = 0.0, size_wh: tuple[int, int] = (640, 480)) -> Rendering:
        """The image at a time, seconds, with its ground truth.

        Raises ValueError for a size under 16x16.
        """
        width, height = size_wh
        if width < 16 or height < 16:
            raise ValueError(f"size_wh: expected at least 16x16 pixels, got {width}x{height}")
        view = self.path.at(time_s)
        rays = view.rays(size_wh)
        hits = render.trace_room(view, rays, self.room.wall_z)
        is_wall = (view.position[2] + hits.depth * rays[..., 2]) > self.room.wall_z - 1e-3
        index = render.trace_bodies(hits, self.bodies, view, rays)
        body_of_part = np.array([-1, *(entry[0] for entry in index)], np.int32)
        body_map = body_of_part[hits.part + 1]
        instance_map = np.where(body_map >= 0, body_map + 2, np.where(is_wall, 0, 1)).astype(np.uint16)
        categories = np.array([0, 1, *(CATEGORIES.index(name.kind) for name in self.names)], np.uint8)
        linear = self._shade(view, rays, hits, index, is_wall)
        image = self._photograph(linear, time_s)
        return Rendering(
            image=image,
            category_map=categories[instance_map],
            instance_map=instance_map,
            instance_names=self.instance_names,
            instance_categories=categories,
            depth_m=hits.depth,
            camera_matrix=view.matrix(size_wh),
        )

    def _place(self, rng: np.random.Generator, wanted: int, split: str, only_held_out: bool) -> None:
        """Stand objects on the floor, apart from each other, each within the bounds on its height in the image."""
        view = self.path.at(0.0)
        discs: list[tuple[Array, float]] = []
        for _ in range(wanted * 40):
            if len(self.bodies) == wanted:
                return
            name = _draw_name(rng, split, only_held_out)
            body = _draw_body(rng, name, view, self.room.wall_z)
            if body is None:
                continue
            center, radius = body.footprint()
            if center[1] + radius > self.room.wall_z - 0.05 or any(
                np.hypot(*(center - other)) < 0.85 * (radius + reach) for other, reach in discs
            ):
                continue
            if _hides(body, self.bodies, view):
                continue
            discs.append((center, radius))
            self.bodies.append(body)
            self.names.append(name)

    def _shade(
        self,
        view: CameraPose,
        rays: Array,
        hits: Hits,
        index: list[tuple[int, int, tuple[slice, slice]]],
        is_wall: NDArray[np.bool_],
    ) -> Array:
        light = self.light
        points = view.position + hits.depth[..., None] * rays
        albedo = render.room_color(self.room, points, is_wall, hits.depth)
        contact = self._contact(points, hits.part >= 0, is_wall)
        facing = np.where(is_wall, max(-light.direction[2], 0), max(light.direction[1], 0)).astype(np.float32)
        sky = np.where(is_wall, np.float32(0.62), np.float32(1.0))  # share of the ambient light that comes from above
        highlight, glow = np.zeros_like(facing), np.zeros_like(facing)
        for part_id, (body_index, part_index, window) in enumerate(index):
            seen = hits.part[window] == part_id
            if not seen.any():
                continue
            body = self.bodies[body_index]
            part = body.parts[part_index]
            directions = rays[window][seen]
            color, normals = render.shade_part(body, part, view, directions, hits.depth[window][seen])
            albedo[window][seen] = color
            facing[window][seen] = np.maximum(normals @ light.direction, 0)
            sky[window][seen] = 0.62 + 0.38 * normals[:, 1]
            highlight[window][seen] = part.gloss * render.highlight(normals, directions, light.direction)
            glow[window][seen] = 1.6 * part.glow
            points[window][seen] += 0.01 * normals
        lit = render.lit_share(self.shadows, points, softness=1.6)
        light_in = (facing * lit)[..., None] * light.key
        light_in += (sky * contact)[..., None] * light.ambient
        light_in += glow[..., None]
        return np.asarray(albedo * light_in + (0.55 * highlight * lit)[..., None] * light.key, np.float32)

    def _photograph(self, linear: Array, time_s: float) -> NDArray[np.uint8]:
        """Expose, blur, add noise, encode: (H, W, 3) linear light -> uint8 sRGB."""
        look = self._look
        height, width = linear.shape[:2]
        exposed = linear * (look.exposure * look.balance)
        image = np.power(exposed / (1 + 0.18 * exposed) * 1.12, np.float32(1 / 2.2))
        image = cv2.GaussianBlur(image, (0, 0), max(look.blur * height / 480, 0.45))
        y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        image *= (1 - look.vignette * np.clip((x * x + y * y) / 2, 0, 1) ** 1.5).astype(np.float32)[..., None]
        image += self._sensor_noise(height, width, time_s)
        return np.asarray(np.clip(image * 255 + 0.5, 0, 255), np.uint8)

    def _sensor_noise(self, height: int, width: int, time_s: float) -> Array:
        """Noise of one exposure: a window, moved by chance, of a field drawn once, a tenth of the cost of a new one."""
        if self._noise is None or self._noise.shape[:2] != (height + 61, width + 67):
            rng = np.random.default_rng([SPLITS[self.split], self.seed, height, width])
            self._noise = self._look.noise * rng.standard_normal((height + 61, width + 67, 3), dtype=np.float32)
        rng = np.random.default_rng([self.seed, round(abs(time_s) * 1e6)])
        top, left = int(rng.integers(61)), int(rng.integers(67))
        return self._noise[top : top + height, left : left + width]

    def _contact(self, points: Array, is_object: NDArray[np.bool_], is_wall: NDArray[np.bool_]) -> Array:
        """Ambient light that still reaches a point: darker on the floor around each object, and low on the objects."""
        open_share = np.ones(points.shape[:2], np.float32)
        floor = ~is_object & ~is_wall
        rows = slice(int(np.argmax(floor.any(1))), None)
        x, z = points[rows, :, 0], points[rows, :, 2]
        for center, radius in self._footprints:
            squared = ((x - center[0]) ** 2 + (z - center[1]) ** 2) / np.float32((radius + 0.03) ** 2)
            near = squared < 5
            open_share[rows][near] -= 0.55 * np.exp(-squared[near])
        open_share = np.where(floor, open_share, 1)
        corner = np.clip((self.room.wall_z - points[..., 2]) / 0.5, 0, 1)
        open_share *= np.where(floor, 0.75 + 0.25 * corner, 1)
        open_share *= np.where(is_object, 0.70 + 0.30 * np.clip(points[..., 1] / 0.18, 0, 1), 1)
        return np.clip(open_share, 0.12, 1)


def _draw_room(rng: np.random.Generator, wall_name: str, floor_name: str) -> render.Room:
    wall, floor = wall_texture(wall_name, rng), floor_texture(floor_name, rng)
    skirting = (
        to_linear(np.full(3, rng.uniform(0.55, 0.95), np.float32)) if rng.random() < 0.7 else wall.mean((0, 1)) * 0.7
    )
    return render.Room(
        wall_z=float(rng.uniform(3.6, 5.2)),
        wall=wall,
        floor=floor,
        floor_far=np.asarray(cv2.blur(floor, (7, 7), borderType=cv2.BORDER_REFLECT), np.float32),
        wall_tile_m=float(rng.uniform(1.3, 2.0)),
        floor_tile_m=float(rng.uniform(1.5, 2.2)),
        skirting=skirting.astype(np.float32),
    )


def _draw_light(rng: np.random.Generator) -> render.Lighting:
    direction = np.array([rng.uniform(-0.8, 0.8), 1.0, rng.uniform(-0.9, -0.35)], np.float32)
    warmth = np.float32(rng.uniform(-0.08, 0.12))
    tint = np.array([1 + warmth, 1, 1 - warmth], np.float32)
    strength = np.float32(rng.uniform(0.75, 1.15))
    return render.Lighting(
        direction=direction / np.linalg.norm(direction),
        ambient=np.float32(rng.uniform(0.38, 0.6)) * (2 - tint),
        key=strength * tint,
    )


def _draw_name(rng: np.random.Generator, split: str, only_held_out: bool) -> ObjectName:
    if only_held_out:
        return HELD_OUT[int(rng.integers(len(HELD_OUT)))]
    while True:
        pattern = PATTERNS[int(rng.choice(4, p=(0.4, 0.2, 0.2, 0.2)))]
        name = ObjectName(pattern, str(rng.choice(list(COLORS))), str(rng.choice(KINDS)))
        if split == "test" or not name.held_out:
            return name


def _draw_body(rng: np.random.Generator, name: ObjectName, view: CameraPose, wall_z: float) -> render.Body | None:
    """An object of that name somewhere on the floor; None where its height in the image is out of bounds."""
    kind = objects.KINDS[name.kind]
    parts = objects.build(name.kind, rng)
    color = vary_color(name.color, rng)
    second_name = "white" if name.color not in ("white", "yellow", "pink") else "black"
    second = vary_color(second_name, rng)
    depth = float(rng.uniform(1.7, wall_z - 0.5))
    share = float(np.exp(rng.uniform(np.log(0.09), np.log(0.43))))
    share = min(share, 0.46 / kind.width)
    scale = share * depth / view.focal
    x = float(rng.uniform(-0.55, 0.55)) * depth / view.focal
    yaw = float(rng.uniform(-kind.yaw, kind.yaw))
    linear = rotation((0, yaw, 0)) * np.float32(scale)
    to_world = np.concatenate([linear, np.array([[x], [0.0], [depth]], np.float32)], axis=1).astype(np.float32)
    body = render.Body(
        parts=parts,
        to_world=to_world,
        color=color,
        second=second,
        pattern=name.pattern,
        pattern_scale=float(rng.uniform(3.4, 5.2)),
        pattern_slant=float(rng.choice([0.0, 0.0, 0.6, -0.6])),
    )
    low, high = _image_box(body, view)
    tall, inside = high[1] - low[1], low[0] > -0.05 and high[0] < 1.38 and high[1] < 1.06 and low[1] > -0.02
    return body if MIN_HEIGHT * 1.12 <= tall <= MAX_HEIGHT and inside else None


def _image_box(body: render.Body, view: CameraPose) -> tuple[Array, Array]:
    """Box of the object in a 4:3 image, in units of the image's height: ((x, y), (x, y))."""
    corners = np.concatenate([render.world_corners(body, part) for part in body.parts])
    pixels, _ = view.project(corners, (1334, 1000))
    return pixels.min(0) / 1000, pixels.max(0) / 1000


def _hides(body: render.Body, others: list[render.Body], view: CameraPose) -> bool:
    """Whether the object's box covers most of another's, or the other way round."""
    low, high = _image_box(body, view)
    for other in others:
        other_low, other_high = _image_box(other, view)
        overlap = np.prod(np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0))
        if overlap > 0.35 * min(np.prod(high - low), np.prod(other_high - other_low)):
            return True
    return False


@dataclass(frozen=True)
class _Look:
    """The camera's faults: exposure (times), lens blur (pixels at 480 rows), noise (deviation), vignette (0 to 1)."""

    exposure: float
    balance: Array
    blur: float
    noise: float
    vignette: float


def _draw_look(rng: np.random.Generator) -> _Look:
    return _Look(
        exposure=float(np.exp(rng.uniform(-0.25, 0.25))),
        balance=rng.normal(1, 0.03, 3).astype(np.float32),
        blur=float(rng.uniform(0.45, 0.85)),
        noise=float(rng.uniform(0.004, 0.018)),
        vignette=float(rng.uniform(0.05, 0.3)),
    )
