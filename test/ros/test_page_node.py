# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a page may set, and how pictures and the graph are read."""

from __future__ import annotations

import io
import math
import socket

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('aiohttp', reason='the live page needs aiohttp')
Picture = pytest.importorskip('PIL.Image')

from sast_ros.cli import _parser  # noqa: E402 - after the skip
from sast_ros.errors import SettingError, UsageError  # noqa: E402 - after the skip
from sast_ros.page.server import PageError  # noqa: E402 - after the skip
from sast_ros.ros import messages, page_node, page_process  # noqa: E402 - after the skip
from sast_ros.ros.own_node import own_node  # noqa: E402 - after the skip
from sast_ros.ros.parameters import PageSettings  # noqa: E402 - after the skip
from sensor_msgs.msg import Image  # noqa: E402 - after the skip

SCORE, MODE = 'detections.score_threshold', 'sparsity.mode'


@pytest.mark.parametrize('value', [0, 1, 0.25])
def test_numbers_are_taken_with_the_type_of_the_parameter(value):
    taken = page_node.checked_setting(SCORE, value)
    assert taken == value
    assert type(taken) is float


def test_texts_are_left_to_the_node():
    assert page_node.checked_setting(MODE, 'dense') == 'dense'
    assert page_node.checked_setting(MODE, 'no such mode') == 'no such mode'


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        *[('model.path', 'x'), ('page.port', 1), ('', 0), ('x' * 5000, 0)],
        *[(SCORE, value) for value in (None, True, '0.5', [], {}, [0.5], 10**400)],
        *[(MODE, value) for value in (None, 1, ['dense'], 'x' * 101, 'a\n', '\ud800', '\x1b')],
    ],
)
def test_anything_else_is_refused(name, value):
    with pytest.raises(SettingError) as refused:
        page_node.checked_setting(name, value)
    assert len(str(refused.value)) < 120


def test_what_is_not_finite_is_left_to_the_node():
    """Which refuses it with its limits."""
    assert math.isnan(page_node.checked_setting(SCORE, math.nan))


def test_a_picture_becomes_jpeg():
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, 32:] = (255, 64, 0)
    jpeg = page_node.encode_jpeg(messages.image(picture, 0, ''))
    read = np.asarray(Picture.open(io.BytesIO(jpeg)))
    assert read.shape == picture.shape
    assert np.abs(read[:, [8, 56]].astype(int) - picture[:, [8, 56]]).max() < 8


def picture_of_another(**changes: object) -> Image:
    image = messages.image(np.zeros((4, 6, 3), np.uint8), 0, '')
    for name, value in changes.items():
        setattr(image, name, value)
    return image


@pytest.mark.parametrize(
    'image',
    [
        messages.image(np.zeros((4, 6), np.uint8), 0, ''),
        picture_of_another(encoding='bgr8'),
        picture_of_another(height=5),
        picture_of_another(width=7),
        picture_of_another(step=0, width=0),
        picture_of_another(height=0),
    ],
)
def test_a_picture_of_another_publisher_costs_itself(ros_domain, monkeypatch, image):
    with pytest.raises(messages.ForeignMessageError, match=f'{image.width}x{image.height} '):
        page_node.encode_jpeg(image)
    shown: list[bytes] = []
    with page_node.PageNode('/events', '127.0.0.1', 0) as node:
        monkeypatch.setattr(node._server, 'show_picture', shown.append)
        node._on_image(image)
        assert not shown
        node._on_image(picture_of_another())
    assert len(shown) == 1


def test_a_page_that_cannot_be_served_leaves_no_node(ros_domain):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        node = page_node.PageNode('/events', '127.0.0.1', taken.getsockname()[1])
        with pytest.raises(PageError), node:
            pass
    assert not node._node.context.ok()


def test_a_name_that_no_topic_has_is_wrong_usage(ros_domain):
    with pytest.raises(UsageError, match='two words'), page_node.PageNode('two words', '::1', 0):
        pass


def test_the_page_of_a_node_finds_it_where_diagnostics_are_remapped(ros_domain, monkeypatch):
    """As on robots that have each its own."""
    commands = []
    monkeypatch.setattr(page_process, 'tied_command', list)
    monkeypatch.setattr(
        page_process.subprocess, 'Popen', lambda command, **_: commands.append(command)
    )
    remap = ('-r', '/diagnostics:=/robot/diagnostics')
    with own_node('detector', remap) as (node, _):
        page_process.PageProcess(node, 'detections', PageSettings(port=8090))
    arguments = _parser().parse_args(commands[0][3:])
    assert (arguments.topic, tuple(arguments.ros_args)) == ('/detections', remap)
    with page_node.PageNode('/detections', '127.0.0.1', 0, arguments.ros_args) as page:
        page._open()
        assert page._node.get_subscriptions_info_by_topic('/robot/diagnostics')


def test_arguments_that_ros_does_not_take_are_wrong_usage(ros_domain):
    with pytest.raises(UsageError, match='--ros-args --remop'), own_node('x', ['--remop', 'a:=b']):
        pass
