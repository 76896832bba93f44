# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detections as markers on the image plane, for rviz."""

from __future__ import annotations

from geometry_msgs.msg import Point, Vector3
from sast_ros.detections import Detections
from sast_ros.ros.messages import header, PIXEL_M
from sast_ros.visualization.overlay import detection_text, THEMES
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray


def marker_array(detections: Detections, stamp_ns: int) -> MarkerArray:
    """
    Return the boxes of one window as lines and texts, in place of those of the last one.

    They lie in the plane z = 0 of the optical frame (x to the right, y down), a pixel is
    ``messages.PIXEL_M`` wide, and the upper left corner of the sensor is the origin, as in
    ``messages.event_cloud``. ``ns`` is the class, for boxes followed by ``/text`` for the texts.
    """
    top = header(stamp_ns, detections.frame_id)
    array = MarkerArray(markers=[Marker(header=top, action=Marker.DELETEALL)])
    frames: dict[int, Marker] = {}
    for index, class_id in enumerate(detections.class_ids.tolist()):
        name = detections.class_names[class_id]
        text_of, rgb_of = detection_text(detections, index, THEMES['dark'], detections.track_ids)
        frame = frames.get(class_id)
        if frame is None:
            rgb = [value / 255 for value in rgb_of]
            colour = ColorRGBA(r=rgb[0], g=rgb[1], b=rgb[2], a=1.0)
            frame = Marker(header=top, ns=name, type=Marker.LINE_LIST, color=colour)
            frame.scale.x = 1.5 * PIXEL_M
            frames[class_id] = frame
            array.markers.append(frame)
        left, upper, right, lower = (
            PIXEL_M * side for side in detections.boxes[index].astype(float).tolist()
        )
        corners = [
            Point(x=x, y=y)
            for x, y in ((left, upper), (right, upper), (right, lower), (left, lower))
        ]
        for corner in range(4):
            frame.points += [corners[corner], corners[(corner + 1) % 4]]
        text = Marker(
            header=top,
            ns=f'{name}/text',
            id=index,
            type=Marker.TEXT_VIEW_FACING,
            scale=Vector3(z=PIXEL_M * max(8.0, detections.height / 30)),
            color=frame.color,
            text=text_of,
        )
        text.pose.position = Point(x=(left + right) / 2, y=upper - text.scale.z / 2)
        array.markers.append(text)
    return array
