# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Labels of a recording, from files and bags, with the names of their classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from sast_ros.bags.storage import is_storage_file
from sast_ros.evaluation.boxes import read_boxes, read_labelled_times
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.formats.box_file import (
    BoxFile,
    FrameClock,
    lists_empty,
    load_json,
    no_boxes,
    NO_CLOCK,
)
from sast_ros.evaluation.formats.coco import read_coco
from sast_ros.evaluation.formats.table import names_boxes, read_header, read_table
from sast_ros.evaluation.formats.yolo import read_yolo, yolo_folder
from sast_ros.evaluation.label_files import is_bag
from sast_ros.evaluation.topics import read_topic
from sast_ros.foreign_file import foreign_content

#: Class names in class-id order of data sets whose files do not name them.
LABEL_CLASSES = {
    'gen1': ('car', 'pedestrian'),
    '1mpx': ('pedestrian', 'two-wheeler', 'car', 'truck', 'bus', 'traffic-sign', 'traffic-light'),
    'dsec-det': (
        *('pedestrian', 'rider', 'car', 'bus', 'truck', 'bicycle', 'motorcycle', 'train'),
    ),
}

#: Sensor sizes, (height, width), of these data sets.
_SENSORS = {(240, 304): 'gen1', (720, 1280): '1mpx'}

#: Name of the index beside labels that names their classes.
DATASET = 'dataset.json'

