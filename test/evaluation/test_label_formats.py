# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""COCO as pycocotools reads it, YOLO text, CSV and DSEC-Detection."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

from bags.recordings import write_rosbag2
from hypothesis import given, settings, strategies
import numpy as np
import pytest
from sast_ros.bags import detection_message, DETECTIONS_TYPE
from sast_ros.bags.detections import WINDOW_DTYPE
from sast_ros.cli import main
from sast_ros.detections import Detections
from sast_ros.evaluation.detections import is_detections, read_detections, RecordedDetections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.formats.box_file import FrameClock, microseconds
from sast_ros.evaluation.label_files import find_label_source, find_labels
from sast_ros.evaluation.labels import label_classes, Labels, read_labels
from sast_ros.evaluation.metrics.summary import compute_metrics
from sast_ros.evaluation.pairing import PairedRecording
from sast_ros.evaluation.protocol import _in_the_part, pair_recording, Protocol
from sast_ros.labels import BOX_DTYPE

FRAME_US = 50_000
BOX = [50, 60, 60, 50]
CLASSES = ('pedestrian', 'rider', 'car')
FAR = [200, 20, 60, 50]
CROWD = [150, 120, 120, 100]
IN_CROWD = [160, 130, 60, 50]


def coco(folder: Path, annotations, *, frames: int = 4, name: str = 'a.json', **content) -> Path:
    """Write frames from 1 s on; an annotation is frame, box and other fields."""
    images = [{'id': i, 't': 1_000_000 + i * FRAME_US} for i in range(frames)]
    rows = [
        {'id': i + 1, 'image_id': frame, 'category_id': 1, 'bbox': box, **fields}
        for i, (frame, box, fields) in enumerate(annotations)
    ]
    whole = {'images': images, 'annotations': rows, 'categories': [{'id': 1, 'name': 'car'}]}
    path = folder / name
    path.write_text(json.dumps(whole | content))
    return path


def detections(folder: Path, rows, name: str = 'a.npy') -> Path:
    """Write detections; a row is frame, box and score."""
    boxes = np.zeros(len(rows), BOX_DTYPE)
    for box, (frame, (x, y, w, h), score) in zip(boxes, rows):
        for key, value in zip(BOX_DTYPE.names, (0, x, y, w, h, 0, 0, score)):
            box[key] = value
        box['t'] = 1_000_000 + frame * FRAME_US
    np.save(folder / name, boxes)
    return folder / name


def pair(found: Path, labels: Path, **options) -> PairedRecording:
    options = {'boxes': 'all', **options}
    return pair_recording(read_detections(found, labels), labels, Protocol(**options))


class TestCrowd:
    """``iscrowd`` is a region without false positives."""

    def test_detections_in_a_crowd_are_neither_true_nor_false(self, tmp_path):
        found = detections(
            tmp_path,
            [(f, BOX, 0.8) for f in range(4)]
            + [(f, IN_CROWD, 0.9) for f in range(4)]
            + [(f, IN_CROWD, 0.85) for f in range(4)],
        )
        labels = coco(
            tmp_path,
            [(f, BOX, {'iscrowd': 0}) for f in range(4)]
            + [(f, CROWD, {'iscrowd': 1}) for f in range(4)],
        )
        paired = pair(found, labels)
        metrics = compute_metrics([paired])
        assert (metrics['labels'], metrics['AP'], metrics['ignored_regions']) == (4, 1, 4)
        assert metrics['operating_point']['precision'] == 1
        assert metrics['operating_point']['detections'] == 4
        assert sum(one['detections'] for one in metrics['calibration']['bins']) == 4

    def test_others_stay_false_positives(self, tmp_path):
        # In order of scores: false, true: precision 1/2 at every recall and threshold
        found = detections(tmp_path, [(0, FAR, 0.9), (0, BOX, 0.8), (0, IN_CROWD, 0.95)])
        labels = coco(tmp_path, [(0, BOX, {}), (0, CROWD, {'iscrowd': 1})], frames=1)
        metrics = compute_metrics([pair(found, labels)])
        assert metrics['AP'] == pytest.approx(0.5)
        assert metrics['operating_point']['precision'] == 0.5

    def test_half_of_a_detection_must_lie_in_the_crowd(self, tmp_path):
        x, y, w, h = CROWD
        less, more = ([x - w + step, y, w, h] for step in (w / 2 - 1, w / 2 + 1))
        labels = coco(tmp_path, [(0, BOX, {}), (0, CROWD, {'iscrowd': 1})], frames=1)
        for box, precision in ((less, 0.5), (more, 1)):
            found = detections(tmp_path, [(0, box, 0.9), (0, BOX, 0.8)])
            metrics = compute_metrics([pair(found, labels)])
            assert metrics['operating_point']['precision'] == precision

    def test_a_label_is_preferred_to_a_crowd_around_it(self, tmp_path):
        found = detections(tmp_path, [(0, IN_CROWD, 0.9)])
        labels = coco(tmp_path, [(0, IN_CROWD, {}), (0, CROWD, {'iscrowd': 1})], frames=1)
        metrics = compute_metrics([pair(found, labels)])
        assert metrics['AP'] == 1 and metrics['operating_point']['matches'] == 1

    def test_ignore_has_no_effect_but_is_reported(self, tmp_path):
        labels = read_labels(coco(tmp_path, [(0, BOX, {'ignore': 1})]), 'a')
        assert len(labels.boxes) == 1
        assert '1 annotations have ignore' in labels.warnings[0]


