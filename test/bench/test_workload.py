# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Workloads: as many events as asked for, and the message that holds the end of each window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sast_ros.bags import RecordingError
from sast_ros.bags.writers import MESSAGES
from sast_ros.bench.records import read_records, write_records
from sast_ros.bench.workload import (
    active_share,
    outlines,
    recorded_workload,
    synthetic_workload,
    windows_of_density,
)
from sast_ros.errors import SettingError
from sast_ros.events import open_decoder
from sast_ros.events.encoders import EventPacketEncoder
from sast_ros.example import EXAMPLE
from sast_ros.histogram import StackedHistogram


@pytest.mark.parametrize('message_type', MESSAGES)
def test_a_stream_has_its_rate_length_and_size(message_type):
    workload = synthetic_workload((100, 150), 0.5, 1e5, message_type)
    decode = open_decoder(workload.message_type)
    chunks = [decode(raw) for _, raw in workload.messages]
    assert abs(sum(map(len, chunks)) - 50_000) < 1000  # the last message may be cut off
    t = np.concatenate([chunk.t for chunk in chunks])
    assert (np.diff(t) >= 0).all()
    assert 490_000 < t[-1] - t[0] < 500_000
    assert {(chunk.height, chunk.width) for chunk in chunks} == {(100, 150)}
    sent = [after for after, _ in workload.messages]
    assert sent == sorted(sent)


def test_the_message_of_a_window_holds_its_last_event():
    workload = synthetic_workload((100, 150), 0.5, 1e5)
    decode = open_decoder(workload.message_type)
    chunks = [decode(raw) for _, raw in workload.messages]
    windows = list(workload.windows())
    assert len(windows) == 9
    for window, message in windows:
        assert chunks[message].t[0] <= window.t_end
        assert chunks[message + 1].t[0] > window.t_end
        assert window.parts[-1].t[-1] in chunks[message].t


def test_a_tenth_of_the_pixels_is_active_by_default():
    workload = synthetic_workload((240, 304), 0.2)
    (window, _), *_ = workload.windows()
    pixels = {(x, y) for part in window.parts for x, y in zip(part.x.tolist(), part.y.tolist())}
    assert 0.05 < len(pixels) / (240 * 304) < 0.1


def test_the_example_is_a_workload():
    workload = recorded_workload(Path(EXAMPLE))
    assert workload.sensor_size == (240, 304)
    assert 20 <= len(list(workload.windows())) <= 101


def test_a_recording_shorter_than_a_window_is_one_sentence(tmp_path):
    np.savez(tmp_path / 'short.npz', x=[1, 2], y=[1, 2], p=[0, 1], t=[0, 10_000])
    with pytest.raises((RecordingError, SettingError), match=r'short\.npz'):
        recorded_workload(tmp_path / 'short.npz')


@pytest.mark.parametrize('active', [0.002, 0.02, 0.08, 0.2, 0.4])
@pytest.mark.parametrize(('size', 'downsample'), [((240, 304), 1), ((720, 1280), 2)])
def test_windows_have_the_density_that_was_asked_for(active, size, downsample):
    histogram = StackedHistogram(*size, downsample=downsample)
    windows = windows_of_density(histogram, size, active, count=2)
    assert active_share(windows) == pytest.approx(active, rel=0.1)


def test_too_few_events_are_refused():
    with pytest.raises(SettingError, match='1000'):
        synthetic_workload((100, 150), 1.0, 10)


def test_records_are_read_as_they_were_written(tmp_path):
    encode = EventPacketEncoder(64, 64, 'camera')
    records = [(k * 10**7, encode(outlines(k, 64, 64, 100 * k), 0)) for k in range(4)]
    write_records(tmp_path / 'messages', records)
    assert list(read_records(tmp_path / 'messages')) == records
