# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The folder that goes to an annotation tool, and the labels that come back from it."""

from __future__ import annotations

from dataclasses import asdict, replace
import io
import itertools
import json
from pathlib import Path
import re
from typing import Any

import numpy as np
from sast_ros.bags.detections import detection_boxes
from sast_ros.bags.names import recording_stem
from sast_ros.bags.recording import Recording
from sast_ros.detections import Detections
from sast_ros.evaluation.boxes import reading, sort_by_time, times_path
from sast_ros.evaluation.formats.box_file import load_json
from sast_ros.evaluation.labels import DATASET, read_class_list
from sast_ros.labelling.annotations import Annotations, Export, LabelError, Picture
from sast_ros.labelling.coco import coco_text, read_coco
from sast_ros.labelling.cvat import cvat_text, read_cvat
from sast_ros.labels import BOX_DTYPE
from sast_ros.output import lock_folder, write_file
from sast_ros.replay import make_pipeline, Progress, replay, ReplayOptions
from sast_ros.visualization import draw_events
from sast_ros.windows import EventWindow

FORMATS = ('coco', 'cvat')

#: Names of the files in the folder.
_FILES = {'coco': 'annotations.json', 'cvat': 'annotations.xml'}
_PICTURES = 'images'
_INDEX = 'export.json'

#: Names of pictures: the end of the window in microseconds.
_OWN = re.compile(r'-?[0-9]{11,20}\.png')


