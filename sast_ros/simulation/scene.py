"""
A street seen by a standing Gen1 camera.

Cars and people pass in front of houses, all from one seed.

The picture is made of logarithmic intensities: a still background and a few shapes that slide over
it with sub-pixel steps. The sensor turns its changes into events (``SensorModel``). What the
shapes lack in realism they make up in edges, which is all that an event camera sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sast_ros.events.chunk import EventChunk
from sast_ros.simulation.sensor import SensorModel

WIDTH, HEIGHT = 304, 240

#: Time between two renderings in microseconds, about that between two packets of a real camera;
#: the fastest shape moves by 0.6 pixels in it.
_STEP_US = 4_000
_HORIZON = 92
_ROAD = 132


def simulate_drive(seconds: float, seed: int = 0) -> Iterator[EventChunk]:
    """
    Yield the events of a simulated street scene, the same for the same arguments.

    Parameters
    ----------
    seconds:
        length in seconds of sensor time; the clock starts at 0.
    seed:
        chooses background, traffic, thresholds of the pixels and noise.

    Returns
    -------
    One chunk for every 4 ms, of a 304x240 sensor with ``clock='sensor'``; 0.2 to 2 million events
    per second.

    Raises
    ------
    ValueError: a length that is not positive.

    """
    if not seconds > 0:
        raise ValueError(f'a drive of {seconds} s cannot be simulated; give a length above 0')
    rng = np.random.default_rng(seed)
    background = _street(rng)
    traffic = _traffic(rng)
    sensor = SensorModel(_render(background, traffic, 0.0), rng)
    for step in range(1, round(seconds * 1e6 / _STEP_US) + 1):
        end = step * _STEP_US
        yield sensor.advance(_render(background, traffic, end / 1e6), end)


@dataclass(frozen=True)
class _Mover:
    """
    A shape that crosses the picture again and again.

    phases: ``float32[P, h, w]`` log intensity times cover of P postures that repeat ``pace`` times
        a second.
    covers: ``float32[P, h, w]`` share of each pixel that the shape covers.
    bottom: row of the ground that it stands on; what stands lower is nearer and covers the others.
    speed: pixels per second, negative to the left.
    start: column of the left side at time 0, on a closed track a little longer than the picture is
        wide.
    pace: postures or, for a single posture, ups and downs of the springs in rounds per second.
    bounce: height of those in pixels; without them a horizontal edge that moves along itself would
        be invisible.
    """

    phases: np.ndarray
    covers: np.ndarray
    bottom: int
    speed: float
    start: float
    pace: float
    bounce: float = 0.0

    def paint(self, picture: np.ndarray, seconds: float) -> None:
        """Blend the shape over the picture where it stands at that time."""
        high, wide = self.phases.shape[1:]
        left = (self.start + self.speed * seconds) % (WIDTH + 2 * wide) - wide
        top = self.bottom - high + self.bounce * np.sin(2 * np.pi * self.pace * seconds)
        column, row = int(np.floor(left)), int(np.floor(top))
        x1, x2 = max(column, 0), min(column + wide + 1, WIDTH)
        y1, y2 = max(row, 0), min(row + high + 1, HEIGHT)
        if x1 >= x2:
            return
        inside = slice(y1 - row, y2 - row), slice(x1 - column, x2 - column)
        light, cover = (
            _shifted(_shifted(part, np.float32(top - row), 0), np.float32(left - column), 1)[
                inside
            ]
            for part in self._posture(seconds)
        )
        region = picture[y1:y2, x1:x2]
        region *= 1 - cover
        region += light

    def _posture(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        count = len(self.phases)
        if count == 1:
            return self.phases[0], self.covers[0]
        phase = (seconds * self.pace) % 1 * count
        now, share = int(phase) % count, np.float32(phase % 1)
        then = (now + 1) % count
        light, cover = (
            (1 - share) * part[now] + share * part[then] for part in (self.phases, self.covers)
        )
        return light, cover


def _shifted(values: np.ndarray, share: np.float32, axis: int) -> np.ndarray:
    """
    Return the values moved forward by a share of a pixel along an axis.

    The axis becomes one longer.
    """
    shape = list(values.shape)
    shape[axis] += 1
    moved = np.zeros(shape, np.float32)
    front, back = [slice(None)] * 2, [slice(None)] * 2
    front[axis], back[axis] = slice(None, -1), slice(1, None)
    moved[tuple(front)] += (1 - share) * values
    moved[tuple(back)] += share * values
    return moved


def _render(background: np.ndarray, traffic: list[_Mover], seconds: float) -> np.ndarray:
    picture = background.copy()
    for mover in traffic:
        mover.paint(picture, seconds)
    return picture


def _street(rng: np.random.Generator) -> np.ndarray:
    """
    ``float32[HEIGHT, WIDTH]`` log intensity of the background.

    Houses with windows, a pavement, and a road with markings.
    """
    light = np.empty((HEIGHT, WIDTH), np.float32)
    light[:_HORIZON] = np.linspace(0.95, 0.8, _HORIZON, dtype=np.float32)[:, None]
    light[_HORIZON:_ROAD] = 0.45
    light[_ROAD:] = 0.22
    kerb, ground = _ROAD + 3, _HORIZON + 12
    light[_ROAD:kerb] = 0.55
    left = 0
    while left < WIDTH:
        wide, roof = int(rng.integers(30, 70)), int(rng.integers(8, 50))
        right = left + wide
        house = light[roof:ground, left:right]
        house[:] = rng.uniform(0.28, 0.6)
        for row in range(6, house.shape[0] - 12, 14):
            for column in range(5, house.shape[1] - 8, 13):
                window = slice(row, row + 8), slice(column, column + 6)
                house[window] = rng.uniform(0.12, 0.9)
        left = right + int(rng.integers(0, 12))
    for column in range(int(rng.integers(0, 30)), WIDTH, 48):
        light[186:190, slice(column, column + 24)] = 0.75
    grain = rng.normal(1, 0.04, light.shape).astype(np.float32)
    return np.log(np.clip(light * grain, 0.05, 1.0))


def _traffic(rng: np.random.Generator) -> list[_Mover]:
    """Two lanes of cars, and people on the pavement and in front, far ones first."""
    movers = []
    for bottom, high, direction, speed in ((166, 40, 1, 110.0), (212, 62, -1, 150.0)):
        start = float(rng.uniform(0, 80))
        for _ in range(2):
            shape, mask = _car(rng, high, direction)
            pace, bounce = float(rng.uniform(1.5, 2.5)), 0.012 * high
            movers.append(_Mover(shape, mask, bottom, direction * speed, start, pace, bounce))
            start += 2.35 * high + rng.uniform(60, 140)
    for bottom, high in ((140, 44), (142, 46), (236, 92)):
        direction = int(rng.choice((-1, 1)))
        shape, mask = _person(rng, high, direction)
        speed = direction * high * float(rng.uniform(0.45, 0.65))
        start = float(rng.uniform(0.3, 0.9) * WIDTH)
        movers.append(_Mover(shape, mask, bottom, speed, start, float(rng.uniform(0.8, 1.1))))
    return sorted(movers, key=lambda mover: mover.bottom)


class _Canvas:
    """
    Shapes drawn four times as large as they are, then averaged.

    This gives smooth edges without a drawing library.
    """

    def __init__(self, high: int, wide: int) -> None:
        self._fine = 4
        shape = high * self._fine, wide * self._fine
        self.light = np.full(shape, np.nan, np.float32)
        rows, columns = np.indices(shape, np.float32)
        self.y, self.x = (rows + 0.5) / (high * self._fine), (columns + 0.5) / (high * self._fine)

    def fill(self, inside: np.ndarray, light: float) -> None:
        """Give the points where ``inside`` holds this intensity, 0 to 1."""
        self.light[inside] = light

    def limb(
        self, x1: float, y1: float, x2: float, y2: float, thickness: float, light: float
    ) -> None:
        """Draw a rounded stroke; lengths in units of the canvas height."""
        dx, dy = x2 - x1, y2 - y1
        along = np.clip(
            ((self.x - x1) * dx + (self.y - y1) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1
        )
        distance = np.hypot(self.x - x1 - along * dx, self.y - y1 - along * dy)
        self.fill(distance < thickness / 2, light)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Return log intensity times cover, and cover, ``float32[high, wide]`` each."""
        high, wide = (side // self._fine for side in self.light.shape)
        blocks = self.light.reshape(high, self._fine, wide, self._fine)
        covered = ~np.isnan(blocks)
        mask = covered.mean((1, 3), dtype=np.float32)
        total = np.where(covered, blocks, 0).sum((1, 3), dtype=np.float32)
        light = total / np.maximum(covered.sum((1, 3)), 1)
        return np.log(np.clip(light, 0.05, 1.0)).astype(np.float32) * mask, mask


def _car(rng: np.random.Generator, high: int, direction: int) -> tuple[np.ndarray, np.ndarray]:
    """Side view of a car of ``high`` pixels that looks right, or left for direction -1."""
    paint = float(rng.choice((0.1, 0.14, 0.62, 0.95)))
    length = float(rng.uniform(2.2, 2.6))
    canvas = _Canvas(high, round(high * length) + 2)
    x, y = canvas.x / length, canvas.y
    body = (
        (y > 0.42)
        & (y < 0.84)
        & (x > 0.03)
        & (x < 0.97)
        & (y > 0.42 + 0.5 * np.maximum(x - 0.78, 0))
    )
    canvas.fill(body, paint)
    slope = 0.24 * (0.46 - y)
    cabin = (y > 0.06) & (y < 0.46) & (x > 0.2 + slope) & (x < 0.74 - 1.5 * slope)
    canvas.fill(cabin, paint)
    glass = (
        (y > 0.13)
        & (y < 0.4)
        & (x > 0.24 + slope)
        & (x < 0.7 - 1.5 * slope)
        & (np.abs(x - 0.47) > 0.015)
    )
    canvas.fill(glass, 0.3 if paint > 0.4 else 0.55)
    canvas.fill(body & (np.abs(y - 0.52) < 0.012), paint * 0.55)
    canvas.fill(body & (np.abs(x - 0.49) < 0.006), paint * 0.55)
    canvas.fill(body & (y > 0.76), 0.12)
    canvas.fill(body & (x > 0.93) & (y > 0.5) & (y < 0.6), 1.0)
    canvas.fill(body & (x < 0.06) & (y > 0.5) & (y < 0.6), 0.45)
    for centre in (0.21, 0.79):
        distance = np.hypot(canvas.x - centre * length, y - 0.8)
        canvas.fill(distance < 0.19, 0.07)
        canvas.fill(distance < 0.1, 0.6)
        canvas.fill(distance < 0.03, 0.15)
    shape, mask = canvas.finish()
    return shape[None, :, ::direction], mask[None, :, ::direction]


def _person(rng: np.random.Generator, high: int, direction: int) -> tuple[np.ndarray, np.ndarray]:
    """Sixteen postures of a walking person of ``high`` pixels."""
    coat, trousers, skin = rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.4), rng.uniform(0.4, 0.8)
    wide = round(high * 0.56) + 2
    middle = wide / high / 2
    postures = []
    for phase in np.arange(16) / 16:
        canvas = _Canvas(high, wide)
        swing = np.sin(2 * np.pi * phase)
        for side in (-1, 1):  # far leg and arm first, the near ones cover them
            angle = side * swing * 0.42
            knee = (middle + 0.22 * np.sin(angle), 0.52 + 0.22 * np.cos(angle))
            bend = angle - 0.5 * max(0.0, side * np.cos(2 * np.pi * phase))
            foot = (knee[0] + 0.2 * np.sin(bend), knee[1] + 0.2 * np.cos(bend))
            canvas.limb(middle, 0.52, *knee, 0.1, trousers)
            canvas.limb(*knee, *foot, 0.08, trousers)
            canvas.limb(*foot, foot[0] + 0.06, foot[1] + 0.01, 0.05, 0.07)
            if side < 0:
                canvas.limb(middle, 0.24, middle + 0.01, 0.5, 0.17, coat)
            hand = (middle - 0.26 * np.sin(angle), 0.24 + 0.26 * np.cos(angle))
            canvas.limb(middle, 0.24, *hand, 0.06, coat * (0.7 if side < 0 else 0.85))
        canvas.fill(np.hypot(canvas.x - middle - 0.01, (canvas.y - 0.09) * 0.85) < 0.065, skin)
        canvas.fill(
            (np.hypot(canvas.x - middle, (canvas.y - 0.07) * 0.9) < 0.065) & (canvas.y < 0.07), 0.1
        )
        postures.append(canvas.finish())
    shapes, masks = (np.stack(parts)[:, :, ::direction] for parts in zip(*postures, strict=True))
    return np.ascontiguousarray(shapes), np.ascontiguousarray(masks)
