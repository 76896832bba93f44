# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""When the node subscribes, with which QoS, when it does so again, and when not at all."""

from __future__ import annotations

from itertools import count

from events.encoders import event_packet
import pytest
from system.streams import ARRAY, as_array, as_evt3, batches, MESSAGE_US, PACKET
from system.test_streams import activate, active_status, stamps_of


def subscriptions(node) -> int:
    """How often the node has subscribed to the events so far."""
    log = node.nodes[0].log
    return log.count('listening to /events') + log.count('subscribing again')


def test_the_subscription_exists_from_activation_where_the_type_is_given(node):
    observer, before = node.observer, subscriptions(node)
    activate(node, input__type=ARRAY)
    observer.wait_for(lambda: observer.node.count_subscribers('/events') == 1)
    values = observer.status(lambda status, values: status.level == b'\x03')
    assert values['message'] == f'waiting for a publisher of {ARRAY} on /events'
    assert (values['input type'], values['input publishers']) == (ARRAY, '0')
    stream = as_array(batches(9))
    node.publish(ARRAY, stream.messages)
    observer.wait_for(lambda: stamps_of(observer.detections) == stream.stamps_ns)
    assert active_status(node, **{'input publishers': '1'})['input QoS'].startswith('reliable')
    assert subscriptions(node) == before + 1


def test_a_type_whose_package_is_missing_is_said_once(node):
    # More than one period of the poll
    activate(node, input__type='dv_ros2_msgs/msg/EventArray')
    for _ in range(3):
        values = node.observer.status(lambda status, values: status.level == b'\x02')
    for fact in ('input.type', 'dv_ros2_msgs', 'install'):
        assert fact in values['message']
    assert node.nodes[0].log.count('dv_ros2_msgs is not installed') == 1


def test_it_follows_the_first_publisher(node):
    observer, before = node.observer, subscriptions(node)
    activate(node, input__type=ARRAY)
    observer.wait_for(lambda: observer.node.count_subscribers('/events') == 1)
    stream = as_array(batches(9))
    publisher = node.publisher(ARRAY, '--best-effort')
    publisher.start(stream.messages, [index * 5_000_000 for index in range(9)]).go()
    publisher.finish()
    observer.wait_for(lambda: stamps_of(observer.detections) == stream.stamps_ns)
    active_status(node, **{'input QoS': 'best effort, volatile, keep last 1000'})
    assert subscriptions(node) == before + 2


def test_a_stronger_publisher_that_joins_later_is_no_reason_to_subscribe_again(node):
    observer = node.observer
    first, second = as_array(batches(9)), as_array(batches(9, start_us=9 * MESSAGE_US))
    activate(node)
    publisher = node.publisher(ARRAY, '--best-effort')
    publisher.start(first.messages, [index * 5_000_000 for index in range(9)]).go()
    observer.wait_for(lambda: len(observer.detections) == len(first.stamps_ns))
    before = subscriptions(node)
    node.end_publishers()
    active_status(node, **{'input publishers': '0'})
    node.publish(ARRAY, second.messages)
    observer.wait_for(lambda: len(observer.detections) >= len(first.stamps_ns) + 4)
    active_status(node, **{'input publishers': '1'})
    assert subscriptions(node) == before


@pytest.mark.parametrize(('type_name', 'encode'), [(ARRAY, as_array), (PACKET, as_evt3)])
def test_a_message_without_bytes_costs_seconds_but_not_the_stream(node, type_name, encode):
    """A 0-byte message ends a reliable reader of Fast DDS; rclpy says nothing."""
    observer = node.observer
    activate(node)
    period_us, before = MESSAGE_US, node.nodes[0].log.count('subscribing again')
    messages = encode(batches(400)).messages  # ten seconds, as a camera sends them
    messages[40:40] = [b'']
    times_ns = [1000 * period_us * index for index in range(len(messages))]
    publisher = node.publisher(type_name).start(messages, times_ns)
    publisher.go()
    observer.wait_for(lambda: node.nodes[0].log.count('subscribing again') == before + 1)
    heard = len(observer.detections)
    observer.wait_for(lambda: len(observer.detections) >= heard + 20)
    values = active_status(node, **{'input subscriptions replaced': '1'})
    assert values['resets: gap'] == '1'
    assert '0 bytes' in node.nodes[0].log
    if type_name == PACKET:
        assert int(values['packets lost']) > 40


