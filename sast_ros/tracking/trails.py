# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where tracked objects have been, for pictures."""

from __future__ import annotations

import numpy as np
from sast_ros.detections import Detections

#: Older positions, and objects that were not seen for so long, are forgotten.
_LENGTH_US = 1_000_000


class Trails:
    """Recent positions of the tracked objects of one camera."""

    def __init__(self) -> None:
        self._points: dict[int, list[tuple[int, float, float]]] = {}

    def update(self, detections: Detections) -> dict[int, np.ndarray]:
        """
        Add the detections of the next window, and return the trails of all objects by number.

        A reset of the recurrent state forgets what was before it, and so does a time that goes
        back, as when a recording begins again: numbers do too.

        Returns
        -------
        dict of int to float32[K, 2]
            Middle of the lower edge of the box (x, y) in sensor pixels, oldest first.

        """
        now = detections.t_end
        later = now is not None and any(points[-1][0] > now for points in self._points.values())
        if later or detections.reset is not None:
            self._points.clear()
        if now is not None and detections.track_ids is not None:
            boxes = detections.boxes.tolist()
            for (left, _, right, bottom), number in zip(boxes, detections.track_ids.tolist()):
                if number:
                    point = now, (left + right) / 2, bottom
                    self._points.setdefault(number, []).append(point)
            oldest = now - _LENGTH_US
            recent = {
                number: [point for point in points if point[0] > oldest]
                for number, points in self._points.items()
            }
            self._points = {number: points for number, points in recent.items() if points}
        return {
            number: np.array(points, np.float32)[:, 1:] for number, points in self._points.items()
        }
