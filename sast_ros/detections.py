# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What was detected in one window, and the same as ``vision_msgs/Detection2DArray``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from sast_ros.errors import SastError

DETECTIONS_TYPE = 'vision_msgs/msg/Detection2DArray'


class DetectorError(SastError, RuntimeError):
    """The network gave no usable output; the recurrent state was reset."""


@dataclass(frozen=True, slots=True)
class StageShare:
    """Share of windows and of tokens (0..1) in window and grid attention of one stage, mean."""

    windows: float
    tokens: float


@dataclass(frozen=True, slots=True, eq=False)
class TokenMap:
    """
    Which tokens of a stage attended, in place.

    Attributes
    ----------
    kinds : uint8[rows, columns]
        Kinds of attention, by window and by grid, that took the token: 0 to 2.
    side : int
        Side of a token in sensor pixels; the first one lies at the upper left corner, the last
        ones may lie outside the sensor.

    """

    kinds: np.ndarray
    side: int

    def mask(self, height: int, width: int) -> np.ndarray:
        """Return the kinds of the token of each pixel, ``uint8[height, width]``."""
        rows, columns = (np.arange(length) // self.side for length in (height, width))
        return self.kinds[rows[:, None], columns]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """
    What was detected in one window, best score first.

    Attributes
    ----------
    boxes : float32[N, 4]
        x1, y1, x2, y2 in sensor pixels, clipped to the sensor.
    scores : float32[N]
        In [0, 1]: objectness x class probability, and where the weights have a calibration what
        that makes of it, the share of such boxes that are correct.
    class_ids : int64[N]
        Index into ``class_names``.
    objectness, class_scores : float32[N]
        The two factors of the score before calibration.
    class_names : tuple of str
        Names in class-id order.
    width, height : int
        Sensor size in pixels.
    kept : tuple of StageShare
        Share of windows and tokens that each of the four stages attended to.
    t_start, t_end : int or None
        Start and end of the window in microseconds on the clock of the events; ``None`` for a
        detector step without a pipeline.
    stamp_ns : int or None
        ROS time of ``t_end`` in nanoseconds; ``None`` outside ROS.
    frame_id : str
        ``frame_id`` of the events.
    events : int
        Number of events in the window.
    reset : str or None
        Why the recurrent state was zeroed before this window.
    track_ids : int64[N] or None
        Number of the object, from 1, the same as long as it is tracked; 0 for a detection that
        belongs to no confirmed track. ``None`` where nothing is tracked.

    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    objectness: np.ndarray
    class_scores: np.ndarray
    class_names: tuple[str, ...]
    width: int
    height: int
    kept: tuple[StageShare, ...] = ()
    t_start: int | None = None
    t_end: int | None = None
    stamp_ns: int | None = None
    frame_id: str = ''
    events: int = 0
    reset: str | None = None
    track_ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def with_score(self, score: float) -> Detections:
        """Return the detections of at least this score."""
        kept = self.scores >= score
        names = ['boxes', 'scores', 'class_ids', 'objectness', 'class_scores']
        names += ['track_ids'] * (self.track_ids is not None)
        return replace(self, **{name: getattr(self, name)[kept] for name in names})


def ros_stamp(stamp_ns: int) -> tuple[int, int]:
    """Return seconds and nanoseconds of a time, at most those that a ROS message can hold."""
    return divmod(min(max(stamp_ns, -(2**31) * 10**9), 2**31 * 10**9 - 1), 10**9)


def detection_array(
    detections: Detections,
    stamp_ns: int,
    message_class: Callable[[str], Any],
    class_id_format: Literal['name', 'index'] = 'name',
) -> Any:
    """
    Return the detections of one window as ``vision_msgs/Detection2DArray`` (vision_msgs 4).

    A window without detections gives an array without elements. Boxes are in sensor pixels,
    ``theta`` is 0, ``id`` is the decimal number of the track, empty without one, and the pose is
    the default one because a detector in the image plane knows none. Every element has the header
    of the array.

    Parameters
    ----------
    detections : Detections
        Detections of one window.
    stamp_ns : int
        ``header.stamp`` in nanoseconds.
    message_class : callable
        Returns the class of a message by its full type name, of ``rosbags`` or of ROS.
    class_id_format : {'name', 'index'}
        Content of ``hypothesis.class_id``.

    """

    def new(name: str, **fields: Any) -> Any:
        return message_class(name)(**fields)

    sec, nanosec = ros_stamp(stamp_ns)
    stamp = new('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec)
    header = new('std_msgs/msg/Header', stamp=stamp, frame_id=detections.frame_id)
    origin = new('geometry_msgs/msg/Point', x=0.0, y=0.0, z=0.0)
    rotation = new('geometry_msgs/msg/Quaternion', x=0.0, y=0.0, z=0.0, w=1.0)
    pose = new('geometry_msgs/msg/Pose', position=origin, orientation=rotation)
    pose = new('geometry_msgs/msg/PoseWithCovariance', pose=pose, covariance=np.zeros(36))
    # In float64, so that centre and size are not rounded twice
    low, high = np.split(detections.boxes.astype(np.float64), 2, axis=1)
    boxes = np.hstack([(low + high) / 2, high - low]).tolist()
    tracks = [0] * len(boxes) if detections.track_ids is None else detections.track_ids.tolist()
    elements = []
    for (x, y, width, height), score, class_id, track in zip(
        boxes, detections.scores.tolist(), detections.class_ids.tolist(), tracks, strict=True
    ):
        name = detections.class_names[class_id] if class_id_format == 'name' else str(class_id)
        hypothesis = new('vision_msgs/msg/ObjectHypothesis', class_id=name, score=score)
        result = new('vision_msgs/msg/ObjectHypothesisWithPose', hypothesis=hypothesis, pose=pose)
        point = new('vision_msgs/msg/Point2D', x=x, y=y)
        center = new('vision_msgs/msg/Pose2D', position=point, theta=0.0)
        box = new('vision_msgs/msg/BoundingBox2D', center=center, size_x=width, size_y=height)
        text = str(track) if track else ''
        elements.append(
            new('vision_msgs/msg/Detection2D', header=header, results=[result], bbox=box, id=text)
        )
    return new(DETECTIONS_TYPE, header=header, detections=elements)