def test_a_silent_camera_is_not_suspected(node):
    observer = node.observer
    activate(node)
    stream = as_array(batches(9))
    node.publish(ARRAY, stream.messages)
    observer.wait_for(lambda: len(observer.detections) == len(stream.stamps_ns))
    before = subscriptions(node)
    # The second subscription listens by now
    observer.wait_for(lambda: observer.node.count_subscribers('/events') == 2)
    more = as_array(batches(9, start_us=9 * MESSAGE_US))
    node.publish(ARRAY, more.messages)
    observer.wait_for(lambda: len(observer.detections) >= len(stream.stamps_ns) + 4)
    observer.wait_for(lambda: observer.node.count_subscribers('/events') == 1)
    assert active_status(node)['input subscriptions replaced'] == '0'
    assert subscriptions(node) == before


def test_triggers_on_the_topic_are_ignored(node):
    activate(node)
    messages = as_evt3(batches(41)).messages
    numbers = count()
    mixed = []
    for message in messages:
        mixed += [message, event_packet(bytes(8), 'trigger', seq=next(numbers), width=0, height=0)]
    node.publish(PACKET, mixed)
    node.observer.wait_for(lambda: len(node.observer.detections) == 20)
    values = active_status(node, **{'windows done': '20'})
    assert values['format errors'] == values['packets lost'] == '0'
    assert values['resets: start'] == '1'


def test_the_service_switches_detection_off_and_on(node):
    from std_srvs.srv import SetBool

    observer = node.observer
    activate(node)
    client = observer.node.create_client(SetBool, 'enable')

    def enable(data):
        answer = observer.call(client, SetBool.Request(data=data))
        assert answer.success
        return answer.message

    first, second, third = (as_array(batches(9, start_us=part * 225_000)) for part in range(3))
    node.publish(ARRAY, first.messages)
    observer.wait_for(lambda: len(observer.detections) == 4)
    assert enable(True) == 'detection is on already'
    assert enable(False) == 'detection is off'
    observer.wait_for(lambda: observer.node.count_subscribers('/events') == 0)
    values = observer.status(lambda status, values: status.level == b'\x01')
    assert 'enable' in values['message']
    assert observer.state() == 'active'
    answer = observer.reset_state()
    assert not answer.success and 'detection is off' in answer.message
    node.publisher(ARRAY, '--subscribers', '0').start(second.messages).go()
    assert enable(True) == 'detection is on'
    node.publish(ARRAY, third.messages)
    observer.wait_for(lambda: stamps_of(observer.detections[4:]) == third.stamps_ns)
    values = active_status(node, **{'windows done': '8'})
    assert (values['resets: start'], values['resets: enable']) == ('1', '1')
    # It holds over the transitions
    assert enable(False) == 'detection is off'
    assert observer.change_state('deactivate')
    assert observer.change_state('activate')
    assert enable(False) == 'detection is off already'
    observer.wait_for(lambda: observer.node.count_subscribers('/events') == 0)
    assert observer.change_state('deactivate')
    assert enable(True) == 'detection is on as soon as the node is active'


def test_parameters_override_the_quality_of_service(bench, tmp_path):
    path = tmp_path / 'qos.yaml'
    path.write_text(
        """
/**:
  ros__parameters:
    qos_overrides:
      /events:
        subscription: {reliability: best_effort, depth: 7}
      /detections:
        publisher: {reliability: best_effort, depth: 3}
"""
    )
    bench.start_node('--params-file', str(path))
    observer = bench.observer
    observer.wait_for_state('active')
    name = 'qos_overrides./detections.publisher'
    assert observer.parameter(f'{name}.reliability') == 'best_effort'
    assert observer.parameter(f'{name}.durability') == 'volatile'
    (info,) = observer.node.get_publishers_info_by_topic('/detections')
    assert info.qos_profile.reliability.name == 'BEST_EFFORT'
    # A publisher that knows the reader may be unknown to it for a moment: the first may be lost
    stream = as_array(batches(40))
    times_ns = [index * 25_000_000 for index in range(40)]
    bench.publisher(ARRAY).start(stream.messages, times_ns).go()
    values = observer.status(lambda _, values: int(values.get('windows done', 0)) > 0)
    assert values['input QoS'] == 'best effort, volatile, keep last 7'


@pytest.mark.parametrize(
    'entity', ['/events.subscription', '/detections.publisher', '/overlay.publisher']
)
def test_an_impossible_quality_of_service_fails_configure_in_a_sentence(bench, entity):
    override = f'qos_overrides.{entity}.reliability:=sometimes'
    node = bench.start_node('-p', override)
    bench.observer.wait_for(lambda: 'cannot configure' in node.log)
    (line,) = [line for line in node.log.splitlines() if 'ERROR' in line]
    assert entity.partition('.')[0].lstrip('/') in line and 'sometimes' in line
    assert bench.observer.state() == 'unconfigured'