class TestCocoFiles:
    """What a COCO file may contain, and what is said about it."""

    @pytest.mark.parametrize(
        'folder', ['images/', './images/', 'data/frames/', 'C:\\images\\', 'train/', 'new/x/']
    )
    def test_folders_of_images_are_no_recordings(self, tmp_path, folder):
        images = [{'id': 0, 't': 1_000_000, 'file_name': f'{folder}0.png'}]
        path = coco(tmp_path, [(0, BOX, {})], images=images, name='any.json')
        for sole in (True, False):
            assert len(read_labels(path, 'new', sole=sole).boxes) == 1

    def test_a_folder_of_another_name_is_reported_or_refused(self, tmp_path):
        images = [{'id': 0, 't': 1_000_000, 'file_name': 'north/0.png'}]
        path = coco(tmp_path, [(0, BOX, {})], images=images, name='any.json')
        assert 'folder north' in read_labels(path, 'new').warnings[0]
        with pytest.raises(EvaluationError, match='no image of the recording new, only of north'):
            read_labels(path, 'new', sole=False)

    def test_images_of_videos(self, tmp_path):
        path = coco(
            tmp_path,
            [(7, BOX, {}), (8, FAR, {})],
            images=[{'id': 7, 'video_id': 1, 'frame_id': 30}, {'id': 8, 'video_id': 2, 't': 1}],
            videos=[{'id': 1, 'name': 'a.mcap', 'fps': 20}, {'id': 2, 'name': 'b', 'fps': 20}],
        )
        labels = read_labels(path, 'a')
        assert labels.clock == 'start' and labels.times.tolist() == [1_500_000]
        assert labels.boxes['x'].tolist() == [50]
        assert labels.warnings == ()

    def test_what_is_left_out_is_counted(self, tmp_path):
        path = coco(
            tmp_path,
            [(0, BOX, {})]
            + [(99, BOX, {})] * 2
            + [(0, BOX, {'category_id': 8})] * 3
            + [(1, BOX, {'image_id': 'x'})],
        )
        labels = read_labels(path, 'a')
        assert len(labels.boxes) == 1
        assert sorted(labels.warnings) == [
            f'{path}: 3 annotations of categories that it does not list are left out',
            f'{path}: 3 annotations of images that it does not list are left out',
        ]

    @pytest.mark.parametrize(
        ('fields', 'sentence'),
        [
            ({'bbox': None, 'segmentation': [[1, 2, 3, 4, 5, 6]]}, 'a segmentation, but no bbox'),
            ({'bbox': None}, 'has no bbox'),
            ({'bbox': [1, 2, 3]}, 'a.json.*bbox'),
            ({'bbox': [1, 2, 3, float('nan')]}, 'h of row 0'),
            ({'bbox': ['a', 2, 3, 4]}, 'a.json'),
        ],
    )
    def test_annotations_without_boxes_are_refused(self, tmp_path, fields, sentence):
        with pytest.raises(EvaluationError, match=sentence):
            read_labels(coco(tmp_path, [(0, BOX, fields)]), 'a')

    @given(
        key=strategies.sampled_from(['t', 'ts', 'time', 'timestamp']),
        unit=strategies.sampled_from([('', 1), ('_us', 1), ('_ms', 1000), ('_ns', 1e-3)]),
        times=strategies.lists(strategies.integers(1, 10**12), min_size=1, unique=True),
    )
    @settings(deadline=None, max_examples=30)
    def test_times_of_any_name_and_unit(self, tmp_path_factory, key, unit, times):
        suffix, scale = unit
        values = [round(1000 * t) if scale == 1e-3 else t / scale for t in times]
        values = [int(v) if float(v).is_integer() else v for v in values]
        images = [{'id': i, key + suffix: value} for i, value in enumerate(values)]
        path = coco(tmp_path_factory.mktemp('times'), [(0, BOX, {})], images=images)
        assert read_labels(path, 'a').times.tolist() == sorted(times)

    def test_seconds_have_a_fraction(self):
        assert microseconds([0.5, 1, 1.25]) == [500_000, 1_000_000, 1_250_000]
        assert microseconds([1.0, 2]) == [1, 2]
        assert microseconds(['1700000000.000001']) == [1_700_000_000_000_001]
        assert microseconds([1_700_000_000_123_456_789], 'ns') == [1_700_000_000_123_456]
        for wrong in (None, True, 'x', float('nan'), [1], '2020-01-01', 10**30):
            with pytest.raises((ValueError, TypeError)):
                microseconds([wrong])

    @pytest.mark.parametrize('where', ['option', 'info', 'image'])
    def test_frames_at_a_rate(self, tmp_path, where):
        images = [{'id': i, 'file_name': f'images/{i:06}.png'} for i in (3, 90)]
        if where == 'image':
            images = [one | {'fps': 30} for one in images]
        info = {'fps': 30} if where == 'info' else {}
        path = coco(tmp_path, [(3, BOX, {})], images=images, info=info)
        clock = FrameClock(30) if where == 'option' else FrameClock()
        labels = read_labels(path, 'a', frames=clock)
        assert labels.times.tolist() == [100_000, 3_000_000]
        assert labels.on_clock(7_000, 'ros').times.tolist() == [107_000, 3_007_000]

    def test_neither_times_nor_a_rate(self, tmp_path):
        path = coco(tmp_path, [(3, BOX, {})], images=[{'id': 3, 'file_name': '3.png'}])
        with pytest.raises(EvaluationError, match='1 of 1 images have no time.*--label-fps'):
            read_labels(path, 'a')

    def test_ids_of_crowds_exceed_32_bits(self, tmp_path):
        rows = [(0, BOX, {'id': 900_100_002_431}), (1, BOX, {'id': 5})]
        assert len(set(read_labels(coco(tmp_path, rows), 'a').boxes['track_id'])) == 2


