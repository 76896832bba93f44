# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The report: what it says, what it leaves out, and what it does with odd input."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
import os
from pathlib import Path
import re
import sys

from bags.recordings import (
    EVENT_PACKET,
    event_packet,
    HEIGHT,
    START_NS,
    TOPIC,
    WIDTH,
    write_rosbag2,
)
import numpy as np
import pytest
from sast_ros.bags import open_recording
from sast_ros.bags.detections import WINDOW_DTYPE
from sast_ros.evaluation.box_filter import BOXES_GEN1
from sast_ros.evaluation.detections import RecordedDetections
from sast_ros.evaluation.labels import LABEL_CLASSES, Labels
from sast_ros.evaluation.metrics.error_analysis import ErrorCase
from sast_ros.evaluation.metrics.summary import compute_metrics
from sast_ros.evaluation.pairing import pair_last_window, PairedRecording
from sast_ros.evaluation.report import plots
from sast_ros.evaluation.report.entry import ReportEntry
from sast_ros.evaluation.report.page import write_report
from sast_ros.evaluation.report.pictures import crop_around, draw_case, read_events
from sast_ros.labels import BOX_DTYPE

matplotlib = pytest.importorskip('matplotlib', reason='the plots need matplotlib')
pytest.importorskip('faster_coco_eval', reason='the metrics need faster-coco-eval')

STEP = 50_000
CLASSES = ('car', 'pedestrian')


def boxes(times, x=10.0, score=0.9, class_id=0) -> np.ndarray:
    made = np.zeros(len(times), BOX_DTYPE)
    made['t'], made['x'], made['y'], made['w'], made['h'] = times, x, 20, 40, 50
    made['class_id'], made['class_confidence'] = class_id, score
    return made


def entry(
    name='drive', seconds=2.0, x=10.0, windows=True, summary=True, tracked=True, **more
) -> ReportEntry:
    """Cars labelled at 10 and found at x; a recording that began at 0."""
    ends = np.arange(1, round(20 * seconds) + 1) * STEP
    table = None
    if windows:
        table = np.zeros(len(ends), WINDOW_DTYPE)
        table['t'], table['stamp_ns'] = ends, 1000 * ends
        table['events'] = 1000 + 100 * np.arange(len(ends))
        table['kept_tokens'] = 0.4
    detected = RecordedDetections(
        name,
        Path(f'{name}/detections.npy'),
        boxes(ends, x),
        CLASSES,
        table,
        start_us=0,
        sensor_size=(240, 304),
        summary={'model': 'gen1-tiny', 'weights': 'default'} if summary else None,
    )
    labels = boxes(ends)
    labels['track_id'] = 0 if tracked else np.arange(len(ends))
    paired = pair_last_window(Labels(Path('labels'), labels, ends, CLASSES), detected, BOXES_GEN1)
    return ReportEntry(paired, detected, **more)


