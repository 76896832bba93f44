# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a node published, recorded with its events, is scored like a replay of them."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path
import shutil

from bags.recordings import write_rosbag2
from evaluation.commands import without_inputs
import numpy as np
import pytest
from sast_ros.bags import detection_message, DETECTIONS_TYPE, open_recording
from sast_ros.bags.definitions import message_types
from sast_ros.cli import main
from sast_ros.detections import Detections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.live import read_live
from sast_ros.evaluation.topics import LABELS_TYPE, read_topic
from sast_ros.events import open_decoder
from sast_ros.events.shift import shift_time
from sast_ros.replay import ReplayOptions
from sast_ros.windows import WindowCutter
from workspace import REPOSITORY
import zstandard

EVENTS, DETECTIONS = '/event_camera/events', '/detections'
PACKET = 'event_camera_msgs/msg/EventPacket'
LABELS = REPOSITORY / 'sast_ros' / 'example' / 'example_bbox.npy'
CLASSES = ('pedestrian', 'two-wheeler', 'car')
START_NS = 1_700_000_000_123_456_789


def jittered(seed: int, seconds: float = 9) -> list[tuple[int, bytes]]:
    """Messages of the bundled recording, stamped as a driver does: late by 1 to 6 ms."""
    random = np.random.default_rng(seed)
    with open_recording('example') as recording:
        stored = [(at, raw) for at, raw in recording.messages() if at < 1e9 * seconds]
    moved = START_NS + random.integers(1_000_000, 6_000_000, len(stored))
    return [
        (at + START_NS + 7_000_000, shift_time(raw, PACKET, shift))
        for (at, raw), shift in zip(stored, moved.tolist())
    ]


def windows_of(messages, cutter: WindowCutter) -> list[Detections]:
    """Return what a node without a network publishes: the windows, without detections."""
    decode = open_decoder(PACKET)
    nothing = np.zeros(0, np.float32)
    return [
        Detections(
            *(np.zeros((0, 4), np.float32), nothing, np.zeros(0, np.int64), nothing, nothing),
            *(CLASSES, window.width, window.height),
            t_end=window.t_end,
            stamp_ns=window.stamp_ns,
            events=len(window),
        )
        for _, raw in messages
        for window in cutter.cut(decode(raw))
    ]


def label_info(classes=CLASSES) -> list[tuple[int, bytes]]:
    store = message_types()
    types = store.types
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](0, 0), '')
    entry = types['vision_msgs/msg/VisionClass']
    message = types[LABELS_TYPE](header, [entry(*pair) for pair in enumerate(classes)], 0.1)
    return [(START_NS, bytes(store.serialize_cdr(message, LABELS_TYPE)))]


