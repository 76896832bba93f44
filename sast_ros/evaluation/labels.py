# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Labels of a recording, from NumPy and COCO files and from bags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
import json
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags.storage import is_storage_file
from sast_ros.evaluation.boxes import check_boxes, read_boxes, reading, sort_by_time
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.label_files import stems
from sast_ros.evaluation.topics import read_topic
from sast_ros.labels import BOX_DTYPE

#: Class names in class-id order of data sets whose files do not name them.
LABEL_CLASSES = {
    'gen1': ('car', 'pedestrian'),
    '1mpx': ('pedestrian', 'two-wheeler', 'car', 'truck', 'bus', 'traffic-sign', 'traffic-light'),
}

_COCO_FIELDS = (
    'complete its images (id, and t in microseconds on the clock of the recording) and '
    'annotations (image_id, category_id of a category, bbox)'
)

#: Sensor sizes, (height, width), of these data sets.
_SENSORS = {(240, 304): 'gen1', (720, 1280): '1mpx'}


@dataclass(frozen=True)
class Labels:
    """
    The labels of one recording.

    Attributes
    ----------
    path : Path
        Source of the labels.
    boxes : BOX_DTYPE[N]
        Labelled objects, sorted by time.
    times : int64[T]
        Annotated times, sorted: those of the boxes and, if the source lists them, those without
        objects.
    classes : tuple of str
        Class names in class-id order.
    clock : {'recording', 'ros'}
        Clock of the times (microseconds): that of the events, or ROS time.

    """

    path: Path
    boxes: np.ndarray
    times: np.ndarray
    classes: tuple[str, ...]
    clock: str = 'recording'


def canonical(name: str) -> str:
    """Return a class name in the spelling used for comparison, for example ``two-wheeler``."""
    plain = '-'.join(name.strip().lower().replace('_', ' ').replace('-', ' ').split())
    return {'person': 'pedestrian', 'twowheeler': 'two-wheeler'}.get(plain, plain)


def label_classes(text: str) -> tuple[str, ...]:
    """Return the classes that ``--label-classes`` names: a data set, or comma-separated names."""
    if text.lower() in LABEL_CLASSES:
        return LABEL_CLASSES[text.lower()]
    return tuple(name.strip() for name in text.split(',') if name.strip())


def read_labels(
    path: Path,
    name: str,
    classes: Sequence[str] | None = None,
    sensor_size: tuple[int, int] | None = None,
    default: Sequence[str] = (),
    topic: str | None = None,
) -> Labels:
    """
    Read the labels of a recording.

    Parameters
    ----------
    path : Path
        ``.npy`` in the Prophesee layout, COCO ``.json``, or bag with a topic of
        ``vision_msgs/msg/Detection2DArray``.
    name : str
        Name of the recording, for a COCO file with several.
    classes : sequence of str, optional
        Class names in class-id order; by default those of the file itself, of ``dataset.json``
        beside it, of the data set with this sensor, or ``default``.
    sensor_size : (int, int), optional
        Height and width in pixels.
    default : sequence of str
        Class names if they are unknown otherwise.
    topic : str, optional
        Topic of a bag with several of this type.

    Raises
    ------
    EvaluationError
        If there are no labels, the format is unknown, or a class id has no name.
    RecordingError
        If a bag is damaged.

    """
    reader = _READERS.get(path.suffix.lower())
    if path.is_dir() or is_storage_file(path):
        labels = _read_bag(path, topic)
    elif reader is not None:
        labels = reader(path, name)
    else:
        raise EvaluationError(
            f'{path}: labels are read from {", ".join(sorted(_READERS))} files and from bags'
        )
    names = labels.classes
    if classes is not None or not names:
        names = tuple(classes or _guess_classes(path, sensor_size) or default)
    names = tuple(canonical(name) for name in names)
    unknown = labels.boxes['class_id'] >= len(names)
    if unknown.any():
        raise EvaluationError(
            f'{path}: {int(unknown.sum())} boxes have the class id '
            f'{int(labels.boxes["class_id"][unknown][0])}, but only {len(names)} classes are '
            f'known ({", ".join(names)}); name the others with --label-classes'
        )
    return replace(labels, classes=names)


def _guess_classes(path: Path, sensor_size: tuple[int, int] | None) -> tuple[str, ...]:
    index = path.parent / 'dataset.json'
    if index.is_file():
        with reading(index, 'correct its list of classes or give --label-classes'):
            return tuple(json.loads(index.read_text(encoding='utf-8'))['classes'])
    return LABEL_CLASSES.get(_SENSORS.get(sensor_size or (0, 0), ''), ())


def _read_numpy(path: Path, name: str) -> Labels:
    boxes = read_boxes(path)
    if not len(boxes):
        raise EvaluationError(f'{path}: holds no labels; name a file with boxes')
    return Labels(path, boxes, np.unique(boxes['t']), ())


def _read_bag(path: Path, topic: str | None) -> Labels:
    boxes, stamps, classes = read_topic(path, topic)
    if not len(boxes):
        raise EvaluationError(f'{path}: holds no labels; name a recording with objects')
    return Labels(path, boxes, np.unique(stamps), classes, 'ros')


def _read_coco(path: Path, name: str) -> Labels:
    """
    Read a COCO file.

    Every image is an annotated time: ``t`` or ``timestamp`` in microseconds. It belongs to its
    ``recording``, ``sequence`` or ``video``, or to the folder in its ``file_name``; without any of
    them the whole file belongs to one recording.
    """
    with reading(path, 'give a COCO file with images, annotations and categories'):
        content = json.loads(path.read_text(encoding='utf-8'))
        images, annotations = content['images'], content['annotations']
        categories = sorted(content['categories'], key=lambda category: category['id'])
    own = [image for image in images if _recording(image) in ('', *stems(name))]
    if images and not own:
        others = sorted({_recording(image) for image in images})
        raise EvaluationError(
            f'{path}: has no image of the recording {name}, only of '
            f'{", ".join(others[:3] + ["..."] * (len(others) > 3))}; name its labels'
        )
    ids = {category['id']: index for index, category in enumerate(categories)}
    with reading(path, _COCO_FIELDS):
        times = {i['id']: int(i['t'] if 't' in i else i['timestamp']) for i in own}
        rows = [
            (
                times[row['image_id']],
                *row['bbox'],
                ids[row['category_id']],
                row.get('track_id', row.get('id', 0)),
                1,
            )
            for row in annotations
            if row['image_id'] in times
        ]
        boxes = np.array(rows, BOX_DTYPE)
    if not len(boxes):
        raise EvaluationError(f'{path}: holds no labels of {name}; name a file with boxes')
    check_boxes(boxes, str(path))
    return Labels(
        path,
        sort_by_time(boxes),
        np.unique(np.array(list(times.values()), np.int64)),
        tuple(str(category['name']) for category in categories),
    )


def _recording(image: dict[str, Any]) -> str:
    for key in ('recording', 'sequence', 'video'):
        if key in image:
            return str(image[key])
    return Path(str(image.get('file_name', ''))).parent.name


_READERS: dict[str, Callable[[Path, str], Labels]] = {'.npy': _read_numpy, '.json': _read_coco}
