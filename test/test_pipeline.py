# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The one path from events to detections."""

from __future__ import annotations

from dataclasses import replace

from facts import facts
import numpy as np
import pytest
from sast_ros.detections import Detections, DetectorError
from sast_ros.detector import StreamingDetector
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.filters import FilterChain
from sast_ros.histogram import StackedHistogram
from sast_ros.model import CONFIGS, untrained_model
from sast_ros.pipeline import EventPipeline, process_together, sensor_geometry, WindowDetector
from sast_ros.tracking import Tracker, TrackingSettings
from sast_ros.windows import EventWindow, WindowCutter


@pytest.fixture(scope='module')
def model():
    return untrained_model('gen1-tiny', seed=1)


def noise(
    seed: int,
    count: int,
    t0: int,
    t1: int,
    height: int = 240,
    width: int = 304,
    tells: bool = False,
) -> EventChunk:
    rng = np.random.default_rng(seed)
    return EventChunk(
        rng.integers(0, width, count),
        rng.integers(0, height, count),
        rng.integers(0, 2, count),
        np.sort(rng.integers(t0, t1, count)),
        width=width if tells else 0,
        height=height if tells else 0,
    )


def rows(found):
    return [
        (d.t_start, d.t_end, d.reset, d.events, d.boxes.tobytes(), d.scores.tobytes())
        for d in found
    ]


def test_pipeline_is_windows_histogram_and_detector(model):
    chunk = noise(0, 20_000, 1000, 171_000)
    pipeline = EventPipeline(
        StreamingDetector(model, score_threshold=1e-5), sensor_size=(240, 304)
    )
    found = list(pipeline.feed(chunk))
    t0 = int(chunk.t[0])
    assert [d.t_end for d in found] == [t0 + 50_000, t0 + 100_000, t0 + 150_000]
    assert [d.reset for d in found] == ['start', None, None]
    alone, histogram = StreamingDetector(model, score_threshold=1e-5), StackedHistogram(240, 304)
    for d in found:
        inside = np.flatnonzero((chunk.t >= d.t_start) & (chunk.t <= d.t_end))
        assert d.events == len(inside)
        first, behind = int(inside[0]), int(inside[-1]) + 1
        expected = alone.step(histogram(chunk[first:behind]))
        np.testing.assert_array_equal(d.boxes, expected.boxes)
        np.testing.assert_array_equal(d.scores, expected.scores)


def test_packaging_does_not_matter(model):
    chunk = noise(1, 30_000, 0, 260_000)
    results = []
    for size in (30_000, 7_001, 333):
        pipeline = EventPipeline(StreamingDetector(model, score_threshold=1e-4), (240, 304))
        parts = (chunk[slice(i, i + size)] for i in range(0, len(chunk), size))
        results.append(rows(d for part in parts for d in pipeline.feed(part)))
    assert results[0] == results[1] == results[2]
    assert len(results[0]) == 5


def test_each_restart_zeroes_the_state(model):
    chunk = noise(2, 10_000, 0, 120_000)
    pipeline = EventPipeline(StreamingDetector(model, score_threshold=1e-4), (240, 304))
    first = rows(pipeline.feed(chunk))
    again = rows(pipeline.feed(chunk))  # time jumps back to where it began
    assert again[0][2] == 'time_jump_back'
    assert [r[3:] for r in again] == [r[3:] for r in first]
    pipeline.reset('service')
    assert [r[2:] for r in rows(pipeline.feed(chunk))][0] == ('service', *first[0][3:])
    assert pipeline.statistics.resets == {'start': 1, 'time_jump_back': 1, 'service': 1}


def test_sensor_size_comes_from_the_events_where_nobody_gave_it(model):
    pipeline = EventPipeline(StreamingDetector(model))
    (found,) = pipeline.feed(noise(3, 1000, 0, 60_000, 480, 640, tells=True))
    assert (found.width, found.height) == (640, 480)
    assert (pipeline.geometry.downsample, pipeline.geometry.input_size) == (2, (256, 320))


def test_other_sensor_starts_a_new_stream(model):
    pipeline = EventPipeline(StreamingDetector(model))
    list(pipeline.feed(noise(3, 1000, 0, 60_000, 480, 640, tells=True)))
    (found,) = pipeline.feed(noise(3, 1000, 60_000, 120_000, 260, 346, tells=True))
    assert (found.reset, found.width, found.height) == ('sensor_size', 346, 260)


def test_size_that_nobody_tells_is_that_of_the_network_and_many_events_outside_are_an_error(model):
    pipeline = EventPipeline(StreamingDetector(model))
    (found,) = pipeline.feed(noise(3, 1000, 0, 60_000))
    assert (found.width, found.height) == (304, 240)
    list(pipeline.feed(noise(3, 1000, 60_000, 120_000, 480, 640)))
    with pytest.raises(EventFormatError, match='304x240.*--sensor-size.*input.width'):
        list(pipeline.finish())


