# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which file has the labels of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import glob
from pathlib import Path
from typing import Any
import zipfile

from sast_ros.bags.errors import RecordingError
from sast_ros.bags.names import recording_stem
from sast_ros.bags.storage import is_storage_file
from sast_ros.evaluation.boxes import map_array, reading
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.formats.box_file import load_json, stems
from sast_ros.evaluation.formats.coco import has_images_of, is_coco
from sast_ros.evaluation.formats.table import names_boxes, read_header
from sast_ros.evaluation.formats.yolo import yolo_folder
from sast_ros.evaluation.topics import find_topics

#: What is behind the name of a recording in the name of its labels.
_ENDS = ('_bbox', '_labels', '')
_SUFFIXES = ('.npy', '.npz', '.json', '.csv')

#: Labels of DSEC-Detection, below the folder of a sequence.
_DSEC = ('tracks.npy', 'left/tracks.npy', 'object_detections/left/tracks.npy')


@dataclass(frozen=True)
class LabelSource:
    """
    Where the labels of a recording are.

    Attributes
    ----------
    path : Path
        The file, bag or folder.
    warnings : tuple of str
        Files beside it that could not be read, sentences.

    """

    path: Path
    warnings: tuple[str, ...] = ()


def find_labels(folder: Path, name: str, detections: Path | None = None) -> Path:
    """
    Return the labels of a recording; see ``find_label_source``.

    Raises
    ------
    EvaluationError
        If there are none.

    """
    return find_label_source(folder, name, detections).path


def find_label_source(folder: Path, name: str, detections: Path | None = None) -> LabelSource:
    """
    Find the labels of a recording.

    They are ``NAME_bbox.npy``, ``NAME_labels.json`` or the like, the ``tracks.npy`` of
    DSEC-Detection, a bag called ``NAME_labels.mcap`` or ``NAME``, a folder ``NAME`` with YOLO
    text, the only JSON file with annotations (of several the only one with images of the
    recording), or the folder itself if that is a bag or has YOLO text. A suffix ``_td`` or
    ``_events`` of the name is optional. Bags without ``Detection2DArray`` have no labels.

    Parameters
    ----------
    folder : Path
        Folder with labels, or a file with labels, which is taken whatever its name.
    name : str
        Name of the recording without suffix.
    detections : Path, optional
        File or bag with the detections, which are not their own labels.

    Raises
    ------
    EvaluationError
        If there are none, or the file is that of the detections.

    """
    if not folder.exists():
        raise EvaluationError(f'{folder} does not exist; name the folder or file with labels')
    if folder.is_file():
        if _is_same(folder, detections):
            raise EvaluationError(
                f'{folder} holds the detections themselves; name the file or folder with labels, '
                'or their topic with --label-topic'
            )
        return LabelSource(folder)
    own = next((path for path in _named(folder, name) if not _is_same(path, detections)), None)
    if own is not None:
        return LabelSource(own)
    shared, warnings = _shared(folder, detections)
    if len(shared) > 1:
        matching = [path for path in shared if has_images_of(shared[path], name)]
        if len(matching) != 1:
            raise EvaluationError(
                f'{folder} has {len(shared)} COCO files ({", ".join(p.name for p in shared)}), of '
                f'which {len(matching)} name images of the recording {name}; name the one with '
                'its labels'
            )
        shared = {matching[0]: None}
    if shared:
        return LabelSource(next(iter(shared)), warnings)
    own_bag = _is_label_bag(folder) and not _is_same(folder, detections)
    if own_bag or yolo_folder(folder) is not None:
        return LabelSource(folder, warnings)
    others = sorted(path.name for path in folder.glob('*_bbox.npy'))
    listing = ', '.join(others[:3] + ['...'] * (len(others) > 3)) or 'none'
    reasons = ''.join(f'; {warning}' for warning in warnings)
    if detections is not None and detections.resolve().is_relative_to(folder.resolve()):
        reasons += f'; {detections} holds the detections themselves'
    raise EvaluationError(
        f'{folder} has no labels of the recording {name}: neither {stems(name)[-1]}_bbox.npy nor '
        f'{stems(name)[-1]}.json (there are: {listing}); name the folder with its labels{reasons}'
    )


