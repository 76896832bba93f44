# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Labels from every kind of file, and what is wrong with those that are none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.label_files import find_labels
from sast_ros.evaluation.labels import canonical, label_classes, read_labels
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
            (rows(), 'holds no labels'),
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
        with pytest.raises(EvaluationError, match='are read from .json, .npy files and from bags'):
            read_labels(tmp_path / 'a.txt', 'a')


class TestCoco:
    """Annotations of other tools."""

    def test_times_without_objects_are_times_too(self, tmp_path):
        images = [{'id': 3, 't': 100}, {'id': 4, 'timestamp': 50}, {'id': 5, 't': 150}]
        boxes = [
            {'id': 1, 'image_id': 3, 'category_id': 20, 'bbox': [1, 2, 3, 4], 'track_id': 8},
            {'id': 2, 'image_id': 4, 'category_id': 10, 'bbox': [5, 6, 7, 8]},
        ]
        labels = read_labels(save(tmp_path / 'a.json', coco(images, boxes)), 'a')
        assert labels.times.tolist() == [50, 100, 150]
        assert labels.boxes['t'].tolist() == [50, 100]
        assert labels.boxes['class_id'].tolist() == [0, 1]
        assert labels.boxes['track_id'].tolist() == [2, 8]
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
            (coco([{'id': 1, 't': 5}], []), 'holds no labels of a'),
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
