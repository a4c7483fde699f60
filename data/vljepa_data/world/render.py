"""Draws the world: backgrounds, textured sprites moved by tracks, and what a cheap camera does to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_data.world.motion import Pose, Track
from vljepa_data.world.vocabulary import COLOURS, SHAPES, Thing

__all__ = [
    "Camera",
    "background",
    "composite",
    "degrade",
    "draw_camera",
    "render_tracks",
    "shape_mask",
    "sprite",
]

UInt8 = npt.NDArray[np.uint8]
MASK = 128
RGB = {
    "red": (215, 35, 35), "orange": (245, 135, 15), "yellow": (240, 225, 40), "green": (40, 160, 60),
    "blue": (40, 80, 215), "purple": (140, 45, 175), "white": (245, 245, 245), "black": (25, 25, 28),
}  # fmt: skip


@lru_cache(maxsize=len(SHAPES))
def shape_mask(shape: int) -> UInt8:
    """Coverage (MASK, MASK) of a shape inscribed in the unit circle, 0..255."""
    big = MASK * 4
    mask = np.zeros((big, big), np.uint8)
    centre, r = big / 2, big * 0.47
    name = SHAPES[shape]

    def polygon(points: npt.NDArray[np.float64]) -> None:
        cv2.fillPoly(mask, [np.round(centre + r * points).astype(np.int32)], 255)

    def circle(x: float, y: float, radius: float, value: int = 255) -> None:
        cv2.circle(mask, (round(centre + r * x), round(centre + r * y)), round(r * radius), value, -1)

    if name == "ball":
        circle(0, 0, 1)
    elif name == "ring":
        circle(0, 0, 1)
        circle(0, 0, 0.5, 0)
    elif name == "moon":
        circle(-0.05, 0, 1)
        circle(0.5, -0.12, 0.85, 0)
    elif name == "box":
        polygon(np.array([[-0.8, -0.8], [0.8, -0.8], [0.8, 0.8], [-0.8, 0.8]]))
    elif name == "cross":
        a, b = 0.3, 0.95
        polygon(
            np.array(
                [
                    [-a, -b],
                    [a, -b],
                    [a, -a],
                    [b, -a],
                    [b, a],
                    [a, a],
                    [a, b],
                    [-a, b],
                    [-a, a],
                    [-b, a],
                    [-b, -a],
                    [-a, -a],
                ]
            )
        )
    elif name == "heart":
        t = np.linspace(0, 2 * np.pi, 60)
        x = 16 * np.sin(t) ** 3
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        polygon(np.stack([x / 17, -(y + 2.5) / 15.5], 1))
    else:
        points, inner = (3, 0.5) if name == "triangle" else (5, 0.42)
        angles = -np.pi / 2 + np.arange(2 * points) * np.pi / points
        radii = np.where(np.arange(2 * points) % 2, inner, 1.0)
        polygon(np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1))
    return np.asarray(cv2.resize(mask, (MASK, MASK), interpolation=cv2.INTER_AREA), np.uint8)


@lru_cache(maxsize=1024)
def _scaled_mask(shape: int, side: int) -> UInt8:
    way = cv2.INTER_AREA if side < MASK else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(shape_mask(shape), (side, side), interpolation=way), np.uint8)


def sprite(thing: Thing, side: int, rng: np.random.Generator) -> UInt8:
    """Draw an object as premultiplied RGBA (side, side, 4) uint8 with slight shading and colour variation."""
    colour = np.clip(
        np.array(RGB[COLOURS[thing.colour]]) * rng.uniform(0.9, 1.05) + rng.uniform(-10, 10, 3), 0, 255
    )
    paint = np.empty((side, side, 3), np.float32)
    paint[:] = colour
    dark = colour.mean() < 110
    ink = colour * 0.3 + 255 * 0.7 if dark else colour * 0.35
    if thing.texture == 1:
        width = side * rng.uniform(0.17, 0.22)
        paint[(np.arange(side) + rng.uniform(0, width)) % width < width * 0.38] = ink
    elif thing.texture == 2:
        step = side * rng.uniform(0.19, 0.23)
        for row, y in enumerate(np.arange(step / 3, side, step)):
            for x in np.arange(step / 2 + (row % 2) * step / 2, side, step):
                centre = (round(float(x) * 16), round(float(y) * 16))
                cv2.circle(paint, centre, round(step * 0.27 * 16), ink.tolist(), -1, cv2.LINE_8, 4)
    ramp = np.linspace(1.08, 0.9, side, dtype=np.float32)[:, None, None]
    alpha = _scaled_mask(thing.shape, side)[..., None]
    shaded = np.clip(paint * ramp, 0, 255) * (alpha * np.float32(1 / 255))
    return np.concatenate([shaded.astype(np.uint8), alpha], axis=2)


@dataclass(frozen=True, slots=True)
class Camera:
    """What a camera does: shake in frame sides (T, 2), gain (T,), noise, blur and JPEG quality."""

    shake: npt.NDArray[np.float32]
    gain: npt.NDArray[np.float32]
    tint: npt.NDArray[np.float32]
    noise: float
    blur: float
    quality: int


def draw_camera(steps: int, rng: np.random.Generator) -> Camera:
    """Draw a camera; about half are steady and clean."""
    shake = rng.normal(0, rng.choice([0, 0, 0.006, 0.012]), (steps, 2)).astype(np.float32)
    light = rng.uniform(0.8, 1.15) + rng.choice([0, 0, 0.06]) * np.sin(
        np.linspace(0, rng.uniform(1, 6), steps)
    )
    return Camera(
        shake=shake,
        gain=light.astype(np.float32),
        tint=rng.uniform(0.94, 1.06, 3).astype(np.float32),
        noise=float(rng.choice([0, 2, 5, 9])),
        blur=float(rng.choice([0, 0, 0.6, 0.9])),
        quality=int(rng.choice([0, 0, 85, 50, 30])),
    )


@lru_cache(maxsize=1)
def _noise_bank() -> npt.NDArray[np.float32]:
    return np.random.default_rng(7).normal(0, 1, (1 << 21,)).astype(np.float32)


def background(size: int, ground: float, rng: np.random.Generator) -> UInt8:
    """Draw a scenery (size, size, 3): wall or sky above the ground line, floor below, with soft texture."""
    base = rng.uniform(70, 200, 3)
    wall = base + rng.uniform(-18, 18, 3)
    floor = np.clip(base * rng.uniform(0.5, 0.85) + rng.uniform(-15, 15, 3), 20, 235)
    grey = wall.mean()
    wall, floor = grey + (wall - grey) * 0.6, floor.mean() + (floor - floor.mean()) * 0.6
    image = np.empty((size, size, 3), np.float32)
    line = round(size * ground)
    image[:line] = wall + np.linspace(0, rng.uniform(-30, 30), line, dtype=np.float32)[:, None, None]
    image[line:] = floor
    kind = int(rng.integers(5))
    coarse = rng.normal(0, 1, (int(rng.integers(3, 9)), int(rng.integers(3, 9)))).astype(np.float32)
    if kind < 3:
        image += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)[..., None] * rng.uniform(
            4, 14
        )
    if kind == 3:
        period = max(3, round(size / rng.uniform(4, 9)))
        axis = np.arange(size) // period % 2
        image[:line] += (axis[None, :, None] * rng.uniform(-16, 16)).astype(np.float32)
    if kind == 4:
        period = max(3, round(size / rng.uniform(3, 7)))
        tiles = (np.arange(size)[:, None] // period + np.arange(size)[None] // period) % 2
        image += tiles[..., None] * rng.uniform(-14, 14)
    if rng.random() < 0.4:
        x, y, w, h = rng.uniform(0, 0.8), rng.uniform(0, 0.4), rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.3)
        pane = slice(round(size * y), round(size * (y + h))), slice(round(size * x), round(size * (x + w)))
        image[pane] += rng.uniform(-22, 22)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def composite(canvas: UInt8, picture: UInt8, x: float, y: float, half: float, angle: float = 0.0) -> None:
    """Blend premultiplied RGBA over `canvas` in place, centred at (x, y) with half-width `half`, in pixels."""
    size = canvas.shape[0]
    reach = half * (1.42 if angle else 1.0) + 1
    x0, x1 = max(0, int(x - reach)), min(canvas.shape[1], int(x + reach) + 2)
    y0, y1 = max(0, int(y - reach)), min(size, int(y + reach) + 2)
    if x0 >= x1 or y0 >= y1 or half < 0.5:
        return
    side = picture.shape[0]
    scale = 2 * half / side
    if scale < 0.6:
        target = max(4, round(2 * half * 1.25))
        picture = np.asarray(cv2.resize(picture, (target, target), interpolation=cv2.INTER_AREA), np.uint8)
        side, scale = target, 2 * half / target
    c, s, m = np.cos(angle) * scale, np.sin(angle) * scale, (side - 1) / 2
    matrix = np.array([[c, -s, x - x0 - c * m + s * m], [s, c, y - y0 - s * m - c * m]], np.float32)
    patch = cv2.warpAffine(picture, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR).astype(np.uint16)
    region = canvas[y0:y1, x0:x1]
    region[:] = np.minimum(patch[..., :3] + ((region * (255 - patch[..., 3:]) + 128) >> 8), 255)


def render_tracks(
    scenery: UInt8,
    tracks: Sequence[Track],
    sprites: Sequence[UInt8],
    step: int,
    shake: npt.NDArray[np.float32],
) -> UInt8:
    """Draw one instant: the scenery with every track's sprite over it, things behind first."""
    size = scenery.shape[0]
    dx, dy = (shake * size).tolist()
    frame = scenery.copy() if not (dx or dy) else shift(scenery, dx, dy)
    for track, picture in sorted(zip(tracks, sprites, strict=True), key=lambda pair: not pair[0].behind):
        pose: Pose = track.pose
        half = track.radius * float(pose.scale[step]) * size / 0.94
        composite(
            frame,
            picture,
            float(pose.x[step]) * size + dx,
            float(pose.y[step]) * size + dy,
            half,
            float(pose.angle[step]),
        )
    return frame


def shift(image: UInt8, dx: float, dy: float) -> UInt8:
    """Move an image by a fraction of pixels, edges repeated."""
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (image.shape[1], image.shape[0])
    return np.asarray(
        cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def degrade(frame: UInt8, camera: Camera, step: int, rng: np.random.Generator) -> UInt8:
    """Apply light, blur, noise and compression to one frame (H, W, 3)."""
    if camera.blur:
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), camera.blur * frame.shape[0] / 96), np.uint8)
    lit = frame.astype(np.float32) * np.asarray(camera.gain[step] * camera.tint, np.float32)
    if camera.noise:
        bank = _noise_bank()
        pixels = lit.shape[0] * lit.shape[1]
        start = int(rng.integers(len(bank) - pixels))
        lit += (bank[start : start + pixels] * np.float32(camera.noise)).reshape(*lit.shape[:2], 1)
    out = np.clip(lit, 0, 255, out=lit).astype(np.uint8)
    if camera.quality:
        done, data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, camera.quality])
        if done:
            out = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return out