@pytest.mark.parametrize('kind', [SettingError, EventFormatError])
def test_a_filter_that_does_not_fit_the_sensor_is_a_wrong_setting_and_costs_the_chunk(model, kind):
    pipeline = EventPipeline(
        StreamingDetector(model), event_filter=FilterChain(['roi=300,0,20,20'])
    )
    with pytest.raises(kind, match='roi=300,0,20,20.*304x240'):
        list(pipeline.feed(noise(3, 1000, 0, 60_000)))
    assert pipeline.statistics.windows == 0


def with_outsiders(chunk: EventChunk, share: float) -> EventChunk:
    """Return the chunk with about such a share of its events outside 100x100 pixels."""
    outside = np.random.default_rng(1).random(len(chunk)) < share
    return replace(chunk, x=np.where(outside, 100, chunk.x).astype(np.uint16), checked=True)


@pytest.mark.parametrize('size', [200, 5000, 100_000])
@pytest.mark.parametrize(('seconds', 'share'), [([0], 0.02), ([5], 0.02), ([5], 0.9)])
def test_events_outside_in_a_part_of_a_stream_cost_themselves(seconds, share, size):
    parts = [noise(k, 2000, k * 10**6, (k + 1) * 10**6, 100, 100) for k in range(10)]
    for second in seconds:
        parts[second] = with_outsiders(parts[second], share)
    outside = sum(int(np.count_nonzero(part.x == 100)) for part in parts)
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in 'xypt']
    chunk = EventChunk(*columns)
    cutter, windows = WindowCutter(50_000, 50_000, sensor_size=(100, 100)), []
    for low in range(0, len(chunk), size):
        part = slice(low, low + size)
        windows += cutter.cut(chunk[part])
    windows += cutter.finish()
    assert len(windows) == 199
    assert cutter.statistics.events == 20_000 - outside
    assert cutter.statistics.left_out == {'outside_sensor': outside}
    assert cutter.statistics.resets == {'start': 1}
    assert f'{outside} of 20000 events are outside the sensor of 100x100' in cutter.warning


def test_a_stream_that_is_mostly_outside_has_a_wrong_size_and_goes_on(model):
    pipeline = EventPipeline(StreamingDetector(model), sensor_size=(100, 100), tracking=None)
    found = []
    chunk = with_outsiders(noise(3, 2000, 0, 1_100_000, 100, 100), 0.6)
    with pytest.raises(EventFormatError, match='of 2000.*100x100'):
        for each in pipeline.feed(chunk):
            found.append(each)
    assert len(found) >= 20  # nothing of the chunk is lost
    found += pipeline.feed(noise(4, 1000, 1_100_000, 1_200_000, 100, 100))
    assert pipeline.statistics.resets == {'start': 1}


def test_few_events_outside_are_no_warning():
    cutter = WindowCutter(50_000, 50_000, sensor_size=(100, 100))
    list(cutter.cut(with_outsiders(noise(3, 2000, 0, 100_000, 100, 100), 0.001)))
    assert 0 < cutter.statistics.left_out['outside_sensor'] < 16
    assert cutter.warning == ''


@pytest.mark.parametrize(
    ('name', 'sensor', 'downsample', 'input_size'),
    [
        ('gen1-tiny', (240, 304), 1, (256, 320)),
        ('gen1-tiny', (180, 240), 1, (256, 320)),
        ('gen1-tiny', (260, 346), 1, (288, 352)),
        ('gen1-tiny', (480, 640), 2, (256, 320)),
        ('gen1-tiny', (720, 1280), 4, (256, 320)),
        ('1mpx-tiny', (720, 1280), 2, (384, 640)),
        ('1mpx-tiny', (480, 640), 1, (512, 640)),
        ('1mpx-tiny', (240, 304), 1, (384, 640)),
        ('gen1-tiny', (1, 1), 1, (256, 320)),
    ],
)
def test_sensor_is_fitted_to_the_network_as_stated(name, sensor, downsample, input_size):
    geometry = sensor_geometry(CONFIGS[name], sensor)
    assert (geometry.downsample, geometry.input_size) == (downsample, input_size)


@pytest.mark.parametrize('sensor', [(260, 346), (480, 640), (720, 1280), (17, 23)])
def test_boxes_lie_on_any_sensor(model, sensor):
    height, width = sensor
    pipeline = EventPipeline(StreamingDetector(model, score_threshold=1e-5), sensor)
    (found,) = pipeline.feed(noise(5, 5000, 0, 60_000, height, width))
    assert len(found) > 0
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [width, height, width, height]).all()
    assert found.boxes[:, 2].max() > 0.8 * width


@pytest.mark.parametrize('sensor', [(0, 304), (240, -1), (9000, 304)])
def test_impossible_sensor_is_refused(model, sensor):
    with pytest.raises(ValueError, match=facts(f'{sensor[1]}x{sensor[0]}')):
        EventPipeline(StreamingDetector(model), sensor)


