# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What drivers, networks and processors do to the node: the table "Faults" of docs/reliability.md.

Each test is one row of it, over real topics.
"""

from __future__ import annotations

from collections.abc import Sequence
import functools
import os
from pathlib import Path
import re
import signal
import time

from events import encoders
import numpy as np
import pytest
from system.conftest import UNTRAINED
from system.streams import (
    activate,
    ARRAY,
    as_array,
    as_evt2,
    as_evt3,
    as_mono,
    batches,
    EVENTS_PER_MESSAGE,
    HEIGHT,
    MESSAGE_US,
    PACKET,
    stamps_of,
    START_NS,
    WIDTH,
)

OK, WARN, ERROR, STALE = b'\x00', b'\x01', b'\x02', b'\x03'

#: The environment variable asks for the whole of what takes minutes.
LONG = bool(os.environ.get('SAST_ROS_TEST_LONG'))
#: Repetitions of transitions.
CYCLES = 500 if LONG else 6
SILENCE_S = 60 if LONG else 5
STOPPED_S = 10


@pytest.fixture(scope='module')
def small_weights(tmp_path_factory) -> str:
    """Give the weights of a network whose step takes a sixth of the time."""
    from sast_ros.model import save_model, untrained_model

    path = tmp_path_factory.mktemp('weights') / 'small.safetensors'
    half = {'frame': (HEIGHT // 2, WIDTH // 2), 'downsample': 2}
    save_model(untrained_model(UNTRAINED, embed_dim=16, dim_head=16, **half), path)
    return str(path)


@pytest.fixture
def node(node, small_weights):
    """Hand out the bench of the module, with a node that takes the small network."""
    assert node.observer.set_parameters(model__path=small_weights) == []
    return node


def heard(node, level: bytes, message: str = '', **values: object) -> dict[str, str]:
    """Wait for a status of one of these levels, this message and values, since the test began."""
    found: list[dict[str, str]] = []

    def look() -> bool:
        for status in node.observer.diagnostics:
            held = {entry.key: entry.value for entry in status.values}
            wanted = {
                key.replace('___', ': ').replace('__', ' '): str(value)
                for key, value in values.items()
            }
            if (
                'sast_detector' in status.name
                and held['state'] == 'active'
                and status.level in level
                and re.search(message, status.message)
                and all(held.get(key, '0') == value for key, value in wanted.items())
            ):
                found.append({'message': status.message, **held})
                return True
        return False

    try:
        node.observer.wait_for(look)
    except AssertionError as error:
        last = [
            (each.level, each.message, {v.key: v.value for v in each.values if v.value != '0'})
            for each in node.observer.diagnostics[:5]
        ]
        raise AssertionError(
            f'no status {level!r} {message!r} {values}; it was: {last}'
        ) from error
    return found[0]


def count(node, name: str) -> int:
    """Value of a counter in the newest status."""
    values = node.observer.status(lambda status, values: values['state'] == 'active')
    return int(values.get(name, '0'))


def wait_for_windows(node, stamps_ns: list[int]) -> None:
    """Wait until exactly these windows have been published."""
    observer = node.observer
    observer.wait_for(
        lambda: len(observer.detections) >= len(stamps_ns), what=f'for {len(stamps_ns)} windows'
    )
    assert stamps_of(observer.detections) == stamps_ns


def new_log(node, begin: int) -> list[str]:
    """Lines that the node has logged since its log had this length."""
    return node.nodes[0].log[begin:].splitlines()


# ------------------------------------------------------------------------------------- publishers


def test_a_publisher_is_killed_and_returns(node):
    first, second = (as_evt3(batches(9, start_us=1_000_000 * n)) for n in (90, 1))
    activate(node)
    node.publish(PACKET, first.messages)
    wait_for_windows(node, first.stamps_ns)
    node.publishers[0].process.kill()
    node.end_publishers()
    node.publish(PACKET, second.messages)
    wait_for_windows(node, first.stamps_ns + second.stamps_ns)
    heard(node, OK, 'detecting', resets___time_jump_back=1, packets__lost=0)
    assert 'state reset: time_jump_back' in node.nodes[0].log


@pytest.mark.parametrize(
    'kind, encode, encode_other',
    [
        (PACKET, as_evt3, as_evt2),
        (ARRAY, as_array, functools.partial(as_array, width=346, height=260)),
        (ARRAY, as_array, functools.partial(as_array, frame_id='right')),
    ],
)
def test_two_publishers_on_one_topic(node, kind, encode, encode_other):
    left, right = batches(120), batches(120, start_us=MESSAGE_US // 2)
    streams = encode(left), encode_other(right)
    activate(node)
    times = [25_000_000 * number for number in range(120)]
    publishers = [
        node.publisher(kind, '--node', name).start(stream.messages, times)
        for name, stream in zip(('left', 'right'), streams)
    ]
    # Those of the test before are gone, and the names of these are known
    graph = node.observer.node
    node.observer.wait_for(
        lambda: (
            {'left', 'right'}
            == {one.node_name for one in graph.get_publishers_info_by_topic('events')}
        )
    )
    node.observer.status(lambda _, values: values.get('input publishers') == '2')
    for publisher in publishers:
        publisher.go()
    values = heard(node, WARN, 'two publishers interleave on this topic: .*/left, /right')
    node.observer.wait_for(lambda: len(node.observer.detections) > 20)
    assert values['packets lost'] == '0'
    others = {'events left out: other_size', 'events left out: other_frame'}
    assert (kind == ARRAY) == bool(others & values.keys())
    assert sum(int(v) for key, v in values.items() if key.startswith('resets: ')) <= 3


def test_the_encoding_changes(node):
    first, second = as_evt3(batches(9)), as_evt2(batches(9, start_us=9 * MESSAGE_US))
    activate(node)
    node.publish(PACKET, first.messages + second.messages)
    wait_for_windows(node, first.stamps_ns + second.stamps_ns)
    heard(node, OK, 'detecting', resets___time_jump_back=1, format__errors=0)


def test_the_sensor_size_changes_for_good_or_for_one_message(node):
    small, large = batches(9), batches(9, 9 * MESSAGE_US, 346, 260)
    streams = as_array(small), as_array(large, 346, 260)
    messages = [*streams[0].messages, *streams[1].messages]
    messages.insert(5, as_array(batches(1, 5 * MESSAGE_US, 346, 260), 346, 260).messages[0])
    activate(node)
    node.publish(ARRAY, messages)
    wait_for_windows(node, streams[0].stamps_ns + streams[1].stamps_ns)
    # Each may be in a status of its own
    heard(node, WARN, 'another time or sensor size', resets___start=1)
    heard(node, OK + WARN, resets___sensor_size=1, resets___start=1)
    assert count(node, 'events left out: other_size') == EVENTS_PER_MESSAGE
    assert 'state reset: sensor_size' in node.nodes[0].log


# ---------------------------------------------------------------------------------------- networks


def test_packets_are_lost(node):
    made = batches(41)
    stream = as_evt3(made)
    activate(node)
    lost = {5, 6, 17, 30}
    node.publish(
        PACKET, [message for number, message in enumerate(stream.messages) if number not in lost]
    )
    wait_for_windows(node, stream.stamps_ns)
    heard(node, WARN, 'event packets lost', packets__lost=4, resets___start=1)
    assert count(node, 'events') == (41 - len(lost)) * EVENTS_PER_MESSAGE


@pytest.mark.parametrize('encode', [as_evt3, as_mono, as_array])
def test_messages_are_repeated(node, encode):
    stream = encode(batches(41))
    before = len(node.nodes[0].log)
    activate(node)
    kind = ARRAY if encode is as_array else PACKET
    node.publish(kind, [message for message in stream.messages for _ in range(2)])
    wait_for_windows(node, stream.stamps_ns)
    events = 41 * EVENTS_PER_MESSAGE
    values = heard(node, WARN, 'repeated', packets__lost=0, resets___start=1, events=events)
    assert int(values['format errors']) >= 20
    lines = [line for line in new_log(node, before) if 'was repeated' in line]
    assert len(lines) == 1 and '[WARN]' in lines[0]


def out_of_order(messages: Sequence[bytes], count: int) -> list[bytes]:
    """Return 81 messages, of which so many in a row are the wrong way round, eight times."""
    changed = list(messages)
    for number in range(3, 78, 10):
        group = slice(number, number + count)
        changed[group] = reversed(changed[group])
    return changed


@pytest.mark.parametrize('encode', [as_evt3, as_mono])
def test_packets_are_out_of_order(node, encode):
    stream = encode(batches(81))
    activate(node)
    node.publish(PACKET, out_of_order(stream.messages, 3))
    wait_for_windows(node, stream.stamps_ns)
    heard(node, OK, 'detecting', packets__lost=0, format__errors=0, resets___start=1)
    assert count(node, 'events') == 81 * EVENTS_PER_MESSAGE


def test_messages_without_a_count_are_out_of_order(node):
    stream = as_array(batches(81))
    activate(node)
    node.publish(ARRAY, out_of_order(stream.messages, 2))
    wait_for_windows(node, stream.stamps_ns)
    heard(node, OK, 'detecting', format__errors=0, resets___start=1)
    assert count(node, 'events') == 81 * EVENTS_PER_MESSAGE


def test_half_of_the_messages_are_corrupt(node):
    random = np.random.default_rng(16)
    messages = as_mono(batches(121)).messages
    for number in range(10, 121):
        if random.random() < 0.5:
            message = bytearray(messages[number])
            for at in random.integers(4, len(message), 20):
                message[at] = random.integers(256)
            messages[number] = bytes(message)
    activate(node)
    node.publish(PACKET, messages)
    node.observer.wait_for(lambda: len(node.observer.detections) >= 57)
    stamps = stamps_of(node.observer.detections)
    assert stamps == sorted(stamps)
    assert all(0 <= stamp - START_NS < 10**10 for stamp in stamps)
    values = heard(node, WARN, 'could not be read')
    assert sum(int(v) for key, v in values.items() if key.startswith('resets: ')) <= 3
    assert node.observer.state() == 'active'


# -------------------------------------------------------------------------------------------- time


def test_a_bag_loops(node):
    stream = as_evt3(batches(41, start_us=20_000_000))
    before = len(node.nodes[0].log)
    activate(node)
    node.publish(PACKET, stream.messages * 3)
    wait_for_windows(node, stream.stamps_ns * 3)
    heard(node, OK, 'detecting', resets___time_jump_back=2, packets__lost=0)
    lines = [line for line in new_log(node, before) if 'state reset: time_jump_back' in line]
    assert len(lines) == 1  # the second is throttled


def test_time_jumps_by_an_hour(node):
    first, second = (as_array(batches(9, start_us=1_000_000 * n)) for n in (0, 3600))
    activate(node)
    node.publish(ARRAY, first.messages + second.messages)
    after = [START_NS + 3_600_000_000_000 + 50_000_000 * n for n in range(1, 5)]
    node.observer.wait_for(lambda: len(node.observer.detections) >= 9)
    stamps = stamps_of(node.observer.detections)
    assert stamps[:4] == first.stamps_ns and stamps[-4:] == after
    heard(node, OK, 'detecting', resets___gap=1, resets___start=1)
    assert 'state reset: gap' in node.nodes[0].log


def test_simulated_time_with_and_without_a_clock(node):
    from diagnostic_msgs.msg import DiagnosticArray
    from rosgraph_msgs.msg import Clock

    observer, seconds = node.observer, set()
    assert observer.set_parameters(use_sim_time=True) == []
    own = observer.node.create_subscription(
        DiagnosticArray, '/diagnostics', lambda array: seconds.add(array.header.stamp.sec), 10
    )
    try:
        first, second = as_array(batches(9)), as_array(batches(9, start_us=9 * MESSAGE_US))
        activate(node, window__timestamp_source='receive')
        node.publish(ARRAY, first.messages)
        wait_for_windows(node, [0] * 4)
        clock = observer.node.create_publisher(Clock, '/clock', 10)
        message = Clock()
        message.clock.sec = 1234

        def is_set() -> bool:
            clock.publish(message)
            return 1234 in seconds

        observer.wait_for(is_set)
        node.publish(ARRAY, second.messages)
        observer.wait_for(lambda: len(observer.detections) >= 8)
        assert set(stamps_of(observer.detections)[4:]) == {1234 * 10**9}
        observer.node.destroy_publisher(clock)
    finally:
        observer.node.destroy_subscription(own)
        assert observer.set_parameters(use_sim_time=False) == []


def test_silence(node):
    silence_us = 1_000_000 * SILENCE_S
    first, second = (as_array(batches(9, start_us=start)) for start in (0, silence_us))
    activate(node)
    node.publish(ARRAY, first.messages)
    wait_for_windows(node, first.stamps_ns)
    end = time.monotonic() + SILENCE_S
    heard(node, STALE, 'no events for [23] s')
    observer = node.observer
    observer.wait_for(lambda: time.monotonic() > end, patience=SILENCE_S + 15)
    node.publish(ARRAY, second.messages)
    observer.wait_for(lambda: stamps_of(observer.detections)[-4:] == second.stamps_ns)
    observer.diagnostics.clear()
    heard(node, OK, 'detecting', resets___gap=1, resets___start=1, packets__lost=0)


# -------------------------------------------------------------------------------------------- load


def test_an_event_storm(node):
    """Ten times the windows that are processed, and events as fast as they are received."""
    made = batches(321)
    dense = [tuple(np.repeat(column, 100) for column in events) for events in made[:4]]
    messages = as_mono(dense).messages + as_mono(made).messages[4:]
    observer = node.observer
    slow = {'model__path': UNTRAINED, 'sparsity__mode': 'dense', 'window__stride_ms': 5.0}
    activate(node, overload__queue_windows=2, **slow)
    begin = START_NS + 1000 * int(made[0][3][0])
    end = START_NS + 1000 * int(made[-1][3][-1])
    offered = (end - begin - 50_000_000) // 5_000_000 + 1
    node.publish(PACKET, messages)
    observer.wait_for(lambda: stamps_of(observer.detections)[-1:] >= [end - 5_000_000])
    stamps = stamps_of(observer.detections)
    assert stamps == sorted(set(stamps))
    assert {(stamp - begin) % 5_000_000 for stamp in stamps} == {0}
    assert 10 * len(stamps) <= offered
    values = heard(node, WARN, 'windows dropped', resets___start=1)
    assert int(values['windows dropped']) > 0
    assert 'too slow' in node.nodes[0].log


@pytest.mark.parametrize('filtered', [False, True])
def test_hot_pixels(node, filtered):
    made = []
    for x, y, p, t in batches(81):
        hot = np.arange(len(t)) % 2 == 0
        made.append((np.where(hot, 7, x), np.where(hot, 9, y), np.where(hot, 1, p), t))
    stream = as_array(made)
    activate(node, **({'input__filter': ['hot-pixel']} if filtered else {}))
    node.publish(ARRAY, stream.messages)
    wait_for_windows(node, stream.stamps_ns)
    heard(node, OK, 'detecting', resets___start=1)
    removed = count(node, 'events left out: hot_pixel')
    assert (removed > 20 * EVENTS_PER_MESSAGE) == filtered and (removed > 0) == filtered


def test_a_message_of_200_megabytes(node):
    stream = as_array(batches(9))
    count_of = 12_500_000
    head = encoders.event_array([], [], [], [], width=WIDTH, height=HEIGHT)[:-4]
    large = head + count_of.to_bytes(4, 'little') + bytes(16 * count_of - 3)
    activate(node)
    node.publish(ARRAY, [*stream.messages[:5], large, *stream.messages[5:]])
    wait_for_windows(node, stream.stamps_ns)
    heard(
        node, WARN + ERROR, 'could not be read.*12500000 events in one message', format__errors=1
    )


def test_empty_messages_at_ten_kilohertz(node):
    stream = as_evt3(batches(9), first_seq=30_000)
    empty = [
        encoders.event_packet(
            b'', 'evt3', width=WIDTH, height=HEIGHT, seq=seq, stamp_ns=START_NS - 10**10 + seq
        )
        for seq in range(30_000)
    ]
    activate(node)
    publisher = node.publisher(PACKET).start(
        empty + stream.messages, [100_000 * seq for seq in range(30_009)]
    )
    publisher.go()
    # Where the machine is busy, some are lost
    heard(node, WARN, 'messages without events|lost on the way', resets___start=0)
    wait_for_windows(node, stream.stamps_ns)
    node.observer.diagnostics.clear()
    heard(node, OK, 'detecting', resets___start=1)


# --------------------------------------------------------------------------------- events, weights


def test_stray_times_and_events_outside_the_sensor(node):
    made = batches(81)
    strays = []
    for number, (x, y, p, t) in enumerate(made):
        t = t.copy()
        if number % 10 == 5:
            t[0], t[1] = t[0] + 5_000_000, max(0, t[1] - 90_000)
        strays.append((np.where(np.arange(len(x)) == 7, WIDTH + 9, x), y, p, t))
    stream = as_array(made)
    activate(node)
    node.publish(ARRAY, as_array(strays).messages)
    wait_for_windows(node, stream.stamps_ns)
    heard(node, OK, 'detecting', resets___start=1, format__errors=0)
    assert count(node, 'events left out: outside_sensor') == 81
    assert 8 <= count(node, 'events left out: stray_time') <= 16


def test_times_that_begin_anew_with_every_message(node):
    x, y, p, t = batches(1)[0]
    anew = as_array([(x, y, p, t * 9 // 25 + number % 97) for number in range(2000)]).messages
    after = as_array(batches(9, start_us=60_000_000))
    activate(node)
    before = resident_mib(node.nodes[0].process.pid)
    times = [3_000_000 * number for number in range(2000)]
    node.publisher(ARRAY).start(anew, times).go()
    heard(node, WARN, 'no complete window', resets___start=0)
    assert resident_mib(node.nodes[0].process.pid) < before + 200
    node.publish(ARRAY, after.messages)
    count_of = len(after.stamps_ns)
    node.observer.wait_for(
        lambda: stamps_of(node.observer.detections)[-count_of:] == after.stamps_ns
    )


def test_weights_that_are_not_finite(node, tmp_path):
    from sast_ros.model import save_model, untrained_model

    model = untrained_model('gen1-tiny')
    next(iter(model.parameters())).data.view(-1)[3] = float('nan')
    save_model(model, tmp_path / 'nan.safetensors')
    observer = node.observer
    assert observer.set_parameters(model__path=str(tmp_path / 'nan.safetensors')) == []
    assert not observer.change_state('configure')
    assert observer.state() == 'unconfigured'
    values = observer.status(lambda status, values: status.level == ERROR)
    assert 'not finite' in values['message'] and 'nan.safetensors' in values['message']


# --------------------------------------------------------------------------------------- processes


def test_the_node_is_stopped_and_continues(node):
    """What arrives meanwhile waits in the subscription, or is lost."""
    count = 40 * (STOPPED_S + 6)
    made = batches(count)
    stream = as_array(made)
    observer, process = node.observer, node.nodes[0].process
    activate(node)
    publisher = node.publisher(ARRAY, '--best-effort')
    publisher.start(stream.messages, [1_000 * MESSAGE_US * number for number in range(count)])
    publisher.go()
    observer.wait_for(lambda: len(observer.detections) > 3)
    process.send_signal(signal.SIGSTOP)
    end = time.monotonic() + STOPPED_S
    try:
        observer.wait_for(lambda: time.monotonic() > end)
    finally:
        process.send_signal(signal.SIGCONT)
    publisher.finish()
    end = START_NS + 1000 * int(made[-1][3][-1])
    observer.wait_for(lambda: stamps_of(observer.detections)[-1] > end - 50_000_000)
    stamps = stamps_of(observer.detections)
    assert stamps == sorted(set(stamps))
    observer.diagnostics.clear()
    heard(node, OK + WARN + STALE, 'detecting|dropped|no events', format__errors=0)
    assert observer.state() == 'active'


def test_a_subscriber_that_never_reads(node):
    from rclpy.qos import HistoryPolicy, QoSProfile
    from sast_ros.ros.own_node import own_node
    from vision_msgs.msg import Detection2DArray

    stream = as_array(batches(241))
    with own_node('idle') as (idle, _):
        idle.create_subscription(
            Detection2DArray,
            'detections',
            print,
            QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1),
        )
        activate(node, detections__score_threshold=0.0)
        node.observer.wait_for(lambda: node.observer.node.count_subscribers('detections') == 2)
        node.publish(ARRAY, stream.messages)
        wait_for_windows(node, stream.stamps_ns)
        heard(node, OK, 'detecting', windows__dropped=0)


@pytest.mark.parametrize('request_to_leave', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_while_events_arrive(bench, request_to_leave):
    process = bench.start_node()
    publisher = bench.publisher(ARRAY).start(
        as_array(batches(2000)).messages, [5_000_000 * number for number in range(2000)]
    )
    publisher.go()
    bench.observer.wait_for(lambda: len(bench.observer.detections) > 3)
    if request_to_leave == signal.SIGKILL:
        assert process.end(request_to_leave) == -signal.SIGKILL
        bench.observer.forget()
        bench.start_node()
        bench.observer.wait_for(lambda: len(bench.observer.detections) > 3)
    else:
        assert process.end(request_to_leave, patience=10) == 0
        assert 'Traceback' not in process.log
    publisher.process.kill()


def test_transitions_again_and_again(node):
    observer = node.observer
    process = node.nodes[0].process
    sizes = []
    for cycle in range(CYCLES):
        assert observer.change_state('configure')
        for _ in range(2):
            assert observer.change_state('activate')
            assert observer.change_state('deactivate')
        assert observer.change_state('cleanup')
        if cycle >= CYCLES // 2:
            sizes.append(resident_mib(process.pid))
    assert max(sizes) - sizes[0] < 30
    stream = as_array(batches(9))
    activate(node)
    node.publish(ARRAY, stream.messages)
    wait_for_windows(node, stream.stamps_ns)


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def test_a_thousand_changes_of_parameters(node):
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter

    stream = as_array(batches(201))
    observer = node.observer
    activate(node)
    node.publisher(ARRAY).start(
        stream.messages, [5_000_000 * number for number in range(201)]
    ).go()
    random = np.random.default_rng(0)
    for number in range(50):
        changes = [
            Parameter(name, value=value).to_parameter_msg()
            for threshold in random.random(5).tolist()
            for name, value in (
                ('detections.score_threshold', threshold),
                ('detections.max_count', 1 + number),
                ('sparsity.mode', ('adaptive', 'dense', 'budget')[number % 3]),
                ('input.filter', ['hot-pixel'] if number % 2 else ['']),
            )
        ]
        answer = observer.call(observer._set, SetParameters.Request(parameters=changes))
        assert all(result.successful for result in answer.results)
    wait_for_windows(node, stream.stamps_ns)
    assert observer.parameter('detections.max_count') == 50
    heard(node, OK, 'detecting', step__errors=0, resets___start=1)
