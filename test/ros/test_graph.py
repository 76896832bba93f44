# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a detector viewers read, by what its statuses say."""

from __future__ import annotations

import pytest

msg = pytest.importorskip('diagnostic_msgs.msg', reason='ROS 2 messages are not installed')

from sast_ros.ros.graph import DetectorTopics, topics_of  # noqa: E402 - after the skip

LEFT = DetectorTopics(
    '/car/eyes', '/cam_0/events', '/found', '/left/label_info', '/pictures', '/left/token_mask'
)
RIGHT = DetectorTopics(
    '/car/eyes',
    '/cam_1/events',
    '/front/left/detections',
    '/labels',
    '/front/left/overlay',
    '/seen',
)


def status(topics: DetectorTopics, name: str) -> msg.DiagnosticStatus:
    values = {
        'input topic': topics.input,
        'detections topic': topics.detections,
        'label_info topic': topics.label_info,
        'overlay topic': topics.overlay,
        'token_mask topic': topics.token_mask,
    }
    return msg.DiagnosticStatus(
        name=f'car/eyes: detector {name}',
        values=[msg.KeyValue(key=key, value=value) for key, value in values.items()],
    )


STATUSES = [status(LEFT, 'left'), status(RIGHT, 'front/left')]


@pytest.mark.parametrize(
    ('topic', 'wanted'),
    [
        ('/cam_0/events', LEFT),
        ('/found', LEFT),
        ('/cam_1/events', RIGHT),
        ('/front/left/detections', RIGHT),
    ],
)
def test_topics_are_those_of_the_camera_whatever_their_names(topic, wanted):
    assert [found for one in STATUSES if (found := topics_of(one, topic))] == [wanted]


def test_a_camera_that_reads_another_topic_is_none():
    assert topics_of(STATUSES[0], '/left/events') is None


@pytest.mark.parametrize('values', [[], [msg.KeyValue(key='input topic', value='/events')]])
def test_a_status_of_anything_else_is_none(values):
    other = msg.DiagnosticStatus(name='camera_driver: frames', values=values)
    for topic in ('/events', ''):
        assert topics_of(other, topic) is None
