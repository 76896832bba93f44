# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detections and pictures as ROS messages (vision_msgs 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import functools
import importlib
from typing import Any, Literal

from builtin_interfaces.msg import Time
import numpy as np
from sast_ros import detections as detections_module
from sast_ros.detections import Detections, StageShare, TokenMap
from sast_ros.errors import SastError
from sast_ros.events.chunk import EventChunk
from sast_ros.tracking import TRACK_DTYPE
from sast_ros.windows import EventWindow
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionClass, VisionInfo


class ForeignMessageError(SastError, ValueError):
    """A message on a topic of a detector that is not as the detector makes it."""

    def __init__(self, fact: str) -> None:
        super().__init__(f'{fact}; if another node publishes on the same topic, remap one of them')


def header(stamp_ns: int, frame_id: str) -> Header:
    """Return a header; ``stamp_ns`` in nanoseconds of ROS time."""
    sec, nanosec = detections_module.ros_stamp(stamp_ns)
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame_id)


def stamp_ns(stamp: Time) -> int:
    """Return a time stamp in nanoseconds."""
    return stamp.sec * 10**9 + stamp.nanosec


def detection_array(
    detections: Detections, stamp_ns: int, class_id_format: Literal['name', 'index'] = 'name'
) -> Detection2DArray:
    """Return the detections of one window, see ``sast_ros.detections.detection_array``."""
    return detections_module.detection_array(detections, stamp_ns, message_class, class_id_format)