class Page(HTMLParser):
    """Text and attributes of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding='utf-8')
        self.words: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self._hidden = False
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self._hidden = tag == 'style'
        if tag == 'a':
            self.links.append(found['href'])
        if 'src' in found:
            self.sources.append(found['src'])

    def handle_data(self, data):
        if not self._hidden:
            self.words.append(data)

    def handle_endtag(self, tag):
        self._hidden = False

    @property
    def text(self) -> str:
        return ' '.join(' '.join(self.words).split())


def report(tmp_path: Path, *recordings: ReportEntry, **more) -> Page:
    path = tmp_path / 'report.html'
    result = {**compute_metrics([one.paired for one in recordings]), **more}
    write_report(path, result, recordings)
    return Page(path)


def test_it_says_what_was_found(tmp_path):
    page = report(tmp_path, entry('sunny'), entry('foggy', x=200))
    assert '60 labels in 60 frames of 2 recordings' in page.text
    assert (
        'threshold of 0.3, 50 % of the labels are detected and 50 % of the detections' in page.text
    )
    assert page.text.index('foggy') < page.text.index('sunny')  # the worst comes first
    for heading in ('By class', 'Over time', 'Missed objects', 'Recordings', 'Protocol'):
        assert heading in page.text
    assert page.tags.count('svg') == 5 + 2
    assert 'diagonal under 30 or a side under 10' in page.text
    assert 'gen1-tiny, weights default' in page.text


def test_numbers_of_objects_are_evaluated_where_there_are_any(tmp_path):
    assert 'IDF1' not in report(tmp_path, entry('drive')).text
    tracking = {'IDF1': 0.25, 'id_switches': 3, 'objects': 4}
    page = report(tmp_path, entry('drive'), tracking=tracking)
    assert 'IDF1 0.25 of tracked objects; 3 identity switches of 4 objects' in page.text


def test_what_is_not_known_is_said_in_words(tmp_path):
    """No windows, no speeds, no new objects, a class without labels, no time without labels."""
    page = report(tmp_path, entry(seconds=1.0, windows=False, summary=False, tracked=False))
    for text in (
        'these detections come without their windows',
        'these labels have no tracks',
        'There is no new object in the labels.',
        'Without labels: pedestrian.',
        'No object was missed.',
        'No detection with a score of at least 0.3 is a false positive.',
        'not evaluated',
    ):
        assert text in page.text
    assert 'nan' not in page.text.lower().replace('mean and', '').split()
    assert 'None' not in page.text


def test_a_detector_that_finds_nothing_has_a_report_too(tmp_path):
    one = entry()
    empty = RecordedDetections(**{**vars(one.detected), 'boxes': boxes([])})
    labels = boxes(one.detected.windows['t'])
    paired = pair_last_window(
        Labels(Path('labels'), labels, np.unique(labels['t']), CLASSES), empty, BOXES_GEN1
    )
    page = report(tmp_path, ReportEntry(paired, empty))
    assert 'there are no detections with this score' in page.text
    assert 'There are no detections.' in page.text
    assert 'no detection nearby' in page.text


def test_names_are_text(tmp_path, monkeypatch):
    evil = '"\'></title></style></svg><script>alert(1)</script><img src=x onerror=alert(1)>'
    monkeypatch.setattr(sys.modules[__name__], 'CLASSES', (evil, 'b'))
    page = report(tmp_path, entry(evil.replace('/', '|'), x=200))
    page_of_others = report(tmp_path, entry(evil.replace('/', '|')))
    for one in (page, page_of_others):
        assert 'script' not in one.tags
        assert all(source.startswith('data:') for source in one.sources)
        assert '<script' not in one.source and '<img src=x' not in one.source


def test_nothing_is_loaded_and_nothing_is_run(tmp_path):
    page = report(tmp_path, entry('bad', x=200))
    assert 'http:' not in page.source and 'https:' not in page.source
    assert 'script' not in page.tags
    assert all(source.startswith('data:') for source in page.sources)
    assert "default-src 'none'" in page.source


def test_names_from_outside_are_text(tmp_path):
    name = '<img src=x onerror=alert(1)>&"\'$x_1$'
    page = report(
        tmp_path,
        entry(name, x=200),
        inputs=[name],
        labels_from=name,
        failed=[{'input': name, 'reason': name}],
    )
    assert 'img' not in page.tags
    assert page.text.count(name) >= 6


def test_file_names_that_are_no_text_are_shown_and_linked(tmp_path):
    name = os.fsdecode(b'caf\xe9')
    page = report(tmp_path, entry(name, x=200, video=tmp_path / name / 'overlay.mp4'))
    assert r'caf\udce9' in page.text
    assert 'caf%E9/overlay.mp4' in {link.partition('#')[0] for link in page.links}


def test_recordings_that_failed_are_listed(tmp_path):
    failed = [{'input': 'broken.mcap', 'reason': 'broken.mcap is damaged; copy it again'}]
    page = report(tmp_path, entry(), failed=failed)
    assert '1 of 2 recordings could not be evaluated' in page.text
    assert 'broken.mcap is damaged; copy it again' in page.text


def test_untrained_weights_are_called_so(tmp_path):
    one = entry()
    summary = {**one.detected.summary, 'weights': 'untrained', 'warnings': ['the end is missing']}
    untrained = RecordedDetections(**{**vars(one.detected), 'summary': summary})
    page = report(tmp_path, ReportEntry(one.paired, untrained))
    assert 'the detections are meaningless' in page.text
    assert 'the end is missing' in page.text


def test_many_recordings_stay_small_and_nothing_is_left_out_in_silence(tmp_path):
    recordings = [entry(f'drive {index:03}', 1.0, x=11 + index % 50) for index in range(120)]
    page = report(tmp_path, *recordings)
    assert 'the 12 of 120 recordings with the most errors' in page.text
    assert '95 more recordings' in page.text
    assert '12 of 81 objects' in page.text
    assert all(one.paired.name in page.text for one in recordings)
    assert page.tags.count('svg') == 5 + 12
    assert len(page.source) < 600_000


def test_long_recordings_are_drawn_with_few_points(tmp_path):
    short, long = (
        len(report(tmp_path, entry(seconds=seconds, x=200)).source) for seconds in (15, 150)
    )
    assert long < short + 20_000
    assert 'more than 240 windows' in (tmp_path / 'report.html').read_text()


class TestPictures:
    """Events around an error."""

    END = START_NS // 1000 + 200_000

    @pytest.fixture
    def recording(self, tmp_path):
        """Four messages of 100 ms; the events of each are in a column of its own."""
        messages = []
        for number in range(4):
            t = np.arange(0, 100_000, 1000)
            events = {
                't': t,
                'x': np.full(len(t), 10 * number + 5, np.uint16),
                'y': np.arange(len(t), dtype=np.uint16) % HEIGHT,
                'p': np.ones(len(t), np.uint8),
            }
            stamp = START_NS + number * 100_000_000
            messages.append((stamp, event_packet(events, stamp, number)))
        return write_rosbag2(tmp_path / 'bag', {TOPIC: (EVENT_PACKET, messages)}, 'mcap')

    def detected(self, **more) -> RecordedDetections:
        start = START_NS // 1000
        return RecordedDetections('bag', Path('detections.npy'), boxes([]), start_us=start, **more)

    def entry(self, recording: Path, detected: RecordedDetections) -> ReportEntry:
        paired = PairedRecording('bag', CLASSES, (), boxes([]), 0)
        return ReportEntry(paired, detected, recording)

    def test_the_events_are_those_of_the_window(self, recording):
        with open_recording(recording) as whole:
            first = int(next(iter(whole)).t[0])
        found = read_events(
            self.entry(recording, self.detected()), [first + 50_000, first + 250_000]
        )
        columns = [
            {int(x) for part in parts for x in part.x} for parts in (found[end] for end in found)
        ]
        assert columns == [{5}, {25}]
        assert [sum(map(len, parts)) for parts in found.values()] == [51, 51]

    def test_the_events_are_filtered_as_in_the_replay(self, recording):
        with open_recording(recording) as whole:
            first = int(next(iter(whole)).t[0])
        detected = self.detected(
            sensor_size=(HEIGHT, WIDTH),
            summary={'filters': ['flip=horizontal', f'roi={WIDTH - 20},0,20,{HEIGHT}']},
        )
        found = read_events(self.entry(recording, detected), [first + 50_000, first + 250_000])
        columns = [{int(x) for part in parts for x in part.x} for parts in found.values()]
        assert columns == [{WIDTH - 1 - 5}, set()]

    def test_messages_in_ros_time_find_their_events(self, recording):
        """The clock of the detections is another one than that of the events."""
        start = 5_000_000_000
        detected = RecordedDetections(
            'bag', Path('detections.mcap'), boxes([]), start_us=start, clock='ros'
        )
        found = read_events(self.entry(recording, detected), [start + 150_000])
        assert {int(x) for part in found[start + 150_000] for x in part.x} == {15}

    def test_a_part_that_was_replayed_finds_its_events(self, recording):
        """A replay from 0.2 s on, whose first event is that of the part."""
        with open_recording(recording) as whole:
            first = int(next(iter(whole)).t[0])
        part = RecordedDetections(
            'bag',
            Path('detections.npy'),
            boxes([]),
            start_us=first + 200_000,
            summary={'start': 0.2},
        )
        found = read_events(self.entry(recording, part), [first + 350_000])
        assert {int(x) for part in found[first + 350_000] for x in part.x} == {35}

    def test_a_picture_shows_events_label_and_corners(self, recording):
        image = pytest.importorskip('PIL.Image')
        import base64
        import io

        end = next(iter(open_recording(recording))).t[0] + 50_000
        events = read_events(self.entry(recording, self.detected()), [int(end)])[int(end)]
        label = boxes([end])
        label['x'], label['y'], label['w'], label['h'] = 2, 10, 12, 20
        case = ErrorCase('bag', int(end), label[0], 'car', 0, 1.0, '', label, label[:0])
        uri = draw_case(
            case, events, self.entry(recording, self.detected(sensor_size=(HEIGHT, WIDTH)))
        )
        head, data = uri.split(',')
        assert head == 'data:image/webp;base64'
        picture = np.asarray(image.open(io.BytesIO(base64.b64decode(data))).convert('RGB'))
        assert picture.shape[1] <= 400 and picture.shape[0] <= 300
        bright = picture.astype(int).min(axis=2) > 110
        red, green, blue = np.moveaxis(picture.astype(int), 2, 0)
        marked = (green > 150) & (blue > 150) & (red < 110)
        middle = bright.shape[1] // 2
        left, right = bright[:, :middle], bright[:, middle:]
        assert bright.sum() > 200
        assert left.sum() > 10 * right.sum()
        assert marked.sum() > 50

    def test_a_picture_shows_the_number_of_an_object(self, recording):
        end = next(iter(open_recording(recording))).t[0] + 50_000
        found = boxes([end])
        found['x'], found['y'], found['w'], found['h'] = 2, 20, 12, 20
        entry = self.entry(recording, self.detected(sensor_size=(HEIGHT, WIDTH)))
        pictures = set()
        for number in (0, 7, 8):
            found['track_id'] = number
            case = ErrorCase('bag', int(end), found[0], 'car', 0, 1.0, '', found[:0], found)
            pictures.add(draw_case(case, [], entry))
        assert len(pictures) == 3

    @pytest.mark.parametrize('size', [(240, 304), (720, 1280), (48, 64), (100, 1000)])
    def test_a_picture_lies_inside_the_sensor(self, size):
        height, width = size
        random = np.random.default_rng(0)
        for _ in range(100):
            box = boxes([0])[0]
            box['w'], box['h'] = random.uniform(1, width), random.uniform(1, height)
            box['x'], box['y'] = random.uniform(-20, width), random.uniform(-20, height)
            left, top, wide, high = crop_around(box, size)
            assert left >= 0 and top >= 0 and wide > 0 and high > 0
            assert left + wide <= width + 1 and top + high <= height + 1
            assert wide / high == pytest.approx(4 / 3, rel=0.05)

    def test_without_the_recording_it_says_what_to_do(self, tmp_path):
        page = report(tmp_path, entry('a', x=200), entry('b', x=200))
        assert 'No pictures of a, b: only their detections were given' in page.text
        assert 'no picture' in page.text

    def test_a_recording_that_is_gone_is_named(self, tmp_path):
        gone = tmp_path / 'gone.mcap'
        page = report(tmp_path, entry(x=200, recording=gone))
        assert f'{gone} does not exist' in page.text
        assert 'no label nearby' in page.text


def test_links_lead_into_the_video(tmp_path):
    video = tmp_path / 'replays' / 'my drive #1' / 'overlay.mp4'
    page = report(tmp_path, entry(x=200, video=video))
    moments = [one for one in page.links if '#t=' in one]
    assert len(moments) == 2
    # The middle of a frame; the first labelled time that counts is the end of the 11th window
    assert moments[-1] == 'replays/my%20drive%20%231/overlay.mp4#t=0.00,0.53'
    assert page.links[-1] == 'replays/my%20drive%20%231/overlay.mp4'


def curves_of(*names: str) -> list[tuple[str, float]]:
    """Return text and height of all texts in the plot of classes with these names."""
    curve = {'recall': [0.0, 1.0], 'precision': [1.0, 0.5]}
    values = {'curve': curve, 'AP50': 0.5, 'recall': 0.5, 'precision': 0.8}
    svg = plots.precision_recall(dict.fromkeys(names, values))
    found = re.findall(r'<text[^>]* y="([-\d.]+)"[^>]*>([^<]*)</text>', svg)
    return [(text, float(y)) for y, text in found]


@pytest.mark.parametrize('count', [1, 7, 8, 40])
def test_the_legend_names_all_classes_within_the_plot(count):
    names = [f'_{index}_$x$' for index in range(count)]
    heights = dict(curves_of(*names))
    legend = [heights[f'{name} 0.50'] for name in names]
    assert legend == sorted(legend) and min(legend) > heights['1.0']
    assert (legend[0] > heights['0.0']) == (count > 7)  # more would hide the curves


def test_a_long_name_of_a_class_does_not_leave_the_plot():
    assert max(len(text) for text, _ in curves_of('x' * 200)) < 35


def test_links_lead_into_a_video_in_slow_motion(tmp_path):
    one = entry(x=200, video=tmp_path / 'overlay.mp4')
    one.detected.summary['video_speed'] = 0.5
    moments = [link for link in report(tmp_path, one).links if '#t=' in link]
    assert moments[-1] == 'overlay.mp4#t=0.00,1.05'


def test_an_old_report_stays_if_the_new_one_fails(tmp_path, monkeypatch):
    path = tmp_path / 'report.html'
    path.write_text('old')
    one = entry()
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(ImportError, match='matplotlib'):
        write_report(path, compute_metrics([one.paired]), [one])
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_the_style_of_others_is_left_alone(tmp_path):
    """Plots of the caller look as before, and ours do not look as theirs."""
    plain = report(tmp_path, entry()).source
    with matplotlib.rc_context({'font.size': 30, 'svg.fonttype': 'path'}):
        before = dict(matplotlib.rcParams)
        assert len(report(tmp_path, entry()).source) == len(plain)
        assert dict(matplotlib.rcParams) == before


def test_classes_have_colours_of_their_own():
    names = LABEL_CLASSES['1mpx']
    assert len({plots.class_number(name, index) for index, name in enumerate(names)}) == len(names)


def test_a_recording_without_anything_has_its_place_too(tmp_path):
    """No window, and no labelled time that counts."""
    nothing = RecordedDetections(
        'nothing', Path('x'), boxes([]), CLASSES, np.zeros(0, WINDOW_DTYPE), 0
    )
    nothing = replace(nothing, summary={})
    empty = PairedRecording('nothing', CLASSES, (), boxes([]), 0)
    page = report(tmp_path, entry(), ReportEntry(empty, nothing))
    assert '0 of 0 labels missed' in page.text
