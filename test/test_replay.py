"""Replay: the same detections from every form of a recording, every time."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from recordings import (
    EVENT_ARRAY,
    event_messages,
    EVENT_PACKET,
    HEIGHT,
    TOPIC,
    WIDTH,
    write_recording,
    write_rosbag2,
)
from rosbags.rosbag2 import Reader as Rosbag2Reader
from sast_ros.bags import DETECTIONS_TYPE, DetectionWriter, open_recording, RecordingError
from sast_ros.bags.definitions import message_types
from sast_ros.detector import StreamingDetector
from sast_ros.model import build_model
from sast_ros.pipeline import EventPipeline
from sast_ros.replay import replay
import torch


@pytest.fixture(scope='module')
def model():
    """Give gen1-tiny with seeded random weights, on one thread: tests may run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield build_model('gen1-tiny').eval()
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def run(model, tmp_path_factory):
    """Replay a recording into a folder of its own; return summary, boxes and folder."""

    def run(path, window_ms=50, **hooks):
        folder = tmp_path_factory.mktemp('out')
        # Random weights score everything near 1e-4; the best twenty of a window depend on all of
        # its events.
        detector = StreamingDetector(model, score_threshold=1e-5, max_detections=20)
        pipeline = EventPipeline(detector, window_ms=window_ms, stride_ms=window_ms)
        with open_recording(path) as recording, DetectionWriter(folder) as writer:
            summary = replay(recording, pipeline, writer, **hooks)
        return summary, np.load(folder / 'detections.npy'), folder

    return run


@pytest.fixture(scope='module')
def from_rosbag2(shared, run):
    """Return what replay makes of a real recording in rosbag2 form."""
    return run(shared / 'data' / 'ecp_evt3_vga' / 'test_events_1')


def assert_nothing_lost(summary):
    assert summary['resets'] == summary['drops'] == summary['lost_packets'] == 0


def test_rosbag1_and_rosbag2_form_of_a_real_recording_give_the_same_bytes(
    shared, run, from_rosbag2
):
    two, boxes, out_two = from_rosbag2
    one, _, out_one = run(shared / 'data' / 'ecp_evt3_vga' / 'test_events_1.bag')
    assert len(boxes) > 100
    for name in ('detections.npy', 'detections.mcap'):
        assert (out_one / name).read_bytes() == (out_two / name).read_bytes()
    for summary in (one, two):
        assert_nothing_lost(summary)
        assert summary['events'] == 343_474
        assert summary['windows'] == 41
        assert summary['sensor_size'] == {'height': 480, 'width': 640}
        assert summary['seconds'] == pytest.approx(2.078, abs=2e-3)
    assert (one['format'], two['format']) == ('rosbag1', 'rosbag2')


def test_raw_and_dat_form_of_a_real_recording_give_the_same_boxes(shared, run):
    folder = shared / 'data' / 'faery_imx636'
    names = ('imx636_evt3.raw', 'imx636_cd.dat')
    # Windows of 200 ms hold the same events in a quarter of the steps.
    summaries, boxes, _ = zip(*(run(folder / name, window_ms=200) for name in names), strict=True)
    assert len(boxes[0]) > 100
    offset = boxes[0]['t'][0] - boxes[1]['t'][0]
    assert offset == 11_200_224 - 5_856
    np.testing.assert_array_equal(boxes[0]['t'] - offset, boxes[1]['t'])
    for field in boxes[0].dtype.names[1:]:
        np.testing.assert_array_equal(boxes[0][field], boxes[1][field])
    for summary in summaries:
        assert_nothing_lost(summary)
        assert summary['events'] == 1_218_618
        assert summary['windows'] == 53


def test_second_replay_gives_the_same_bytes(shared, run, from_rosbag2):
    first, second = from_rosbag2[2], run(shared / 'data' / 'ecp_evt3_vga' / 'test_events_1')[2]
    for name in ('detections.npy', 'detections.mcap'):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_detections_open_beside_the_original_bag(shared, from_rosbag2):
    path = shared / 'data' / 'ecp_evt3_vga' / 'test_events_1'
    summary, boxes, folder = from_rosbag2
    with Rosbag2Reader(path) as original, Rosbag2Reader(folder / 'detections.mcap') as reader:
        assert reader.message_count == summary['windows']
        assert original.start_time < reader.start_time < reader.end_time < original.end_time
        stored = [
            (time, message_types().deserialize_cdr(raw, DETECTIONS_TYPE))
            for _, time, raw in reader.messages()
        ]
    times = np.array([time for time, _ in stored])
    assert np.all(np.diff(times) > 0)
    assert sum(len(message.detections) for _, message in stored) == len(boxes)
    assert {message.header.frame_id for _, message in stored} == {'0293'}


