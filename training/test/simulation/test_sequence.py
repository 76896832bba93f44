# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Drives: their stream, their labels, and that a seed decides both."""

from dataclasses import replace
import itertools

import numpy as np
import pytest
from sast_ros.events.chunk import EventChunk
from sast_ros.labels import CLASSES, LABEL_DTYPE
from sast_ros.windows import WindowCutter
from sast_ros_training.simulation.camera import EventCamera
from sast_ros_training.simulation.motion import MOTIONS
from sast_ros_training.simulation.scene_renderer import SceneRenderer
from sast_ros_training.simulation.sequence import (
    _borders,
    _History,
    _make_street_scene,
    _mark,
    _MIN_INSIDE,
    GEOMETRIES,
    SimulatedSequence,
    WINDOW_US,
)
from sast_ros_training.simulation.timing import WindowTiming

#: Overlapping, one behind the other, and with holes between them.
TIMINGS = [(50, 25), (100, 50), (20, 20), (20, 25), (35, 125), (100, 125)]


def record(sequence):
    windows = list(sequence.windows())
    return windows, [window.chunk for window in windows] + [sequence.tail]


@pytest.fixture(scope='module', params=MOTIONS)
def recorded(request):
    sequence = SimulatedSequence((5, 1), 0.5, motion=request.param)
    return (sequence, *record(sequence))


def joined(chunks):
    return EventChunk(
        *(np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in 'xypt')
    )


def test_the_same_seed_gives_the_same_events_and_labels():
    first, second = (record(SimulatedSequence(3, 0.3)) for _ in range(2))
    for a, b in zip(first[1], second[1], strict=True):
        for name in 'xypt':
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for a, b in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(a.labels, b.labels)


@pytest.mark.parametrize('other', [4, (3, 0), (3, 1)])
def test_another_seed_gives_another_drive(other):
    first, second = (joined(record(SimulatedSequence(seed, 0.2))[1]) for seed in (3, other))
    assert len(first) != len(second) or (first.t != second.t).any()


def test_the_stream_is_in_order_and_on_the_sensor(recorded):
    sequence, _, chunks = recorded
    stream = joined(chunks)
    assert (np.diff(stream.t) >= 0).all()
    assert stream.x.max() < sequence.width
    assert stream.y.max() < sequence.height


def test_windows_that_are_cut_from_the_stream_end_at_the_times_of_the_labels(recorded):
    _, windows, chunks = recorded
    cutter = WindowCutter(WINDOW_US, WINDOW_US)
    ends = [cut.t_end for chunk in chunks for cut in cutter.cut(chunk)]
    assert ends == [window.t_end for window in windows]
    assert int(chunks[0].t[0]) == 0


def test_labels_lie_in_the_picture(recorded):
    sequence, windows, _ = recorded
    for window in windows:
        labels = window.labels
        assert labels.dtype == LABEL_DTYPE
        assert (labels['t'] == window.t_end).all()
        assert (labels['x'] >= 0).all()
        assert (labels['x'] + labels['w'] <= sequence.width + 1e-3).all()
        assert (labels['y'] + labels['h'] <= sequence.height + 1e-3).all()
        assert (labels['class_id'] < len(CLASSES)).all()
        assert len(set(labels['track_id'])) == len(labels)
        assert ((labels['visibility'] > 0) & (labels['visibility'] <= 1)).all()
        assert (labels['seen'] | ~labels['recent']).all()


def test_the_events_of_an_object_lie_in_its_box():
    """In a still picture nearly all events that are no noise are those of labelled objects."""
    inside = total = 0
    for index in range(6):
        sequence = SimulatedSequence((11, index), 0.6, motion='static')
        before = []
        for window in sequence.windows():
            chunk, labels = window.chunk, [*window.labels, *before]
            hit = np.zeros(len(chunk), bool)
            for label in labels:
                hit |= (
                    (chunk.x >= label['x'] - 3)
                    & (chunk.x <= label['x'] + label['w'] + 3)
                    & (chunk.y >= label['y'] - 3)
                    & (chunk.y <= label['y'] + label['h'] + 3)
                )
            own = int(sum(label['events'] for label in window.labels))
            total += own
            inside += min(int(hit.sum()), own)
            before = list(window.labels)
    assert total > 1000
    assert inside > 0.95 * total


def test_boxes_fit_what_streets_show_of_bodies_that_the_border_cuts():
    compared = 0
    for seed in range(16):
        rng = np.random.default_rng(seed)
        light, street, camera, actors, *_ = _make_street_scene(
            rng, 'static', (240, 304), 1.0, None
        )
        street = replace(street, pieces=[street.sky])
        for actor in actors:  # alone: nothing hides it
            alone = SceneRenderer(camera, street, light, [], [actor])
            for seconds in (0.0, 0.5, 1.0):
                outline = alone.outlines(seconds).get(actor.owner)
                if outline is None or outline.inside == 1:
                    continue
                rows, columns = np.nonzero(alone.picture(seconds)[1])
                if len(rows) < 100:
                    continue
                shown = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                np.testing.assert_allclose(outline.box, shown, atol=2.5)
                compared += 1
    assert compared > 10