def write_bag(folder: Path, events, published, *, labels=True, class_id_format='name') -> Path:
    messages = [(one.stamp_ns, detection_message(one, class_id_format)) for one in published]
    topics = {EVENTS: (PACKET, events), DETECTIONS: (DETECTIONS_TYPE, messages)}
    if labels:
        topics['/label_info'] = (LABELS_TYPE, label_info())
    return write_rosbag2(folder, {name: one for name, one in topics.items() if one[1]}, 'mcap')


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize(
    ('align', 'stride_us', 'joined_s', 'known_since_s'),
    [
        ('first_event', 50_000, 0, 0),
        ('first_event', 33_333, 0.31, 0),
        ('epoch', 20_000, 0.31, 0),
        ('first_event', 50_000, 0, 1.2),  # the recorder joined late
        ('epoch', 125_000, 0, 0.7),
    ],
)
def test_ends_of_windows_are_known_to_the_microsecond(
    tmp_path, seed, align, stride_us, joined_s, known_since_s
):
    messages = jittered(seed)
    begin = messages[0][0]
    seen = [one for one in messages if one[0] >= begin + 1e9 * joined_s]
    recorded = [one for one in messages if one[0] >= begin + 1e9 * known_since_s]
    published = windows_of(seen, WindowCutter(50_000, stride_us, align=align))
    published = [one for one in published if one.stamp_ns > recorded[0][0]]
    random = np.random.default_rng(seed)
    kept = random.random(len(published)) > 0.1
    kept[[0, -1]] = True
    bag = write_bag(tmp_path / 'bag', recorded, [p for p, k in zip(published, kept) if k])
    live = read_live(bag, None, ReplayOptions())
    assert live.stride_us == stride_us
    expected = [one for one, k in zip(published, kept) if k]
    # The decoder of a bag that begins later counts from the same roll-over here
    assert live.windows['t'].tolist() == [one.t_end for one in expected]
    assert live.windows['events'].tolist()[2:] == [one.events for one in expected][2:]
    assert live.live.dropped == len(kept) - kept.sum()
    assert live.live.ended_early is False
    assert [text for text in live.warnings if 'milliseconds' in text] == []


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    """Events alone, and with the messages of a node; the detections of their replay."""
    from sast_ros.detector import StreamingDetector
    from sast_ros.model import choose_model
    from sast_ros.pipeline import EventPipeline

    folder = tmp_path_factory.mktemp('live')
    messages = jittered(0)
    write_rosbag2(folder / 'example', {EVENTS: (PACKET, messages)}, 'mcap')
    model, _ = choose_model('default', 'cpu')
    pipeline = EventPipeline(StreamingDetector(model, max_detections=100))
    decode = open_decoder(PACKET)
    published = [one for _, raw in messages for one in pipeline.feed(decode(raw))]
    write_bag(folder / 'live', messages, published)
    options = ['--device', 'cpu', '--out', str(folder / 'replay')]
    assert main(['replay', str(folder / 'example'), *options]) == 0
    return folder, messages, published


