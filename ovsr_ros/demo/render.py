"""From solids to an image: nearest hit per pixel, then light, shadow and the camera's faults."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ovsr_ros.demo.camera_path import CameraPose
from ovsr_ros.demo.geometry import FAR
from ovsr_ros.demo.materials import TILE_PX, pattern_amount
from ovsr_ros.demo.parts import MATERIALS, Part

Array = NDArray[np.float32]
SHADOW_PX = 288
SKIRTING_M = 0.11


@dataclass(frozen=True)
class Body:
    """An object in its place.

    parts: its solids, in the object's frame. to_world: (3, 4) affine, object's frame to world's.
    color, second: (3,) linear light. pattern: see `materials.PATTERNS`; scale and slant as in `pattern_amount`.
    """

    parts: list[Part]
    to_world: Array
    color: Array
    second: Array
    pattern: str
    pattern_scale: float
    pattern_slant: float

    def footprint(self) -> tuple[Array, float]:
        """Centre on the floor (x, z) and radius of the disc its solids stand over, metres."""
        corners = np.concatenate([world_corners(self, part) for part in self.parts])
        center = (corners.min(0) + corners.max(0))[[0, 2]] / 2
        return center, float(np.abs(corners[:, [0, 2]] - center).max())


@dataclass(frozen=True)
class Room:
    """What stands behind and under the objects.

    wall_z: distance of the wall, metres. wall, floor: textures (TILE_PX, TILE_PX, 3) linear light.
    floor_far: the floor's texture, smoothed, for distances at which its detail would only flicker.
    wall_tile_m, floor_tile_m: metres that one tile of the texture covers. skirting: (3,) linear light.
    """

    wall_z: float
    wall: Array
    floor: Array
    floor_far: Array
    wall_tile_m: float
    floor_tile_m: float
    skirting: Array


@dataclass(frozen=True)
class Lighting:
    """direction: (3,) unit, towards the light. ambient, key: (3,) linear light."""

    direction: Array
    ambient: Array
    key: Array


@dataclass(frozen=True)
class ShadowMap:
    """Distances from the light: depth (S, S); a world point p lies at ((p @ axes.T) - low) * scale."""

    depth: Array
    axes: Array
    low: Array
    scale: Array


def _inverse(affine: Array) -> tuple[Array, Array]:
    linear = np.linalg.inv(affine[:, :3].astype(np.float64))
    return linear.astype(np.float32), (-linear @ affine[:, 3]).astype(np.float32)


def _part_to_world(body: Body, part: Part) -> Array:
    linear = body.to_world[:, :3] @ part.to_object[:, :3]
    offset = body.to_world[:, :3] @ part.to_object[:, 3] + body.to_world[:, 3]
    return np.concatenate([linear, offset[:, None]], axis=1)


def world_corners(body: Body, part: Part) -> Array:
    """The corners of the part's bounding box: (8, 3) metres, world frame."""
    low, high = part.shape.bounds
    choice = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), np.float32).reshape(3, 8)
    affine = _part_to_world(body, part)
    return np.asarray((affine[:, :3] @ choice + affine[:, 3:]).T, np.float32)


@dataclass
class Hits:
    """Nearest hit per pixel: depth (H, W) along the optical axis, metres; part (H, W) index into parts, -1 the room."""

    depth: Array
    part: NDArray[np.int16]


def trace_room(view: CameraPose, rays: Array, wall_z: float) -> Hits:
    """Depths of floor and wall alone."""
    dy, dz = rays[..., 1], rays[..., 2]
    to_floor = np.where(dy < -1e-6, -view.position[1] / np.minimum(dy, -1e-6), FAR)
    to_wall = np.where(dz > 1e-6, (wall_z - view.position[2]) / np.maximum(dz, 1e-6), FAR)
    depth = np.minimum(np.minimum(to_floor, to_wall), 60.0).astype(np.float32)
    return Hits(depth, np.full(depth.shape, -1, np.int16))


