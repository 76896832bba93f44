# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the rviz file subscribes to is what the node offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from sast_ros.ros import messages, qos, rviz_config, viewers  # noqa: E402
import yaml  # noqa: E402

FILE = Path(__file__).resolve().parents[2] / 'config' / 'rviz' / 'detections.rviz'

#: Messages that a display of rviz2 takes.
DISPLAYS = {
    'rviz_default_plugins/Image': 'sensor_msgs/msg/Image',
    'rviz_default_plugins/MarkerArray': 'visualization_msgs/msg/MarkerArray',
    'rviz_default_plugins/PointCloud2': 'sensor_msgs/msg/PointCloud2',
}


def displays(text: str) -> list[dict[str, Any]]:
    return yaml.safe_load(text)['Visualization Manager']['Displays']


def type_name(message_class: type) -> str:
    package, _, _ = message_class.__module__.partition('.')
    return f'{package}/msg/{message_class.__name__}'


def test_topics_types_and_qos_are_those_that_the_node_offers() -> None:
    found = displays(FILE.read_text())
    assert {display['Class'] for display in found} == DISPLAYS.keys()
    for display in found:
        topic = display['Topic']
        message_class, _ = viewers.TOPICS[topic['Value'].removeprefix('/')]
        assert type_name(message_class) == DISPLAYS[display['Class']]
        offered = qos.VIEWERS
        for policy in ('reliability', 'durability', 'history'):
            requested = topic[f'{policy.title()} Policy'].upper().replace(' ', '_')
            assert getattr(offered, policy).name == requested
        assert topic['Depth'] == offered.depth


def test_the_cloud_is_coloured_by_a_field_that_it_has() -> None:
    (cloud,) = (one for one in displays(FILE.read_text()) if one['Name'] == 'Events')
    fields = messages.event_cloud([], 0, 0, 'camera').fields
    assert cloud['Channel Name'] in {field.name for field in fields}


@pytest.mark.parametrize(
    ('prefix', 'expected'),
    [('', '/overlay'), ('/', '/overlay'), ('/robot/', '/robot/overlay'), ('a//b', '/a/b/overlay')],
)
def test_the_file_follows_namespace_and_frame(prefix: str, expected: str) -> None:
    text = rviz_config.rviz_config(FILE.read_text(), prefix, 'no')
    content = yaml.safe_load(text)
    assert content['Visualization Manager']['Global Options']['Fixed Frame'] == 'no'
    topics = [display['Topic']['Value'] for display in displays(text)]
    base = expected.removesuffix('overlay')
    assert topics == [f'{base}{name}' for name in ('overlay', 'markers', 'event_cloud')]


def test_each_camera_has_displays_of_its_own() -> None:
    text = rviz_config.rviz_config(FILE.read_text(), '/robot', 'map', ['left', 'front/right'])
    shown = {display['Name']: display for display in displays(text)}
    assert len(shown) == len(displays(text)) == 2 * len(displays(FILE.read_text()))
    for camera in ('left', 'front/right'):
        for original in displays(FILE.read_text()):
            display = shown[f'{original["Name"]} {camera}']
            assert display['Topic'].pop('Value') == f'/robot/{camera}{original["Topic"]["Value"]}'
            del original['Topic']['Value']
            assert {**display, 'Name': original['Name']} == original