class TestScores:
    """The command, on the detections of the network."""

    def score(self, path: Path, *options: str) -> dict:
        file = path.parent / 'metrics.json'
        words = ['--labels', str(LABELS), '--out', str(path.parent / 'scored')]
        assert main(['evaluate', str(path), *words, '--json', str(file), *options]) == 0
        assert (path.parent / 'scored' / 'report.html').is_file()
        content = without_inputs(file)
        for recording in content['recordings']:
            del recording['name']
        return content

    def test_all_windows_give_the_metrics_of_the_replay(self, bags):
        folder, _, published = bags
        live = self.score(folder / 'live', '--detections-topic', DETECTIONS)
        assert live.pop('live') == {
            'published': len(published),
            'dropped': 0,
            'frames_without_window': 0,
        }
        assert live == self.score(folder / 'replay')
        assert live['AP'] > 0.4

    def test_classes_may_be_numbers(self, bags, tmp_path):
        folder, messages, published = bags
        bag = write_bag(tmp_path / 'live', messages, published, class_id_format='index')
        numbers = self.score(bag, '--detections-topic', DETECTIONS)
        assert numbers == self.score(folder / 'live', '--detections-topic', DETECTIONS)

    def test_dropped_windows_are_counted(self, bags, tmp_path, capsys):
        _, messages, published = bags
        lost = {30, 31, 32, 60, 90}
        some = [one for index, one in enumerate(published) if index not in lost]
        bag = write_bag(tmp_path / 'live', messages, some)
        result = self.score(bag, '--detections-topic', DETECTIONS)
        times = np.unique(np.load(LABELS)['t'])
        ends = np.array([one.t_end for one in published])
        without = sum(
            int(np.searchsorted(ends, t, 'right')) - 1 in lost for t in times if t > 500_000
        )
        assert without >= 3
        assert result['live'] == {
            'published': len(some),
            'dropped': 5,
            'frames_without_window': without,
        }
        assert (
            main(
                [
                    'evaluate',
                    str(bag),
                    '--labels',
                    str(LABELS),
                    '--detections-topic',
                    DETECTIONS,
                    '--out',
                    str(tmp_path / 'out'),
                ]
            )
            == 0
        )
        assert f'5 dropped; {without} of' in ' '.join(capsys.readouterr().out.split())

    def test_what_is_before_and_after_the_run_of_the_node_is_left_out_and_said(
        self, bags, tmp_path, capsys
    ):
        _, messages, published = bags
        bag = write_bag(tmp_path / 'live', messages, published[40:80], labels=False)
        result = self.score(bag, '--detections-topic', DETECTIONS)
        assert result['live']['dropped'] == result['live']['frames_without_window'] == 0
        begin, end = published[40].t_end - 50_000, published[79].t_end
        times = np.unique(np.load(LABELS)['t'])
        assert result['images'] <= sum(begin + 500_000 < t < end + 50_000 for t in times)
        error = ' '.join(capsys.readouterr().err.split())
        assert '40 first windows' in error
        assert f'{len(published) - 80} last windows' in error

    def test_a_bag_with_both_is_asked_about(self, bags, capsys):
        folder, *_ = bags
        assert main(['evaluate', str(folder / 'live'), '--labels', str(LABELS)]) == 1
        error = capsys.readouterr().err
        assert f'--detections-topic {DETECTIONS}' in error
        assert f'--topic {EVENTS}' in error
        assert len(error.strip().splitlines()) == 1

    def test_a_folder_with_detections_alone_is_detections(self, bags, tmp_path, capsys):
        folder, _, published = bags
        messages = [(one.stamp_ns, detection_message(one)) for one in published]
        bag = write_rosbag2(tmp_path / 'found', {'/objects': (DETECTIONS_TYPE, messages)})
        assert main(['evaluate', str(bag), '--labels', str(LABELS)]) == 1
        assert '--detections-topic' in capsys.readouterr().err  # the offset is unknown
        labels = write_rosbag2(tmp_path / 'labels', {'/labels': (DETECTIONS_TYPE, messages)})
        assert main(['evaluate', str(bag), '--labels', str(labels), '--json', '-']) == 0
        assert json.loads(capsys.readouterr().out)['AP'] == pytest.approx(1)

    def test_topics_that_are_not_there_are_named(self, bags, capsys):
        folder, *_ = bags
        for name, topic in (('example', DETECTIONS), ('live', '/objects')):
            words = ['--labels', str(LABELS), '--detections-topic', topic]
            assert main(['evaluate', str(folder / name), *words]) == 1
            assert 'topic' in capsys.readouterr().err


@pytest.fixture(scope='module')
def run():
    messages = jittered(5, 3)
    return messages, windows_of(messages, WindowCutter(50_000, 50_000))


class TestLabelsOfBags:
    """Where the labels of a bag with detections are."""

    @staticmethod
    def with_boxes(published: list[Detections]) -> list[Detections]:
        one, box = np.ones(1, np.float32), np.float32([[50, 60, 110, 150]])
        found = {'boxes': box, 'scores': one, 'objectness': one, 'class_scores': one}
        return [replace(each, **found, class_ids=np.zeros(1, np.int64)) for each in published]

    def test_published_detections_are_not_their_own_labels(self, run, tmp_path, capsys):
        bag = write_bag(tmp_path / 'live', run[0], self.with_boxes(run[1]))
        (file,) = bag.glob('*.mcap')
        for path in (bag, file):
            words = ['evaluate', str(path), '--detections-topic', DETECTIONS]
            for more in ([], ['--label-topic', DETECTIONS], ['--labels', str(path)]):
                assert main([*words, *more]) == 1
                assert 'holds the detections themselves' in capsys.readouterr().err
        shutil.copy(LABELS, tmp_path / 'live_bbox.npy')
        words = ['evaluate', str(bag), '--detections-topic', DETECTIONS, '--json', '-']
        words += ['--label-classes', ','.join(CLASSES), '--out', str(tmp_path / 'out')]
        assert main(words) == 0
        assert json.loads(capsys.readouterr().out)['AP'] < 0.5

    def test_labels_may_be_another_topic_of_the_bag(self, run, tmp_path, capsys):
        found = [(one.stamp_ns, detection_message(one)) for one in self.with_boxes(run[1])]
        topics = {'/found': (DETECTIONS_TYPE, found), '/labels': (DETECTIONS_TYPE, found)}
        bag = write_rosbag2(tmp_path / 'both', topics)
        words = ['evaluate', str(bag), '--detections-topic', '/found', '--label-topic', '/labels']
        assert main([*words, '--out', str(tmp_path / 'out'), '--json', '-']) == 0
        assert json.loads(capsys.readouterr().out)['AP'] == pytest.approx(1)

    def test_a_bag_of_events_has_no_labels_and_is_not_replayed(self, run, tmp_path, capsys):
        bag = write_rosbag2(tmp_path / 'events', {EVENTS: (PACKET, run[0])}, 'mcap')
        assert main(['evaluate', str(bag), '--out', str(tmp_path / 'out')]) == 1
        assert 'has no labels of the recording events' in capsys.readouterr().err
        assert not (tmp_path / 'out').exists()