def trace_bodies(
    hits: Hits, bodies: list[Body], view: CameraPose, rays: Array
) -> list[tuple[int, int, tuple[slice, slice]]]:
    """Enter the bodies' nearer hits into `hits`; answers per part: body index, part index, image window searched."""
    height, width = hits.depth.shape
    index: list[tuple[int, int, tuple[slice, slice]]] = []
    for body_index, body in enumerate(bodies):
        for part_index, part in enumerate(body.parts):
            pixels, depth = view.project(world_corners(body, part), (width, height))
            window = _window(pixels, depth, width, height)
            index.append((body_index, part_index, window))
            if window[0].start >= window[0].stop or window[1].start >= window[1].stop:
                continue
            linear, offset = _inverse(_part_to_world(body, part))
            directions = rays[window].reshape(-1, 3) @ linear.T
            origin = linear @ view.position + offset
            t = part.shape.intersect(origin, directions).reshape(hits.depth[window].shape)
            nearer = t < hits.depth[window]
            hits.depth[window][nearer] = t[nearer]
            hits.part[window][nearer] = len(index) - 1
    return index


def _window(pixels: Array, depth: Array, width: int, height: int) -> tuple[slice, slice]:
    if depth.max() < 0.05:
        return slice(0, 0), slice(0, 0)
    low, high = np.floor(pixels.min(0)).astype(int), np.ceil(pixels.max(0)).astype(int) + 1
    if depth.min() < 0.05:
        low, high = np.array([0, 0]), np.array([width, height])
    x = np.clip([low[0], high[0]], 0, width)
    y = np.clip([low[1], high[1]], 0, height)
    return slice(int(y[0]), int(y[1])), slice(int(x[0]), int(x[1]))


def cast_shadows(bodies: list[Body], light: Lighting) -> ShadowMap:
    """The scene as the light sees it."""
    toward = light.direction
    side = np.cross(toward, np.array([0, 1, 0.03], np.float32))
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(side, toward), -toward]).astype(np.float32)
    if not bodies:
        return ShadowMap(np.full((2, 2), FAR, np.float32), axes, np.zeros(2, np.float32), np.ones(2, np.float32))
    corners = [world_corners(body, part) @ axes.T for body in bodies for part in body.parts]
    everything = np.concatenate(corners)
    low, high = everything[:, :2].min(0) - 0.02, everything[:, :2].max(0) + 0.02
    scale = ((SHADOW_PX - 1) / (high - low)).astype(np.float32)
    start = everything[:, 2].min() - 1
    grid = np.arange(SHADOW_PX, dtype=np.float32)
    depth = np.full((SHADOW_PX, SHADOW_PX), FAR, np.float32)
    iterator = iter(corners)
    for body in bodies:
        for part in body.parts:
            box = next(iterator)
            first = np.clip(np.floor((box[:, :2].min(0) - low) * scale), 0, SHADOW_PX).astype(int)
            last = np.clip(np.ceil((box[:, :2].max(0) - low) * scale) + 1, 0, SHADOW_PX).astype(int)
            xs, ys = grid[first[0] : last[0]] / scale[0] + low[0], grid[first[1] : last[1]] / scale[1] + low[1]
            linear, offset = _inverse(_part_to_world(body, part))
            origins = xs[None, :, None] * axes[0] + ys[:, None, None] * axes[1] + start * axes[2]
            local = origins.reshape(-1, 3) @ linear.T + offset
            direction = np.broadcast_to(linear @ axes[2], local.shape)
            t = part.shape.intersect(local, direction).reshape(len(ys), len(xs))
            window = depth[first[1] : last[1], first[0] : last[0]]
            np.minimum(window, t + start, out=window)
    return ShadowMap(depth, axes, low.astype(np.float32), scale)


def lit_share(shadows: ShadowMap, points: Array, softness: float) -> Array:
    """How much of the light reaches world points (H, W, 3): (H, W) in [0, 1]."""
    local = points @ shadows.axes.T
    u, v = ((local[..., :2] - shadows.low) * shadows.scale).transpose(2, 0, 1)
    lit = np.zeros(u.shape, np.float32)
    taps = ((0, 0), (1, 0.4), (-1, -0.4), (0.4, -1), (-0.4, 1))
    for du, dv in taps:
        blocker = cv2.remap(
            shadows.depth,
            u + np.float32(du * softness),
            v + np.float32(dv * softness),
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=float(FAR),
        )
        lit += local[..., 2] < blocker + 0.025
    return np.asarray(cv2.blur(lit / len(taps), (3, 3)), np.float32)


