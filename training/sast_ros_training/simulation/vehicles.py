# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Cars and vans with random proportions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sast_ros_training.simulation.body import Body
from sast_ros_training.simulation.car_body import CarBody, on_wheels, paint, wheel
from sast_ros_training.simulation.mesh import both_sides, merge, Mesh
from sast_ros_training.simulation.shapes import box

#: Share of the cars of this style, doors on a side, side panes of sheet metal, ranges.
_Style = tuple[Any, ...]
#: What the ranges of a style are for, see ``CarBody``.
_COLUMNS: tuple[str, ...] = ('length', 'height', 'radius', 'belt', 'width', 'nose', 'tail', 'cowl')
_COLUMNS += ('screen_top', 'roof_end', 'rear_base', 'clearance', 'tumble')
#: Ranges of all styles.
_COMMON = {
    'front_axle': (0.17, 0.21),
    'rear_axle': (0.16, 0.22),
    'front_taper': (0.74, 0.9),
    'rear_taper': (0.8, 0.94),
    'arc': (0.02, 0.11),
    'bow': (0.06, 0.18),
}
# fmt: off
_STYLES: dict[str, _Style] = {
    'hatchback': (0.24, 2, 0, (3.75, 4.4), (1.42, 1.55), (0.29, 0.33), (0.58, 0.64),
                  (0.385, 0.425), (0.72, 0.82), (0.93, 0.99), (0.24, 0.285), (0.41, 0.45),
                  (0.86, 0.92), (0.955, 0.985), (0.15, 0.19), (0.76, 0.85)),
    'sedan': (0.2, 2, 0, (4.3, 5.1), (1.38, 1.5), (0.3, 0.34), (0.58, 0.63), (0.385, 0.425),
              (0.7, 0.8), (0.93, 1.06), (0.26, 0.31), (0.41, 0.46), (0.7, 0.76), (0.83, 0.88),
              (0.14, 0.18), (0.76, 0.85)),
    'estate': (0.13, 3, 0, (4.4, 4.95), (1.4, 1.52), (0.3, 0.34), (0.58, 0.63), (0.385, 0.425),
               (0.7, 0.8), (0.93, 0.99), (0.26, 0.29), (0.41, 0.45), (0.9, 0.945), (0.965, 0.985),
               (0.14, 0.18), (0.76, 0.85)),
    'suv': (0.18, 3, 0, (4.1, 5), (1.58, 1.9), (0.34, 0.39), (0.57, 0.63), (0.385, 0.425),
            (0.78, 0.9), (0.95, 1), (0.23, 0.27), (0.36, 0.41), (0.88, 0.94), (0.955, 0.985),
            (0.2, 0.27), (0.8, 0.88)),
    'mpv': (0.06, 3, 0, (4.2, 4.8), (1.58, 1.78), (0.3, 0.34), (0.55, 0.6), (0.385, 0.425),
            (0.74, 0.84), (0.95, 1), (0.17, 0.21), (0.35, 0.4), (0.91, 0.95), (0.97, 0.985),
            (0.15, 0.19), (0.76, 0.85)),
    'pickup': (0.05, 2, 0, (4.9, 5.3), (1.7, 1.85), (0.36, 0.41), (0.57, 0.62), (0.35, 0.37),
               (0.86, 0.94), (0.98, 1.02), (0.24, 0.27), (0.36, 0.39), (0.6, 0.64), (0.63, 0.66),
               (0.24, 0.3), (0.76, 0.85)),
    'sports': (0.06, 1, 0, (3.9, 4.6), (1.2, 1.34), (0.31, 0.35), (0.6, 0.66), (0.4, 0.44),
               (0.78, 0.86), (0.98, 1.08), (0.33, 0.4), (0.5, 0.55), (0.66, 0.74), (0.88, 0.95),
               (0.11, 0.14), (0.76, 0.85)),
    'city': (0.08, 1, 0, (3.3, 3.7), (1.44, 1.6), (0.27, 0.3), (0.57, 0.62), (0.43, 0.47),
             (0.76, 0.86), (0.95, 1), (0.17, 0.22), (0.35, 0.4), (0.92, 0.96), (0.97, 0.985),
             (0.14, 0.18), (0.76, 0.85)),
}
_VANS: dict[str, _Style] = {
    'delivery': (0.35, 2, 1, (3.9, 4.7), (1.75, 1.95), (0.3, 0.33), (0.56, 0.6), (0.38, 0.4),
                 (0.76, 0.84), (0.97, 1), (0.19, 0.23), (0.34, 0.38), (0.97, 0.98), (0.978, 0.985),
                 (0.15, 0.2), (0.88, 0.93)),
    'transporter': (0.4, 3, 2, (4.9, 6.2), (1.95, 2.75), (0.32, 0.36), (0.46, 0.52), (0.33, 0.38),
                    (0.8, 0.9), (0.97, 1), (0.12, 0.16), (0.22, 0.27), (0.975, 0.98),
                    (0.98, 0.985), (0.18, 0.24), (0.88, 0.94)),
    'minibus': (0.25, 3, 0, (4.7, 5.9), (1.9, 2.3), (0.32, 0.35), (0.5, 0.55), (0.34, 0.38),
                (0.8, 0.88), (0.97, 1), (0.13, 0.17), (0.24, 0.29), (0.965, 0.975), (0.975, 0.985),
                (0.18, 0.22), (0.86, 0.92)),
}
# fmt: on


