# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What ``sast-ros view --topic`` does with detections that come before it can draw them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: E402, I100
from rcl_interfaces.srv import GetParameters  # noqa: E402 - after the skip
from rclpy.parameter import Parameter as RosParameter  # noqa: E402 - after the skip
from sast_ros.errors import UsageError  # noqa: E402 - after the skip
from sast_ros.events import POINT_CLOUD  # noqa: E402 - after the skip
from sast_ros.ros import messages, qos, view_node  # noqa: E402 - after the skip
from sast_ros.ros.own_node import own_node  # noqa: E402 - after the skip
from sast_ros.ros.parameters import PARAMETERS  # noqa: E402 - after the skip
from sast_ros.ros.view_node import ViewNode  # noqa: E402 - after the skip
from sast_ros.windows import EventWindow  # noqa: E402 - after the skip
from sensor_msgs.msg import Image  # noqa: E402 - after the skip
from vision_msgs.msg import Detection2D, Detection2DArray, LabelInfo, ObjectHypothesisWithPose  # noqa: E402, E501


class Log:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.logged: list[object] = []

    def log(self, *window: object) -> None:
        self.logged.append(window)


@pytest.mark.parametrize('detections', [[], [Detection2D()]])
def test_detections_before_the_parameters_of_the_node_are_not_drawn(ros_domain, detections):
    log = Log()
    with ViewNode('/events', log) as node:
        node._class_names = ('car',)
        node._on_detections(Detection2DArray(detections=detections))
        node.spin()
    assert log.logged == []


