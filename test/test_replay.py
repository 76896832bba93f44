# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Replay: the same detections from every form of a recording, every time."""

from __future__ import annotations

import json
import re
import tracemalloc

from bags.recordings import (
    EVENT_ARRAY,
    event_array,
    event_messages,
    EVENT_PACKET,
    HEIGHT,
    random_events,
    START_NS,
    TOPIC,
    WIDTH,
    write_recording,
    write_rosbag2,
)
from events import encoders
from facts import facts
from mcap.reader import make_reader
import numpy as np
import pytest
from rosbags.rosbag2 import Reader as Rosbag2Reader
from sast_ros.bags import DETECTIONS_TYPE, DetectionWriter, open_recording, RecordingError
from sast_ros.bags.definitions import message_types
from sast_ros.cli import main
from sast_ros.detector import Detections, StreamingDetector
from sast_ros.events import open_decoder
from sast_ros.example import EXAMPLE
from sast_ros.model import build_model
from sast_ros.pipeline import EventPipeline
from sast_ros.replay import replay, replay_to_folder, ReplayOptions
from sast_ros.windows import WindowCutter
import torch


@pytest.fixture(scope='module')
def model():
    """Give gen1-tiny with seeded random weights, on one thread: tests may run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield build_model('gen1-tiny').eval()
    torch.set_num_threads(threads)


def replay_and_write(recording, pipeline, writer, on_window=None, **options):
    def keep(window, detections):
        writer.write(detections)
        if on_window is not None:
            on_window(window, detections)

    summary = replay(recording, pipeline, on_window=keep, **options)
    writer.finish(summary)
    return summary


@pytest.fixture(scope='module')
def run(model, tmp_path_factory):
    """Replay a recording into a folder of its own; return summary, boxes and folder."""

    def run(path, window_ms=50, topic=None, **options):
        folder = tmp_path_factory.mktemp('out')
        # Random weights score everything near 1e-4; the best twenty of a window depend on all of
        # its events.
        detector = StreamingDetector(model, score_threshold=1e-5, max_detections=20)
        pipeline = EventPipeline(detector, window_ms=window_ms, stride_ms=window_ms)
        with (
            open_recording(path, topic) as recording,
            DetectionWriter(folder, log_offset_ns=recording.log_offset_ns) as writer,
        ):
            summary = replay_and_write(recording, pipeline, writer, **options)
        return summary, np.load(folder / 'detections.npy'), folder

    return run


@pytest.fixture(scope='module')
def from_rosbag2(shared, run):
    """Return what replay makes of a real recording in rosbag2 form."""
    return run(shared / 'data' / 'ecp_evt3_vga' / 'test_events_1')


@pytest.fixture(scope='module')
def small_bag(tmp_path_factory):
    """Return a bag of 3200 events in 160 ms."""
    messages = event_messages(EVENT_PACKET, messages=16, events=200, period_ns=10_000_000)
    return write_rosbag2(
        tmp_path_factory.mktemp('bag') / 'drive', {TOPIC: (EVENT_PACKET, messages)}
    )


def assert_nothing_lost(summary):
    assert summary['resets'] == summary['drops'] == summary['lost_packets'] == 0


def test_rosbag1_and_rosbag2_form_of_a_real_recording_give_the_same_bytes(
    shared, run, from_rosbag2
):
    two, boxes, out_two = from_rosbag2
    one, _, out_one = run(shared / 'data' / 'ecp_evt3_vga' / 'test_events_1.bag')
    assert len(boxes) > 100
    for name in ('detections.npy', 'detections.mcap', 'windows.npy'):
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


def test_second_replay_gives_the_same_bytes(small_bag, run):
    summary, boxes, first = run(small_bag)
    assert len(boxes) > 0
    again, _, second = run(small_bag)
    for name in ('detections.npy', 'detections.mcap', 'windows.npy'):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    for of_this_run in ('wall_seconds', 'realtime_factor'):
        summary, again = ({**one, of_this_run: 0} for one in (summary, again))
    assert summary == again


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
    with pytest.raises(RecordingError, match=facts('bag', TOPIC)):
        run(path)


@pytest.mark.parametrize('name', ['detections.npy', 'summary.json', 'overlay.mp4', 'overlay.gif'])
def test_a_folder_at_the_name_of_a_result_is_named_before_the_replay(small_bag, tmp_path, name):
    (tmp_path / name).mkdir()
    steps = []
    with open_recording(small_bag) as recording, pytest.raises(IsADirectoryError, match=name):
        replay_to_folder(
            recording,
            tmp_path,
            ReplayOptions('gen1-tiny', device='cpu'),
            progress=lambda *done: steps.append(done),
        )
    assert steps == [] and [path.name for path in tmp_path.iterdir()] == [name]


def test_a_recording_shorter_than_a_window_is_said(run, tmp_path):
    messages = event_messages(EVENT_PACKET, 10)
    path = write_recording(tmp_path, 'mcap', {TOPIC: (EVENT_PACKET, messages)})
    summary, boxes, _ = run(path)
    assert summary['windows'] == len(boxes) == 0
    assert re.search(facts('window', '50 ms', '--window-ms'), summary['warnings'][0])
    assert json.loads(json.dumps(summary))['truncated'] is False


@pytest.mark.parametrize('given', [(), ('--sensor-size', '100x80')])
def test_a_recording_without_windows_has_the_size_that_is_taken(tmp_path, given):
    x, y, p, t = encoders.random_events(20, WIDTH, HEIGHT, span=2000)
    np.savez(tmp_path / 'a.npz', x=x, y=y, p=p, t=t)
    out = tmp_path / 'out'
    arguments = ['replay', str(tmp_path / 'a.npz'), '--model', 'gen1-tiny', '--out', str(out)]
    assert main([*arguments, *given, '--speed', '0.5']) == 0
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['video_speed'] == 0.5
    width, height = (100, 80) if given else (304, 240)
    assert (summary['windows'], summary['events']) == (0, 20)
    assert summary['sensor_size'] == {'width': width, 'height': height}
    assert ('--sensor-size' in ' '.join(summary['warnings'])) == (not given)
    assert 'No window is complete' in summary['warnings'][-1]


@pytest.mark.parametrize('stated', [False, True])
@pytest.mark.parametrize('kind', ['mcap', 'npz'])
def test_a_sensor_size_that_is_assumed_is_said(tmp_path, capsys, kind, stated):
    x, y, p, t = encoders.random_events(2000, WIDTH, HEIGHT, span=200_000)
    if kind == 'npz':
        path = tmp_path / 'a.npz'
        size = {'height': HEIGHT, 'width': WIDTH} if stated else {}
        np.savez(path, x=x, y=y, p=p, t=t, **size)
    else:
        height, width = (HEIGHT, WIDTH) if stated else (0, 0)
        raw = encoders.event_array(x, y, p, 1000 * t, width=width, height=height, stamp_ns=0)
        path = write_recording(tmp_path, 'mcap', {TOPIC: (EVENT_ARRAY, [(10**9, raw)])})
    arguments = ['replay', str(path), '--model', 'gen1-tiny', '--out']
    assert main([*arguments, str(tmp_path / 'a')]) == 0
    said = ' '.join(capsys.readouterr().out.split())
    expected = 'does not state the size of the sensor; 304x240 pixels'
    assert (expected in said, '--sensor-size' in said) == (not stated, not stated)
    (warnings,) = [
        json.loads(p.read_text())['warnings'] for p in tmp_path.glob('a/**/summary.json')
    ]
    assert len(warnings) == (not stated)
    assert main([*arguments, str(tmp_path / 'b'), '--sensor-size', f'{WIDTH}x{HEIGHT}']) == 0
    assert expected not in ' '.join(capsys.readouterr().out.split())
    boxes = [path.read_bytes() for path in sorted(tmp_path.glob('[ab]/**/detections.npy'))]
    assert len(boxes) == 2 and boxes[0] == boxes[1]


@pytest.mark.parametrize('kind', ['array', 'packet', 'one side', 'raw', 'npz'])
def test_a_sensor_size_that_is_given_wins(tmp_path, capsys, kind):
    x, y, p, t = encoders.random_events(2000, WIDTH, HEIGHT, span=200_000)

    def write(name, height, width):
        path = tmp_path / f'{name}.{kind}'
        if kind == 'npz':
            np.savez(path, x=x, y=y, p=p, t=t, height=height, width=width)
            return path
        words = encoders.words16(*encoders.Evt3.stream(x, y, p, t))
        if kind == 'raw':
            path.write_bytes(b'%% evt 3.0\n%% geometry %dx%d\n%% end\n' % (width, height) + words)
            return path
        size = {'width': width, 'height': height}
        raw = encoders.event_packet(words, 'evt3', **size)
        if kind != 'packet':
            raw = encoders.event_array(x, y, p, 1000 * t, **size, stamp_ns=0)
        type_name = EVENT_PACKET if kind == 'packet' else EVENT_ARRAY
        (tmp_path / name).mkdir()
        return write_recording(tmp_path / name, 'mcap', {TOPIC: (type_name, [(10**9, raw)])})

    arguments = ['replay', '--model', 'gen1-tiny', '--out']
    assert main([*arguments, str(tmp_path / 'a'), str(write('right', HEIGHT, WIDTH))]) == 0
    wrong = write('wrong', 0 if kind == 'one side' else HEIGHT // 2, WIDTH)
    assert main([*arguments, str(tmp_path / 'b'), str(wrong)]) == 1
    assert '--sensor-size' in ' '.join(capsys.readouterr().err.split())
    arguments += [str(tmp_path / 'b'), '--sensor-size', f'{WIDTH}x{HEIGHT}']
    assert main([*arguments, str(wrong)]) == 0
    right, given = (json.loads((tmp_path / n / 'summary.json').read_text()) for n in 'ab')
    assert given['sensor_size'] == right['sensor_size'] == {'height': HEIGHT, 'width': WIDTH}
    assert (given['events'], given['events_left_out']) == (2000, {})
    said = facts(f'{WIDTH}x{HEIGHT // 2}', f'{WIDTH}x{HEIGHT}')
    assert right['warnings'] == []
    assert kind == 'one side' or re.search(said, given['warnings'][0])
    boxes = [(tmp_path / name / 'detections.npy').read_bytes() for name in 'ab']
    assert boxes[0] == boxes[1]


def test_events_outside_the_sensor_in_a_part_of_a_recording_are_a_warning(tmp_path, run):
    random = np.random.default_rng(0)
    raws = []
    for number in range(100):
        x, y, p = (random.integers(0, side, 400) for side in (WIDTH, HEIGHT, 2))
        t = 10**9 + 20_000 * number + np.sort(random.integers(0, 20_000, 400))
        x[: 8 if number < 50 else 0] = WIDTH + 3
        raws.append(encoders.event_array(x, y, p, 1000 * t, width=WIDTH, height=HEIGHT))
    messages = [(number, raw) for number, raw in enumerate(raws)]
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_ARRAY, messages)})
    summary, _, _ = run(path, window_ms=400)
    decode, cutter = open_decoder(EVENT_ARRAY), WindowCutter(400_000, 400_000)
    windows = sum(len(list(cutter.cut(decode(raw)))) for raw in raws)
    live = cutter.statistics
    assert (summary['windows'], summary['events']) == (windows, live.events) == (4, 39_600)
    assert summary['events_left_out'] == live.left_out == {'outside_sensor': 400}
    assert summary['refused_messages'] == 0
    (warning,) = summary['warnings']
    assert '400 of 40000 events are outside the sensor' in warning


def test_bag_that_loops_is_two_runs(tmp_path, run):
    messages = event_messages(EVENT_ARRAY, messages=12, events=50, period_ns=10_000_000)
    again = [(time + 10**9, raw) for time, raw in messages]
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_ARRAY, messages + again)})
    summary, _, _ = run(path)
    assert summary['resets'] == 1
    assert summary['resets_by_reason'] == {'time_jump_back': 1}
    assert summary['windows'] == 4
    assert summary['seconds'] == pytest.approx(0.24, abs=2e-3)


def test_recording_of_damaged_messages_leaves_no_results(tmp_path, model):
    messages = event_messages(EVENT_ARRAY, messages=16, events=50, period_ns=10_000_000)
    messages[3:] = [(time, raw[:-1]) for time, raw in messages[3:]]
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_ARRAY, messages)})
    pipeline = EventPipeline(StreamingDetector(model))
    with (
        open_recording(path) as recording,
        pytest.raises(RecordingError, match=facts('bag', 13, 3, TOPIC)),
        DetectionWriter(tmp_path / 'out') as writer,
    ):
        replay_and_write(recording, pipeline, writer)
    assert list((tmp_path / 'out').iterdir()) == []


def test_sensor_that_the_file_does_not_tell_and_is_larger_than_the_network_expects_must_be_given(
    tmp_path, model
):
    events = encoders.random_events(5000, 1280, 720, span=200_000)
    path = tmp_path / 'anonymous.raw'
    path.write_bytes(b'% evt 3.0\n' + encoders.words16(*encoders.Evt3.stream(*events)))
    detector = StreamingDetector(model)
    with open_recording(path) as recording:
        assert recording.sensor_size is None
        with pytest.raises(RecordingError, match=facts('anonymous.raw', '304x240')):
            replay(recording, EventPipeline(detector))
        summary = replay(recording, EventPipeline(detector, sensor_size=(720, 1280)))
    assert summary['sensor_size'] == {'height': 720, 'width': 1280}
    assert summary['windows'] > 0


# ----------------------------------------------------------------------------- part of a recording


def test_part_is_as_if_the_recording_held_only_these_events(tmp_path, run):
    period_ns = 10_000_000
    events = [random_events(200, seed=index, span_us=10_000) for index in range(40)]
    begin, end = (events[0]['t'][0] + since for since in (83_000, 305_000))

    def form(name, low, high):
        messages = []
        for index, content in enumerate(events):
            t = content['t'] + 10_000 * index
            held = {key: values[(low <= t) & (t < high)] for key, values in content.items()}
            stamp = START_NS + index * period_ns
            if len(held['t']):
                messages.append((stamp + period_ns, event_array(held, stamp)))
        return write_rosbag2(tmp_path / name, {TOPIC: (EVENT_ARRAY, messages)})

    part, _, out_part = run(form('whole', 0, 10**9), start=0.083, end=0.305)
    alone, boxes, out_alone = run(form('alone', begin, end))
    assert len(boxes) > 0
    assert part['windows'] == 4
    for name in ('detections.npy', 'detections.mcap', 'windows.npy'):
        assert (out_part / name).read_bytes() == (out_alone / name).read_bytes()
    for key in ('events', 'windows', 'seconds', 'unused_events', 'kept_tokens', 'resets'):
        assert part[key] == alone[key], key
    assert (part['start'], part['end'], alone['start'], alone['end']) == (0.083, 0.305, 0, None)


def test_part_of_a_real_recording_stays_on_its_clock(shared, run, from_rosbag2):
    path = shared / 'data' / 'ecp_evt3_vga' / 'test_events_1'
    summary, boxes, folder = run(path, start=1, end=1.5)
    assert summary['windows'] == 9
    assert summary['seconds'] == pytest.approx(0.5, abs=0.001)
    whole = from_rosbag2[1]
    assert whole['t'][0] + 900_000 < boxes['t'].min() < boxes['t'].max() < whole['t'].max()
    with Rosbag2Reader(path) as original, Rosbag2Reader(folder / 'detections.mcap') as reader:
        first = original.start_time + 1_000_000_000
        assert first < reader.start_time < reader.end_time < first + 600_000_000


def test_start_behind_the_end_of_the_recording_is_an_error(small_bag, run):
    with pytest.raises(RecordingError, match=facts('drive', 3)):
        run(small_bag, start=3)


# ---------------------------------------------------------------------------- what is not as usual


def test_recording_that_was_cut_off_is_replayed_with_a_warning(tmp_path, run, capsys):
    messages = event_messages(EVENT_ARRAY, messages=20, events=500, period_ns=10_000_000)
    path = write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_ARRAY, messages)})
    whole, boxes, _ = run(path)
    assert (whole['truncated'], whole['warnings']) == (False, [])
    file = path / 'bag.db3'
    file.write_bytes(file.read_bytes()[:100_000])
    arguments = ['--model', 'gen1-tiny', '--device', 'cpu', '--out', str(tmp_path / 'out')]
    assert main(['replay', str(path), *arguments]) == 0
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert summary['truncated']
    (warning,) = summary['warnings']
    assert 'bag.db3' in warning
    assert warning in capsys.readouterr().out
    again, first, _ = run(path)
    assert 0 < again['windows'] < whole['windows']
    np.testing.assert_array_equal(first, boxes[: len(first)])


def test_bag_on_another_clock_than_its_stamps_opens_beside_its_detections(tmp_path, run):
    messages = event_messages(EVENT_PACKET, messages=20, events=100, period_ns=10_000_000)
    later_ns = 12_345 * 10**9  # simulated time, or computers that disagree
    path = write_rosbag2(
        tmp_path / 'bag',
        {TOPIC: (EVENT_PACKET, [(time_ns + later_ns, raw) for time_ns, raw in messages])},
    )
    _, _, folder = run(path)
    with Rosbag2Reader(path) as original, Rosbag2Reader(folder / 'detections.mcap') as reader:
        assert original.start_time < reader.start_time < reader.end_time < original.end_time
        for _, _, raw in reader.messages():
            stamp = message_types().deserialize_cdr(raw, DETECTIONS_TYPE).header.stamp
            assert START_NS < stamp.sec * 10**9 + stamp.nanosec < START_NS + 10**9


def test_no_time_in_the_mcap_is_of_the_wall_clock(tmp_path, run):
    messages = event_messages(EVENT_PACKET, messages=20, events=100, period_ns=10_000_000)
    _, _, folder = run(write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)}))
    with (folder / 'detections.mcap').open('rb') as stream:
        reader = make_reader(stream)
        times = [
            time
            for _, _, message in reader.iter_messages()
            for time in (message.log_time, message.publish_time)
        ]
        summary = reader.get_summary()
    assert summary.attachment_indexes == summary.metadata_indexes == []
    assert summary.statistics.message_start_time == min(times)
    assert START_NS < min(times) < max(times) < START_NS + 10**9


# ---------------------------------------------------------------------------------- several topics


def test_topics_are_replayed_each_with_a_state_and_a_folder_of_its_own(tmp_path, capsys):
    left, right = (
        event_messages(kind, messages=20, events=events, period_ns=10_000_000)
        for kind, events in ((EVENT_PACKET, 100), (EVENT_ARRAY, 50))
    )
    topics = {'/left/events': (EVENT_PACKET, left), '/right/events': (EVENT_ARRAY, right)}
    bag = str(write_rosbag2(tmp_path / 'bag', topics))
    common = ['--model', 'gen1-tiny', '--device', 'cpu', '--score-threshold', '1e-5']
    both = ['--topic', '/left/events', '--topic', 'right/events']
    assert main(['replay', bag, *both, *common, '--out', str(tmp_path / 'both')]) == 0
    capsys.readouterr()
    names = ['left-events', 'right-events']
    assert sorted(path.name for path in (tmp_path / 'both').iterdir()) == names
    for name, topic in zip(names, topics, strict=True):
        out = tmp_path / name
        assert main(['replay', bag, '--topic', topic, *common, '--out', str(out)]) == 0
        assert len(np.load(out / 'detections.npy')) > 0
        for file in ('detections.npy', 'detections.mcap'):
            assert (out / file).read_bytes() == (tmp_path / 'both' / name / file).read_bytes()
    capsys.readouterr()
    assert main(['replay', bag, *both, '--topic', '/left/events']) == 2
    assert '--topic names /left/events twice' in capsys.readouterr().err
    assert main(['replay', bag]) == 1
    assert re.search('--topic, once for each camera: /left/events', capsys.readouterr().err)


@pytest.mark.parametrize(
    'interval', [['--start', '-1'], ['--end', 'x'], ['--start', '2', '--end', '2'],
                 ['--end', '1', '--start', '1.5'], ['--end', '0']],
)  # fmt: skip
def test_impossible_interval_is_wrong_usage(interval, capsys):
    assert main(['replay', 'bag', *interval]) == 2
    assert 'sast-ros' in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ memory


def peak_memory(action) -> int:
    """Bytes that Python and numpy hold at most while the action runs, above those before it."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_memory_of_the_writer_does_not_grow_with_the_recording(tmp_path):
    def write(windows):
        random = np.random.default_rng(0)
        with DetectionWriter(tmp_path / str(windows)) as writer:
            for index in range(windows):
                corner = random.uniform(0, 100, (30, 2)).astype(np.float32)
                writer.write(
                    Detections(
                        boxes=np.concatenate([corner, corner + 20], 1),
                        scores=np.full(30, 0.5, np.float32),
                        class_ids=np.zeros(30, np.int64),
                        objectness=np.ones(30, np.float32),
                        class_scores=np.ones(30, np.float32),
                        class_names=('car', 'pedestrian'),
                        kept=(),
                        height=HEIGHT,
                        width=WIDTH,
                        t_end=50_000 * (index + 1),
                    )
                )
            writer.finish({})

    write(10)
    short, long = (peak_memory(lambda count=count: write(count)) for count in (150, 450))
    assert long < 1.05 * short


