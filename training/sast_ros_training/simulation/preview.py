# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A video of simulated events with the boxes of their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sast_ros.detector import Detections
from sast_ros.labels import CLASSES
from sast_ros.visualization import draw_overlay, OverlayVideo, video_scale
from sast_ros_training.simulation.sequence import SequenceWindow


class Preview(OverlayVideo):
    """The video of a sensor: a picture of every stride, small sensors enlarged."""

    def __init__(self, path: Path, height: int, width: int, stride_us: int) -> None:
        self._stride_us = stride_us
        self._scale = min(video_scale(height, width), 2)
        self._sensor = height, width
        super().__init__(path, width * self._scale, height * self._scale, 1e6 / stride_us)

    def add(self, window: SequenceWindow, boxes: np.ndarray) -> None:
        """Append the picture of a window with its ``BOX_DTYPE[N]`` labels."""
        height, width = self._sensor
        x, y, w, h = (boxes[name] for name in 'xywh')
        sure = np.ones(len(boxes), np.float32)
        labels = Detections(
            boxes=np.stack([x, y, x + w, y + h], axis=1).astype(np.float32),
            scores=sure,
            class_ids=boxes['class_id'].astype(np.int64),
            objectness=sure,
            class_scores=sure,
            class_names=CLASSES,
            width=width,
            height=height,
            t_start=window.t_end - self._stride_us,
            t_end=window.t_end,
            events=len(window.chunk),
        )
        self.write(draw_overlay([window.chunk], labels, height, width, self._scale))
