# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Events go over real topics into the node; detections of every window come back."""

from __future__ import annotations

import re

from facts import facts
import numpy as np
import pytest
from system.streams import (
    activate,
    ARRAY,
    as_array,
    as_cloud,
    as_evt3,
    as_mono,
    batches,
    CLOUD,
    DELAY_NS,
    EVENTS_PER_MESSAGE,
    HEIGHT,
    MESSAGE_US,
    PACKET,
    stamps_of,
    START_NS,
    WIDTH,
)


def active_status(node, **wanted) -> dict[str, str]:
    """Diagnostics of the node once it has done so many windows."""
    return node.observer.status(
        lambda status, values: all(values.get(k) == v for k, v in wanted.items())
    )


@pytest.mark.parametrize(
    ('type_name', 'encode'),
    [(ARRAY, as_array), (PACKET, as_evt3), (PACKET, as_mono), (CLOUD, as_cloud)],
    ids=['EventArray', 'EventPacket evt3', 'EventPacket mono', 'PointCloud2'],
)
def test_every_window_arrives_in_order_and_stamped_with_its_end(node, type_name, encode):
    stream = encode(batches(41, start_us=7_000_000))
    observer = node.observer
    options = (
        {'input__width': WIDTH, 'input__height': HEIGHT, 'input__time_unit': 'us'}
        if type_name == CLOUD
        else {}
    )
    activate(node, detections__score_threshold=0.0, detections__max_count=2, **options)
    node.publish(type_name, stream.messages)
    observer.wait_for(
        lambda: len(observer.detections) >= len(stream.stamps_ns), what='for all windows'
    )
    assert len(stream.stamps_ns) == 20
    assert stamps_of(observer.detections) == stream.stamps_ns
    for array in observer.detections:
        assert array.header.frame_id == 'camera'
        assert 1 <= len(array.detections) <= 2
        for detection in array.detections:
            assert detection.header == array.header
            assert detection.id == ''
            (result,) = detection.results
            assert result.hypothesis.class_id in ('car', 'pedestrian')
            assert 0 <= result.hypothesis.score <= 1
            box = detection.bbox
            assert box.size_x / 2 <= box.center.position.x <= WIDTH - box.size_x / 2
            assert box.size_y / 2 <= box.center.position.y <= HEIGHT - box.size_y / 2
    values = active_status(node, **{'windows done': '20'})
    assert values['input type'] == type_name
    assert values['resets: start'] == '1'
    assert values['windows dropped'] == values['packets lost'] == values['format errors'] == '0'
    assert values['events'] == str(41 * EVENTS_PER_MESSAGE)


def test_a_publisher_that_was_there_first_is_found(node):
    stream = as_array(batches(9))
    publisher = node.publisher(ARRAY).start(stream.messages)
    publisher.go()
    activate(node)
    publisher.finish()
    node.observer.wait_for(lambda: stamps_of(node.observer.detections) == stream.stamps_ns)


def test_a_best_effort_latched_publisher_is_heard_with_its_own_quality_of_service(node):
    stream = as_array(batches(9))
    activate(node)
    publisher = node.publisher(ARRAY, '--best-effort', '--latched')
    publisher.start(stream.messages, [index * 5_000_000 for index in range(9)])
    publisher.go()
    publisher.finish()
    node.observer.wait_for(lambda: stamps_of(node.observer.detections) == stream.stamps_ns)
    values = active_status(node)
    assert values['input QoS'] == 'best effort, transient local, keep last 1000'


def test_a_weaker_publisher_that_joins_later_is_heard_too(node):
    first, second = as_array(batches(9)), as_array(batches(9, start_us=9 * MESSAGE_US))
    activate(node)
    node.publish(ARRAY, first.messages)
    node.observer.wait_for(lambda: len(node.observer.detections) == len(first.stamps_ns))
    publisher = node.publisher(ARRAY, '--best-effort')
    publisher.start(second.messages, [index * 5_000_000 for index in range(9)])
    publisher.go()
    publisher.finish()
    node.observer.wait_for(lambda: len(node.observer.detections) >= 8)
    assert active_status(node)['input QoS'].startswith('best effort')


