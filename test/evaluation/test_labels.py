# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Labels from every kind of file, and what is wrong with those that are none."""

from __future__ import annotations

import json
import struct
import zipfile

from allocation import peak_below
from hypothesis import given, settings, strategies
import numpy as np
import pytest
from sast_ros.evaluation.boxes import box_rows, read_boxes, track_ids
from sast_ros.evaluation.detections import read_detections
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.label_files import find_labels, labels_beside, names_recording
from sast_ros.evaluation.labels import canonical, label_classes, name_classes, read_labels
from sast_ros.labels import BOX_DTYPE


def rows(*values, dtype=BOX_DTYPE) -> np.ndarray:
    """Rows t, x, y, w, h, class id."""
    made = np.zeros(len(values), dtype)
    for box, value in zip(made, values):
        for name, number in zip((dtype.names[0], 'x', 'y', 'w', 'h', 'class_id'), value):
            box[name] = number
    return made


def coco(images, annotations, names=('car', 'pedestrian')) -> dict:
    categories = [{'id': 10 * (i + 1), 'name': name} for i, name in enumerate(names)]
    return {'images': images, 'annotations': annotations, 'categories': categories}


def save(path, content):
    path.write_text(json.dumps(content))
    return path


class TestFind:
    """Which file of a folder belongs to a recording."""

    @pytest.mark.parametrize(
        'name', ['street_bbox.npy', 'street_td_bbox.npy', 'street.json', 'street.npy']
    )
    def test_the_name_tells(self, tmp_path, name):
        (tmp_path / name).touch()
        (tmp_path / 'alley_bbox.npy').touch()
        assert find_labels(tmp_path, 'street_td').name == name

    def test_one_coco_file_serves_all_recordings(self, tmp_path):
        save(tmp_path / 'all.json', coco([], []))
        save(tmp_path / 'dataset.json', {'classes': []})
        assert find_labels(tmp_path, 'street').name == 'all.json'

    def test_a_file_is_taken_as_it_is(self, tmp_path):
        (tmp_path / 'mine.npy').touch()
        assert find_labels(tmp_path / 'mine.npy', 'street') == tmp_path / 'mine.npy'

    @pytest.mark.parametrize('name', ['run_1.5', 'a.b.c', 'v2.0_td'])
    def test_names_keep_their_dots(self, tmp_path, name):
        (tmp_path / 'run_1_bbox.npy').touch()
        (tmp_path / f'{name}_bbox.npy').touch()
        assert find_labels(tmp_path, name).name == f'{name}_bbox.npy'
        for suffix in ('', '.mcap', '.mcap.zstd', '.dat.h5', '.bag.active'):
            assert labels_beside(tmp_path / f'{name}{suffix}').name == f'{name}_bbox.npy'

    def test_events_are_no_labels(self, tmp_path):
        np.save(tmp_path / 'a.npy', np.zeros((3, 4)))
        (tmp_path / 'a.csv').write_text('t,x,y,p\n')
        save(tmp_path / 'a.json', coco([], []))
        assert find_labels(tmp_path, 'a').name == 'a.json'

    def test_detections_are_not_their_own_labels(self, tmp_path):
        (tmp_path / 'run.csv').write_text('t,x,y,w,h,class\n')
        with pytest.raises(EvaluationError, match='run.csv holds the detections themselves'):
            find_labels(tmp_path, 'run', tmp_path / 'run.csv')
        with pytest.raises(EvaluationError, match='run.csv holds the detections themselves'):
            find_labels(tmp_path / 'run.csv', 'run', tmp_path / 'run.csv')
        save(tmp_path / 'annotations.json', coco([], []))
        assert find_labels(tmp_path, 'run', tmp_path / 'run.csv').name == 'annotations.json'

    @pytest.mark.parametrize('labels', ['a.csv', 'a.json'])
    def test_labels_of_another_format_have_the_name_of_the_detections(self, tmp_path, labels):
        np.save(tmp_path / 'a.npy', rows((9, 1, 2, 3, 4, 0)))
        (tmp_path / labels).write_text('t,x,y,w,h,class\n')
        assert find_labels(tmp_path, 'a', tmp_path / 'a.npy').name == labels

    def test_detections_among_shared_files_are_no_labels(self, tmp_path):
        for name in ('a_results.json', 'truth.json'):
            save(tmp_path / name, coco([], []))
        assert find_labels(tmp_path, 'a', tmp_path / 'a_results.json').name == 'truth.json'

    def test_only_recordings_that_exist_are_named(self, tmp_path):
        assert names_recording(tmp_path / 'mine_bbox.npy') is None
        (tmp_path / 'mine_bbox.npy').touch()
        assert names_recording(tmp_path / 'mine_bbox.npy') is None
        (tmp_path / 'mine_td.dat').touch()
        assert names_recording(tmp_path / 'mine_bbox.npy') == 'mine'

    def test_labels_of_others_only(self, tmp_path):
        (tmp_path / 'alley_bbox.npy').touch()
        with pytest.raises(EvaluationError, match='no labels of the recording street.*alley_bbox'):
            find_labels(tmp_path, 'street')

    def test_no_folder(self, tmp_path):
        with pytest.raises(EvaluationError, match='does not exist'):
            find_labels(tmp_path / 'none', 'street')