def export_labels(
    recording: Recording,
    folder: Path,
    options: ReplayOptions,
    kind: str = 'coco',
    *,
    every: int = 1,
    force: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """
    Write pictures of the windows, and what is detected in them as labels.

    Parameters
    ----------
    recording : Recording
        Source of the events.
    folder : Path
        Gets ``images/`` with a PNG for each window, named by the end of the window in
        microseconds, and ``annotations.json`` or ``annotations.xml``.
    options : ReplayOptions
        Settings of the detector and of the interval; windows end where labels will be.
    kind : {'coco', 'cvat'}
        Format of the labels.
    every : int
        Of the windows every so many one gets a picture.
    force : bool
        Whether to replace labels that are in the folder.
    progress : callable, optional
        Called after every chunk of events.

    Returns
    -------
    dict
        The summary of the replay, and ``pictures`` and ``boxes``.

    Raises
    ------
    LabelError
        The folder has labels already, or nothing was there to draw.
    RecordingError, SettingError
        See ``replay`` and ``make_pipeline``.
    OutputError
        Another process writes into the folder.

    """
    with lock_folder(folder):
        if not force and any((folder / name).exists() for name in (_INDEX, *_FILES.values())):
            raise LabelError(
                f'{folder}: holds labels already; give another --out, or replace them and what '
                'was edited with --force'
            )
        if options.tracking is not None:  # the boxes are those of the window, not of a later time
            options = replace(options, tracking=replace(options.tracking, lead_ms=0.0))
        pipeline, _ = make_pipeline(recording, options)
        pictures = _Pictures(folder / _PICTURES, every)
        summary = replay(
            recording,
            pipeline,
            start=options.start,
            end=options.end,
            progress=progress,
            on_window=pictures.add,
        )
        if pictures.size is None:
            reasons = summary['warnings'] or ['there is no complete window']
            raise LabelError(
                f'{recording.path}: nothing can be labelled: {reasons[-1].rstrip(".")}'
            )
        pictures.number()
        times = {picture.name: picture.t for picture in pictures.found}
        (folder / _INDEX).unlink(missing_ok=True)  # until here, what was exported before is whole
        for path in (folder / _PICTURES).iterdir():
            if _OWN.fullmatch(path.name) and path.name not in times:
                path.unlink()  # of an export before
        classes = tuple(summary['classes'])
        export = Export(recording_stem(recording.path.resolve()), pictures.size, classes, times)
        for other, name in _FILES.items():
            if other != kind:
                (folder / name).unlink(missing_ok=True)
        text = (
            coco_text(export, pictures.found, _PICTURES)
            if kind == 'coco'
            else cvat_text(export, pictures.found)
        )
        write_file(folder / _FILES[kind], text)
        write_file(folder / _INDEX, json.dumps(asdict(export), indent=1) + '\n')
        boxes = sum(len(picture.boxes) for picture in pictures.found)
        return {**summary, 'pictures': len(times), 'boxes': boxes, 'labels': _FILES[kind]}


class _Pictures:
    """Draws every so many windows, and keeps what was detected in them."""

    def __init__(self, folder: Path, every: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._every = folder, every
        self._windows = 0
        self.found: list[Picture] = []
        self._times: set[int] = set()
        self.size: tuple[int, int] | None = None

    def add(self, window: EventWindow, detections: Detections) -> None:
        """Draw a window, if it is its turn."""
        from PIL import Image

        self._windows += 1
        if (self._windows - 1) % self._every:
            return
        size = detections.height, detections.width
        if self.size not in (None, size) or window.t_end in self._times:
            what = 'time jumps back' if window.t_end in self._times else 'the sensor size changes'
            raise LabelError(
                f'in the recording {what} at {window.t_end} us; label its parts one by one, with '
                '--start and --end'
            )
        self.size = size
        self._times.add(window.t_end)
        boxes = detection_boxes(detections)
        name = f'{window.t_end:012d}.png'
        content = io.BytesIO()
        Image.fromarray(draw_events(window.parts, *size)).save(content, 'PNG')
        write_file(self._folder / name, content.getvalue())
        self.found.append(Picture(name, window.t_end, boxes))

    def number(self) -> None:
        """Make each box that is of no tracked object one of its own."""
        tracked = max((one.boxes['track_id'].max(initial=0) for one in self.found), default=0)
        new = itertools.count(int(tracked) + 1)
        for picture in self.found:
            ids = picture.boxes['track_id']
            for index in np.flatnonzero(ids == 0):
                ids[index] = next(new)


def import_labels(
    folder: Path, recording: Path, kind: str | None = None, *, force: bool = False
) -> dict[str, Any]:
    """
    Write the labels of a folder as ``NAME_bbox.npy`` beside the recording.

    The times of all pictures in the annotations, with boxes or without, go to
    ``NAME_bbox_times.npy``.

    Class ids are in the order of ``dataset.json`` beside the recording; where there is none it is
    written, with the classes of the export.

    Parameters
    ----------
    folder : Path
        Of ``export_labels``, with annotations that were edited.
    recording : Path
        What was exported.
    kind : {'coco', 'cvat'}, optional
        Format of the annotations, if the folder has both.
    force : bool
        Whether to replace ``NAME_bbox.npy``.

    Returns
    -------
    dict
        ``path``, ``boxes``, ``pictures`` with and without a box, ``missing`` pictures that the
        annotations do not list any more, ``added`` boxes, and ``left_out``.

    Raises
    ------
    LabelError, EvaluationError
        The folder is not of this recording, or something in it is wrong or missing.

    """
    stem = recording_stem(recording.resolve())
    export = _read_index(folder)
    if export.recording != stem:
        raise LabelError(
            f'{folder}: holds labels of the recording {export.recording}, not of {stem}; name '
            'that recording'
        )
    source = _annotation_file(folder, kind)
    found = (read_coco if source.name == _FILES['coco'] else read_cvat)(source)
    _check_pictures(found, export, source, folder / _PICTURES)
    beside = recording.resolve().parent
    classes = _class_order(beside / DATASET, export.classes)
    boxes = _boxes(found, export, classes, source)
    target = beside / f'{stem}_bbox.npy'
    if target.exists() and not force:
        raise LabelError(f'{target}: exists; replace it with --force')
    if not (beside / DATASET).exists():  # before the boxes, whose class ids it explains
        write_file(beside / DATASET, json.dumps({'classes': list(classes)}, indent=1) + '\n')
    times = np.unique(np.array([export.times[name] for name in found.pictures], np.int64))
    for path, rows in ((times_path(target), times), (target, boxes)):
        content = io.BytesIO()
        np.save(content, rows)
        write_file(path, content.getvalue())
    listed = set(found.pictures)
    return {
        'path': str(target),
        'classes': list(classes),
        'boxes': len(boxes),
        'added': sum(shape.track is None for shape in found.shapes),
        'pictures': len(listed),
        'pictures_without_boxes': len(listed) - len(np.unique(boxes['t'])),
        'missing': len(export.times) - len(listed),
        'left_out': dict(found.left_out),
    }


def _read_index(folder: Path) -> Export:
    advice = 'name a folder that "sast-ros label" has written'
    if folder.is_file():
        raise LabelError(f'{folder}: is a file; {advice}, with the edited annotations in it')
    path = folder / _INDEX
    content = load_json(path, advice)
    with reading(path, advice):
        height, width = content['size']
        times = {str(name): int(t) for name, t in content['times'].items()}
        classes = tuple(map(str, content['classes']))
        return Export(str(content['recording']), (int(height), int(width)), classes, times)


def _annotation_file(folder: Path, kind: str | None) -> Path:
    kinds = (kind,) if kind else FORMATS
    there = [folder / _FILES[one] for one in kinds if (folder / _FILES[one]).is_file()]
    if len(there) == 1:
        return there[0]
    names = ' and '.join(_FILES[one] for one in kinds)
    raise LabelError(
        f'{folder}: has both {names}; choose one with --format'
        if there
        else f'{folder}: has no {names.replace(" and ", " or ")}; put the edited annotations there'
    )


def _check_pictures(found: Annotations, export: Export, source: Path, folder: Path) -> None:
    """Raise an error for pictures of another export, or that are not there any more."""
    strangers = [name for name in found.pictures if name not in export.times]
    if strangers:
        raise LabelError(
            f'{source}: lists {len(strangers)} pictures that were not exported, such as '
            f'{strangers[0][:100]}; put the annotations of this export there'
        )
    missing = [name for name in found.pictures if not (folder / name).is_file()]
    if missing:
        raise LabelError(
            f'{source}: lists {len(missing)} pictures that are not in {folder}, such as '
            f'{missing[0]}; put them back, or remove them from the annotations'
        )


def _class_order(path: Path, exported: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes in the order of their ids beside the recording."""
    return read_class_list(path) if path.exists() else exported


def _boxes(
    found: Annotations, export: Export, classes: tuple[str, ...], source: Path
) -> np.ndarray:
    """Return all boxes as ``BOX_DTYPE[N]``, sorted by time."""
    unknown = sorted({shape.label for shape in found.shapes} - set(classes))
    if unknown:
        raise LabelError(
            f'{source}: has the class {unknown[0][:50]!r}, which is none of {", ".join(classes)}; '
            'rename it, or add it to the classes in dataset.json beside the recording'
        )
    boxes = np.zeros(len(found.shapes), BOX_DTYPE)
    tracks = [shape.track for shape in found.shapes if shape.track is not None]
    new = itertools.count(1 + max(tracks, default=-1))
    for row, shape in zip(boxes, found.shapes):
        if min(shape.box[2:]) <= 0:
            raise LabelError(
                f'{source}: a box of {shape.picture} is {shape.box[2]:g} x {shape.box[3]:g} '
                'pixels; delete it'
            )
        row['t'], row['class_id'] = export.times[shape.picture], classes.index(shape.label)
        row['track_id'] = (next(new) if shape.track is None else shape.track) % (1 << 32)
        row['class_confidence'] = 1 if shape.score is None else shape.score
        for name, value in zip('xywh', shape.box):
            row[name] = value
    return sort_by_time(boxes)