@pytest.fixture
def detectors(ros_domain):
    """Return a node and its executor, and a function that publishes a status of a detector."""
    with own_node('detectors') as (node, executor):
        publisher = node.create_publisher(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
        for name in ('first', 'second'):
            node.create_publisher(Detection2DArray, f'/{name}/detections', qos.DETECTIONS)
            node.create_publisher(LabelInfo, f'/{name}/label_info', qos.LATCHED)
            node.create_publisher(Image, f'/{name}/token_mask', qos.VIEWERS)

        def publish(name):
            values = {'input topic': '/events', 'overlay topic': f'/{name}/overlay'}
            own = ('detections', 'label_info', 'token_mask')
            values |= {f'{key} topic': f'/{name}/{key}' for key in own}
            pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
            status = DiagnosticStatus(name=f'{name}: detector', values=pairs)
            publisher.publish(DiagnosticArray(status=[status]))

        yield node, executor, publish


def test_a_detector_that_has_ended_is_left_for_the_next(detectors, monkeypatch):
    graph, _, publish = detectors
    monkeypatch.setattr(view_node, 'SILENCE_S', 0.5)
    with ViewNode('/events', Log()) as node:

        def follow(name):
            while node._detector is None or node._detector.node != f'/{name}':
                publish(name)
                node.spin()
            assert graph.count_subscribers(f'/{name}/detections') == 1

        follow('first')
        publish('second')
        node.spin()
        assert node._detector.node == '/first'
        follow('second')
        while graph.count_subscribers('/first/detections'):
            node.spin()


def test_it_says_what_it_waits_for_once_and_again_when_the_detector_is_gone(
    detectors, monkeypatch, capfd
):
    _, _, publish = detectors
    monkeypatch.setattr(view_node, 'SILENCE_S', 0.5)
    said = ''

    def count() -> int:
        nonlocal said
        said += ''.join(capfd.readouterr())
        return said.count('waiting for a detector that reads or publishes /events')

    with ViewNode('/events', Log()) as node:
        while not count():
            node.spin()
        for _ in range(5):
            node.spin()
        assert count() == 1
        while node._detector is None:
            publish('first')
            node.spin()
        while count() < 2:
            node.spin()


@pytest.mark.parametrize('topic', ['', 'two words', '/a//b', '/1st', '{none}'])
def test_a_name_that_no_topic_has_is_wrong_usage_and_leaves_no_node(ros_domain, topic):
    node = ViewNode(topic, Log())
    with pytest.raises(UsageError, match=repr(topic)), node:
        pass
    assert not node._node.context.ok()


def test_the_events_of_a_detector_are_those_that_it_reads_whichever_topic_names_it(detectors):
    graph, executor, publish = detectors
    values = {name: parameter.default for name, parameter in PARAMETERS.items()}
    values |= {'input.type': POINT_CLOUD, 'use_sim_time': False}

    def answer(request, response):
        made = [RosParameter(name, value=values[name]) for name in request.names]
        response.values = [parameter.to_parameter_msg().value for parameter in made]
        return response

    graph.create_service(GetParameters, '/first/get_parameters', answer)
    with ViewNode('/first/detections', Log()) as node:
        while not graph.count_subscribers('/events'):
            publish('first')
            node.spin()
            executor.spin_once(timeout_sec=0)
        assert graph.count_subscribers('/first/detections') == 1


def detection(*class_ids: str) -> Detection2D:
    made = Detection2D()
    for class_id in class_ids:
        made.results.append(ObjectHypothesisWithPose())
        made.results[-1].hypothesis.class_id = class_id
    return made


def token_mask(stamp: int, *, height: int = 4, width: int = 6) -> Image:
    picture = np.full((height, width), 127, np.uint8)
    picture[0, 0] = 254
    return messages.image(picture, stamp, 'camera')


def detections_at(stamp: int) -> Detection2DArray:
    return Detection2DArray(header=messages.header(stamp, 'camera'))


def give_events(node: ViewNode) -> None:
    """Let a node have read events of two windows of a detector."""
    node._class_names, node._read = ('car',), {'window.duration_ms': 5.0}
    for end in (5000, 10_000):
        node._slices.append(EventWindow(end - 5000, end, (), 6, 4, 1000 * end))


@pytest.fixture
def following(ros_domain):
    """Return a node that has read events of two windows of a detector, and its log."""
    log = Log()
    with ViewNode('/events', log) as node:
        give_events(node)
        yield node, log.logged


@pytest.mark.parametrize('mask_first', [False, True])
def test_detections_wait_for_their_tokens(following, mask_first):
    node, logged = following
    steps = [(node._on_detections, detections_at), (node._on_token_mask, token_mask)]
    for step, made in reversed(steps) if mask_first else steps:
        assert logged == []
        step(made(5_000_000))
    ((_, _, _, tokens),) = logged
    assert tokens.side == 1
    assert tokens.kinds.tolist() == [[2, 1, 1, 1, 1, 1]] + 3 * [6 * [1]]


def test_detections_whose_tokens_do_not_come_are_written_in_their_order(following):
    node, logged = following
    node._on_token_mask(token_mask(1_000_000))  # of none
    node._on_detections(detections_at(5_000_000))
    node._on_detections(detections_at(10_000_000))
    assert [window.stamp_ns for window, *_ in logged] == [5_000_000]
    while len(logged) < 2:  # nothing else comes
        node.spin()
    assert [tokens for *_, tokens in logged] == [None, None]


def test_a_log_that_fails_at_the_end_leaves_no_node(ros_domain):
    class Full:
        """Cannot keep anything."""

        def log(self, *window):
            raise OSError('the disk is full')

    with pytest.raises(OSError, match='the disk is full'), ViewNode('/events', Full()) as node:
        context = node._node.context
        give_events(node)
        node._on_detections(detections_at(5_000_000))
    assert not context.ok()


@pytest.mark.parametrize(
    'mask',
    [
        token_mask(5_000_000, height=3),
        token_mask(5_000_000, height=6, width=4),
        messages.image(np.zeros((4, 6, 3), np.uint8), 5_000_000, 'camera'),
    ],
)
def test_a_mask_of_something_else_costs_the_mask_alone(following, mask):
    node, logged = following
    node._on_detections(detections_at(5_000_000))
    node._on_token_mask(mask)
    ((_, _, _, tokens),) = logged
    assert tokens is None


@pytest.mark.parametrize('class_ids', [(), ('tram',), ('2',), ('9' * 30,), ('',)])
def test_detections_of_another_publisher_are_refused(class_ids):
    array = Detection2DArray(detections=[detection('car'), detection(*class_ids)])
    window = EventWindow(0, 50_000, (), 304, 240, 0)
    with pytest.raises(messages.ForeignMessageError, match='a detection'):
        messages.detections_of(array, window, ('pedestrian', 'car'))


@pytest.mark.parametrize('track_id', ['cyclist', '9' * 30, '-' + '9' * 30])
def test_an_id_of_another_publisher_is_refused(track_id):
    made = detection('car')
    made.id = track_id
    window = EventWindow(0, 50_000, (), 304, 240, 0)
    with pytest.raises(messages.ForeignMessageError, match='a detection has an id'):
        messages.detections_of(Detection2DArray(detections=[made]), window, ('car',))


def test_classes_are_names_or_numbers():
    array = Detection2DArray(detections=[detection('car'), detection('0')])
    window = EventWindow(0, 50_000, (), 304, 240, 0)
    found = messages.detections_of(array, window, ('pedestrian', 'car'))
    assert found.class_ids.tolist() == [1, 0]
