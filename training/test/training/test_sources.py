# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Every kind of data ends in the same cache."""

from __future__ import annotations

import os
from pathlib import Path
import re
import shutil
import zipfile

from bags.recordings import event_messages, EVENT_PACKET, START_NS, write_rosbag2
from moving_boxes import CLASSES, STEP_US, window
from moving_boxes import write_sequence as write_cached
import numpy as np
import pytest
from sast_ros.bags import RecordingError
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.events import EventChunk
from sast_ros.histogram import StackedHistogram
from sast_ros.labels import BOX_DTYPE, LABEL_DTYPE
from sast_ros.windows import WindowCutter
from sast_ros_training.simulation import sequence as sequence_module
from sast_ros_training.simulation.dataset import SequencePlan, write_sequence
from sast_ros_training.simulation.sequence import SimulatedSequence
from sast_ros_training.simulation.timing import WindowTiming
from sast_ros_training.training.cache import (
    CachedSequence,
    list_sequences,
    SequenceInfo,
    SequenceWriter,
)
from sast_ros_training.training.config_file import parse_config
from sast_ros_training.training.errors import TrainingConfigError, TrainingDataError
from sast_ros_training.training.sources import prepare, recordings
from sast_ros_training.training.sources.labels import boxes_to_labels, choose_classes, LabelHistory
from sast_ros_training.training.sources.simulation import plan_drives, simulate_drive

WINDOWS = 6


def fill(data: dict, **sections) -> list[str]:
    """Fill the cache; return what was said, but that there is nothing to validate with."""
    said: list[str] = []
    with prepare(parse_config({'data': data, **sections}, 'test'), said.append):
        pass
    return [line for line in said if not line.endswith('not the best')]


def events_and_boxes(seed: int) -> tuple[EventChunk, np.ndarray]:
    """One recording with boxes at the ends of its windows; a last event completes the last one."""
    parts, boxes = [], []
    for number in range(WINDOWS):
        chunk, labels = window(seed, number, 240, 304)
        parts.append(chunk)
        rows = np.zeros(len(labels), BOX_DTYPE)
        for name in ('t', 'x', 'y', 'w', 'h', 'class_id', 'track_id'):
            rows[name] = labels[name]
        boxes.append(rows)
    x, y, p, t = (np.concatenate([getattr(part, name) for part in parts]) for name in 'xypt')
    last = np.array([WINDOWS * STEP_US + 1])
    t[0] = 0
    return (
        EventChunk(np.append(x, [5]), np.append(y, [5]), np.append(p, [1]), np.append(t, last)),
        np.concatenate(boxes),
    )


