# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detectors in the graph, for viewers."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.node import Node

_DETECTIONS_TYPE = 'vision_msgs/msg/Detection2DArray'
_IMAGE_TYPE = 'sensor_msgs/msg/Image'


@dataclass(frozen=True)
class DetectorTopics:
    """
    A detector, or one camera of it.

    Attributes
    ----------
    node : str
        Full name of the node.
    detections, overlay : str
        Topics of its detections and pictures.

    """

    node: str
    detections: str
    overlay: str

    def is_status(self, name: str) -> bool:
        """Return whether a diagnostic status of this name is that of the detector."""
        node, _, camera = name.partition(': detector')
        return f'/{node}' == self.node and (
            not camera or self.detections.endswith(f'{camera.strip()}/detections')
        )


def find_detector(node: Node, topic: str) -> DetectorTopics | None:
    """
    Return the detector that subscribes to a topic of events or publishes one of detections.

    ``None`` if there is none. Of the cameras of a detector it is that whose topics are closest.
    """
    ends = [
        *node.get_subscriptions_info_by_topic(topic),
        *node.get_publishers_info_by_topic(topic),
    ]
    for end in ends:
        try:
            offered = node.get_publisher_names_and_types_by_node(end.node_name, end.node_namespace)
        except RuntimeError:  # it has just gone
            continue
        arrays = [name for name, types in offered if _DETECTIONS_TYPE in types]
        pictures = [
            name
            for name, types in offered
            if _IMAGE_TYPE in types and not name.endswith('/event_image')
        ]
        if arrays and pictures:
            return DetectorTopics(
                f'{end.node_namespace.rstrip("/")}/{end.node_name}',
                _closest(arrays, topic, 'detections'),
                _closest(pictures, topic, 'overlay'),
            )
    return None


def _closest(names: list[str], topic: str, ending: str) -> str:
    """Return the topic with the most folders in common, of several that of the usual name."""
    folders = set(topic.split('/')[:-1])

    def rank(name: str) -> tuple[bool, int, int, bool]:
        *path, last = name.split('/')
        own = set(path)
        return name == topic, len(folders & own), -len(own - folders), last == ending

    return max(names, key=rank)