class TestRefused:
    """Messages whose times cannot be those of the events."""

    def test_a_bag_that_was_played_in_a_loop(self, run, tmp_path):
        messages, published = run
        bag = tmp_path / 'bag'
        topics = {
            EVENTS: (PACKET, messages),
            DETECTIONS: (
                DETECTIONS_TYPE,
                [(START_NS + n, detection_message(one)) for n, one in enumerate(published * 2)],
            ),
        }
        write_rosbag2(bag, topics)
        with pytest.raises(EvaluationError, match='step back 1 times'):
            read_live(bag, None, ReplayOptions())

    @pytest.mark.parametrize('compressed', [True, False])
    def test_a_message_that_is_damaged(self, run, tmp_path, compressed):
        raws = [detection_message(one) for one in run[1]]
        if compressed:
            raws[2] = zstandard.ZstdCompressor().compress(raws[2])
        raws[2] = raws[2][:-5]
        messages = [(START_NS + n, raw) for n, raw in enumerate(raws)]
        path = write_rosbag2(tmp_path / 'bag', {DETECTIONS: (DETECTIONS_TYPE, messages)})
        with pytest.raises(EvaluationError, match=f'bag: message 2 of {DETECTIONS} is damaged'):
            read_topic(path)

    def test_another_stride_than_that_of_the_parameters(self, run, tmp_path):
        bag = write_bag(tmp_path / 'bag', *run)
        with pytest.raises(EvaluationError, match='50 ms apart.* stride of 40 ms'):
            read_live(bag, None, ReplayOptions(stride_ms=40), timing_known=True)
        slow = write_bag(tmp_path / 'slow', run[0], run[1][::2])
        assert read_live(slow, None, ReplayOptions()).stride_us == 100_000
        live = read_live(slow, None, ReplayOptions(), timing_known=True)
        assert (live.stride_us, live.live.dropped) == (50_000, len(run[1][::2]) - 1)

    def test_stamps_of_other_events(self, run, tmp_path):
        messages, published = run
        later = [replace(one, stamp_ns=one.stamp_ns + 10**12) for one in published]
        bag = write_bag(tmp_path / 'bag', messages, later)
        with pytest.raises(EvaluationError, match='do not follow the events of /event_camera'):
            read_live(bag, None, ReplayOptions())

    def test_stamps_of_receipt_are_said_to_be_inexact(self, run, tmp_path):
        messages, published = run
        random = np.random.default_rng(1)
        late = [
            replace(one, stamp_ns=one.stamp_ns + int(delay))
            for one, delay in zip(published, random.integers(0, 20_000_000, len(published)))
        ]
        live = read_live(write_bag(tmp_path / 'bag', messages, late), None, ReplayOptions())
        found, expected = live.windows['t'], np.array([one.t_end for one in published])
        assert np.abs(found - expected).max() < 30_000
        assert 'milliseconds' in ''.join(live.warnings)
