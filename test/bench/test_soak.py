# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The soak benchmark finds growth and losses, and runs with the real node."""

from __future__ import annotations

import json

import pytest

soak = pytest.importorskip('soak', reason='the benchmarks are not on the path')

STRIDE_NS = 40_000_000
FIRST_NS, LAST_NS = 1_000, 60 * 10**9
ENDS = [*range(FIRST_NS + 50_000_000, LAST_NS, STRIDE_NS)]


def result(**changes):
    made = {
        'memory_mb': {'slope_per_minute': 0.2},
        'windows_lost': 0,
        'windows_dropped': 0,
        'load': 0.6,
    }
    return {**made, **changes}


@pytest.mark.parametrize('missing', [[], [0], [7, 8], [len(ENDS) - 1], [*range(len(ENDS))]])
def test_windows_that_are_missing_anywhere_are_counted(missing):
    stamps = [end for index, end in enumerate(ENDS) if index not in missing]
    assert soak.lost_windows(stamps, FIRST_NS, LAST_NS, STRIDE_NS) == len(missing)


def test_memory_that_grows_after_the_warm_up_is_told_from_memory_that_grows_in_it():
    samples = [soak.Sample(second / 60, 300.0, 20.0) for second in range(60)]
    growing = [soak.Sample(s.minute, 300 + 2 * s.minute, s.step_ms) for s in samples]
    at_first = [soak.Sample(s.minute, min(300, 100 + 800 * s.minute), 20.0) for s in samples]
    heard = soak.Heard()
    heard.stamps.extend(ENDS)
    heard.arrivals.extend(end + 30_000_000 for end in ENDS)
    slopes = [
        soak.summarize(heard, each, FIRST_NS, LAST_NS, STRIDE_NS)['memory_mb']['slope_per_minute']
        for each in (samples, growing, at_first)
    ]
    assert slopes == pytest.approx([0, 2, 0], abs=1e-3)
    summary = soak.summarize(heard, samples, FIRST_NS, LAST_NS, STRIDE_NS)
    assert summary['windows_lost'] == 0
    assert summary['load'] == 0.5
    assert summary['latency_ms']['all'] == {'p50': 30, 'p95': 30, 'p99': 30, 'max': 30}
    assert summary['latency_ms']['slope_per_minute'] == 0


def test_every_bar_is_named_that_was_missed():
    assert soak.failures(result(), 0.6) == []
    for change in (
        {'memory_mb': {'slope_per_minute': 1.0}},
        {'windows_lost': 1},
        {'windows_dropped': 1},
        {'load': 0.4},
    ):
        assert len(soak.failures(result(**change), 0.6)) == 1


def test_the_rate_swings_around_its_mean():
    rates = [soak.swinging_rate(second / 10, 1e6) for second in range(600)]
    assert sum(rates) / len(rates) == pytest.approx(1e6)
    assert (min(rates), max(rates)) == pytest.approx((1e5, 1.9e6))


def test_a_short_run_reports_every_window(tmp_path, monkeypatch):
    pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')
    monkeypatch.setattr(soak, 'CALIBRATION_S', 1.0)
    target = tmp_path / 'soak.json'
    words = ['--minutes', '0.05', '--rate', '0.2', '--load', '0.1', '--json', str(target)]
    soak.main(words)  # what is missed depends on what else the machine does
    report = json.loads(target.read_text())
    expected = (3000 - 50) / report['stride_ms']
    assert report['windows_received'] + report['windows_lost'] == pytest.approx(expected, abs=2)
    assert report['windows_received'] > 0
    assert report['memory_mb']['last'] > 100