def sample_tile(texture: Array, u: Array, v: Array) -> Array:
    """A repeating texture at tile coordinates (H, W) each: (H, W, 3)."""
    size = np.float32(TILE_PX)
    x, y = (u - np.floor(u)) * size - 0.5, (v - np.floor(v)) * size - 0.5
    return np.asarray(cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))


def shade_part(body: Body, part: Part, view: CameraPose, directions: Array, depth: Array) -> tuple[Array, Array]:
    """Colour and unit normal of a part's visible points.

    directions: (N, 3) rays; depth: (N,). Returns albedo (N, 3) linear light and normals (N, 3) in the world's frame.
    """
    points = view.position + depth[:, None] * directions
    linear, offset = _inverse(_part_to_world(body, part))
    local = points @ linear.T + offset
    normals = part.shape.normals(local) @ linear
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    if part.material not in ("main", "shade"):
        albedo = np.broadcast_to(np.array(MATERIALS[part.material], np.float32), points.shape).copy()
    else:
        albedo = _own_color(body, part, local)
        if part.material == "shade":
            albedo = albedo * 0.55
    if part.hollow:
        top = local[:, 1] > 0.999
        radius = np.hypot(local[:, 0], local[:, 2]) / part.shape.bounds[1][0]
        inside = top & (radius < 0.88)
        albedo[inside] *= (0.16 + 0.30 * radius[inside, None] ** 3).astype(np.float32)
    return albedo, normals.astype(np.float32)


def _own_color(body: Body, part: Part, local: Array) -> Array:
    if body.pattern == "plain":
        return np.array(np.broadcast_to(body.color, local.shape), np.float32)
    point = local @ part.to_object[:, :3].T + part.to_object[:, 3]
    if part.shape.planar:
        scaled = local * np.linalg.norm(part.to_object[:, :3], axis=0)
        face = np.argmax(np.abs(local), axis=1)
        u = np.where(face == 0, scaled[:, 2], scaled[:, 0])
        v = np.where(face == 1, scaled[:, 2], point[:, 1])
    else:
        center = part.to_object[:, 3]
        reach = max(float(np.abs(part.to_object[:, (0, 2)]).max() * part.shape.bounds[1][0]), 0.05)
        u = np.arctan2(point[:, 0] - center[0], point[:, 2] - center[2]) * np.float32(reach)
        v = point[:, 1]
    amount = pattern_amount(body.pattern, u, v, body.pattern_scale, body.pattern_slant)[:, None]
    return np.asarray(body.color * (1 - amount) + body.second * amount, np.float32)


def highlight(normals: Array, directions: Array, toward_light: Array) -> Array:
    """Mirror-like reflection of the light (Blinn and Phong's half-vector model): (N,) in [0, 1]."""
    half = toward_light - directions / np.linalg.norm(directions, axis=1, keepdims=True)
    half /= np.linalg.norm(half, axis=1, keepdims=True) + 1e-6
    return np.asarray(np.maximum((normals * half).sum(1), 0) ** 40, np.float32)


def room_color(room: Room, points: Array, is_wall: NDArray[np.bool_], depth: Array) -> Array:
    """Albedo of wall and floor: points (H, W, 3) metres -> (H, W, 3) linear light."""
    color = np.empty(points.shape, np.float32)
    walls, floors = is_wall.any(1).nonzero()[0], (~is_wall).any(1).nonzero()[0]
    if len(floors):
        rows = slice(int(floors[0]), int(floors[-1]) + 1)
        u, v = points[rows, :, 0] / room.floor_tile_m, points[rows, :, 2] / room.floor_tile_m
        blend = np.clip((depth[rows] - 2.0) / 3.0, 0, 1)[..., None]
        near = sample_tile(room.floor, u, v)
        color[rows] = near + blend * (sample_tile(room.floor_far, u, v) - near)
    if len(walls):
        rows = slice(int(walls[0]), int(walls[-1]) + 1)
        y = points[rows, :, 1]
        wall = sample_tile(room.wall, points[rows, :, 0] / room.wall_tile_m, -y / room.wall_tile_m)
        wall[y < SKIRTING_M] = room.skirting
        np.copyto(color[rows], wall, where=is_wall[rows, :, None])
    return color