@functools.cache
def message_class(type_name: str) -> type:
    """Return the class of a message by its full type name."""
    package, _, name = type_name.split('/')
    return getattr(importlib.import_module(f'{package}.msg'), name)


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
    Return the detection method and the topic with the class names.

    ``version`` counts the configurations of the node; class names may change with each of them.
    """
    return VisionInfo(
        header=header(stamp_ns, ''),
        method=method,
        database_location=label_topic,
        database_version=version,
    )


#: Type of a point: a track and ``z`` = 0, without which rviz shows no cloud.
_TRACK_POINT = np.dtype([*TRACK_DTYPE.descr, ('z', '<f4')])

_FIELD_TYPES = {'<u4': PointField.UINT32, '<f4': PointField.FLOAT32}


def track_cloud(tracks: np.ndarray, stamp_ns: int, frame_id: str) -> PointCloud2:
    """Return tracks, ``TRACK_DTYPE[N]``, as a cloud with a point for each of them."""
    points = np.zeros(len(tracks), _TRACK_POINT)
    for name in TRACK_DTYPE.names or ():
        points[name] = tracks[name]
    return _cloud(points, stamp_ns, frame_id)


def _cloud(points: np.ndarray, stamp_ns: int, frame_id: str) -> PointCloud2:
    """
    Return a structured array as a cloud with its fields.

    ``create_cloud`` of ``sensor_msgs_py`` does it too, but pip cannot install that package; a test
    reads the cloud with it.
    """
    fields: Any = points.dtype.fields
    message = PointCloud2(
        header=header(stamp_ns, frame_id),
        height=1,
        width=len(points),
        fields=[
            PointField(name=name, offset=offset, datatype=_FIELD_TYPES[dtype.str], count=1)
            for name in points.dtype.names or ()
            for dtype, offset in [fields[name]]
        ],
        is_bigendian=False,
        point_step=points.itemsize,
        row_step=points.nbytes,
        is_dense=True,
    )
    message.data.frombytes(points.tobytes())
    return message


def image(picture: np.ndarray, stamp_ns: int, frame_id: str) -> Image:
    """Return ``uint8[height, width, 3]`` RGB or ``uint8[height, width]`` as an image message."""
    height, width = picture.shape[:2]
    message = Image(
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding='rgb8' if picture.ndim == 3 else 'mono8',
        is_bigendian=0,
        step=picture.nbytes // height,
    )
    # The setter of an array('B') field would check a list element by element.
    message.data.frombytes(np.ascontiguousarray(picture).tobytes())
    return message


#: What each kind of attention that takes a pixel adds to its brightness in a token mask.
MASK_STEP = np.uint8(127)


def tokens_of(mask: Image, height: int, width: int) -> TokenMap:
    """
    Return what a token mask of a sensor shows, as a token for each pixel.

    Raises
    ------
    ForeignMessageError
        It is none, or of a sensor of another size.

    """
    if (mask.encoding, len(mask.data)) != ('mono8', height * width) or mask.width != width:
        raise ForeignMessageError(
            f'a token mask is an image {mask.width}x{mask.height} {mask.encoding!r} of '
            f'{len(mask.data)} bytes, not {width}x{height} mono8'
        )
    return TokenMap(np.frombuffer(mask.data, np.uint8).reshape(height, width) // MASK_STEP, 1)


def compressed_image(picture: np.ndarray, stamp_ns: int, frame_id: str) -> CompressedImage:
    """Return ``uint8[height, width, 3]`` RGB as a JPEG; format as of image_transport."""
    from sast_ros.visualization.overlay import encode_jpeg, JPEG_FORMAT

    message = CompressedImage(header=header(stamp_ns, frame_id), format=JPEG_FORMAT)
    message.data.frombytes(encode_jpeg(picture))
    return message


#: Size of a sensor pixel and speed of the time in a scene, metres and metres a second.
PIXEL_M, TIME_M_S = 0.001, 5.0

#: Most points of an event cloud.
MAX_POINTS = 10_000

_POINT = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('polarity', '<f4')])


def event_cloud(
    parts: Iterable[EventChunk], t_end: int, stamp_ns: int, frame_id: str
) -> PointCloud2:
    """
    Return the events of a window as points, every n-th where they are more than ``MAX_POINTS``.

    x to the right and y down by ``PIXEL_M`` a pixel, as in the optical frame of a camera; z is
    time, 0 at the end of the window, ``t_end`` in microseconds, and negative before.
    """
    chunks = list(parts)
    count = sum(map(len, chunks))
    step = max(1, -(-count // MAX_POINTS))
    points = np.zeros(-(-count // step), _POINT)
    for name, scale, offset in (
        ('x', PIXEL_M, 0.5),
        ('y', PIXEL_M, 0.5),
        ('t', TIME_M_S / 1e6, -t_end),
        ('p', 1, 0),
    ):
        values = [getattr(chunk, name) for chunk in chunks]
        taken = np.concatenate(values)[::step] if values else np.zeros(0)
        points[{'t': 'z', 'p': 'polarity'}.get(name, name)] = scale * (taken + offset)
    return _cloud(points, stamp_ns, frame_id)


def detections_of(
    array: Detection2DArray,
    window: EventWindow,
    class_names: Sequence[str],
    kept: tuple[StageShare, ...] = (),
) -> Detections:
    """
    Return the ``Detections`` that the node made a message from, as far as it tells.

    Raises
    ------
    ForeignMessageError
        A detection without a class, a class that is not in ``class_names``, or an ``id`` that is
        no number of a track.

    """
    if not all(one.results for one in array.detections):
        raise ForeignMessageError('a detection has no class')
    boxes = [one.bbox for one in array.detections]
    hypotheses = [one.results[0].hypothesis for one in array.detections]
    centres = [(box.center.position.x, box.center.position.y) for box in boxes]
    middle = np.array(centres).reshape(-1, 2)
    half = np.array([(box.size_x, box.size_y) for box in boxes]).reshape(-1, 2) / 2
    names = tuple(class_names)
    numbers = {name: index for index, name in enumerate(names)}
    numbers |= {str(index): index for index in range(len(names))}
    try:
        ids = [numbers[one.class_id] for one in hypotheses]
    except KeyError as error:
        raise ForeignMessageError(f'a detection is of the class {error}, not of {names}') from None
    try:
        track_ids = np.array([int(one.id or 0) for one in array.detections], np.int64)
    except (ValueError, OverflowError) as error:
        raise ForeignMessageError(
            f'a detection has an id that is no number of a track: {error}'
        ) from None
    unknown = np.full(len(boxes), np.nan, np.float32)
    return Detections(
        boxes=np.hstack([middle - half, middle + half]).astype(np.float32),
        scores=np.array([hypothesis.score for hypothesis in hypotheses], np.float32),
        class_ids=np.array(ids, np.int64),
        objectness=unknown,
        class_scores=unknown,
        class_names=names,
        t_start=window.t_start,
        t_end=window.t_end,
        stamp_ns=window.stamp_ns,
        frame_id=window.frame_id,
        width=window.width,
        height=window.height,
        events=len(window),
        reset=None,
        kept=kept,
        track_ids=track_ids,
    )
