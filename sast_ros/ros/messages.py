"""Detections and pictures as ROS messages (vision_msgs 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TYPE_CHECKING

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseWithCovariance
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
    VisionClass,
    VisionInfo,
)

if TYPE_CHECKING:
    from sast_ros.detector import Detections


def header(stamp_ns: int, frame_id: str) -> Header:
    """Return a header; ``stamp_ns`` in nanoseconds of ROS time."""
    return Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id=frame_id)


def stamp_ns(stamp: Time) -> int:
    """Return a time stamp in nanoseconds."""
    return stamp.sec * 10**9 + stamp.nanosec


def detection_array(
    detections: Detections, stamp_ns: int, class_id_format: Literal['name', 'index'] = 'name'
) -> Detection2DArray:
    """
    Return the detections of one window; a window without any gives an array without elements.

    Boxes are in sensor pixels, ``theta`` is 0, ``id`` is empty because nothing is tracked, and the
    pose is the default one because a detector in the image plane knows none. Every element has the
    header of the array.
    """
    common = header(stamp_ns, detections.frame_id)
    nowhere = PoseWithCovariance()
    names = detections.class_names
    array = Detection2DArray(header=common)
    array.detections = [
        Detection2D(
            header=common,
            results=[
                ObjectHypothesisWithPose(
                    hypothesis=ObjectHypothesis(
                        class_id=names[class_id] if class_id_format == 'name' else str(class_id),
                        score=score,
                    ),
                    pose=nowhere,
                )
            ],
            bbox=BoundingBox2D(
                center=Pose2D(position=Point2D(x=x, y=y), theta=0.0),
                size_x=width,
                size_y=height,
            ),
        )
        for (x, y, width, height), score, class_id in zip(
            detections.centres_and_sizes().tolist(),
            detections.scores.tolist(),
            detections.class_ids.tolist(),
            strict=True,
        )
    ]
    return array


def label_info(class_names: Sequence[str], score_threshold: float, stamp_ns: int) -> LabelInfo:
    """Return the table of class names; ``class_id`` of an entry is the index of the class."""
    return LabelInfo(
        header=header(stamp_ns, ''),
        class_map=[
            VisionClass(class_id=index, class_name=name) for index, name in enumerate(class_names)
        ],
        threshold=score_threshold,
    )


def vision_info(method: str, label_topic: str, version: int, stamp_ns: int) -> VisionInfo:
    """
    Return who detects here and on which topic the class names are found.

    ``version`` counts the configurations of the node, as the class names may change with each of
    them.
    """
    return VisionInfo(
        header=header(stamp_ns, ''),
        method=method,
        database_location=label_topic,
        database_version=version,
    )


def image(picture: np.ndarray, stamp_ns: int, frame_id: str) -> Image:
    """Return ``uint8[height, width, 3]`` RGB as an image message."""
    height, width, _ = picture.shape
    message = Image(
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding='rgb8',
        is_bigendian=0,
        step=3 * width,
    )
    # The setter of an array('B') field takes the bytes as they are; a list would be checked
    # element by element.
    message.data.frombytes(np.ascontiguousarray(picture).tobytes())
    return message
