# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the node says about itself."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
from sast_ros.detector import StageShare

DiagnosticStatus = pytest.importorskip('diagnostic_msgs.msg').DiagnosticStatus

from sast_ros.ros.diagnostics import diagnostic_status, Monitor, NodeStatus  # noqa: E402
from sast_ros.windows import StreamStatistics  # noqa: E402

KEPT = tuple(StageShare(share, share / 2) for share in (0.1, 0.2, 0.3, 0.4))


class Clock:
    """A clock that stands still."""

    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def monitor(clock):
    return Monitor(clock)


def test_rates_are_those_since_the_last_report(monitor, clock):
    stream = StreamStatistics(events=1_000_000, windows=10, resets={'start': 1, 'gap': 2})
    for _ in range(10):
        monitor.step(0.010, SimpleNamespace(kept=KEPT), 0.025)
    monitor.received()
    clock.time += 1
    values = monitor.report(stream, NodeStatus('active')).values
    assert values['event rate (Mev/s)'] == '1.000'
    assert values['window rate (1/s)'] == '10.0'
    assert values['windows done'] == '10'
    assert values['step time p50 (ms)'] == values['step time p99 (ms)'] == '10.00'
    assert values['age p50 (ms)'] == values['age p99 (ms)'] == '25.00'
    assert (values['stage 2 windows kept (%)'], values['stage 2 tokens kept (%)']) == (
        '20.0',
        '10.0',
    )
    assert (values['resets: start'], values['resets: gap']) == ('1', '2')
    clock.time += 2
    assert monitor.report(stream, NodeStatus('active')).values['event rate (Mev/s)'] == '0.000'


@pytest.mark.parametrize('state', ['unconfigured', 'inactive', 'finalized'])
def test_a_node_that_is_not_active_is_fine(monitor, clock, state):
    clock.time += 60
    report = monitor.report(None, NodeStatus(state))
    assert (report.level, report.message) == (DiagnosticStatus.OK, state)


def test_every_trouble_has_its_level_and_passes(monitor, clock):
    def level(**stream):
        clock.time += 1
        status = NodeStatus('active', stride_ms=100)
        report = monitor.report(StreamStatistics(events=1, **stream), status)
        assert report.values['stride (ms)'] == '100'
        return report.level, report.message

    assert level() == (DiagnosticStatus.STALE, 'no complete window yet')
    monitor.step(0.01, SimpleNamespace(kept=KEPT), 0.02)
    assert level() == (DiagnosticStatus.OK, 'detecting')
    monitor.overloaded(3, 0)
    monitor.step(0.01, SimpleNamespace(kept=KEPT), 0.02)
    assert level() == (DiagnosticStatus.WARN, 'too slow: 3 windows dropped')
    monitor.received()
    monitor.overloaded(0, 2)
    monitor.step(0.01, SimpleNamespace(kept=KEPT), 0.02)
    assert level() == (DiagnosticStatus.WARN, 'too slow: the stride is 100 ms')
    monitor.received()
    assert level() == (DiagnosticStatus.OK, 'detecting')
    monitor.step(0.01, SimpleNamespace(kept=KEPT), 0.02)
    monitor.format_error('bad byte 7')
    assert level() == (DiagnosticStatus.WARN, '1 messages could not be read: bad byte 7')
    monitor.received()
    assert level(lost_packets=2) == (DiagnosticStatus.WARN, '2 event packets lost on the way')
    monitor.received()
    monitor.step(0.01, SimpleNamespace(kept=KEPT), 0.02)
    found, message = level(left_out=Counter(outside_sensor=20))
    assert found == DiagnosticStatus.WARN
    assert '20 of 20 events are outside the sensor' in message
    assert level(left_out=Counter(outside_sensor=35))[0] == DiagnosticStatus.OK
    monitor.received()
    monitor.step_error('not finite')
    assert level(lost_packets=2) == (DiagnosticStatus.ERROR, 'not finite')