@pytest.fixture
def places(monkeypatch):
    """Return a list: of every place the outline, its share, and that at exactly this time."""
    noted = []
    find = SimulatedSequence._places

    def note(sequence, scene, now):
        found, outlines = find(sequence, scene, now), scene.outlines(now / 1e6)
        scene.picture(now / 1e6)
        visible = scene.visible()
        for place in found:
            share = visible[place.owner] / scene.covered(place.actor, now / 1e6)
            noted.append((outlines[place.owner], place.share, min(share, 1.0)))
        return found

    monkeypatch.setattr(SimulatedSequence, '_places', note)
    return noted


def test_a_bumper_in_the_picture_of_a_street_is_no_visible_car(places):
    for seed in (900005, 900007):
        list(SimulatedSequence(seed, 0.5, motion='static', scene='street').windows())
    cut = [share for outline, share, _ in places if outline.inside < _MIN_INSIDE]
    assert cut and max(cut) < _MIN_INSIDE


def test_the_visible_share_in_a_video_is_of_the_time_of_the_labels(places):
    wanted = {'seconds': 0.3, 'motion': 'static', 'scene': 'street'}
    drives = (SimulatedSequence(seed, **wanted) for seed in range(100))
    for drive in itertools.islice((drive for drive in drives if drive._video), 3):
        list(drive.windows())
    whole = [row for row in places if row[0].inside >= _MIN_INSIDE]
    assert len(whole) > 10
    for _, share, exact in whole:
        assert share == exact


def test_boxes_move_steadily():
    """An object does not jump between two labels unless it passes very near."""
    for index in range(4):
        tracks = {}
        for window in SimulatedSequence((23, index), 0.6, motion='static').windows():
            for label in window.labels:
                tracks.setdefault(int(label['track_id']), []).append(label)
        for track in tracks.values():
            for earlier, later in itertools.pairwise(track):
                if later['t'] - earlier['t'] == WINDOW_US:
                    assert abs(later['x'] - earlier['x']) < 80


def test_an_object_is_seen_once_it_has_made_enough_events():
    counts = {}
    for window in SimulatedSequence((11, 2), 1.0, motion='static').windows():
        for label in window.labels:
            enough = label['events'] >= max(12, 0.03 * label['w'] * label['h'])
            counts[label['track_id']] = counts.get(label['track_id'], False) or enough
            assert label['seen'] == counts[label['track_id']]
    assert any(counts.values())


@pytest.mark.parametrize('times', TIMINGS)
def test_windows_of_any_length_and_stride_are_those_of_the_node(times):
    timing = WindowTiming.from_ms(*times)
    drive = SimulatedSequence((5, 1), 0.4, motion='pan', timing=timing)
    stream = joined(record(drive)[1])
    ends = range(1000 * times[0], 400_001, 1000 * times[1])
    assert drive.count == len(ends)
    cut = list(SimulatedSequence((5, 1), 0.4, motion='pan', timing=timing).cut())
    assert [window.t_end for window, _ in cut] == list(ends)
    for window, labels in cut:
        assert window.t_end - window.t_start == timing.window_us
        first = np.searchsorted(stream.t, window.t_start, 'left')
        behind = np.searchsorted(stream.t, window.t_end, 'right')
        inside = joined(window.parts)
        for name in 'xypt':
            expected = getattr(stream, name)[first:behind]
            np.testing.assert_array_equal(getattr(inside, name), expected)
        assert len(labels) and (labels['t'] == window.t_end).all()


@pytest.mark.parametrize('times', [(16.667, 16.667), (33, 20), (5, 5.001)])
def test_time_does_not_go_back_with_windows_off_the_grid_of_pictures(monkeypatch, times):
    """Times of labels count from within the first 5 ms that have events."""
    moments = []
    advance = EventCamera.advance

    def watch(camera, luminance, t_us, owners=None):
        moments.append(t_us)
        return advance(camera, luminance, t_us, owners)

    def first_event(sequence, picture):
        sequence._camera.start(picture(0.0)[0], 0)
        sequence._camera.advance(picture(0.005)[0], 5000)
        sequence._camera.take_owner_events()
        return _mark(1, *sequence.size), 5000

    monkeypatch.setattr(EventCamera, 'advance', watch)
    monkeypatch.setattr(SimulatedSequence, '_first_event', first_event)
    # A picture every 2 ms, as of what is fast
    monkeypatch.setattr(
        SceneRenderer, 'steps', lambda scene, start, end: max(1, round((end - start) / 0.002))
    )
    timing = WindowTiming.from_ms(*times)
    sequence = SimulatedSequence(3, 0.1, motion='pan', timing=timing)
    windows = list(sequence.windows())
    assert [window.t_end for window in windows] == list(timing.ends(100_000))
    assert moments == sorted(set(moments))