def test_messages_of_another_type_are_followed_with_an_error_and_a_new_stream(node):
    first, second = as_array(batches(9)), as_evt3(batches(9))
    activate(node)
    node.publish(ARRAY, first.messages)
    node.observer.wait_for(lambda: len(node.observer.detections) == len(first.stamps_ns))
    node.end_publishers()
    node.publish(PACKET, second.messages)
    node.observer.wait_for(
        lambda: len(node.observer.detections) == len(first.stamps_ns + second.stamps_ns)
    )
    assert f'changed from {ARRAY} to {PACKET}' in node.nodes[0].log
    assert active_status(node, **{'resets: start': '2'})['input type'] == PACKET


def test_a_topic_without_events_is_an_error_that_says_what_to_do(node):
    activate(node)
    node.publisher('sensor_msgs/msg/Image', '--subscribers', '0').start([])
    values = node.observer.status(lambda status, values: status.level == b'\x02')
    for fact in ('/events', 'sensor_msgs/msg/Image', 'remap the topic events', 'input.type'):
        assert fact in values['message']


def test_a_fixed_type_is_awaited(node):
    activate(node, input__type=ARRAY)
    node.publisher(PACKET, '--subscribers', '0').start([])
    values = node.observer.status(lambda status, values: status.level == b'\x02')
    assert ARRAY in values['message']


def test_damaged_messages_are_counted_and_the_node_goes_on(node):
    stream = as_array(batches(9))
    broken = [message[:-5] for message in stream.messages[:3]]
    activate(node)
    node.publish(ARRAY, broken + stream.messages)
    node.observer.wait_for(lambda: stamps_of(node.observer.detections) == stream.stamps_ns)
    values = active_status(node, **{'format errors': '3'})
    assert 'EventArray' in values['last error']
    assert 'a message was not read (1 so far)' in node.nodes[0].log


def test_lost_packets_are_counted(node):
    stream = as_mono(batches(9))
    activate(node)
    node.publish(PACKET, stream.messages[:3] + stream.messages[5:])
    node.observer.wait_for(lambda: len(node.observer.detections) == len(stream.stamps_ns))
    active_status(node, **{'packets lost': '2'})


def test_a_bag_that_loops_resets_the_state(node):
    stream = as_evt3(batches(9, start_us=20_000_000))
    activate(node)
    node.publish(PACKET, stream.messages + stream.messages)
    node.observer.wait_for(lambda: stamps_of(node.observer.detections) == 2 * stream.stamps_ns)
    values = active_status(node, **{'resets: time_jump_back': '1'})
    assert values['resets: start'] == '1'
    assert node.nodes[0].log.count('state reset: time_jump_back') == 1


def test_a_long_silence_of_the_sensor_resets_the_state_and_a_short_one_gives_empty_windows(node):
    made = batches(4)
    after_short = batches(4, start_us=500_000)
    after_long = batches(4, start_us=3_000_000)
    activate(node)
    node.publish(ARRAY, as_array(made + after_short + after_long).messages)
    # 0 to 0.6 s without a break: 11 windows complete, the twelfth by the silence; 3.0 to 3.1 s:
    # one more
    expected = [50_000 * (k + 1) for k in range(12)] + [3_050_000]
    node.observer.wait_for(lambda: len(node.observer.detections) >= len(expected))
    assert stamps_of(node.observer.detections) == [START_NS + 1000 * end for end in expected]
    active_status(node, **{'resets: gap': '1', 'resets: start': '1'})


@pytest.mark.parametrize('stated', [False, True])
def test_a_sensor_size_that_is_assumed_is_said_once(node, stated):
    before = len(node.nodes[0].log)
    activate(node, **({'input__width': WIDTH, 'input__height': HEIGHT} if stated else {}))
    node.publish(ARRAY, as_array(batches(9), width=0, height=0).messages)
    node.observer.wait_for(lambda: len(node.observer.detections) == 4)
    expected = 'do not state the size of the sensor; 304x240'
    lines = [line for line in node.nodes[0].log[before:].splitlines() if expected in line]
    assert len(lines) == (not stated)
    assert all('[WARN]' in line and 'input.width and input.height' in line for line in lines)


