# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Message definitions that recordings need, so that bags open without a ROS installation."""

from __future__ import annotations

from functools import cache

from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore

_EVENT = 'uint16 x\nuint16 y\nbuiltin_interfaces/Time ts\nbool polarity'

_EVENT_ARRAY = 'std_msgs/Header header\nuint32 height\nuint32 width\nEvent[] events'

_EVENT_PACKET = """
std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
"""

#: Field lines of every message that ``rosbags`` does not know, as in the packages under ``msg/``.
DEFINITIONS = {
    **{
        f'{package}/msg/{name}': fields
        for package in ('dvs_msgs', 'prophesee_event_msgs', 'dv_ros2_msgs')
        for name, fields in (('Event', _EVENT), ('EventArray', _EVENT_ARRAY))
    },
    'event_camera_msgs/msg/EventPacket': _EVENT_PACKET,
    'event_array_msgs/msg/EventArray': _EVENT_PACKET,  # name of EventPacket before 2022
    'vision_msgs/msg/Point2D': 'float64 x\nfloat64 y',
    'vision_msgs/msg/Pose2D': 'vision_msgs/Point2D position\nfloat64 theta',
    'vision_msgs/msg/BoundingBox2D': 'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y',
    'vision_msgs/msg/ObjectHypothesis': 'string class_id\nfloat64 score',
    'vision_msgs/msg/ObjectHypothesisWithPose': 'ObjectHypothesis hypothesis\n'
    'geometry_msgs/PoseWithCovariance pose',
    'vision_msgs/msg/Detection2D': 'std_msgs/Header header\nObjectHypothesisWithPose[] results\n'
    'BoundingBox2D bbox\nstring id',
    'vision_msgs/msg/Detection2DArray': 'std_msgs/Header header\nDetection2D[] detections',
    'foxglove_msgs/msg/Color': 'float64 r\nfloat64 g\nfloat64 b\nfloat64 a',
    'foxglove_msgs/msg/Point2': 'float64 x\nfloat64 y',
    'foxglove_msgs/msg/CircleAnnotation': 'builtin_interfaces/Time timestamp\nPoint2 position\n'
    'float64 diameter\nfloat64 thickness\nColor fill_color\nColor outline_color',
    'foxglove_msgs/msg/PointsAnnotation': 'builtin_interfaces/Time timestamp\nuint8 type\n'
    'Point2[] points\nColor outline_color\nColor[] outline_colors\nColor fill_color\n'
    'float64 thickness',
    'foxglove_msgs/msg/TextAnnotation': 'builtin_interfaces/Time timestamp\nPoint2 position\n'
    'string text\nfloat64 font_size\nColor text_color\nColor background_color',
    'foxglove_msgs/msg/ImageAnnotations': 'CircleAnnotation[] circles\n'
    'PointsAnnotation[] points\nTextAnnotation[] texts',
    'vision_msgs/msg/VisionClass': 'uint16 class_id\nstring class_name',
    'vision_msgs/msg/LabelInfo': 'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\n'
    'float32 threshold',
}


@cache
def message_types() -> Typestore:
    """Return a ``rosbags`` type store that knows the common ROS 2 messages and ``DEFINITIONS``."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types: dict = {}
    for name, text in DEFINITIONS.items():
        types.update(get_types_from_msg(text, name))
    store.register(types)
    return store