@pytest.mark.parametrize('kind', ['sqlite3', 'mcap', 'rosbag1'])
@pytest.mark.parametrize('type_name', [EVENT_ARRAY, EVENT_PACKET])
def test_form_of_the_messages_does_not_matter(tmp_path, run, kind, type_name):
    def form(kind, type_name):
        folder = tmp_path / f'{kind}-{type_name.split("/")[0]}'
        folder.mkdir(exist_ok=True)
        messages = event_messages(type_name, messages=16, events=200, period_ns=10_000_000)
        return write_recording(folder, kind, {TOPIC: (type_name, messages)})

    summary, boxes, _ = run(form(kind, type_name))
    assert_nothing_lost(summary)
    assert (summary['events'], summary['windows']) == (3200, 3)
    assert summary['unused_events'] > 0  # the last window is not complete
    assert len(boxes) > 0
    if (kind, type_name) != ('sqlite3', EVENT_ARRAY):
        np.testing.assert_array_equal(boxes, run(form('sqlite3', EVENT_ARRAY))[1])


def test_summary_tells_what_was_done(tmp_path, run):
    messages = event_messages(EVENT_PACKET, messages=20, events=100, period_ns=10_000_000)
    del messages[11]  # lost on the way to the recorder
    path = write_rosbag2(tmp_path / 'drive', {TOPIC: (EVENT_PACKET, messages)})
    summary, boxes, folder = run(path)
    assert json.loads((folder / 'summary.json').read_text()) == summary
    assert summary['recording'] == 'drive'
    assert (summary['topic'], summary['type'], summary['format']) == (
        TOPIC,
        EVENT_PACKET,
        'rosbag2',
    )
    assert (summary['model'], summary['classes']) == ('gen1-tiny', ['car', 'pedestrian'])
    assert summary['sensor_size'] == {'height': HEIGHT, 'width': WIDTH}
    assert (summary['drops'], summary['lost_packets']) == (0, 1)
    assert summary['detections'] == len(boxes)
    assert summary['seconds'] == pytest.approx(0.2, abs=1e-3)
    for key in ('kept_windows', 'kept_tokens'):
        assert len(summary[key]) == 4
        assert all(0 < share <= 1 for share in summary[key])
    assert summary['realtime_factor'] == pytest.approx(
        summary['seconds'] / summary['wall_seconds'], rel=0.01
    )


def test_progress_and_windows_are_reported_in_order(tmp_path, run):
    messages = event_messages(EVENT_ARRAY, messages=16, events=50, period_ns=10_000_000)
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_ARRAY, messages)})
    steps, windows = [], []
    run(
        path,
        progress=lambda *step: steps.append(step),
        on_window=lambda window, detections: windows.append(
            (window.t_end, detections.t_end, len(window))
        ),
    )
    assert steps == [(done, 16, 'messages') for done in range(1, 17)]
    assert len(windows) == 3
    assert all(mine == theirs and events for mine, theirs, events in windows)
    assert windows == sorted(windows)


def test_recording_shorter_than_a_window_has_no_detections(tmp_path, run):
    path = write_rosbag2(
        tmp_path / 'bag', {TOPIC: (EVENT_ARRAY, event_messages(EVENT_ARRAY, messages=3))}
    )
    summary, boxes, _ = run(path)
    assert (summary['windows'], summary['unused_events'], len(boxes)) == (0, 60, 0)
    assert summary['sensor_size'] == {'height': HEIGHT, 'width': WIDTH}


def test_recording_without_events_is_an_error(tmp_path, run):
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_ARRAY, [])})
    with pytest.raises(RecordingError, match=f'bag holds no events on {TOPIC}'):
        run(path)


def test_bag_that_loops_is_two_runs(tmp_path, run):
    messages = event_messages(EVENT_ARRAY, messages=12, events=50, period_ns=10_000_000)
    again = [(time + 10**9, raw) for time, raw in messages]
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_ARRAY, messages + again)})
    summary, _, _ = run(path)
    assert summary['resets'] == 1
    assert summary['resets_by_reason'] == {'time_jump_back': 1}
    assert summary['windows'] == 4
    assert summary['seconds'] == pytest.approx(0.24, abs=2e-3)


def test_damaged_recording_leaves_no_results(tmp_path, model):
    messages = event_messages(EVENT_ARRAY, messages=16, events=50, period_ns=10_000_000)
    messages[12] = (messages[12][0], messages[12][1][:-1])
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_ARRAY, messages)})
    pipeline = EventPipeline(StreamingDetector(model))
    with (
        open_recording(path) as recording,
        pytest.raises(RecordingError, match=f'message 12 of {TOPIC} is damaged'),
        DetectionWriter(tmp_path / 'out') as writer,
    ):
        replay(recording, pipeline, writer)
    assert list((tmp_path / 'out').iterdir()) == []


def test_sensor_that_the_file_does_not_tell_and_is_larger_than_the_network_expects_must_be_given(
    shared, tmp_path, model
):
    content = (shared / 'data' / 'faery_imx636' / 'imx636_evt3.raw').read_bytes()
    header = re.match(rb'(%[^\n]*\n)+', content).end()
    path = tmp_path / 'anonymous.raw'
    path.write_bytes(b'% evt 3.0\n' + content[header:][:400_000])
    detector = StreamingDetector(model)
    with open_recording(path) as recording:
        assert recording.sensor_size is None
        with pytest.raises(
            RecordingError,
            match=r'anonymous\.raw.*outside the sensor of 304x240 pixels; give the sensor size',
        ):
            replay(recording, EventPipeline(detector))
        summary = replay(recording, EventPipeline(detector, sensor_size=(720, 1280)))
    assert summary['sensor_size'] == {'height': 720, 'width': 1280}
    assert summary['windows'] > 0