def make_car(rng: np.random.Generator, lights: bool = False) -> Body:
    """
    Return a random passenger car.

    ``lights``: head and tail lamps are on.
    """
    return _make(rng, _STYLES, lights)


def make_van(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a random delivery van, transporter or minibus."""
    return _make(rng, _VANS, lights)


def _make(rng: np.random.Generator, styles: dict[str, _Style], lights: bool) -> Body:
    shares = np.array([share for share, *_ in styles.values()])
    name = rng.choice(list(styles), p=shares / shares.sum())
    _, doors, blind, *ranges = styles[name]
    van, draw = styles is _VANS, rng.uniform
    arc = {'arc': (0.0, 0.02)} if van else {}
    body = CarBody(rng, {**_COMMON, **arc, **dict(zip(_COLUMNS, ranges))}, doors, lights)
    pieces = [
        body.sides(_band(rng, name, body)),
        body.lids(min(body.paint + body.sky, 0.92), 0.05 if name == 'pickup' else None),
        body.front(rng.random() < 0.7, draw(0.14, 0.3)),
        body.rear(draw(0.18, 0.36), rng.random() < 0.4),
        body.greenhouse(
            0.12 if van else draw(0.1, 0.35),
            (0.12, 0.88) if rng.random() < 0.9 or not blind else (0.5, 0.5),
            blind,
        ),
        body.underbody(),
        body.mirrors(body.paint if rng.random() < 0.6 else body.trim),
        *_details(rng, body, van),
    ]
    rubber = draw(0.02, 0.07)
    spokes = rng.choice((5, 5, 6))
    alloy = rubber, rng.choice((0.75, 0.5, 0.3, 0.06)) * draw(0.85, 1.1), draw(0.02, 0.12)
    rim_share, tread = draw(0.6, 0.78), draw(0.17, 0.25)
    rim = wheel(body.radius, tread, spokes, alloy, rim_share)
    track = body.width / 2 - 0.03 - tread / 2
    shell = merge(pieces)
    return on_wheels(rng, shell, rim, body.axles, track, body.radius, body.length, 1.0, 18.0)


def _band(rng: np.random.Generator, name: str, body: CarBody) -> float | None:
    """Return the albedo of the lower half of the sides where it is not that of the paint."""
    if rng.random() > {'suv': 0.45, 'pickup': 0.3}.get(name, 0.06):
        return None
    return body.trim if rng.random() < 0.7 else paint(rng)


def _details(rng: np.random.Generator, body: CarBody, van: bool) -> list[Mesh]:
    """Seams, handles, mouldings, roof rails and roof boxes."""
    front_arch = body.axles[0] - 1.2 * body.radius
    rear_seam = body.axles[1] + 1.2 * body.radius
    pieces = [body.seam(min(body.cowl - 0.05, front_arch), body.joint)]
    for x in body.pillars:
        if x > rear_seam:
            pieces.append(body.seam(x, body.joint))
            pieces.append(body.handle(x + 0.18, body.joint if rng.random() < 0.6 else 0.7))
    if rear_seam < body.pillars[-1] - 0.3:
        pieces.append(body.seam(rear_seam, body.joint))
    if rng.random() < 0.3:
        shade = body.trim if rng.random() < 0.6 else paint(rng)
        wide, height = rng.uniform(0.03, 0.12), rng.uniform(0.3, 0.7)
        pieces.append(body.strip((front_arch, rear_seam), height, wide, shade))
    top = body.height
    if rng.random() < 0.25 and not van:
        y = 0.4 * body.width * body.tumble
        start, end = body.screen_top - 0.25, body.roof_end + 0.15
        if start - end > 0.6:
            middle = ((start + end) / 2, y, top + 0.01)
            rail = box((start - end, 0.04, 0.05), middle, rng.choice((0.04, 0.6)))
            pieces.append(both_sides(rail))
    if rng.random() < 0.06:
        size = rng.uniform((1.0, 0.5, 0.25), (1.9, 0.8, 0.4))
        x = (body.screen_top + body.roof_end) / 2
        pieces.append(box(size, (x, 0, top + size[2] / 2 + 0.05), paint(rng), 0.0, 0.85))
    elif rng.random() < 0.06:
        x = body.screen_top - 0.4
        pieces.append(box((0.15, 0.4, 0.14), (x, 0, top + 0.06), 0.85, 0.0, 0.8))
    return pieces