def test_the_scene_does_not_depend_on_the_windows():
    drives = [SimulatedSequence(7, 0.4, timing=WindowTiming.from_ms(*times)) for times in TIMINGS]
    assert all(drive.describe() == SimulatedSequence(7, 0.4).describe() for drive in drives)


def test_one_recording_has_the_labels_of_many_windows():
    timings = [WindowTiming(), *(WindowTiming.from_ms(*times) for times in TIMINGS)]
    sequence = SimulatedSequence((5, 1), 0.4, motion='pan')
    found = {timing: {} for timing in timings}
    last = -1
    for chunk, t_end, labels in sequence.record(timings):
        assert ((chunk.t > last) & (chunk.t <= t_end)).all()
        last = t_end
        for timing, rows in labels.items():
            found[timing][t_end] = rows
    for timing in timings:
        assert list(found[timing]) == list(timing.ends(400_000))
    short, long = (found[WindowTiming.from_ms(*times)] for times in ((50, 50), (100, 50)))
    compared = 0
    for t_end in set(short) & set(long):
        np.testing.assert_array_equal(short[t_end]['x'], long[t_end]['x'])
        before = short[t_end - 50_000]
        for row in long[t_end]:
            events = [
                int(r['events'])
                for r in (*short[t_end], *before)
                if r['track_id'] == row['track_id']
            ]
            if len(events) == 2:
                assert row['events'] == sum(events)
                compared += sum(events) > 50
    assert compared > 5


@pytest.mark.parametrize('times', [(50, 50), (5, 5), (30, 45), *TIMINGS])
def test_objects_are_noticed_by_what_windows_show_of_fifty_milliseconds(times):
    """Against a table of every millisecond: whether it is in a window, and its events."""
    timing = WindowTiming.from_ms(*times)
    window, stride = times
    events = np.random.default_rng(1).integers(0, 9, 600)
    shown = np.arange(600) % stride < window
    ends = timing.ends(600_000)
    history, last, checked = _History(timing), 0, 0
    for border in _borders({timing: ends}):
        own = np.zeros(256, np.int64)
        since, until = last // 1000, border // 1000
        own[3] = events[since:until].sum()
        history.add(border, own)
        last = border
        if border in ends:
            now = border // 1000
            span = slice(max(0, now - max(window, 50)), now)
            expected = int(events[span][shown[span]].sum())
            assert history.events(border)[3] == expected
            assert history.note(3, expected, expected / 0.03, border) == (True, True)
            assert _History(timing).note(3, expected, (expected + 1) / 0.03, border)[1] is False
            checked += 1
    assert checked == len(ends) > 3


def test_an_object_is_forgotten_after_a_second_and_stays_seen():
    history = _History(WindowTiming.from_ms(20, 25))
    assert history.note(1, 12, 100, 45_000) == (True, True)
    assert history.note(1, 11, 100, 1_045_000) == (True, True)
    assert history.note(1, 11, 100, 1_045_001) == (False, True)


def test_a_drive_in_which_nothing_happens_has_all_its_windows(monkeypatch):
    """A camera without noise before a scene without motion sends no event at all."""
    monkeypatch.setattr(
        'sast_ros_training.simulation.camera.EventCamera.advance',
        lambda camera, picture, t, owners=None: EventChunk(
            *(np.zeros(0, dtype) for dtype in (np.uint16, np.uint16, np.uint8, np.int64)),
            width=camera.width,
            height=camera.height,
        ),
    )
    drive = SimulatedSequence(3, 1.5, motion='static', timing=WindowTiming.from_ms(20, 125))
    cut = list(drive.cut())
    assert len(cut) == drive.count == 12
    assert sum(len(window) for window, _ in cut) == 1


def test_first_events_long_before_the_others_are_no_strays():
    drive = SimulatedSequence(291, 0.1, motion='static', scene='near')
    assert [window.t_end for window, _ in drive.cut()] == [50_000, 100_000]


@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_every_geometry(geometry):
    sequence = SimulatedSequence(1, 0.05, geometry)
    (window,) = sequence.windows()
    assert (sequence.height, sequence.width) == GEOMETRIES[geometry]
    assert (window.chunk.width, window.chunk.height) == (sequence.width, sequence.height)
    assert len(window.chunk) > 0


def test_all_classes_appear():
    counts = [SimulatedSequence((2, index), 0.05).describe()['actors'] for index in range(12)]
    for name in CLASSES:
        assert sum(count[name] for count in counts) > 0


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [({'geometry': 'gen9'}, 'gen9'), ({'motion': 'flying'}, 'flying'), ({'seconds': 0}, '0 s')],
)
def test_impossible_drives_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        SimulatedSequence(**{'seed': 1, 'seconds': 1.0, **arguments})