class TestCocoResults:
    """Detections of other tools, as they give them to pycocotools."""

    def test_a_list_of_results(self, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        labels = coco(tmp_path, [(f, BOX, {}) for f in range(3)], name='truth.json')
        row = {'category_id': 1, 'bbox': BOX, 'score': 0.5}
        rows = [{'image_id': f, **row} for f in range(3)]
        rows += [{'image_id': 77, **row}, {'image_id': 0, **row, 'category_id': 4}]
        (tmp_path / 'a_results.json').write_text(json.dumps(rows))
        detected = read_detections(tmp_path / 'a_results.json', labels)
        assert detected.name == 'a' and detected.classes == ('car',)
        assert detected.windows['t'].tolist() == [1_000_000 + f * FRAME_US for f in range(4)]
        command = ['evaluate', 'a_results.json', '--labels', 'truth.json', '--json', 'm.json']
        assert main(command) == 0
        metrics = json.loads((tmp_path / 'm.json').read_text())
        assert (metrics['AP'], metrics['detections']) == (1, 3)
        assert len(metrics['label_warnings']) == 2
        assert all(one in capsys.readouterr().err for one in metrics['label_warnings'][:1])
        # A place where no report can be written is named before they are evaluated
        monkeypatch.setattr('sast_ros.evaluation.metrics.summary.compute_metrics', None)
        assert main([*command, '--out', 'm.json']) == 1
        assert 'm.json' in capsys.readouterr().err

    def test_a_list_of_results_called_like_the_recording(self, tmp_path):
        coco(tmp_path, [(0, BOX, {})], name='truth.json')
        row = {'image_id': 0, 'category_id': 1, 'bbox': BOX, 'score': 0.5}
        (tmp_path / 'a.json').write_text(json.dumps([row]))
        assert len(read_detections(tmp_path / 'a.json', tmp_path).boxes) == 1

    def test_results_without_their_images(self, tmp_path):
        (tmp_path / 'a.json').write_text('[]')
        np.save(tmp_path / 'a_bbox.npy', np.zeros(1, BOX_DTYPE))
        with pytest.raises(EvaluationError, match='a_bbox.npy.*give --labels'):
            read_detections(tmp_path / 'a.json', tmp_path / 'a_bbox.npy')


class TestYolo:
    """A text file for each frame."""

    def folder(self, tmp_path: Path, frames, **texts: str) -> Path:
        folder = tmp_path / 'a'
        folder.mkdir(exist_ok=True)
        for number, lines in frames.items():
            (folder / f'frame_{number:05}.txt').write_text('\n'.join(lines))
        for name, text in texts.items():
            (folder / name.replace('__', '.')).write_text(text)
        return folder

    def test_shares_of_the_picture_become_pixels(self, tmp_path):
        box = [50 / 304, 60 / 240, 60 / 304, 50 / 240]
        line = f'1 {box[0] + box[2] / 2} {box[1] + box[3] / 2} {box[2]} {box[3]}'
        frames = {20: [line, f'{line} 0.7'], 30: [], 40: [line]}
        folder = self.folder(tmp_path, frames, classes__txt='car\nbus\n', notes__txt='x')
        assert find_labels(tmp_path, 'a') == folder
        labels = read_labels(folder, 'a', None, (240, 304), frames=FrameClock(20))
        assert labels.classes == ('car', 'bus') and labels.clock == 'start'
        assert labels.times.tolist() == [1_000_000, 1_500_000, 2_000_000]
        assert labels.boxes['t'].tolist() == [1_000_000, 1_000_000, 2_000_000]
        assert labels.listed
        for name, value in zip('xywh', BOX):
            assert np.allclose(labels.boxes[name], value, atol=1e-4)
        assert 'notes.txt' in labels.warnings[0]

    @pytest.mark.parametrize('first', [0, 1])
    def test_times_from_a_list(self, tmp_path, first):
        frames = {first + i: ['0 .5 .5 .1 .1'] for i in range(3)}
        folder = self.folder(
            tmp_path, frames, timestamps__txt='10\n20\n30', data__yaml='names: {0: car, 2: bus}'
        )
        labels = read_labels(folder, 'a', None, (240, 304))
        assert labels.times.tolist() == [10, 20, 30] and labels.clock == 'recording'
        assert not labels.listed  # a picture without objects may have no file
        assert labels.classes == ('car', 'class-1', 'bus')
        (folder / 'timestamps.txt').write_text('10\n20')
        with pytest.raises(EvaluationError, match='2 times, but there is a frame'):
            read_labels(folder, 'a', None, (240, 304))

    @pytest.mark.parametrize(
        ('line', 'sentence'),
        [
            ('0 .1 .1 .2 .1 .2 .2', 'line 1 has 7 numbers'),
            ('0 .1 .1 .2', 'line 1 has 4 numbers'),
            ('0 150 100 60 50', 'no shares of the picture'),
            ('0.5 .1 .1 .1 .1', 'class id 0.5'),
            ('-1 .1 .1 .1 .1', 'class id -1'),
            ('0 nan .1 .1 .1', 'no shares'),
            ('car .1 .1 .1 .1', 'frame_00000.txt'),
        ],
    )
    def test_other_lines_are_refused(self, tmp_path, line, sentence):
        folder = self.folder(tmp_path, {0: [line]})
        with pytest.raises(EvaluationError, match=sentence):
            read_labels(folder, 'a', ['car'], (240, 304), frames=FrameClock(20))

    def test_what_is_missing_is_said(self, tmp_path):
        folder = self.folder(tmp_path, {0: ['0 .1 .1 .1 .1']})
        with pytest.raises(EvaluationError, match='--label-fps'):
            read_labels(folder, 'a', ['car'], (240, 304))
        with pytest.raises(EvaluationError, match='--sensor-size'):
            read_labels(folder, 'a', ['car'], frames=FrameClock(20))


class TestTable:
    """Text with a header."""

    @pytest.mark.parametrize(
        'text',
        [
            't,x,y,w,h,class\n1000000,50,60,60,50,car\n1050000,50,60,60,50,bus',
            'time;xmin;ymin;xmax;ymax;label\n1.0;50;60;110;110;car\n1.05;50;60;110;110;bus\n\n',
            '"label"\tcx\tcy\twidth\theight\ttimestamp_ms\tnote\n'
            'car\t80\t85\t60\t50\t1000\t\nbus\t80\t85\t60\t50\t1050\t',
            '\ufeffframe,left,top,right,bottom,category,recording\r\n'
            '20,50,60,110,110,car,a\r\n21,50,60,110,110,bus,a_td.raw\r\n21,0,0,1,1,bus,b\r\n',
        ],
    )
    @pytest.mark.parametrize('encoding', ['utf-8', 'utf-16'])
    @pytest.mark.parametrize('end', ['\n', '\r'])
    def test_columns_by_their_names(self, tmp_path, text, encoding, end):
        path = tmp_path / 'a.csv'
        content = text if encoding == 'utf-8' else text.removeprefix('\ufeff')  # it writes its own
        path.write_bytes(content.replace('\n', end).encode(encoding))
        labels = read_labels(path, 'a_td', None, None, frames=FrameClock(20))
        assert labels.boxes['t'].tolist() == [1_000_000, 1_050_000]
        for name, value in zip('xywh', BOX):
            assert labels.boxes[name].tolist() == [value, value]
        names = [labels.classes[one] for one in labels.boxes['class_id']]
        assert names == ['car', 'bus']
        assert len(labels.warnings) == text.count(',b\r')

    def test_files_with_some_of_the_classes_agree(self, tmp_path):
        found = []
        for name, known in (('a', ('truck', 'Person')), ('b', ('car',))):
            rows = ''.join(f'1,50,60,60,50,{one}\n' for one in known)
            path = tmp_path / f'{name}.csv'
            path.write_text(f't,x,y,w,h,class\n{rows}')
            labels = read_labels(path, name, default=('pedestrian', 'car'))
            assert labels.classes[:2] == ('pedestrian', 'car')
            found += [labels.classes[one] for one in labels.boxes['class_id']]
        assert found == ['truck', 'pedestrian', 'car']
        labels = read_labels(path, 'b', ['bus', 'car'], default=('car',))
        assert (labels.classes, labels.boxes['class_id'].tolist()) == (('bus', 'car'), [1])
        labels = read_labels(path, 'b', ['car=vehicle'], default=('bear',))
        assert (labels.classes, labels.boxes['class_id'].tolist()) == (('bear', 'vehicle'), [1])

    @pytest.mark.parametrize(
        ('text', 'sentence'),
        [
            ('t,x,y,p\n1,2,3,1', 'not those of boxes'),
            ('1,2,3,4,5,6', 'have no names'),
            ('t,x,y,w,h,class\n1,2,3,4,5', 'row 2 has 5 cells'),
            ('t,x,y,w,h,class\n1,2,3,4,z,0', 'cannot be read'),
            ('t,x,y,w,h,class\n1,2,3,4,1e99,0', 'h of row 0'),
            ('frame,x,y,w,h,class\n1,2,3,4,5,0', '--label-fps'),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, text, sentence):
        (tmp_path / 'a.csv').write_text(text)
        with pytest.raises(EvaluationError, match=sentence):
            read_labels(tmp_path / 'a.csv', 'a', ['car'])

    def test_events_are_no_detections(self, tmp_path):
        (tmp_path / 'e.csv').write_text('t,x,y,p\n1,2,3,1')
        (tmp_path / 'd.csv').write_text('t,x,y,w,h,class,score\n1,2,3,4,5,car,0.25')
        np.save(
            tmp_path / 'e.npy', np.zeros(3, [('x', 'u2'), ('y', 'u2'), ('p', 'u1'), ('t', 'i8')])
        )
        np.save(tmp_path / 'plain.npy', np.zeros((3, 4)))
        (tmp_path / 'lfs.npy').write_text('version https://git-lfs.github.com/spec/v1')
        found = {path.name for path in tmp_path.iterdir() if is_detections(path)}
        assert found == {'d.csv', 'lfs.npy'}
        assert read_detections(tmp_path / 'd.csv').boxes['class_confidence'].tolist() == [0.25]


class TestMessages:
    """Boxes in a bag without ``LabelInfo``: class ids are names or numbers."""

    @staticmethod
    def bag(path: Path, rows, class_id_format='name') -> Path:
        """Write a bag; a row is frame and class id."""
        messages = []
        x, y, w, h = BOX
        for frame, class_id in rows:
            t, score = 1_000_000 + frame * FRAME_US, np.ones(1, np.float32)
            corners = np.array([[x, y, x + w, y + h]], np.float32)
            one = Detections(
                *(corners, score, np.array([class_id]), score, score, CLASSES, 304, 240),
                t_end=t,
                stamp_ns=1000 * t,
            )
            messages.append((one.stamp_ns, detection_message(one, class_id_format)))
        return write_rosbag2(path, {'/objects': (DETECTIONS_TYPE, messages)})

    @pytest.mark.parametrize('class_id_format', ['name', 'index'])
    @pytest.mark.parametrize('named', [None, CLASSES])
    def test_a_class_is_what_it_is_called_or_numbered(self, tmp_path, class_id_format, named):
        rows = [(0, 2), (20, 2), (21, 1)]  # the first half second is not evaluated
        found = self.bag(tmp_path / 'a', rows, class_id_format)
        labels = read_labels(found, 'a', named, default=CLASSES)
        assert labels.classes == CLASSES
        assert labels.boxes['class_id'].tolist() == [2, 2, 1]
        truth = self.bag(tmp_path / 'a_labels', rows)
        paired = pair(found, truth, label_classes=CLASSES, detection_classes=named)
        names = [[paired.classes[i] for i in one.detections['class_id']] for one in paired.frames]
        assert names == [['car'], ['rider']]

    def test_recordings_with_some_of_the_classes_are_evaluated_together(self, tmp_path):
        for name, rows in (('a', [(0, 2)]), ('b', [(0, 0), (1, 1)])):
            bag = self.bag(tmp_path / name, rows)
            assert read_labels(bag, name, default=CLASSES).classes == CLASSES
            changed = read_labels(bag, name, ['rider=person'], default=CLASSES)
            assert changed.classes == ('pedestrian', 'pedestrian', 'car')

    @pytest.mark.parametrize('text', [False, True])
    def test_classes_without_detections_are_known_if_they_are_given(self, tmp_path, text):
        if text:
            found = tmp_path / 'a.csv'
            found.write_text('t,x,y,w,h,class\n1000000,50,60,60,50,car\n')
            truth = tmp_path / 'labels.csv'
            truth.write_text(found.read_text() + '1050000,50,60,60,50,rider\n')
        else:
            found = self.bag(tmp_path / 'a', [(0, 2), (20, 2)])
            truth = self.bag(tmp_path / 'a_labels', [(20, 2), (21, 1)])
        paired = pair(found, truth)
        assert paired.left_out == {'rider': 1}
        assert any('rider' in one and '--detection-classes' in one for one in paired.warnings)
        paired = pair(found, truth, detection_classes=CLASSES)
        assert (paired.left_out, paired.warnings) == ({}, ())
        first, second = paired.frames
        assert [paired.classes[i] for i in first.detections['class_id']] == ['car']
        assert [paired.classes[i] for i in second.labels['class_id']] == ['rider']


@pytest.mark.parametrize('name', ['a_bbox.npy', 'a.npz', 'a.json', 'a.csv', 'a.tsv', 'a.labels'])
@pytest.mark.parametrize(
    ('content', 'named'),
    [
        ('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n', 'git lfs pull'),
        ('<!DOCTYPE html><html><body>Sign in, please</body></html>', 'HTML'),
        ('', 'is empty'),
    ],
)
def test_what_stands_for_labels_is_named_for_what_it_is(tmp_path, name, content, named):
    (tmp_path / name).write_text(content)
    with pytest.raises(EvaluationError, match=f'{name}: .*{named}'):
        read_labels(tmp_path / name, 'a')
    if name.endswith(('.npy', '.json', '.csv')):
        with pytest.raises(EvaluationError, match=f'{name}: .*{named}'):
            read_detections(tmp_path / name)


def test_labels_that_cannot_be_detected_are_counted(tmp_path):
    labels = coco(tmp_path, [(0, BOX, {}), (1, [1, 2, 0, 5], {}), (2, BOX, {}), (3, FAR, {})])
    detected = replace(
        read_detections(detections(tmp_path, [(0, BOX, 0.9)])),
        start_us=1_000_001,
        end_us=1_149_999 - FRAME_US,
    )
    paired = pair_recording(detected, labels, Protocol(boxes='all'))
    assert paired.warnings == (
        f'{labels}: 1 labels have no area',
        f'{labels}: 2 labels lie before or after a',
    )


@pytest.mark.parametrize('numbered', [False, True])
def test_labels_outside_the_part_that_was_replayed_are_left_out(tmp_path, numbered):
    """Also those of numbered frames, which count from the start of the whole recording."""
    frames = (0, 20, 23)
    labels = coco(tmp_path, [(frame, BOX, {}) for frame in frames], frames=24)
    if numbered:
        labels = tmp_path / 'a.csv'
        rows = [f'{frame},50,60,60,50,car' for frame in frames]
        labels.write_text('\n'.join(['frame,x,y,w,h,class', *rows]))
    detected = replace(
        read_detections(detections(tmp_path, [(20, BOX, 0.9)])),
        start_us=1_100_000,
        end_us=2_000_000,
        summary={'start': 0.1, 'end': 1.0},
    )
    options = {'label_frames': FrameClock(20.0), 'label_classes': ('car',)} if numbered else {}
    paired = pair_recording(detected, labels, Protocol(boxes='all', **options))
    assert [len(frame.labels) for frame in paired.frames if len(frame.labels)] == [1]
    assert paired.warnings == (
        f'{labels}: 2 labels were left out: they lie before or after the part of a',
    )


@pytest.mark.parametrize('listed', [False, True])
def test_a_part_without_labels_is_not_without_objects(tmp_path, listed):
    """Labels from 10 to 20 s say nothing about 30 to 40 s."""
    labels = coco(tmp_path, [(i, BOX, {}) for i in range(180, 381)], frames=381)
    if not listed:
        labels = tmp_path / 'a_bbox.npy'
        np.save(labels, read_labels(tmp_path / 'a.json', 'a').boxes)
    found = read_detections(detections(tmp_path, [(i, BOX, 0.9) for i in range(580, 780)]))
    part = replace(
        found, start_us=30_000_000, end_us=40_000_000, summary={'start': 30.0, 'end': 40.0}
    )
    sentence = r'labels from .* to 20.000 s, none of the part of a .* 30.000 to 40.050 s'
    with pytest.raises(EvaluationError, match=sentence):
        pair_recording(part, labels, Protocol(boxes='all', label_classes=('car',)))


@pytest.mark.parametrize('last', [19, 20])
def test_the_frames_of_a_part_are_those_of_the_whole(tmp_path, last):
    """Also where the only time without objects is outside; every second object is small."""
    small = [*BOX[:2], 4, 4]
    labels = coco(tmp_path, [(i, (BOX, small)[i % 2], {}) for i in range(last)], frames=20)
    found = read_detections(detections(tmp_path, [(i, BOX, 0.9) for i in range(20)]))
    whole = replace(found, start_us=0, end_us=2_000_000)
    part = replace(whole, end_us=1_500_000, summary={'end': 1.5})
    frames = [
        [frame.t for frame in pair_recording(one, labels, Protocol(boxes='gen1')).frames]
        for one in (whole, part)
    ]
    assert len(frames[1]) == 12 and frames[0][:12] == frames[1]


def test_labels_in_ros_time_are_those_of_the_part_too(tmp_path):
    times, stamp_ns = 1_000_000 + FRAME_US * np.arange(20), 10**9 * 7
    windows = np.zeros(10, WINDOW_DTYPE)
    windows['t'], windows['stamp_ns'] = times[10:], 1000 * times[10:] + stamp_ns
    boxes = np.zeros(20, BOX_DTYPE)
    boxes['t'] = times + stamp_ns // 1000
    labels = Labels(tmp_path, boxes, boxes['t'], ('car',), 'ros')
    part = RecordedDetections(
        'a', tmp_path, boxes[:0], windows=windows, start_us=1_460_000, end_us=1_950_000
    )
    assert _in_the_part(labels, part).times.tolist() == boxes['t'][10:].tolist()


def test_labels_of_dsec_detection(tmp_path):
    layout = [('t', '<u8'), *((name, '<f8') for name in 'xyhw'), ('class_id', 'u1')]
    layout += [('class_confidence', '<f8'), ('track_id', '<u8')]
    rows = np.zeros(2, layout)
    rows['t'], rows['class_id'], rows['track_id'] = 49_000_000_000, [1, 7], [1 << 40, 3]
    rows['h'], rows['w'] = 20, 10
    path = tmp_path / 'object_detections' / 'left' / 'tracks.npy'
    path.parent.mkdir(parents=True)
    np.save(path, rows)
    assert find_labels(tmp_path, 'events') == path
    events = tmp_path / 'events' / 'left'
    events.mkdir(parents=True)
    assert find_labels(events, 'events') == path.resolve()
    labels = read_labels(path, 'events')
    assert labels.classes == label_classes('dsec-det')
    assert labels.boxes['w'].tolist() == [10, 10]
    assert len(set(labels.boxes['track_id'])) == 2


@pytest.mark.parametrize('name', ['truth', 'a.txt', 'a.data', 'a.npy', 'a.json', 'a.csv'])
@pytest.mark.parametrize('kind', ['coco', 'numpy', 'archive', 'table'])
def test_the_content_decides_not_the_name(tmp_path, name, kind):
    if kind == 'coco':
        coco(tmp_path, [(0, BOX, {})], name=name)
    elif kind == 'table':
        (tmp_path / name).write_text('t,x,y,w,h,class\n1,50,60,60,50,0')
    else:
        save = np.save if kind == 'numpy' else np.savez_compressed
        with (tmp_path / name).open('wb') as stream:
            save(stream, np.array([(1, *BOX, 0, 0, 1)], BOX_DTYPE))
    if kind == 'table' and name in ('a.npy', 'a.json'):
        with pytest.raises(EvaluationError, match=name):
            read_labels(tmp_path / name, 'x', ['car'])
        return
    labels: Labels = read_labels(tmp_path / name, 'x', ['car'])
    assert labels.boxes[['x', 'y', 'w', 'h']][0].tolist() == tuple(BOX)


class TestStrays:
    """Files that do not belong to the labels."""

    @pytest.mark.parametrize('content', ['[' * 100_000, '{"a": ', '\x00', '[1' + '0' * 5000 + ']'])
    def test_an_unreadable_file_is_named_and_skipped(self, tmp_path, content):
        (tmp_path / 'broken.json').write_text(content)
        (tmp_path / 'other.json').write_text('"annotations"')
        coco(tmp_path, [(0, BOX, {})], name='labels.json')
        source = find_label_source(tmp_path, 'a')
        assert source.path.name == 'labels.json'
        (warning,) = source.warnings
        assert str(tmp_path / 'broken.json') in warning

    @pytest.mark.parametrize('content', ['[' * 100_000, '[]', '{}', '{"classes": 5}', '{"'])
    def test_an_index_that_is_none(self, tmp_path, content):
        np.save(tmp_path / 'a_bbox.npy', np.array([(1, *BOX, 0, 0, 1)], BOX_DTYPE))
        (tmp_path / 'dataset.json').write_text(content)
        labels = read_labels(tmp_path / 'a_bbox.npy', 'a', None, (240, 304))
        assert labels.classes == ('car', 'pedestrian')
        assert 'dataset.json' in labels.warnings[0]

    def test_of_several_files_that_with_images_of_the_recording(self, tmp_path):
        for name in 'ab':
            images = [{'id': 0, 't': 1, 'recording': name}]
            coco(tmp_path, [(0, BOX, {})], images=images, name=f'set_{name}.json')
        assert find_labels(tmp_path, 'b').name == 'set_b.json'
        with pytest.raises(EvaluationError, match='2 COCO files.*set_a.json, set_b.json'):
            find_labels(tmp_path, 'c')