@pytest.mark.parametrize('stated', [(HEIGHT // 2, WIDTH), (0, WIDTH)])
def test_a_sensor_size_that_is_given_wins(node, stated):
    before = len(node.nodes[0].log)
    activate(node, input__width=WIDTH, input__height=HEIGHT)
    node.publish(ARRAY, as_array(batches(9), height=stated[0], width=stated[1]).messages)
    node.observer.wait_for(lambda: len(node.observer.detections) == 4)
    active_status(node, **{'format errors': '0', 'windows done': '4'})
    said = facts(f'{stated[1]}x{stated[0]}', f'{WIDTH}x{HEIGHT}', 'input.width and input.height')
    lines = [line for line in node.nodes[0].log[before:].splitlines() if re.search(said, line)]
    assert len(lines) == 1 and '[WARN]' in lines[0]


def test_another_sensor_size_resets_the_state(node):
    small = as_array(batches(5))
    large = as_array(
        batches(5, start_us=5 * MESSAGE_US, width=346, height=260), width=346, height=260
    )
    activate(node)
    node.publish(ARRAY, small.messages + large.messages)
    node.observer.wait_for(lambda: len(node.observer.detections) == 4)
    active_status(node, **{'resets: sensor_size': '1'})
    assert 'state reset: sensor_size' in node.nodes[0].log


def test_the_service_resets_the_state_of_an_active_node_only(node):
    first, second = as_array(batches(5)), as_array(batches(5, start_us=5 * MESSAGE_US))
    observer = node.observer
    assert observer.change_state('configure')
    answer = observer.reset_state()
    assert not answer.success and 'not active' in answer.message
    assert observer.change_state('activate')
    node.publish(ARRAY, first.messages)
    observer.wait_for(lambda: len(observer.detections) == 2)
    assert observer.reset_state().success
    node.publish(ARRAY, second.messages)
    # the reset forgets the events since the last window: the next one begins with the next message
    observer.wait_for(lambda: stamps_of(observer.detections) == first.stamps_ns + second.stamps_ns)
    active_status(node, **{'resets: service': '1', 'resets: start': '1'})


def test_every_activation_begins_a_new_stream(node):
    stream = as_array(batches(5))
    activate(node)
    node.publish(ARRAY, stream.messages)
    node.observer.wait_for(lambda: len(node.observer.detections) == 2)
    assert node.observer.change_state('deactivate')
    node.end_publishers()
    assert node.observer.change_state('activate')
    node.publish(ARRAY, stream.messages)
    node.observer.wait_for(lambda: len(node.observer.detections) == 4)
    active_status(node, **{'resets: start': '2'})


def test_overload_drops_the_oldest_windows_in_order_and_says_so(node):
    stream = as_array(batches(161))
    observer = node.observer
    activate(node, overload__queue_windows=2, sparsity__mode='dense')
    node.publish(ARRAY, stream.messages)
    observer.wait_for(lambda: stamps_of(observer.detections)[-1:] == stream.stamps_ns[-1:])
    received = stamps_of(observer.detections)
    assert received == sorted(set(received)) and set(received) < set(stream.stamps_ns)
    dropped = len(stream.stamps_ns) - len(received)
    active_status(node, **{'windows dropped': str(dropped), 'windows done': str(len(received))})
    assert 'too slow: dropped windows that had waited for up to ' in node.nodes[0].log


def overload(node, **parameters) -> tuple[list[int], list[int]]:
    """
    Publish windows six times as fast as a step takes; return their stamps, and those detected in.

    The step is measured before, with the same events. Where other programs slowed only that
    measurement down, it is still overload, and goes on after a stall of the machine.
    """
    observer = node.observer
    activate(node, sparsity__mode='dense')
    messages = as_array(batches(41))
    node.publish(ARRAY, messages.messages)
    step_ms = float(active_status(node, **{'windows done': '20'})['step time p50 (ms)'])
    node.end_publishers()
    assert observer.change_state('deactivate') and observer.change_state('cleanup')
    activate(node, sparsity__mode='dense', overload__queue_windows=1000, **parameters)
    del observer.detections[:]
    count = 2 * int(6 * 1500 / step_ms)  # 1.5 s; two messages are a window
    stream = as_array(batches(count))
    publisher = node.publisher(ARRAY)
    publisher.start(stream.messages, [int(k * step_ms / 12 * 1e6) for k in range(count)])
    publisher.go()
    publisher.finish()
    observer.wait_for(lambda: stamps_of(observer.detections)[-1:] == stream.stamps_ns[-1:])
    return stream.stamps_ns, stamps_of(observer.detections)


def test_overload_drops_what_is_old_so_that_detections_are_fresh(node):
    sent, received = overload(node, overload__max_age_ms=100.0)
    assert received == sorted(set(received)) and set(received) < set(sent)
    lost = len(sent) - len(received)
    values = active_status(node, **{'windows dropped': str(lost)})
    assert values['windows skipped by stride'] == '0' and values['stride (ms)'] == '50'
    # A window is taken at this age at most, unless it is the newest, and then processed
    oldest = 100 + 2 * float(values['step time p99 (ms)'])
    assert float(values['age p99 (ms)']) < oldest
    assert 'too slow: dropped windows that had waited for up to ' in node.nodes[0].log


def test_overload_may_be_met_by_a_longer_stride(node):
    sent, received = overload(node, overload__max_age_ms=100.0, overload__policy='reduce')
    assert received == sorted(set(received)) and set(received) < set(sent)
    lost = len(sent) - len(received)
    values = active_status(node, **{'windows skipped by stride': str(lost)})
    assert values['windows dropped'] == '0'
    assert re.search(r'too slow: the stride is \d+ ms, \d+ times', node.nodes[0].log)


def test_the_overlay_is_drawn_while_someone_listens(node):
    from sensor_msgs.msg import Image

    first, second = as_array(batches(5)), as_array(batches(5, start_us=5 * MESSAGE_US))
    observer = node.observer
    pictures: list = []
    activate(node)
    node.publish(ARRAY, first.messages)
    observer.wait_for(lambda: len(observer.detections) == 2)
    subscription = observer.subscribe(Image, 'overlay', pictures.append, 10)
    observer.wait_for(lambda: observer.node.count_publishers('overlay') == 1)
    publisher = node.publisher(ARRAY).start(
        second.messages, [30_000_000 * index for index in range(5)]
    )
    observer.wait_for(
        lambda: subscription is not None and observer.node.count_publishers('/events') == 2
    )
    publisher.go()
    publisher.finish()
    observer.wait_for(lambda: pictures)
    observer.node.destroy_subscription(subscription)
    picture = pictures[0]
    assert (picture.width, picture.height, picture.encoding, picture.step) == (
        WIDTH,
        HEIGHT,
        'rgb8',
        3 * WIDTH,
    )
    assert picture.header.frame_id == 'camera'
    assert len(set(np.asarray(picture.data).tolist())) > 10


@pytest.mark.parametrize('source', ['header', 'receive'])
def test_other_sources_of_the_stamp(node, source):
    stream = as_evt3(batches(5))
    activate(node, window__timestamp_source=source)
    before = node.observer.node.get_clock().now().nanoseconds
    node.publish(PACKET, stream.messages)
    node.observer.wait_for(lambda: len(node.observer.detections) == 2)
    stamps = stamps_of(node.observer.detections)
    if source == 'receive':
        assert before < stamps[0] <= stamps[1] < node.observer.node.get_clock().now().nanoseconds
    else:  # the third and the fifth message complete the windows
        begins = [START_NS + 1000 * int(made[3][0]) for made in batches(5)]
        assert stamps == [begins[2] + DELAY_NS + 2_000_000, begins[4] + DELAY_NS + 4_000_000]


def test_simulated_time_that_stands_still_stops_nothing(bench):
    """As with ``use_sim_time`` before the bag plays, or with a bag that carries no clock."""
    stream = as_array(batches(9))
    bench.start_node(use_sim_time='true')
    bench.observer.wait_for_state('active')
    bench.publish(ARRAY, stream.messages)
    bench.observer.wait_for(lambda: stamps_of(bench.observer.detections) == stream.stamps_ns)
