# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Detections as ``foxglove_msgs/ImageAnnotations``, which Foxglove draws over a picture.

Fields: https://docs.foxglove.dev/docs/sdk/schemas/image-annotations; others that later
releases added keep their defaults. rosbags, which a node has not, is imported only where messages
are serialised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sast_ros.detections import Detections, ros_stamp
from sast_ros.visualization.overlay import (
    detection_text,
    draw_events,
    encode_jpeg,
    JPEG_FORMAT,
    THEMES,
)
from sast_ros.visualization.text import ink, text_size
from sast_ros.windows import EventWindow

ANNOTATIONS_TYPE = 'foxglove_msgs/msg/ImageAnnotations'
IMAGE_TYPE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE_TYPE = 'sensor_msgs/msg/CompressedImage'

EVENT_IMAGE_TOPIC = '/event_image'
ANNOTATIONS_TOPIC = '/annotations'

#: ``PointsAnnotation.LINE_LOOP``: a closed polygon.
_LINE_LOOP = 2

#: Width of a letter as share of the font size.
_LETTER = 0.58


def image_annotations(
    detections: Detections, stamp_ns: int, message_class: Callable[[str], Any], theme: str = 'dark'
) -> Any:
    """
    Return a frame and a text for each detection, in sensor pixels.

    Texts are in the order of rising scores, as later ones are drawn over those before them, and
    end within the picture.

    Parameters
    ----------
    detections : Detections
        Of one window.
    stamp_ns : int
        Their stamp, that of the picture, in nanoseconds.
    message_class : callable
        Returns the class of a message by its full type name, of ``rosbags`` or of ROS.
    theme : str
        One of ``THEMES``, that of the picture.

    """

    def new(name: str, **fields: Any) -> Any:
        return message_class(name)(**fields)

    def colour(rgb: tuple[int, ...], alpha: float = 1.0) -> Any:
        red, green, blue = (value / 255 for value in rgb)
        return new('foxglove_msgs/msg/Color', r=red, g=green, b=blue, a=alpha)

    def point(x: float, y: float) -> Any:
        return new('foxglove_msgs/msg/Point2', x=x, y=y)

    sec, nanosec = ros_stamp(stamp_ns)
    stamp = new('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec)
    size = text_size(detections.height)
    frames, texts = [], []
    for index, (left, top, right, bottom) in enumerate(detections.boxes.astype(float).tolist()):
        text, rgb = detection_text(detections, index, THEMES[theme], detections.track_ids)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        frames.append(
            new(
                'foxglove_msgs/msg/PointsAnnotation',
                timestamp=stamp,
                type=_LINE_LOOP,
                points=[point(*corner) for corner in corners],
                outline_color=colour(rgb),
                outline_colors=[],
                fill_color=colour(rgb, 0.0),
                thickness=max(1.0, size / 7),
            )
        )
        texts.append(
            new(
                'foxglove_msgs/msg/TextAnnotation',
                timestamp=stamp,
                position=point(
                    max(0.0, min(left, detections.width - _LETTER * size * len(text))),
                    top if top > 1.3 * size else bottom,
                ),
                text=text,
                font_size=float(size),
                text_color=colour(ink(rgb)),
                background_color=colour(rgb),
            )
        )
    texts = [texts[index] for index in np.argsort(detections.scores, kind='stable')]
    annotations = new(ANNOTATIONS_TYPE, circles=[], points=frames, texts=texts)
    if hasattr(annotations, 'timestamp'):  # since foxglove_msgs 3.2.5, in place of those above
        annotations.timestamp = stamp
    return annotations


def visual_messages(
    window: EventWindow, detections: Detections, theme: str = 'dark'
) -> Iterator[tuple[str, str, bytes]]:
    """
    Yield topic, type and serialised message of picture and annotations of a window.

    Topics and types are those of the node, so that a layout or an rviz file serves both.
    """
    picture = draw_events(window.parts, detections.height, detections.width, theme=THEMES[theme])
    yield EVENT_IMAGE_TOPIC, IMAGE_TYPE, image_message(picture, detections)
    yield ANNOTATIONS_TOPIC, ANNOTATIONS_TYPE, annotations_message(detections, theme)


def image_message(picture: np.ndarray, detections: Detections, *, jpeg: bool = False) -> bytes:
    """
    Return a picture of a window as serialised message.

    Parameters
    ----------
    picture : uint8[height, width, 3]
        RGB.
    detections : Detections
        Of the window; their stamp and frame are those of the picture.
    jpeg : bool
        Whether it is a ``COMPRESSED_IMAGE_TYPE`` instead of an ``IMAGE_TYPE``.

    """
    from sast_ros.bags.definitions import message_types
    from sast_ros.bags.detections import window_stamp_ns

    types = message_types()
    new = types.types
    sec, nanosec = ros_stamp(window_stamp_ns(detections))
    header = new['std_msgs/msg/Header'](
        stamp=new['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec),
        frame_id=detections.frame_id,
    )
    if jpeg:
        data = np.frombuffer(encode_jpeg(picture), np.uint8)
        compressed = new[COMPRESSED_IMAGE_TYPE](header=header, format=JPEG_FORMAT, data=data)
        return bytes(types.serialize_cdr(compressed, COMPRESSED_IMAGE_TYPE))
    image = new[IMAGE_TYPE](
        header=header,
        height=picture.shape[0],
        width=picture.shape[1],
        encoding='rgb8',
        is_bigendian=0,
        step=3 * picture.shape[1],
        data=picture.reshape(-1),
    )
    return bytes(types.serialize_cdr(image, IMAGE_TYPE))


def annotations_message(detections: Detections, theme: str = 'dark') -> bytes:
    """Return the detections of a window as serialised ``ANNOTATIONS_TYPE``."""
    from sast_ros.bags.definitions import message_types
    from sast_ros.bags.detections import window_stamp_ns

    types = message_types()
    stamp_ns = window_stamp_ns(detections)
    annotations = image_annotations(detections, stamp_ns, types.types.__getitem__, theme)
    return bytes(types.serialize_cdr(annotations, ANNOTATIONS_TYPE))