def write_dat(path: Path, events: EventChunk) -> None:
    words = np.empty((len(events), 2), '<u4')
    words[:, 0] = events.t
    words[:, 1] = events.x.astype('<u4') | events.y.astype('<u4') << 14
    words[:, 1] |= events.p.astype('<u4') << 28
    path.parent.mkdir(parents=True, exist_ok=True)
    header = b'% Version 2\n% Height 240\n% Width 304\n\x0c\x08'
    path.write_bytes(header + words.tobytes())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Return a data set of three recordings, as Prophesee publishes them."""
    folder = tmp_path_factory.mktemp('prophesee')
    for split, seed in (('train', 1), ('train', 2), ('val', 3)):
        events, boxes = events_and_boxes(seed)
        write_dat(folder / split / f'drive{seed}_td.dat', events)
        np.save(folder / split / f'drive{seed}_bbox.npy', boxes)
    return folder


class TestPropheseeFiles:
    """Pairs of events and boxes as the data sets come."""

    def data(self, folder, cache, **more) -> dict:
        return {
            'kind': 'prophesee',
            'source': str(folder),
            'cache': str(cache),
            'source_classes': list(CLASSES),
            **more,
        }

    def test_windows_end_where_boxes_are(self, folder, tmp_path):
        said = fill(self.data(folder, tmp_path))
        assert [line.split(':')[0] for line in said] == [
            'train 1 of 2', 'train 2 of 2', 'val 1 of 1',
        ]  # fmt: skip
        assert len(list_sequences(tmp_path / 'train')) == 2
        sequence = CachedSequence(tmp_path / 'validation' / 'drive3_td.safetensors')
        events, boxes = events_and_boxes(3)
        assert sequence.info.sensor_size == (240, 304)
        assert sequence.t_end.tolist() == [STEP_US * (n + 1) for n in range(WINDOWS)]
        assert sequence.labelled.all()
        histogram = StackedHistogram(240, 304)
        for number in range(WINDOWS):
            end = STEP_US * (number + 1)
            first, behind = np.searchsorted(events.t, [end - STEP_US, end + 1]).tolist()
            expected = histogram(events[first:behind]).numpy()
            np.testing.assert_array_equal(sequence.dense(number), expected)
            labels, rows = sequence.labels(number), boxes[boxes['t'] == end]
            for name in ('x', 'y', 'w', 'h', 'class_id', 'track_id'):
                np.testing.assert_allclose(labels[name], rows[name], rtol=1e-6)
            assert labels['recent'].all() and labels['seen'].all()
            assert (labels['events'] >= 12).all() and (labels['visibility'] == 1).all()

    def test_what_is_there_is_not_made_again(self, folder, tmp_path):
        fill(self.data(folder, tmp_path))
        times = [path.stat().st_mtime_ns for path in list_sequences(tmp_path / 'train')]
        assert fill(self.data(folder, tmp_path)) == []
        assert [p.stat().st_mtime_ns for p in list_sequences(tmp_path / 'train')] == times

    @pytest.mark.parametrize(
        'other', [{'window_ms': 20}, {'stride_ms': 25}, {'source_classes': [*CLASSES[::-1]]}]
    )
    def test_what_was_made_with_other_settings_is_refused_and_kept(self, folder, tmp_path, other):
        fill(self.data(folder, tmp_path))
        # Before anything is made with the new settings
        first, second = list_sequences(tmp_path / 'train')
        first.unlink()
        before = second.read_bytes()
        (name,) = other
        with pytest.raises(TrainingDataError, match=rf'{second}: .*data\.{name}.*data\.cache'):
            fill(self.data(folder, tmp_path, **other))
        assert list_sequences(tmp_path / 'train') == [second]
        assert second.read_bytes() == before

    def test_other_class_lists_are_mapped_by_name(self, folder, tmp_path):
        fill(self.data(folder, tmp_path), model={'classes': ['car', 'pedestrian']})
        sequence = CachedSequence(tmp_path / 'validation' / 'drive3_td.safetensors')
        assert sequence.info.classes == ('car', 'pedestrian')
        assert set(np.concatenate([sequence.labels(n)['class_id'] for n in range(WINDOWS)])) <= {
            0,
            1,
        }
        heights = sequence.labels(0)['h'][sequence.labels(0)['class_id'] == 1]
        assert (heights > sequence.labels(0)['w'][sequence.labels(0)['class_id'] == 1]).all()

    def test_another_stride_aligns_with_the_first_box(self, folder, tmp_path):
        fill(self.data(folder, tmp_path, stride_ms=125))
        sequence = CachedSequence(tmp_path / 'train' / 'drive1_td.safetensors')
        assert sequence.t_end.tolist() == [50_000, 175_000, 300_000]

    def test_a_folder_without_pairs_is_refused(self, tmp_path):
        with pytest.raises(TrainingDataError, match='train.* prophesee'):
            fill(self.data(tmp_path, tmp_path))


def test_folders_keep_the_dots_in_their_names(tmp_path, monkeypatch):
    names = ['drive_0.5mps', 'drive_0.8mps']
    for name in names:
        (tmp_path / 'train' / name).mkdir(parents=True)
        (tmp_path / 'train' / f'{name}_bbox.npy').touch()
    made = []

    def convert(path, boxes, target, config):
        made.append((path.name, boxes.name, target.name))
        write_cached(target, 1, windows=1)
        return []

    monkeypatch.setattr(recordings, 'convert_recording', convert)
    fill({'kind': 'bags', 'source': str(tmp_path), 'cache': str(tmp_path / 'cache')})
    assert made == [(name, f'{name}_bbox.npy', f'{name}.safetensors') for name in names]


@pytest.mark.parametrize(
    'name',
    ['a.aedat4', 'a.h5', 'a.raw', 'a_td.dat', 'a.es', 'a.csv', 'a.npz', 'a.bag.zst', 'a.DB3'],
)
def test_every_recording_that_is_read_is_found(tmp_path, name):
    for other in ('a.mp4', 'a.json', 'a_bbox.npy', 'a_bbox_times.npy', name):
        (tmp_path / other).touch()
    pair = tmp_path / name, tmp_path / 'a_bbox.npy'
    assert recordings.find_recordings(tmp_path, 'bags') == [pair]


def test_labels_beside_a_recording_are_not_taken_for_it(tmp_path):
    for other in ('a.csv', 'a.npy', 'a.raw', 'a_bbox.npy'):
        (tmp_path / other).touch()
    (tmp_path / 'a').mkdir()  # of YOLO text
    assert [path.name for path, _ in recordings.find_recordings(tmp_path, 'bags')] == ['a.raw']


def test_two_sources_of_one_name_are_refused(tmp_path):
    (tmp_path / 'train').mkdir()
    for name in ('a_td.dat', 'a_bbox.npy', 'a_td_bbox.npy'):
        (tmp_path / 'train' / name).touch()
    data = {'kind': 'prophesee', 'source': str(tmp_path), 'cache': str(tmp_path / 'cache')}
    with pytest.raises(TrainingDataError, match=r'a_td_bbox\.npy: .*a_bbox\.npy; rename'):
        fill(data)


@pytest.mark.parametrize(('height', 'width'), [(47, 63), (45, 61), (48, 64), (47, 64)])
def test_boxes_reach_the_edge_of_a_sensor_that_cells_do_not_cover(height, width):
    boxes = np.zeros(2, BOX_DTYPE)
    boxes['w'], boxes['h'] = [width, 4], [height, 4]
    boxes['x'][1], boxes['y'][1] = width - 4, height - 4
    history = LabelHistory(boxes_to_labels(boxes), (height, width), 2, 50)
    counts = np.ones((2, height // 2, width // 2), np.uint8)
    labels = history.at(0, counts)
    assert labels['events'][0] == 4 * counts.sum()  # a quarter of the pixels is sampled
    assert 0 < labels['events'][1] <= 4 * 2 * 3 * 3


@pytest.mark.parametrize(
    ('boxes', 'times', 'labelled'),
    [([3], None, [3]), ([3], [1, 3, 4], [1, 3, 4]), ([], [2, 5], [2, 5])],
)
def test_windows_without_objects_are_labelled_if_their_times_are(tmp_path, boxes, times, labelled):
    """As ``sast-ros label`` imports a recording that was looked at."""
    events, rows = events_and_boxes(1)
    write_dat(tmp_path / 'train' / 'a.dat', events)
    np.save(tmp_path / 'train' / 'a_bbox.npy', rows[np.isin(rows['t'], STEP_US * np.array(boxes))])
    if times:
        np.save(tmp_path / 'train' / 'a_bbox_times.npy', STEP_US * np.array(times))
    data = {'kind': 'prophesee', 'source': str(tmp_path), 'cache': str(tmp_path / 'cache')}
    fill({**data, 'source_classes': list(CLASSES)})
    sequence = CachedSequence(tmp_path / 'cache' / 'train' / 'a.safetensors')
    assert sequence.t_end.tolist() == [STEP_US * (n + 1) for n in range(WINDOWS)]
    assert (np.flatnonzero(sequence.labelled) + 1).tolist() == labelled
    with_objects = [number + 1 for number in range(WINDOWS) if len(sequence.labels(number))]
    assert with_objects == boxes


def test_a_recording_whose_time_jumps_becomes_several_sequences(tmp_path):
    events, boxes = events_and_boxes(1)
    jumps = (0, 10_000_000, 20_000_000)
    x, y, p = (np.tile(getattr(events, name), len(jumps)) for name in 'xyp')
    t = np.concatenate([events.t + jump for jump in jumps])
    write_dat(tmp_path / 'train' / 'a.dat', EventChunk(x, y, p, t))
    rows = np.tile(boxes, len(jumps))
    rows['t'] = np.concatenate([boxes['t'] + jump for jump in jumps])
    np.save(tmp_path / 'train' / 'a_bbox.npy', rows)
    data = {'kind': 'prophesee', 'source': str(tmp_path), 'cache': str(tmp_path / 'cache')}
    data['source_classes'] = list(CLASSES)
    fill(data)
    folder = tmp_path / 'cache' / 'train'
    names = [f'a{run}.safetensors' for run in (', run 1', ', run 2', '')]
    assert [path.name for path in list_sequences(folder)] == names
    for name, jump in zip(names, jumps, strict=True):
        sequence = CachedSequence(folder / name)
        ends = [jump + STEP_US * (n + 1) for n in range(WINDOWS)]
        assert sequence.t_end[:WINDOWS].tolist() == ends
        assert sequence.labelled[:WINDOWS].all()
        assert len(sequence) <= WINDOWS + 1  # with the last event
    assert fill(data) == []
    # The plain name says that all are there
    write_dat(tmp_path / 'train' / 'a.dat', events)
    (folder / names[-1]).unlink()
    fill(data)
    assert [path.name for path in list_sequences(folder)] == names[-1:]


def test_an_object_is_seen_anew_behind_a_reset():
    boxes = np.zeros(2, BOX_DTYPE)
    boxes['t'], boxes['w'], boxes['h'] = [0, 50_000], 30, 30
    history = LabelHistory(boxes_to_labels(boxes), (48, 64), 1, 50)
    labels = history.at(0, np.ones((2, 48, 64), np.uint8))
    assert labels['recent'].tolist() == labels['seen'].tolist() == [True]
    history.restart()
    labels = history.at(50_000, np.zeros((2, 48, 64), np.uint8))
    assert labels['recent'].tolist() == labels['seen'].tolist() == [False]


def test_boxes_without_events_are_not_recent(tmp_path):
    """Foreign data do not tell which objects have moved; their events do."""
    events, _ = events_and_boxes(1)
    boxes = np.zeros(2, BOX_DTYPE)
    boxes['t'], boxes['w'], boxes['h'] = 2 * STEP_US, 30, 30
    boxes['x'][1] = 100
    boxes['track_id'] = [1, 2]
    inside = (events.x < 140) & (events.y < 40)
    kept = np.flatnonzero(~inside | ((events.x < 30) & (events.y < 30)))
    chosen = np.sort(np.concatenate([kept, np.flatnonzero(inside)[:0]]))
    extra = np.full(60, 10, np.uint16)
    x = np.concatenate([events.x[chosen], extra])
    y = np.concatenate([events.y[chosen], extra])
    t = np.concatenate([events.t[chosen], np.full(60, 70_000)])
    p = np.concatenate([events.p[chosen], np.tile([0, 1], 30).astype(np.uint8)])
    order = np.argsort(t, kind='stable')
    write_dat(tmp_path / 'train' / 'a.dat', EventChunk(x[order], y[order], p[order], t[order]))
    np.save(tmp_path / 'train' / 'a_bbox.npy', boxes)
    fill(
        {
            'kind': 'prophesee',
            'source': str(tmp_path),
            'cache': str(tmp_path / 'cache'),
            'source_classes': list(CLASSES),
        }
    )
    sequence = CachedSequence(tmp_path / 'cache' / 'train' / 'a.safetensors')
    assert sequence.labelled.tolist() == [False, True, False, False, False, False]
    assert sequence.labels(1)['seen'].tolist() == [False, False]
    assert sequence.labels(1)['events'].tolist()[1] == 0


def test_the_index_beside_boxes_names_their_classes(tmp_path):
    """As ``sast-ros label`` writes it; the published classes have other ids."""
    events, rows = events_and_boxes(1)
    index = tmp_path / 'train' / 'dataset.json'
    write_dat(tmp_path / 'train' / 'a.dat', events)
    np.save(tmp_path / 'train' / 'a_bbox.npy', rows[rows['class_id'] == 0])
    index.write_text('{"classes": ["Person", "Two_Wheeler", "CAR"]}')
    data = {'kind': 'bags', 'source': str(tmp_path), 'cache': str(tmp_path / 'cache')}
    fill(data)
    sequence = CachedSequence(tmp_path / 'cache' / 'train' / 'a.safetensors')
    assert len(sequence.labels(0)) == 1 and sequence.labels(0)['class_id'] == 0
    assert fill(data) == []
    with pytest.raises(TrainingDataError, match=r'data\.source_classes'):
        fill({**data, 'source_classes': ['car', 'pedestrian']})
    index.write_text('{}')
    with pytest.raises(EvaluationError, match=f'{index}: .*list of classes'):
        fill(data)


class TestCache:
    """Every sequence is looked at before a training begins."""

    def said(self, folder) -> list[str]:
        said: list[str] = []
        data = {'kind': 'cache', 'cache': str(folder)}
        with prepare(parse_config({'data': data}, 'test'), said.append):
            return said

    @pytest.mark.parametrize('kind', ['train', 'validation'])
    def test_a_damaged_sequence_and_one_of_other_classes_are_named(self, tmp_path, kind):
        for name in ('train', 'validation'):
            write_cached(tmp_path / name / 'a.safetensors', 1)
        assert self.said(tmp_path) == []
        path = tmp_path / kind / 'b.safetensors'
        path.write_bytes(b'no sequence')
        with pytest.raises(TrainingDataError, match=f'{path}: is not an intact sequence'):
            self.said(tmp_path)
        write_labels(path, None, ('dog',))
        with pytest.raises(TrainingDataError, match=f'{path}: its classes are dog'):
            self.said(tmp_path)

    def test_without_labels_there_is_nothing_to_train_on_or_validate_with(self, tmp_path):
        write_labels(tmp_path / 'train' / 'a.safetensors', None)
        with pytest.raises(TrainingDataError, match=f'{tmp_path / "train"}: no window'):
            self.said(tmp_path)
        write_labels(tmp_path / 'train' / 'b.safetensors', np.zeros(0, LABEL_DTYPE))
        for _ in range(2):
            (line,) = self.said(tmp_path)
            assert line.startswith(f'{tmp_path / "validation"}: ')
            write_labels(tmp_path / 'validation' / 'a.safetensors', None)


def write_labels(path: Path, labels: np.ndarray | None, classes=CLASSES) -> None:
    """Write a sequence of one window with labels."""
    writer = SequenceWriter(SequenceInfo('x', classes, (240, 304), 1, (20, 240, 304)))
    writer.add(np.zeros((20, 240, 304), np.uint8), 50_000, 0, labels)
    writer.write(path)


class TestLeftOut:
    """What cannot be trained on costs itself alone, and is told."""

    @pytest.fixture
    def data(self, tmp_path):
        events, rows = events_and_boxes(1)
        for name in 'ab':
            write_dat(tmp_path / 'train' / f'{name}.dat', events)
            np.save(tmp_path / 'train' / f'{name}_bbox.npy', rows)
        return {
            'kind': 'bags',
            'source': str(tmp_path),
            'cache': str(tmp_path / 'cache'),
            'source_classes': list(CLASSES),
        }

    def test_labels_that_are_newer_than_what_is_there(self, data, tmp_path):
        """Labels that were corrected are not trained on unless the old ones are deleted."""
        fill(data)
        assert fill(data) == []
        target = tmp_path / 'cache' / 'train' / 'a.safetensors'
        os.utime(tmp_path / 'train' / 'a_bbox.npy', (target.stat().st_mtime + 60,) * 2)
        (line,) = fill(data)
        assert line.startswith('1 sequences') and str(target) in line

    def test_a_recording_that_cannot_be_read(self, data, tmp_path):
        (tmp_path / 'train' / 'a.dat').write_text('<html>')
        for _ in range(2):  # what can be read is not made again
            (line,) = [line for line in fill(data) if line.startswith('left out')]
            assert str(tmp_path / 'train' / 'a.dat') in line
        assert [path.stem for path in list_sequences(tmp_path / 'cache' / 'train')] == ['b']
        (tmp_path / 'train' / 'b.dat').write_text('<html>')
        shutil.rmtree(tmp_path / 'cache')
        with pytest.raises(RecordingError, match=r'a\.dat'):
            fill(data)

    def test_the_end_of_a_recording(self, data, tmp_path):
        path = tmp_path / 'train' / 'a.dat'
        path.write_bytes(path.read_bytes()[:-4])
        assert any(line.startswith('a.dat: ') and 'truncated' in line for line in fill(data))

    @pytest.mark.parametrize(
        ('change', 'fact'),
        [({'t': 10**9}, '18 of 18 boxes, from 1000050000'), ({'x': 400}, '18 boxes.*304x240')],
    )
    def test_boxes_of_another_clock_or_sensor(self, data, tmp_path, change, fact):
        (name, shift), path = *change.items(), tmp_path / 'train' / 'a_bbox.npy'
        rows = np.load(path)
        part = rows.copy()
        rows[name] += shift
        np.save(path, rows)
        assert any(re.match(rf'left out: {path}: {fact}', line) for line in fill(data))
        part[name][15:] += shift
        np.save(path, part)
        assert any(re.match(r'a\.dat: 3 (of 18 )?boxes', line) for line in fill(data))

    def test_classes_and_boxes_alone(self, data, tmp_path):
        (tmp_path / 'train' / 'a.dat').unlink()
        said = fill({**data, 'source_classes': ['car', 'dog', 'Person']})
        assert any(str(tmp_path / 'train' / 'a_bbox.npy') in line for line in said)
        assert any(line.endswith('left out: dog') for line in said)
        assert any(line.endswith('in model.classes: two-wheeler') for line in said)
        with pytest.raises(TrainingConfigError, match=r'none of .*cat.* data\.source_classes'):
            fill({**data, 'source_classes': ['cat'], 'cache': str(tmp_path / 'other')})

    def test_events_outside_the_sensor_that_is_taken(self, data, tmp_path):
        events, _ = events_and_boxes(1)
        (tmp_path / 'train' / 'b.dat').unlink()
        path = tmp_path / 'train' / 'b.npz'
        np.savez(path, x=events.x + 400, y=events.y, p=events.p, t=events.t)
        (line,) = [line for line in fill(data) if line.startswith('left out')]
        assert str(path) in line and 'transcode' in line


def test_boxes_without_tracks_are_objects_of_their_own():
    boxes = np.zeros(4, BOX_DTYPE)
    boxes['t'] = [1, 1, 2, 2]
    assert len(set(boxes_to_labels(boxes)['track_id'])) == 4


def test_of_two_cameras_in_a_bag_the_topic_is_chosen(tmp_path):
    cameras = {
        f'/{count}': (EVENT_PACKET, event_messages(EVENT_PACKET, 120, events=count))
        for count in (20, 40)
    }
    (tmp_path / 'train').mkdir()
    write_rosbag2(tmp_path / 'train' / 'a', cameras)
    boxes = np.zeros(1, BOX_DTYPE)
    boxes['t'], boxes['w'], boxes['h'] = START_NS // 1000 + 2 * STEP_US, 30, 30
    np.save(tmp_path / 'train' / 'a_bbox.npy', boxes)
    data = {'kind': 'bags', 'source': str(tmp_path), 'cache': str(tmp_path / 'cache')}
    data['source_classes'] = list(CLASSES)
    with pytest.raises(RecordingError, match='--topic.*/20 .*/40 '):
        fill(data)
    for topic, events in (('/20', 1000), ('40', 2000)):
        cache = tmp_path / topic.strip('/')
        fill({**data, 'topic': topic, 'cache': str(cache)})
        sequence = CachedSequence(cache / 'train' / 'a.safetensors')
        assert abs(sequence.events[0] - events) < 50
    # What is there is of one camera
    assert fill({**data, 'topic': '/40', 'cache': str(cache)}) == []
    assert fill({**data, 'cache': str(cache)}) == []
    with pytest.raises(TrainingDataError, match='40.*data.topic.*20'):
        fill({**data, 'topic': '/20', 'cache': str(cache)})


def test_a_simulated_recording_is_training_data(tmp_path):
    plan = SequencePlan(5, 0, 0.5, 'gen1', 'static', None, 'evt3', False)
    (tmp_path / 'train').mkdir()
    write_sequence(tmp_path / 'train', plan)
    fill(
        {
            'kind': 'bags',
            'source': str(tmp_path),
            'cache': str(tmp_path / 'cache'),
            'source_classes': list(CLASSES),
        }
    )
    sequence = CachedSequence(tmp_path / 'cache' / 'train' / f'{plan.name}.safetensors')
    assert len(sequence) == 10
    boxes = np.load(tmp_path / 'train' / f'{plan.name}_bbox.npy')
    for number, t in enumerate(sequence.t_end.tolist()):
        count = int((boxes['t'] == t).sum())
        assert len(sequence.labels(number)) == count
    assert all(sequence.labelled)  # also where there is no object


class TestPreprocessed:
    """Folders as RVT prepares them."""

    @pytest.fixture
    def prepared(self, tmp_path):
        h5py = pytest.importorskip('h5py', reason='h5py is not installed')
        hdf5plugin = pytest.importorskip('hdf5plugin', reason='hdf5plugin is not installed')
        sequence = tmp_path / 'train' / 'drive'
        histograms = sequence / 'event_representations_v2' / 'stacked_histogram_dt=50_nbins=10'
        histograms.mkdir(parents=True)
        (sequence / 'labels_v2').mkdir()
        dense, rows = [], []
        for number in range(WINDOWS):
            chunk, labels = window(4, number, 240, 304)
            dense.append(StackedHistogram(240, 304)(chunk).numpy())
            if number in (2, 4):
                rows.append(labels)
        with h5py.File(histograms / 'event_representations.h5', 'w') as file:
            file.create_dataset('data', data=np.stack(dense), **hdf5plugin.Blosc())
        np.save(histograms / 'timestamps_us.npy', STEP_US * np.arange(1, WINDOWS + 1))
        np.save(histograms / 'objframe_idx_2_repr_idx.npy', np.array([2, 4]))
        labels = np.zeros(sum(map(len, rows)), BOX_DTYPE)
        for name in ('t', 'x', 'y', 'w', 'h', 'class_id', 'track_id'):
            labels[name] = np.concatenate([part[name] for part in rows])
        np.savez(
            sequence / 'labels_v2' / 'labels.npz',
            labels=labels,
            objframe_idx_2_label_idx=np.array([0, len(rows[0])]),
        )
        return tmp_path, dense, rows

    def data(self, folder) -> dict:
        return {
            'kind': 'rvt',
            'source': str(folder),
            'cache': str(folder / 'cache'),
            'source_classes': list(CLASSES),
        }

    def test_histograms_and_labelled_frames_come_over(self, prepared):
        folder, dense, rows = prepared
        fill(self.data(folder))
        sequence = CachedSequence(folder / 'cache' / 'train' / 'drive.safetensors')
        assert sequence.labelled.tolist() == [False, False, True, False, True, False]
        for number, expected in enumerate(dense):
            np.testing.assert_array_equal(sequence.dense(number), expected)
        for number, expected in zip((2, 4), rows):
            np.testing.assert_array_equal(sequence.labels(number)['x'], expected['x'])
            assert sequence.labels(number)['recent'].all()

    def test_cells_are_pixels_whatever_the_network_is(self, prepared):
        folder, *_ = prepared
        path = folder / 'cache' / 'train' / 'drive.safetensors'
        write_cached(path, 4, size=(480, 640))
        assert fill(self.data(folder)) == []
        with pytest.raises(TrainingDataError, match=r'drive\.safetensors: .*data\.stride_ms'):
            fill({**self.data(folder), 'stride_ms': 25})

    @pytest.mark.parametrize(
        'shape, dtype, what',
        [
            ((30, 240, 304), 'u1', '30 channels, not the 20'),
            ((200, 240, 304), 'u1', '200 channels, not the 20'),
            ((10, 240, 304), 'u1', '10 channels, not the 20'),
            ((20, 240, 304), 'i2', 'int16'),
            ((240, 304), 'u1', 'channels, height, width'),
            ((20, 0, 304), 'u1', '304x0'),
            ((20, 10**6, 10**6), 'u1', '1000000x1000000'),
        ],
    )
    def test_histograms_of_another_layout_are_refused(self, prepared, shape, dtype, what):
        import h5py

        folder, *_ = prepared
        path = next(folder.rglob('event_representations.h5'))
        with h5py.File(path, 'w') as file:
            chunks = (1, *(min(32, side) for side in shape)) if all(shape) else None
            file.create_dataset('data', (WINDOWS, *shape), dtype, chunks=chunks)
        with pytest.raises(TrainingDataError, match=f'event_representations.h5: .*{what}'):
            fill(self.data(folder))
        assert not list_sequences(folder / 'cache' / 'train')

    def test_histograms_in_another_file_are_refused(self, prepared):
        import h5py

        folder, *_ = prepared
        path = next(folder.rglob('event_representations.h5'))
        path.rename(path.with_name('other.hdf5'))
        with h5py.File(path, 'w') as file:
            file['data'] = h5py.ExternalLink('other.hdf5', 'data')
        with pytest.raises(TrainingDataError, match='event_representations.h5: .*another file'):
            fill(self.data(folder))

    def test_damaged_histograms_are_one_sentence(self, prepared):
        folder, *_ = prepared
        path = next(folder.rglob('event_representations.h5'))
        content = path.read_bytes()
        for damaged in (content[:-1000], content.replace(b'SNOD', b'SNOT')):
            path.write_bytes(damaged)
            with pytest.raises(TrainingDataError, match='representations.h5.*(HDF5|damaged)'):
                fill(self.data(folder))
        assert not list_sequences(folder / 'cache' / 'train')

    def test_more_times_than_histograms_are_refused(self, prepared):
        folder, *_ = prepared
        times = STEP_US * np.arange(1, WINDOWS + 2)
        np.save(next(folder.rglob('timestamps_us.npy')), times)
        with pytest.raises(TrainingDataError, match=f'{WINDOWS + 1} times of {WINDOWS}'):
            fill(self.data(folder))

    def test_a_labelled_frame_behind_the_last_window_is_refused(self, prepared):
        folder, *_ = prepared
        np.save(next(folder.rglob('objframe_idx_2_repr_idx.npy')), np.array([2, 400]))
        with pytest.raises(TrainingDataError, match='drive: .*RVT'):
            fill(self.data(folder))

    @pytest.mark.parametrize('name', ['timestamps_us', 'objframe_idx_2_repr_idx', 'labels'])
    @pytest.mark.parametrize(
        'shape',
        [
            '(1000000000000,)',
            f'({10**30},)',
            '(-3,)',
            '(3',
            '(' + '(' * 200 + ')' * 200 + ',)',
            '-' * 9000 + '1',
        ],
        ids=['long', 'longer', 'negative', 'cut', 'nested', 'nested deeply'],
    )
    def test_a_header_with_any_shape_is_one_sentence(self, prepared, name, shape):
        folder, *_ = prepared
        text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}}}\n".encode()
        content = b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little') + text + bytes(100)
        path = next(folder.rglob(f'{name}.np[yz]'))
        if path.suffix == '.npz':
            with zipfile.ZipFile(path, 'w') as archive:
                archive.writestr('labels.npy', content)
        else:
            path.write_bytes(content)
        with pytest.raises(TrainingDataError, match=f'{name}.np[yz]: cannot be read'):
            fill(self.data(folder))

    def test_labels_that_decompress_to_more_than_memory_are_refused(self, prepared):
        folder, *_ = prepared
        path = next(folder.rglob('labels.npz'))
        with (
            zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive,
            archive.open('labels.npy', 'w') as member,
        ):
            for _ in range(257):
                member.write(bytes(1 << 20))
        assert path.stat().st_size < 1 << 20
        with pytest.raises(TrainingDataError, match=r'labels\.npz: .* more than'):
            fill(self.data(folder))

    def test_a_missing_file_is_named(self, prepared):
        folder, *_ = prepared
        (folder / 'train' / 'drive' / 'labels_v2' / 'labels.npz').unlink()
        with pytest.raises(TrainingDataError, match=r'drive: .*labels\.npz'):
            fill(self.data(folder))


class TestSimulation:
    """Drives decided by their seeds."""

    def data(self, cache, **more) -> dict:
        return {
            'cache': str(cache),
            'simulation': {
                'sequences': 2,
                'validation_sequences': 1,
                'seconds': 0.2,
                'start_with': 1,
                'workers': 2,
                'windows': {'50/50': 1},
                **more,
            },
        }

    def test_the_same_plan_gives_the_same_bytes(self, tmp_path):
        config = parse_config({'data': self.data(tmp_path)}, 'test')
        training, validation = plan_drives(config)
        assert [plan.seed for plan in (*training, *validation)] == [1, 2, 1_000_000]
        made = []
        for _ in range(2):
            simulate_drive(training[0])
            made.append(training[0].target.read_bytes())
        assert made[0] == made[1]
        sequence = CachedSequence(training[0].target)
        assert len(sequence) == 4
        assert sequence.info.source.startswith('drive 1 of simulator') and sequence.info.motion
        assert sequence.labelled.all()

    def test_all_drives_are_there_in_the_end(self, tmp_path):
        said = fill(self.data(tmp_path))
        assert said[0] == 'simulating 2 sequences on 2 processes'
        assert len(list_sequences(tmp_path / 'validation')) == 1
        assert len(list_sequences(tmp_path / 'train')) >= 1
        assert not list(tmp_path.glob('**/*.part'))

    def test_a_drive_for_another_network_is_refused(self, tmp_path):
        more = {'sequences': 1, 'validation_sequences': 0, 'geometries': {'vga': 1}}
        ((plan,), _) = plan_drives(parse_config({'data': self.data(tmp_path, **more)}, 'test'))
        simulate_drive(plan)
        with pytest.raises(TrainingDataError, match=rf'{plan.target}: .*model\.name'):
            fill(self.data(tmp_path, **more), model={'name': '1mpx-tiny'})
        assert fill(self.data(tmp_path, **more)) == []

    def test_a_drive_of_another_simulator_is_refused(self, tmp_path, monkeypatch):
        more = {'sequences': 1, 'validation_sequences': 0}
        ((plan,), _) = plan_drives(parse_config({'data': self.data(tmp_path, **more)}, 'test'))
        simulate_drive(plan)
        assert fill(self.data(tmp_path, **more)) == []
        monkeypatch.setattr(sequence_module, 'SIMULATOR_VERSION', 99)
        with pytest.raises(TrainingDataError, match=rf'{plan.target}: .*simulator 99'):
            fill(self.data(tmp_path, **more))

    def test_what_cannot_be_simulated_is_refused(self, tmp_path):
        for data, complaint in (
            (self.data(tmp_path, geometries={'gen9': 1}), 'gen9'),
            (self.data(tmp_path, scenes={'moon': 1}), 'moon'),
            (self.data(tmp_path, motion='flying'), "motion is 'flying'.*static"),
            ({**self.data(tmp_path), 'stride_ms': 4}, 'stride of 4 ms cannot be simulated'),
            (self.data(tmp_path, windows={'50': 1}), "simulation.windows: '50' is no window"),
            (self.data(tmp_path, validation_windows={'9/4': 1}), 'validation_windows: a stride'),
            (self.data(tmp_path, windows={'50/50': 0}), 'windows is .*each share'),
            (self.data(tmp_path, windows={'50/50': 2, '50/25': -1}), 'windows is .*each share'),
        ):
            with pytest.raises(TrainingConfigError, match=complaint):
                fill(data)

    def test_geometries_are_drawn_by_their_shares(self, tmp_path):
        config = parse_config(
            {
                'data': self.data(
                    tmp_path, sequences=400, geometries={'gen1': 3, 'davis346': 1, 'vga': 0}
                )
            },
            'test',
        )
        drawn = [plan.geometry for plan in plan_drives(config)[0]]
        assert 0.7 < drawn.count('gen1') / 400 < 0.8
        assert drawn.count('vga') == 0

    @pytest.mark.parametrize('windows', ['100/25', '20/75'])
    def test_windows_are_those_that_the_node_cuts(self, tmp_path, windows):
        """Against the recording of the same drive."""
        duration, stride = map(int, windows.split('/'))
        data = self.data(tmp_path, windows={windows: 1}, seconds=0.3)
        (plan, _), _ = plan_drives(parse_config({'data': data}, 'test'))
        simulate_drive(plan)
        sequence = CachedSequence(plan.target)
        assert (sequence.info.window_ms, sequence.info.stride_ms) == (duration, stride)
        timing = WindowTiming.from_ms(duration, stride)
        drive = SimulatedSequence(plan.seed, 0.3, plan.geometry, timing=timing, scene=plan.scene)
        stream = [window.chunk for window in drive.windows()] + [drive.tail]
        cutter, histogram = (
            WindowCutter(timing.window_us, timing.stride_us),
            StackedHistogram(drive.height, drive.width),
        )
        cut = [one for chunk in stream for one in cutter.cut(chunk)]
        assert sequence.t_end.tolist() == [one.t_end for one in cut]
        for number, one in enumerate(cut):
            np.testing.assert_array_equal(sequence.dense(number), histogram(one.parts).numpy())
            assert sequence.events[number] == len(one)

    def test_windows_are_drawn_by_their_shares_and_are_in_the_name(self, tmp_path):
        windows = {'50/50': 1, '20-100/25-125': 1}
        data = self.data(tmp_path, sequences=400, windows=windows, validation_sequences=40)
        training, validation = plan_drives(parse_config({'data': data}, 'test'))
        times = [(plan.window_ms, plan.stride_ms) for plan in training]
        assert 0.42 < times.count((50, 50)) / 400 < 0.58
        assert {len({time[side] for time in times}) for side in (0, 1)} == {17, 21}
        for plan in training:
            assert f'_w{plan.window_ms:g}_s{plan.stride_ms:g}' in plan.target.name
        assert {(plan.window_ms, plan.stride_ms) for plan in validation} == {(50, 50)}
        grid = {'50/25': 1, '50/100': 1}
        data['simulation'] |= {'validation_windows': grid, 'windows': {}}
        training, validation = plan_drives(parse_config({'data': {**data, 'stride_ms': 75}}, 'x'))
        assert {(plan.window_ms, plan.stride_ms) for plan in training} == {(50, 75)}
        assert {f'{p.window_ms:g}/{p.stride_ms:g}' for p in validation} == grid.keys()

    def test_scenes_are_drawn_by_their_shares(self, tmp_path):
        shares = {'street': 3, 'near': 1}
        config = parse_config({'data': self.data(tmp_path, sequences=2000, scenes=shares)}, 'test')
        plans = plan_drives(config)[0]
        assert 0.7 < [plan.scene for plan in plans].count('street') / 2000 < 0.8
        assert all(plan.scene in plan.target.name for plan in plans)

    def test_a_scene_without_objects_is_labelled(self, tmp_path):
        more = {'sequences': 12, 'start_with': 12, 'seconds': 0.1, 'scenes': {'near': 1}}
        config = parse_config({'data': self.data(tmp_path, **more)}, 'test')
        empty = 0
        for plan in plan_drives(config)[0]:
            simulate_drive(plan)
            sequence = CachedSequence(plan.target)
            assert sequence.labelled.all()
            empty += all(len(sequence.labels(index)) == 0 for index in range(len(sequence)))
        assert empty >= 4

    def test_one_motion_is_that_of_the_training_alone(self, tmp_path):
        wanted = parse_config({'data': self.data(tmp_path, motion='pan')}, 'test')
        drawn = parse_config({'data': self.data(tmp_path)}, 'test')
        (training, validation), before = plan_drives(wanted), plan_drives(drawn)
        assert validation == before[1]
        assert {plan.target for plan in training}.isdisjoint(plan.target for plan in before[0])
        for plan in training:
            simulate_drive(plan)
        assert {CachedSequence(plan.target).info.motion for plan in training} == {'pan'}


def test_a_class_without_name_is_refused():
    rows = np.zeros(1, BOX_DTYPE)
    rows['class_id'] = 7
    with pytest.raises(TrainingConfigError, match='class id 7'):
        choose_classes(boxes_to_labels(rows), CLASSES, CLASSES)
