# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node as the benchmark measures it, in processes of its own."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from sast_ros.bench.node import bench_node, NodeOptions  # noqa: E402 - after the skip


def test_start_and_latency_of_the_node_are_measured() -> None:
    steps: list[str] = []
    options = NodeOptions(
        'gen1-tiny', 1, {'overload.queue_windows': 1000, 'overload.max_age_ms': 60_000.0}
    )
    result = bench_node(options, (120, 160), 1e5, 1.0, search=False, progress=steps.append)
    assert len(steps) == 2
    assert result.keys() == {'start', 'latency'}
    assert 0 < result['start']['first_detection_s'] < 90
    stream = result['latency']
    assert stream['windows_received'] == stream['windows_expected'] == 19
    assert stream['events_read'] == stream['events_sent'] > 99_000
    assert stream['in_order'] and stream['loss'] == 0
    latency, step = stream['latency_ms'], stream['step_ms']
    # A window is detected after a step at least, and all steps within the patience of the test
    assert 0 < latency['p50'] <= latency['p95'] <= latency['p99'] <= latency['max']
    assert latency['max'] > step['p50'] > 0
    assert stream['memory_mb']['resident'] > stream['memory_mb']['anonymous'] > 50
    assert stream['processor_s'] > 0