class TestNumpy:
    """The layout of the Prophesee data sets."""

    def test_time_may_be_called_ts_and_ids_may_be_missing(self, tmp_path):
        dtype = np.dtype([('ts', '<u8'), *((n, '<f4') for n in 'xywh'), ('class_id', 'u1')])
        np.save(tmp_path / 'a_bbox.npy', rows((9, 1, 2, 3, 4, 1), (5, 1, 2, 3, 4, 0), dtype=dtype))
        labels = read_labels(tmp_path / 'a_bbox.npy', 'a', ['car', 'Two wheeler'])
        assert labels.boxes.dtype == BOX_DTYPE
        assert labels.boxes['t'].tolist() == labels.times.tolist() == [5, 9]
        assert len(set(labels.boxes['track_id'])) == 2
        assert labels.classes == ('car', 'two-wheeler')

    @pytest.mark.parametrize(
        ('sensor', 'expected'), [((240, 304), 'car'), ((720, 1280), 'pedestrian'), (None, 'bear')]
    )
    def test_the_sensor_tells_the_data_set(self, tmp_path, sensor, expected):
        np.save(tmp_path / 'a_bbox.npy', rows((9, 1, 2, 3, 4, 0)))
        labels = read_labels(tmp_path / 'a_bbox.npy', 'a', None, sensor, ('bear',))
        assert labels.classes[0] == expected

    def test_the_index_of_simulated_recordings_tells_their_classes(self, tmp_path):
        np.save(tmp_path / 'a_bbox.npy', rows((9, 1, 2, 3, 4, 0)))
        save(tmp_path / 'dataset.json', {'classes': ['wolf']})
        assert read_labels(tmp_path / 'a_bbox.npy', 'a', None, (240, 304)).classes == ('wolf',)

    @pytest.mark.parametrize(
        ('content', 'sentence'),
        [
            (rows((9, np.nan, 2, 3, 4, 0)), r'x of row 0 \(t = 9 us\) is nan'),
            (rows((9, 1, 2, 3, 4, 0), (9, 1, 2, -3, 4, 0)), 'w of row 1'),
            (rows((9, 1, 2, 3, 4, 7)), 'class id 7, but only 2 classes are known'),
            (np.zeros(3), 'has no field'),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, content, sentence):
        np.save(tmp_path / 'a_bbox.npy', content)
        with pytest.raises(EvaluationError, match=sentence):
            read_labels(tmp_path / 'a_bbox.npy', 'a', ['car', 'pedestrian'])

    def test_another_kind_of_file(self, tmp_path):
        (tmp_path / 'a_bbox.npy').write_text('boxes')
        with pytest.raises(EvaluationError, match='cannot be read'):
            read_labels(tmp_path / 'a_bbox.npy', 'a')
        with pytest.raises(
            EvaluationError, match='are read from .json, .npy files and from bags.*as COCO'
        ):
            read_labels(tmp_path / 'a.txt', 'a')


class TestFields:
    """Both names of the fields, any dtype that holds the same numbers."""

    @given(
        time=strategies.sampled_from([('t',), ('ts',), ('t', 'ts')]),
        score=strategies.sampled_from([('class_confidence',), ('confidence',), ()]),
        t=strategies.sampled_from(['<u8', '>i8', '<i4', '<f8']),
        ids=strategies.sampled_from(['u1', 'i2', '<f4', '>u4']),
        numbers=strategies.sampled_from(['<f2', '>f4', '<f8', 'i2', 'u1']),
        track=strategies.sampled_from(['u1', '<i8', '<f8', '<U4', None]),
        order=strategies.randoms(use_true_random=False),
        seed=strategies.integers(0, 2**32),
    )
    @settings(deadline=None)
    def test_any_layout(self, time, score, t, ids, numbers, track, order, seed):
        names = [*((one, t) for one in time), *((one, numbers) for one in 'xywh')]
        names += [('class_id', ids), *((one, '<f8') for one in score), ('note', 'S3')]
        names += [('track_id', track)] if track else []
        order.shuffle(names)
        random = np.random.default_rng(seed)
        given_rows = np.zeros(9, names)
        values = {one: random.integers(0, 120, 9) for one in ('t', *'xywh', 'class_id')}
        values['class_confidence'], values['track_id'] = random.random(9), random.permutation(9)
        for name in given_rows.dtype.names:
            plain = {'ts': 't', 'confidence': 'class_confidence'}.get(name, name)
            if name != 'note':
                given_rows[name] = values[plain]
        if time == ('t', 'ts'):
            given_rows['ts'] = 0
        boxes = box_rows(given_rows, 'here')
        in_order = np.argsort(values['t'], kind='stable')
        for name in ('t', *'xywh', 'class_id'):
            assert boxes[name].tolist() == values[name][in_order].tolist()
        expected = values['class_confidence'][in_order] if score else np.ones(9)
        assert np.array_equal(boxes['class_confidence'], expected.astype(np.float32))
        assert len(set(boxes['track_id'].tolist())) == 9

    @pytest.mark.parametrize(
        ('name', 'dtype', 'value'),
        [
            ('t', '<f8', 0.05),
            ('t', '<f8', np.nan),
            ('t', '<f8', 1e19),
            ('t', '<u8', 2**63),
            ('class_id', '<i4', -1),
            ('class_id', '<f4', 1.5),
            ('class_id', '<i8', 2**32),
            ('x', '<f8', 1e300),
            ('x', '<U3', 'abc'),
            ('h', '<c8', 1j),
            ('w', ('<f4', (2,)), 0),
            ('class_confidence', 'S2', b'x'),
            ('track_id', ('<u4', (3,)), 0),
            ('track_id', [('a', '<u4')], (0,)),
        ],
    )
    def test_what_is_not_exact_is_refused(self, name, dtype, value):
        layout = [(n, dtype if n == name else old) for n, old in BOX_DTYPE.descr]
        given_rows = np.zeros(2, layout)
        given_rows[name][1] = value
        with pytest.raises(EvaluationError, match=f'here.*{name}'):
            box_rows(given_rows, 'here')


class TestNothingIsThere:
    """A file without boxes says that there is no object."""

    @pytest.mark.parametrize('suffix', ['npy', 'csv', 'json'])
    def test_files_without_boxes(self, tmp_path, suffix):
        path = tmp_path / f'a.{suffix}'
        if suffix == 'npy':
            np.save(path, rows())
        elif suffix == 'csv':
            path.write_text('t,x,y,w,h,class\n')
        else:
            save(path, coco([{'id': 1, 't': 5}], []))
        labels = read_labels(path, 'a', default=('car', 'pedestrian'))
        assert len(labels.boxes) == 0 and labels.classes == ('car', 'pedestrian')
        assert labels.times.tolist() == [5] * (suffix == 'json')
        assert labels.listed == (suffix == 'json')

    def test_a_file_of_other_recordings_says_nothing(self, tmp_path):
        (tmp_path / 'all.csv').write_text('t,x,y,w,h,class,recording\n1,2,3,4,5,0,b\n')
        with pytest.raises(EvaluationError, match='holds no boxes of a'):
            read_labels(tmp_path / 'all.csv', 'a', ['car'])


class TestTracks:
    """Which boxes are of one object."""

    @pytest.mark.parametrize(
        ('values', 'expected'),
        [
            (np.array([5, 0, 7]), [5, 0, 7]),
            (np.array([1.0, np.nan, 2.0]), [1, 0, 2]),
            (np.array([-1, 3, -1]), [0, 3, 0]),
            (np.array([5_000_000_000, 0, 6_000_000_000]), [1, 0, 2]),
            (np.array(['b', '', 'a', 'b']), [2, 0, 1, 2]),
            (np.array([b'b', b'a']), [2, 1]),
            (np.array(['1.0', '', '3']), [1, 0, 3]),
            (np.array(['12345678901', '0', '98765432109']), [1, 0, 2]),
            (np.array(['4294967296', '-1']), [1, 0]),
        ],
    )
    def test_of_detections_0_is_no_track(self, values, expected):
        assert track_ids(values, 'here', detections=True).tolist() == expected

    def test_labels_without_a_track_have_one_each(self):
        values = np.array(['', 'b', '', 'a'])
        assert track_ids(values, 'here', detections=False).tolist() == [3, 2, 4, 1]

    @pytest.mark.parametrize(
        ('second', 'tracks'),
        [(1, [0, 5, 0]), (2, [1, 5, 2])],  # the class of the other box with 0 at its time
    )
    def test_0_is_no_track_of_labels_where_two_have_it(self, tmp_path, second, tracks):
        made = rows((9, 1, 2, 3, 4, 2), (9, 1, 2, 3, 4, 2), (9, 5, 2, 3, 4, second))
        made['track_id'] = [0, 5, 0]
        np.save(tmp_path / 'a_bbox.npy', made)
        labels = read_labels(tmp_path / 'a_bbox.npy', 'a', ['car', 'bus', 'tram'])
        assert labels.boxes['track_id'].tolist() == tracks

    def test_detections_of_files_without_ids_are_not_tracked(self, tmp_path):
        layout = np.dtype([field for field in BOX_DTYPE.descr if field[0] != 'track_id'])
        np.save(tmp_path / 'a.npy', rows((9, 1, 2, 3, 4, 0), (9, 5, 2, 3, 4, 0), dtype=layout))
        (tmp_path / 'b.csv').write_text('t,x,y,w,h,class\n' + '1,2,3,4,5,0\n' * 2)
        row = {'image_id': 0, 'category_id': 10, 'bbox': [1, 2, 3, 4], 'score': 1}
        images, annotations = [{'id': 0, 't': 9}], [{'id': 1, **row}, {'id': 2, **row}]
        save(tmp_path / 'c.json', coco(images, annotations))
        for path in sorted(tmp_path.iterdir()):
            assert read_detections(path).boxes['track_id'].tolist() == [0, 0], path
            labels = read_labels(path, path.stem, ['car', 'bus'])
            assert len(set(labels.boxes['track_id'].tolist())) == 2, path


class TestHostile:
    """Files that promise more than they hold, or hold what is not read."""

    @staticmethod
    def header(shape: str) -> bytes:
        text = f"{{'descr': {BOX_DTYPE.descr}, 'fortran_order': False, 'shape': {shape}}}"
        return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text.encode()

    @pytest.mark.parametrize(
        'shape',
        ['(1000000000000,)', '(4611686018427387904, 4)', '(-1,)', '(99999999999999999999,)'],
    )
    def test_headers_beyond_the_file(self, tmp_path, shape):
        path = tmp_path / 'a.npy'
        path.write_bytes(self.header(shape) + bytes(100))
        with pytest.raises(EvaluationError, match='a.npy'):
            read_boxes(path)
        with zipfile.ZipFile(tmp_path / 'a.npz', 'w') as archive:
            archive.write(path, 'labels.npy')
        with pytest.raises(EvaluationError, match='a.npz'):
            read_boxes(tmp_path / 'a.npz')

    def test_members_that_expand_are_refused(self, tmp_path):
        path = tmp_path / 'a.npz'
        with (
            zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive,
            archive.open('labels.npy', 'w') as stream,
        ):
            for _ in range(300):
                stream.write(bytes(1 << 20))
        with pytest.raises(EvaluationError, match='labels.npy would take 314,572,800 bytes'):
            read_boxes(path)

    def test_python_objects_are_not_read(self, tmp_path):
        for save_as, name in ((np.save, 'a.npy'), (np.savez, 'a.npz')):
            save_as(tmp_path / name, np.array([{}, []], object))
            with pytest.raises(EvaluationError, match=name):
                read_boxes(tmp_path / name)

    def test_archives_choose_their_labels(self, tmp_path):
        boxes = rows((9, 1, 2, 3, 4, 0))
        np.savez(tmp_path / 'a.npz', labels=boxes, index=np.arange(3))
        assert np.array_equal(read_labels(tmp_path / 'a.npz', 'a', ['car']).boxes, boxes)
        np.savez(tmp_path / 'b.npz', one=boxes, two=boxes)
        with pytest.raises(EvaluationError, match='one.npy, two.npy'):
            read_labels(tmp_path / 'b.npz', 'b', ['car'])

    @pytest.mark.parametrize('text', ['[' * 100_000, '{"images":' * 50_000, '{"images": 5}', '[]'])
    def test_json_that_is_none(self, tmp_path, text):
        (tmp_path / 'a.json').write_text(text)
        with pytest.raises(EvaluationError, match='a.json') as caught:
            read_labels(tmp_path / 'a.json', 'a')
        assert len(str(caught.value)) < 1000

    @given(
        original=strategies.sampled_from(['npy', 'npz', 'json', 'csv']),
        changes=strategies.lists(
            strategies.tuples(strategies.integers(0, 5000), strategies.binary(max_size=9)),
            max_size=6,
        ),
        length=strategies.integers(0, 5000),
    )
    @settings(deadline=None, max_examples=150)
    def test_any_bytes_are_read_or_refused(self, tmp_path_factory, original, changes, length):
        folder = tmp_path_factory.mktemp('any')
        path = folder / f'a.{original}'
        boxes = rows(*((i, 1, 2, 3, 4, 0) for i in range(9)))
        if original == 'json':
            image = {'id': 1, 't': 5}
            row = {'id': 1, 'image_id': 1, 'category_id': 10, 'bbox': [1, 2, 3, 4]}
            save(path, coco([image], [row] * 9))
        elif original == 'csv':
            path.write_text('t,x,y,w,h,class\n' + '1,2,3,4,5,0\n' * 9)
        else:
            (np.save if original == 'npy' else np.savez)(path, boxes)
        content = bytearray(path.read_bytes())
        for place, data in changes:
            place %= len(content)
            end = place + len(data)
            content[place:end] = data
        path.write_bytes(content[: max(length, 1)])
        try:
            read_labels(path, 'a', ['car', 'bus'])
        except EvaluationError as error:
            assert path.name in str(error)


class TestCoco:
    """Annotations of other tools."""

    def test_times_without_objects_are_times_too(self, tmp_path):
        images = [{'id': 3, 't': 100}, {'id': 4, 'timestamp': 50}, {'id': 5, 't': 150}]
        boxes = [
            {'id': 1, 'image_id': 3, 'category_id': 20, 'bbox': [1, 2, 3, 4], 'track_id': 8},
            {'id': 2, 'image_id': 4, 'category_id': 10, 'bbox': [5, 6, 7, 8]},
        ]
        labels = read_labels(save(tmp_path / 'a.json', coco(images, boxes)), 'a')
        assert labels.times.tolist() == [50, 100, 150] and labels.listed
        assert labels.boxes['t'].tolist() == [50, 100]
        assert labels.boxes['class_id'].tolist() == [0, 1]
        assert labels.boxes['track_id'].tolist() == [9, 8]  # the id of an annotation is no track
        assert labels.boxes[['x', 'y', 'w', 'h']][1].tolist() == (1, 2, 3, 4)

    def test_a_recording_takes_its_own_images(self, tmp_path):
        images = [
            {'id': 1, 't': 100, 'recording': 'a'},
            {'id': 2, 't': 200, 'video': 'b'},
            {'id': 3, 't': 300, 'file_name': 'a/300.png'},
        ]
        boxes = [{'image_id': i, 'category_id': 10, 'bbox': [1, 2, 3, 4]} for i in (1, 2, 3)]
        path = save(tmp_path / 'all.json', coco(images, boxes))
        assert read_labels(path, 'a').times.tolist() == [100, 300]
        with pytest.raises(EvaluationError, match='no image of the recording c, only of a, b'):
            read_labels(path, 'c')

    @pytest.mark.parametrize(
        ('content', 'sentence'),
        [
            ({'images': []}, 'a.json.*COCO'),
            (coco([{'id': 1}], []), 'a.json.*annotations'),
            (
                coco([{'id': 1, 't': 5}], [{'image_id': 1, 'category_id': 9, 'bbox': [0] * 4}]),
                'a.json.*annotations',
            ),
            (
                coco([{'id': 1, 't': 5}], [{'image_id': 2, 'category_id': 10, 'bbox': [0] * 4}]),
                'holds no labels of a',
            ),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path, content, sentence):
        with pytest.raises(EvaluationError, match=sentence):
            read_labels(save(tmp_path / 'a.json', content), 'a')


def test_names_of_one_thing_are_one_name():
    assert canonical('Two wheeler') == canonical('two_wheeler') == canonical('TWO-WHEELER')
    assert canonical('person') == 'pedestrian'
    assert label_classes('gen1') == ('car', 'pedestrian')
    assert label_classes('car, bear') == ('car', 'bear')
    assert label_classes('DSEC-Det')[1] == 'rider'


def test_names_may_be_given_by_id_or_changed():
    assert name_classes(None, ['Two_wheeler']) == ('two-wheeler',)
    assert name_classes(['car', 'car'], ['bus', 'truck']) == ('car', 'car')
    assert name_classes(['bus=car', 'Truck=car'], ['bus', 'bear', 'truck']) == (
        *('car', 'bear', 'car'),
    )
    assert name_classes(['a=b'], (), lambda: ('a', 'c')) == ('b', 'c')
    with pytest.raises(EvaluationError, match='no class bus to rename, only car'):
        name_classes(['bus=car'], ['car'])


def test_a_header_longer_than_its_file_takes_no_memory(tmp_path):
    path = tmp_path / 'a_bbox.npy'
    path.write_bytes(b'\x93NUMPY\x02\x00' + (1 << 30).to_bytes(4, 'little') + b'{' * 1000)
    with peak_below(1 << 20), pytest.raises(EvaluationError, match=f'a_bbox.npy.*{1 << 30}'):
        read_boxes(path)