#: Name of the files of DSEC-Detection.
_DSEC_FILE = 'tracks.npy'


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
        Annotated times, each once, sorted: those of the boxes and, if ``listed``, those without
        objects.
    classes : tuple of str
        Class names in class-id order; classes of one name are one class.
    clock : {'recording', 'ros', 'start'}
        Clock of the times (microseconds): that of the events, ROS time, or since the start of the
        recording.
    regions : BOX_DTYPE[R]
        Regions in which detections of the class are ignored, sorted by time.
    warnings : tuple of str
        What was left out of the source, sentences.
    listed : bool
        Whether the source lists all times that were looked at: of others nothing is known. If
        not, only times with objects are known, and long gaps between them are without objects.

    """

    path: Path
    boxes: np.ndarray
    times: np.ndarray
    classes: tuple[str, ...]
    clock: str = 'recording'
    regions: np.ndarray = field(default_factory=no_boxes)
    warnings: tuple[str, ...] = ()
    listed: bool = False

    def on_clock(self, start_us: int | None, clock: str) -> Labels:
        """Return labels that count from the start of the recording with times on its clock."""
        if not len(self.times):
            return replace(self, clock=clock)  # labels without times fit any clock
        if self.clock != 'start':
            return self
        boxes, regions = self.boxes.copy(), self.regions.copy()
        for rows in (boxes, regions):
            rows['t'] += start_us or 0
        times = self.times + (start_us or 0)
        return replace(self, boxes=boxes, regions=regions, times=times, clock=clock)


def canonical(name: str) -> str:
    """Return a class name in the spelling used for comparison, for example ``two-wheeler``."""
    plain = '-'.join(name.strip().lower().replace('_', ' ').replace('-', ' ').split())
    return {'person': 'pedestrian', 'twowheeler': 'two-wheeler'}.get(plain, plain)


def label_classes(text: str) -> tuple[str, ...]:
    """Return the classes that ``--label-classes`` names: a data set, or comma-separated names."""
    if text.lower() in LABEL_CLASSES:
        return LABEL_CLASSES[text.lower()]
    return tuple(name.strip() for name in text.split(',') if name.strip())


def name_classes(
    given: Sequence[str] | None,
    known: Sequence[str],
    default: Callable[[], Sequence[str]] = tuple,
    *,
    partial: bool = False,
) -> tuple[str, ...]:
    """
    Return class names in class-id order, in the spelling used for comparison.

    Parameters
    ----------
    given : sequence of str, optional
        Names in class-id order, which may repeat, or ``OLD=NEW`` for names that change.
    known : sequence of str
        Names in the file, empty if there are none.
    default : callable
        Returns the names of a file without names.
    partial : bool
        Whether the names in the file are only those of its boxes, which have no ids: given ones
        are further classes, and any may change its name.

    Raises
    ------
    EvaluationError
        If a class that changes its name does not exist.

    """
    if given and all('=' in name for name in given):
        pairs = (name.split('=', 1) for name in given)
        changes = {canonical(old): canonical(new) for old, new in pairs}
        names = [canonical(name) for name in known or default()]
        missing = [old for old in changes if old not in names]
        if missing and not partial:
            raise EvaluationError(
                f'there is no class {", ".join(missing)} to rename, only '
                f'{", ".join(names) or "classes without names"}; correct the list of classes'
            )
        return tuple(changes.get(name, name) for name in names)
    if known and partial:
        return tuple(dict.fromkeys(canonical(name) for name in (*known, *(given or ()))))
    return tuple(canonical(name) for name in given or known or default())


def read_labels(
    path: Path,
    name: str,
    classes: Sequence[str] | None = None,
    sensor_size: tuple[int, int] | None = None,
    default: Sequence[str] = (),
    topic: str | None = None,
    frames: FrameClock = NO_CLOCK,
    *,
    sole: bool = True,
) -> Labels:
    """
    Read the labels of a recording.

    The content of a file decides how it is read, not its name. A file without boxes says that
    there is no object: at the times that it lists, or at all.

    Parameters
    ----------
    path : Path
        ``.npy`` or ``.npz`` in the Prophesee layout, COCO ``.json``, CSV, folder with YOLO text,
        or bag with a topic of ``vision_msgs/msg/Detection2DArray``.
    name : str
        Name of the recording, for a file with several.
    classes : sequence of str, optional
        Class names in class-id order or changes of names, see ``name_classes``; by default those
        of the file itself, of ``dataset.json`` beside it, of the data set with this sensor, or
        ``default``.
    sensor_size : (int, int), optional
        Height and width in pixels.
    default : sequence of str
        Class names if they are unknown otherwise.
    topic : str, optional
        Topic of a bag with several of this type.
    frames : FrameClock, optional
        Times of labels that have frame numbers.
    sole : bool
        Whether the file is that of this recording, and of no other.

    Raises
    ------
    EvaluationError
        If there are no labels, the format is unknown, or a class id has no name.
    RecordingError
        If a bag is damaged.

    """
    warnings: list[str] = []
    folder = yolo_folder(path)
    of_bag = is_bag(path) or is_storage_file(path) or path.is_dir() and folder is None
    if of_bag:
        content = _read_bag(path, topic)
    elif folder is not None:
        content = read_yolo(folder, frames, sensor_size)
    else:
        content = _READERS[_format(path)](path, name, frames, sole)
    if content.partial:
        content, classes = _order_classes(content, classes, default)
    names = name_classes(
        classes,
        content.classes,
        lambda: _guess_classes(path, sensor_size, warnings) or default,
        partial=content.partial,
    )
    for boxes in (content.boxes, content.regions):
        unknown = boxes['class_id'] >= len(names)
        if unknown.any():
            raise EvaluationError(
                f'{path}: {int(unknown.sum())} boxes have the class id '
                f'{int(boxes["class_id"][unknown][0])}, but only {len(names)} classes are '
                f'known ({", ".join(names)}); name the others with --label-classes'
            )
    clock = 'ros' if of_bag else 'start' if content.relative else 'recording'
    return Labels(
        path,
        with_tracks(content.boxes),
        content.times,
        names,
        clock,
        content.regions,
        (*content.warnings, *warnings),
        content.listed,
    )


def with_tracks(boxes: np.ndarray) -> np.ndarray:
    """
    Return boxes with a number each for those with ``track_id`` 0, if that is none.

    Data sets count their objects from 0, tools write 0 where they do not track: then two boxes of
    a class have it at one time.
    """
    without = np.flatnonzero(boxes['track_id'] == 0)
    if len(np.unique(boxes[without][['t', 'class_id']])) == len(without):
        return boxes
    boxes = boxes.copy()
    unused = np.setdiff1d(np.arange(1, len(boxes) + len(without) + 1), boxes['track_id'])
    boxes['track_id'][without] = unused[: len(without)]
    return boxes


def _order_classes(
    content: BoxFile, given: Sequence[str] | None, default: Sequence[str]
) -> tuple[BoxFile, Sequence[str] | None]:
    """
    Return the content with its classes in an order that does not depend on its boxes.

    First the given names, then the default ones, then others. Of the given names only changes of
    names are returned.
    """
    changes = given if given and all('=' in name for name in given) else None
    names = [canonical(name) for name in content.classes]
    first = [] if changes else [*map(canonical, given or ())]
    order = list(dict.fromkeys([*first, *map(canonical, default), *names]))
    boxes = content.boxes.copy()
    boxes['class_id'] = np.array([order.index(name) for name in names])[boxes['class_id']]
    return replace(content, boxes=boxes, classes=tuple(order)), changes


def _format(path: Path) -> str:
    """
    Return the suffix of files with such content.

    Raises
    ------
    EvaluationError
        If it is none that is read.

    """
    start = b''
    if path.is_file():
        with path.open('rb') as stream:
            start = stream.read(512).removeprefix(b'\xef\xbb\xbf').lstrip()
    if start.startswith((b'\x93NUMPY', b'PK\x03\x04')):
        return '.npy'
    if start.startswith((b'{', b'[')):
        return '.json'
    suffix = {'.npz': '.npy', '.tsv': '.csv'}.get(path.suffix.lower(), path.suffix.lower())
    if suffix in _READERS:
        return suffix
    if start and b'\0' not in start and names_boxes(read_header(path)):
        return '.csv'
    if path.is_file() and (problem := foreign_content(path, 'the labels')):
        raise EvaluationError(f'{path}: {problem}')
    raise EvaluationError(
        f'{path}: labels are read from .json, .npy files and from bags, also from .npz and .csv '
        'files and from folders of YOLO text; name one of them, or export others (CVAT, Pascal '
        'VOC) as COCO'
    )


def _guess_classes(
    path: Path, sensor_size: tuple[int, int] | None, warnings: list[str]
) -> tuple[str, ...]:
    """Return the class names of an index beside the file, or of its data set; or none."""
    index = path.parent / DATASET
    if index.is_file():
        try:
            return read_class_list(index)
        except EvaluationError as error:
            warnings.append(f'{error}; it is not used')
    if path.name == _DSEC_FILE:
        return LABEL_CLASSES['dsec-det']
    return LABEL_CLASSES.get(_SENSORS.get(sensor_size or (0, 0), ''), ())


def read_class_list(index: Path) -> tuple[str, ...]:
    """
    Return the class names, in class-id order, of the file ``DATASET`` beside labels.

    Raises
    ------
    EvaluationError
        It cannot be read, or has none.

    """
    advice = 'correct it, or move it away'
    content = load_json(index, advice)
    names = content.get('classes') if isinstance(content, dict) else None
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise EvaluationError(f'{index}: has no list of classes; {advice}')


def _read_numpy(path: Path, name: str, frames: FrameClock, sole: bool) -> BoxFile:
    boxes = read_boxes(path)
    times = read_labelled_times(path, boxes)
    if times is None:
        return BoxFile(boxes, np.unique(boxes['t']))
    return BoxFile(boxes, times, listed=True)


def _read_bag(path: Path, topic: str | None) -> BoxFile:
    found = read_topic(path, topic)
    times = np.unique(found.stamps_ns // 1000)
    listed = lists_empty(times, found.boxes)
    return BoxFile(found.boxes, times, found.classes, partial=found.partial, listed=listed)


_READERS: dict[str, Callable[[Path, str, FrameClock, bool], BoxFile]] = {
    '.npy': _read_numpy,
    '.json': lambda path, name, frames, sole: read_coco(path, name, frames, sole=sole),
    '.csv': lambda path, name, frames, sole: read_table(path, name, frames),
}