def _named(folder: Path, name: str) -> Iterator[Path]:
    """Yield the labels that are called like the recording, and those of a DSEC sequence."""
    for stem in stems(name):
        files = (folder / f'{stem}{end}{suffix}' for suffix in _SUFFIXES for end in _ENDS)
        yield from (path for path in files if path.is_file() and not holds_events(path))
        bags = (f'{stem}_labels.mcap', f'{stem}.mcap', f'{stem}.db3', stem)
        yield from (folder / bag for bag in bags if _is_label_bag(folder / bag))
        texts = (folder / stem, folder / f'{stem}_labels')
        yield from (path for path in texts if yolo_folder(path) is not None)
        yield from (path for one in _DSEC if (path := folder / stem / one).is_file())
    yield from (path for one in _DSEC if (path := folder / one).is_file())
    parents = folder.resolve().parents
    if folder.resolve().match('events/left') and (parents[1] / _DSEC[-1]).is_file():
        yield parents[1] / _DSEC[-1]


def labels_beside(recording: Path) -> Path | None:
    """Return ``NAME_bbox.npy`` in the folder of a recording, ``None`` if there is none."""
    path = recording.resolve()
    files = (path.with_name(f'{stem}_bbox.npy') for stem in stems(recording_stem(path)))
    return next((file for file in files if file.is_file()), None)


def names_recording(labels: Path) -> str | None:
    """
    Return the recording that ``NAME_bbox.npy`` is called after, if it is beside that file.

    ``None`` if there is no such recording; labels may have any name.
    """
    stem = labels.name.removesuffix('_bbox.npy')
    if stem == labels.name:
        return None
    beside = labels.resolve().parent.glob(f'{glob.escape(stem)}*')
    others = (path for path in beside if path.suffix != '.npy')
    return stem if any(stem in stems(recording_stem(path)) for path in others) else None


def holds_events(path: Path) -> bool:
    """Return whether an array or text file has columns of events, not of boxes."""
    if path.suffix.lower() == '.csv':
        try:
            return not names_boxes(read_header(path))
        except EvaluationError:
            return False
    if path.suffix.lower() != '.npy':
        return False
    try:
        with reading(path, ''):
            if zipfile.is_zipfile(path):
                return False
            array = map_array(path)
    except EvaluationError:
        return False  # what is wrong is said where it is read
    names = array.dtype.names
    if names is None:
        return array.ndim == 2
    return {'x', 'y'} <= set(names) and not {'w', 'h'} & set(names)


def is_bag(path: Path) -> bool:
    """Return whether a path is a rosbag2 folder or one of its files."""
    if path.is_dir():
        return (path / 'metadata.yaml').is_file()
    return path.is_file() and is_storage_file(path)


def _is_label_bag(path: Path) -> bool:
    """Return whether a path is a bag with boxes; of one that cannot be read it is not known."""
    if not is_bag(path):
        return False
    try:
        return bool(find_topics(path)[0])
    except RecordingError:
        return True  # what is wrong is said where it is read


def _is_same(path: Path, detections: Path | None) -> bool:
    """Return whether both are one file, or one bag, named by its folder or by a file of it."""
    if detections is None:
        return False
    if path.samefile(detections):
        return True
    bag, file = (path, detections) if path.is_dir() else (detections, path)
    if not (is_bag(path) and bag.is_dir() and file.is_file() and is_storage_file(file)):
        return False
    return file.resolve().parent.samefile(bag)


def _shared(folder: Path, detections: Path | None) -> tuple[dict[Path, Any], tuple[str, ...]]:
    """Return the COCO files of a folder with their content, and what could not be read."""
    found, warnings = {}, []
    for path in sorted(folder.glob('*.json')):
        if _is_same(path, detections):
            continue
        try:
            content = load_json(path, 'it is left out')
        except EvaluationError as error:
            warnings.append(str(error))
            continue
        if is_coco(content):
            found[path] = content
    return found, tuple(warnings)