def test_it_is_well_only_where_detections_come_out(monitor, clock):
    stream = StreamStatistics()

    def level(seconds, events=300, **status):
        for _ in range(seconds):
            clock.time += 1
            stream.events += events
            monitor.received(events)
            report = monitor.report(stream, NodeStatus('active', period_s=0.1, **status))
        return report.level, report.message

    both = {'publishers': ('/left', '/right')}
    assert level(1) == (DiagnosticStatus.STALE, 'no complete window yet')
    monitor.format_error('bad byte 7')
    assert level(1) == (DiagnosticStatus.ERROR, '1 messages could not be read: bad byte 7')
    monitor.format_error('bad byte 7')  # what could be read makes windows
    assert level(1, queued=3)[0] == DiagnosticStatus.WARN
    found, message = level(2)
    assert found == DiagnosticStatus.WARN
    assert 'no complete window for 5 s' in message and 'times' in message
    assert level(1, queued=3) == (DiagnosticStatus.WARN, 'the network is busy for 6 s')
    monitor.step(0.01, SimpleNamespace(kept=KEPT), 0.02)
    assert level(1, **both) == (DiagnosticStatus.OK, 'detecting')
    monitor.step(0.01, SimpleNamespace(kept=KEPT), 0.02)
    assert level(1, events=0)[0] == DiagnosticStatus.OK
    monitor.step(0.01, SimpleNamespace(kept=KEPT), 0.02)
    assert level(2, events=0) == (DiagnosticStatus.WARN, 'messages without events for 3 s')


@pytest.mark.parametrize(
    'trouble', ['stranger', 'stray_time', 'other_size', 'other_frame', 'resets']
)
@pytest.mark.parametrize('publishers', [('/left',), ('/left', '/right')])
def test_two_publishers_on_a_topic_are_named(monitor, clock, trouble, publishers):
    stream = StreamStatistics(events=1000)
    monitor.step(0.01, SimpleNamespace(kept=KEPT), 0.02)
    if trouble == 'stranger':
        monitor.format_error('packet 7', stranger=True)
    elif trouble == 'resets':
        stream.resets['time_jump_back'] += 10
    else:
        stream.left_out[trouble] += 100
    clock.time += 1
    monitor.received()
    report = monitor.report(stream, NodeStatus('active', publishers=publishers))
    assert report.level == DiagnosticStatus.WARN
    assert ('/left, /right' in report.message) == (len(publishers) == 2)
    clock.time += 1
    monitor.step(0.01, SimpleNamespace(kept=KEPT), 0.02)
    monitor.received()
    report = monitor.report(stream, NodeStatus('active', publishers=publishers))
    assert (report.level, report.message) == (DiagnosticStatus.OK, 'detecting')


def test_silence_is_stale(monitor, clock):
    clock.time += 5
    report = monitor.report(StreamStatistics(), NodeStatus('active'))
    assert (report.level, report.message) == (DiagnosticStatus.STALE, 'no events for 5 s')
    waiting = monitor.report(
        StreamStatistics(), NodeStatus('active', waiting='waiting for a publisher')
    )
    assert (waiting.level, waiting.message) == (DiagnosticStatus.STALE, 'waiting for a publisher')


def test_a_failure_is_an_error_in_every_state(monitor):
    report = monitor.report(None, NodeStatus('unconfigured', failure='no such file'))
    assert (report.level, report.message) == (DiagnosticStatus.ERROR, 'no such file')


def test_the_message(monitor):
    report = monitor.report(None, NodeStatus('inactive', facts={'model': 'gen1-tiny'}))
    status = diagnostic_status(report, 'sast_detector: detector', '/events')
    assert (status.name, status.hardware_id, status.message) == (
        'sast_detector: detector',
        '/events',
        'inactive',
    )
    assert {'model', 'state'} <= {entry.key for entry in status.values}