def test_timing_can_change_between_two_windows(model):
    pipeline = EventPipeline(StreamingDetector(model), (240, 304))
    chunk = noise(6, 4000, 0, 400_000)
    ends = [d.t_end for d in pipeline.feed(chunk[:1000])]
    pipeline.set_timing(20, 40, 1000)
    ends += [d.t_end for d in pipeline.feed(chunk[1000:2000])]
    steps = np.diff(ends)
    assert set(steps[2:]) == {40_000}
    with pytest.raises(ValueError, match=facts(0)):
        pipeline.set_timing(0, 40, 1000)


@pytest.mark.parametrize('together', [False, True])
def test_a_failed_step_ends_the_tracks_with_the_state(model, together):
    everything = TrackingSettings(high_score=0, low_score=0, min_hits=1)
    detector = StreamingDetector(model, score_threshold=0, max_detections=3)
    windows = WindowDetector(detector, Tracker(everything))

    def step(number: int, reset: str | None = None) -> Detections | Exception:
        begin = 50_000 * number
        part = noise(number, 2_000, begin, begin + 50_000)
        window = EventWindow(begin, begin + 50_000, (part,), 304, 240, 0, reset=reset)
        if together:
            return process_together([windows], [window])[0]
        try:
            return windows.process(window)
        except DetectorError as error:
            return error

    before = [step(0, 'start'), step(1)]
    assert all(len(one.track_ids) == 3 and one.track_ids.min() > 0 for one in before)
    last = max(one.track_ids.max() for one in before)
    bias = detector.engine.network._weights.lateral.bias
    whole, bias[0] = float(bias[0]), float('nan')
    failed = step(2)
    bias[0] = whole
    assert isinstance(failed, DetectorError)
    assert len(windows.tracker.tracks()) == 0 and detector.selected is None
    after = step(3)
    assert sorted(after.track_ids) == [last + 1, last + 2, last + 3]
    # As a new stream
    fresh = WindowDetector(StreamingDetector(model, score_threshold=0, max_detections=3))
    part = noise(3, 2_000, 150_000, 200_000)
    again = fresh.process(EventWindow(150_000, 200_000, (part,), 304, 240, 0, reset='start'))
    np.testing.assert_array_equal(after.boxes, again.boxes)


@pytest.mark.parametrize('together', [False, True])
def test_a_tracker_that_fails_costs_the_window_of_its_camera_only(model, monkeypatch, together):
    everything = TrackingSettings(high_score=0, low_score=0, min_hits=1)
    cameras = [
        WindowDetector(
            StreamingDetector(model, score_threshold=0, max_detections=3), Tracker(everything)
        )
        for _ in range(2)
    ]

    def step(number: int) -> list[Detections | Exception]:
        begin = 50_000 * number
        part = noise(number, 2_000, begin, begin + 50_000)
        windows = [EventWindow(begin, begin + 50_000, (part,), 304, 240, 0)] * 2
        if together:
            return process_together(cameras, windows)
        results = []
        for camera, window in zip(cameras, windows):
            try:
                results.append(camera.process(window))
            except ValueError as error:
                results.append(error)
        return results

    def fail(detections):
        raise ValueError('not finite')

    step(0)
    with monkeypatch.context() as patch:
        patch.setattr(cameras[1].tracker, 'step', fail)
        whole, failed = step(1)
    assert len(whole.track_ids) == 3
    assert isinstance(failed, ValueError)
    assert len(cameras[0].tracker.tracks()) > 0 and cameras[0].detector.selected is not None
    assert len(cameras[1].tracker.tracks()) == 0 and cameras[1].detector.selected is None
    assert all(len(one.track_ids) == 3 for one in step(2))


def test_a_failed_step_costs_its_own_window_only(model, monkeypatch):
    chunk = noise(0, 20_000, 0, 200_000)
    later = noise(1, 20_000, 3_000_000, 3_200_000)
    whole = EventChunk(*(np.concatenate([getattr(c, f) for c in (chunk, later)]) for f in 'xypt'))
    pipeline, plain = (EventPipeline(StreamingDetector(model)) for _ in range(2))
    windows = [window.t_end for window, _ in plain.steps(whole)]
    step, steps = pipeline.detector.step, iter(range(100))

    def fail_once(histogram):
        if next(steps) == 1:
            raise DetectorError('not finite')
        return step(histogram)

    monkeypatch.setattr(pipeline.detector, 'step', fail_once)
    found = []
    with pytest.raises(DetectorError, match='not finite'):
        found.extend(pipeline.feed(whole))
    assert [detections.t_end for detections in found] == windows[:1] + windows[2:]
    assert pipeline.statistics == plain.statistics
    assert found[-1].t_end > 3_000_000
