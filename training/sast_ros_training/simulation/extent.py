# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The extent of that part of a body which lies within the picture."""

from __future__ import annotations

import numpy as np

_NEAREST = 0.1  # metres, as in render.c
#: Corners of the picture, in halves of its sides from the middle.
_CORNERS = np.array([(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)])


def extent_in_picture(
    points: np.ndarray, triangles: np.ndarray, focal: float, size: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """
    Return the extent (x1, y1, x2, y2) in pixels of the parts of triangles within the picture.

    A body that the border of the picture cuts is often wider beyond it: its whole extent, clipped
    to the picture, would be wider than what is seen. None if nothing is in the picture.

    Parameters
    ----------
    points : float[V, 3]
        Vertices in camera coordinates, metres.
    triangles : int[T, 3]
        Their vertices.
    focal : float
        Focal length in pixels; the axis meets the middle of the picture.
    size : tuple of int
        Height and width of the picture in pixels.

    """
    height, width = size
    half = np.array((width, height)) / 2
    corners = points[triangles].astype(float)
    start, end = corners.reshape(-1, 3), np.roll(corners, -1, 1).reshape(-1, 3)
    covered = half * _CORNERS[_covers(corners, np.c_[half / focal * _CORNERS, np.ones(4)])]
    first, last = _between(start[:, 2], end[:, 2], _NEAREST, np.inf)
    start, end = _part(start, end, first, last)
    start, end = (focal * place[:, :2] / place[:, 2:] for place in (start, end))
    spans = [_between(start[:, axis], end[:, axis], -half[axis], half[axis]) for axis in (0, 1)]
    first, last = np.maximum(spans[0][0], spans[1][0]), np.minimum(spans[0][1], spans[1][1])
    ends = np.concatenate([*_part(start, end, first, last), covered])
    if not len(ends):
        return None
    x1, y1 = (ends.min(0) + half).tolist()
    x2, y2 = (ends.max(0) + half).tolist()
    return x1, y1, x2, y2


def _covers(triangles: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Whether any triangle ``[T, 3, 3]`` ahead meets a ray from the camera; ``[R]`` of them."""
    sides = np.cross(triangles, np.roll(triangles, -1, 1))
    turns = sides @ rays.T
    inside = (turns > 0).all(1) | (turns < 0).all(1)
    volume = (sides[:, 1] * triangles[:, 0]).sum(1)
    depth = volume[:, None] / np.where(inside, turns.sum(1), np.inf)
    return (inside & (depth > _NEAREST)).any(0)


def _between(
    start: np.ndarray, end: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return from and to which share (0 to 1) of ways ``[N]`` a value is within limits."""
    change = np.where(start == end, 1e-12, end - start)
    shares = (low - start) / change, (high - start) / change
    return np.maximum(np.minimum(*shares), 0.0), np.minimum(np.maximum(*shares), 1.0)


def _part(
    start: np.ndarray, end: np.ndarray, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the parts of ways between two shares, without those that are empty."""
    some = first <= last
    way = (end - start)[some]
    return start[some] + first[some, None] * way, start[some] + last[some, None] * way