@pytest.mark.parametrize('kind', ['sqlite3', 'mcap', 'rosbag1'])
def test_memory_of_reading_does_not_grow_with_the_recording(tmp_path, kind):
    def read(count):
        folder = tmp_path / str(count)
        folder.mkdir()
        messages = event_messages(EVENT_PACKET, messages=count, events=2000)
        path = write_recording(folder, kind, {TOPIC: (EVENT_PACKET, messages)})
        del messages

        def run():
            with open_recording(path) as recording:
                assert sum(map(len, recording)) == 2000 * count

        return run

    read(3)()
    short, long = (peak_memory(read(count)) for count in (400, 1600))
    # rosbags keeps an index of some bytes a message
    assert long < 1.05 * short + 300 * 1200


def test_a_parameter_file_moves_boxes_on_to_where_objects_are_when_they_are_used(tmp_path):
    """Who is moved: what has a number, by its velocity, with the same numbers and scores."""
    found = {}
    for lead_ms in (0, 40):
        file = tmp_path / f'{lead_ms}.yaml'
        file.write_text(
            f'/**: {{ros__parameters: {{tracking: {{lead_ms: {lead_ms}.0}}}}}}\n', encoding='utf-8'
        )
        out = tmp_path / str(lead_ms)
        command = ('replay', str(EXAMPLE), '--params', str(file), '--out', str(out))
        assert main([*command, '--end', '2']) == 0
        found[lead_ms] = np.load(out / 'detections.npy')
    at, ahead = found[0], found[40]
    for name in ('t', 'class_id', 'class_confidence', 'track_id'):
        np.testing.assert_array_equal(ahead[name], at[name])
    numbered = at['track_id'] > 0
    assert 20 < numbered.sum() < len(at)
    ways = np.hypot(ahead['x'] - at['x'], ahead['y'] - at['y'])
    assert not ways[~numbered].any()
    # Where each object is a window later, 10 ms after that, tells where it goes
    nearer = []
    for row, moved in zip(at[numbered], ahead[numbered]):
        later = at[(at['track_id'] == row['track_id']) & (at['t'] == row['t'] + 50_000)]
        if len(later) and abs(later[0]['x'] - row['x']) > 1:
            nearer.append(abs(later[0]['x'] - moved['x']) < abs(later[0]['x'] - row['x']))
    assert len(nearer) > 20 and np.mean(nearer) > 0.8
