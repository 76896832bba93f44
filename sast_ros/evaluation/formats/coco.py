# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
COCO files, read as pycocotools reads them.

Annotations with ``iscrowd`` are regions in which detections are ignored. The field ``ignore`` has
no effect there, and annotations of unknown images or categories do not count; both are reported.
(https://cocodataset.org/#format-data, and ``COCOeval`` of pycocotools.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
import math
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags.names import recording_stem
from sast_ros.evaluation.boxes import check_boxes, reading, sort_by_time, track_ids
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.formats.box_file import (
    BoxFile,
    FRAME_KEYS,
    FrameClock,
    left_out,
    load_json,
    microseconds,
    RECORDING_KEYS,
    stems,
    time_key,
    trailing_number,
)
from sast_ros.labels import BOX_DTYPE

_ADVICE = 'give a COCO file with images, annotations and categories'

_FIELDS = (
    'complete its images (id, and t in microseconds on the clock of the recording, or '
    '--label-fps) and annotations (image_id, category_id of a category, bbox)'
)

#: Folders whose name is not that of a recording.
_FOLDERS = {
    *('images', 'image', 'imgs', 'img', 'frames', 'frame', 'pictures', 'rgb', 'data', 'events'),
    *('png', 'jpg', 'jpegs', 'jpegimages', 'train', 'val', 'test', 'all', 'left', 'right'),
}


@dataclass(frozen=True)
class CocoImages:
    """
    The images of one recording in a COCO file.

    Attributes
    ----------
    path : Path
        The file.
    content : dict
        What it holds.
    times : dict of image id to int
        Microseconds.
    foreign : set of image id
        Images of other recordings.
    relative : bool
        Whether times count from the start of the recording.
    sensor_size : (int, int), optional
        Height and width, if all images have the same.
    notes : dict of str to int
        What was left out or assumed, counted.

    """

    path: Path
    content: dict[str, Any]
    times: dict[Any, int]
    foreign: set[Any]
    relative: bool
    sensor_size: tuple[int, int] | None
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the categories in the order of their ids."""
        with reading(self.path, 'give each category an id and a name'):
            return tuple(str(category['name']) for category in self._categories())

    def read_rows(
        self, rows: list[dict[str, Any]], what: str, *, detections: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Return annotations or results as ``BOX_DTYPE[N]``, and which of them are crowds.

        The ``id`` of an annotation is no track: it comes only once. ``detections``: whether boxes
        without a track have ``track_id`` 0, as in ``box_rows``.

        Raises
        ------
        EvaluationError
            If a field is missing or invalid.

        """
        ids = {category['id']: index for index, category in enumerate(self._categories())}
        notes: Counter[str] = Counter()
        made, tracks, crowds = [], [], []
        for row in rows:
            image, category = row['image_id'], row['category_id']
            if image in self.foreign:
                continue
            if image not in self.times:
                notes[f'{what} of images that it does not list are left out'] += 1
                continue
            if category not in ids:
                notes[f'{what} of categories that it does not list are left out'] += 1
                continue
            crowds.append(bool(row.get('iscrowd')))
            if row.get('ignore') and not crowds[-1]:
                notes[f'{what} have ignore, but not iscrowd, and count, as in pycocotools'] += 1
            score = float(row.get('score', 1))
            made.append((self.times[image], *self._box(row), ids[category], 0, score))
            track = row.get('track_id', row.get('instance_id'))
            tracks.append('' if track is None else str(track))
        self.notes.update(notes)
        boxes = np.array(made, BOX_DTYPE)
        if tracks:
            boxes['track_id'] = track_ids(np.array(tracks), str(self.path), detections=detections)
        return boxes, np.array(crowds, bool)

    def _box(self, row: dict[str, Any]) -> list[float]:
        if row.get('bbox') is None:
            has = 'a segmentation, but no' if row.get('segmentation') else 'no'
            raise EvaluationError(
                f'{self.path}: annotation {row.get("id", "without id")} has {has} bbox; give the '
                'box of every annotation, [x, y, width, height] in pixels'
            )
        x, y, w, h = row['bbox']
        return [float(x), float(y), float(w), float(h)]

    def _categories(self) -> list[dict[str, Any]]:
        return sorted(self.content['categories'], key=lambda category: category['id'])


def read_coco(path: Path, name: str, clock: FrameClock, *, sole: bool) -> BoxFile:
    """
    Read the annotations of a recording.

    Every image is an annotated time; see ``read_images``.

    Raises
    ------
    EvaluationError
        If it is no COCO file, has no images of this recording, or none of its annotations is a
        label.

    """
    images = read_images(path, name, clock, sole=sole)
    with reading(path, _FIELDS):
        rows = images.content['annotations']
        boxes, crowds = images.read_rows(rows, 'annotations')
        own = sum(row['image_id'] not in images.foreign for row in rows)
    notes = left_out(path, images.notes)
    if own and not (~crowds).any():
        reason = f' ({"; ".join(notes)})' if notes else ''
        raise EvaluationError(
            f'{path}: holds no labels of {name}{reason}; name a file with annotations'
        )
    check_boxes(boxes, str(path))
    return BoxFile(
        sort_by_time(boxes[~crowds]),
        np.unique(np.array(list(images.times.values()), np.int64)),
        images.classes,
        sort_by_time(boxes[crowds]),
        images.relative,
        images.sensor_size,
        notes,
        listed=True,
    )


def read_coco_results(
    path: Path, images_file: Path, name: str, clock: FrameClock, *, sole: bool
) -> BoxFile:
    """
    Read detections: a list of results, or annotations with scores.

    Parameters
    ----------
    path : Path
        The detections.
    images_file : Path
        COCO file whose images and categories the results name.
    name : str
        Name of the recording.
    clock : FrameClock
        Times of numbered frames.
    sole : bool
        Whether the file of the images is that of this recording, and of no other.

    Raises
    ------
    EvaluationError
        If one of the files is not of this kind.

    """
    content = load_json(path, 'give a list of COCO results')
    images = read_images(images_file, name, clock, sole=sole)
    with reading(path, 'give a list of COCO results (image_id, category_id, bbox, score)'):
        rows = content if isinstance(content, list) else content['annotations']
        without = sum('score' not in row for row in rows)
        boxes, _ = images.read_rows(rows, 'detections', detections=True)
    check_boxes(boxes, str(path))
    if without:
        images.notes['detections have no score, which is taken as 1'] = without
    return BoxFile(
        sort_by_time(boxes),
        np.unique(np.array(list(images.times.values()), np.int64)),
        images.classes,
        relative=images.relative,
        sensor_size=images.sensor_size,
        warnings=left_out(path, images.notes),
    )


def is_coco(content: Any) -> bool:
    """Return whether the content of a JSON file is that of COCO."""
    return isinstance(content, dict) and isinstance(content.get('annotations'), list)


def has_images_of(content: dict[str, Any], name: str) -> bool:
    """Return whether a COCO file has images that name the recording or are in its folder."""
    images = content.get('images')
    videos = {one.get('id'): one for one in content.get('videos') or () if isinstance(one, dict)}
    wanted = set(stems(name))
    return isinstance(images, list) and any(
        isinstance(image, dict)
        and wanted.intersection(
            (recording_stem(_recording(image, videos) or ''), *_folders(image))
        )
        for image in images
    )


def read_images(path: Path, name: str, clock: FrameClock, *, sole: bool) -> CocoImages:
    """
    Read which images belong to a recording, and when they were taken.

    An image belongs to the recording that its ``recording``, ``sequence``, ``video`` or
    ``video_id`` names, else to that in whose folder it is. Images without any of them, or in a
    folder that is not called like a recording, belong to the only one.

    The time is that of ``clock`` if there is one, else that of the image (``t``, ``timestamp``,
    ``time``; see ``microseconds``), else that of the frame rate in the file.

    Raises
    ------
    EvaluationError
        If the images have no times, or are those of other recordings.

    """
    content = load_json(path, _ADVICE)
    with reading(path, _ADVICE):
        images: list[dict[str, Any]] = content['images']
        missing = [key for key in ('annotations', 'categories') if key not in content]
        if missing or not all(isinstance(image, dict) for image in images):
            raise EvaluationError(f'{path}: has no {" and ".join(missing) or "images"}; {_ADVICE}')
    with reading(path, _FIELDS):
        notes: dict[str, int] = {}
        videos = {one['id']: one for one in content.get('videos', ())}
        by_id = {image['id']: image for image in images}  # of equal ids the last, as pycocotools
        if len(by_id) < len(images):
            notes['images have the id of another one and are left out'] = len(images) - len(by_id)
        own = _choose_images(path, list(by_id.values()), videos, name, sole, notes)
        times, relative = _image_times(path, own, content, videos, clock, notes)
        sizes = {(int(image.get('height') or 0), int(image.get('width') or 0)) for image in own}
        height, width = sizes.pop() if len(sizes) == 1 else (0, 0)
    ids = [image['id'] for image in own]
    return CocoImages(
        path,
        content,
        dict(zip(ids, times)),
        set(by_id) - set(ids),
        relative,
        (height, width) if min(height, width) > 0 else None,
        notes,
    )


def _choose_images(
    path: Path,
    images: list[dict[str, Any]],
    videos: dict[Any, dict[str, Any]],
    name: str,
    sole: bool,
    notes: dict[str, int],
) -> list[dict[str, Any]]:
    """Return the images of a recording."""
    wanted = set(stems(name))
    named = [_recording(image, videos) for image in images]
    folders = [_folders(image) if not one else () for image, one in zip(images, named)]
    own = [
        image
        for image, one, parents in zip(images, named, folders)
        if recording_stem(one or '') in wanted
        or one in wanted
        or (not one and (not parents or wanted.intersection(parents)))
    ]
    others = sorted({one or '/'.join(parents) for one, parents in zip(named, folders)})
    if own or not images:
        return own
    if all(parents and _FOLDERS.issuperset(map(str.lower, parents)) for parents in folders):
        return images
    if len(others) == 1 and folders[0] and (sole or recording_stem(path) in wanted):
        notes[f'images are in the folder {others[0]} and are taken for those of {name}'] = len(
            images
        )
        return images
    raise EvaluationError(
        f'{path}: has no image of the recording {name}, only of '
        f'{", ".join(others[:3] + ["..."] * (len(others) > 3))}; name its labels'
    )


def _recording(image: dict[str, Any], videos: dict[Any, dict[str, Any]]) -> str | None:
    """Return the recording that an image names, ``None`` if it names none."""
    for key in RECORDING_KEYS:
        if image.get(key) is not None:
            return str(image[key])
    video = videos.get(image.get('video_id'))
    if video is None:
        return None
    return str(video.get('name', video.get('file_name', video['id'])))


def _folders(image: dict[str, Any]) -> tuple[str, ...]:
    parts = str(image.get('file_name', '')).replace('\\', '/').split('/')[:-1]
    return tuple(part for part in parts if part.strip('.') and not part.endswith(':'))


def _image_times(
    path: Path,
    images: list[dict[str, Any]],
    content: dict[str, Any],
    videos: dict[Any, dict[str, Any]],
    clock: FrameClock,
    notes: dict[str, int],
) -> tuple[list[int], bool]:
    """Return the times of the images, and whether they count from the start."""
    keys = [time_key(k for k, value in image.items() if value is not None) for image in images]
    if not clock.is_known and all(keys):
        units = {key[1] for key in keys if key}
        values = [image[key[0]] for image, key in zip(images, keys) if key]
        if len(units) == 1:
            return microseconds(values, *units), False
        rows = zip(values, (key[1] for key in keys if key))
        return [microseconds([value], unit)[0] for value, unit in rows], False
    if not clock.is_known:
        rates = {_frame_rate(image, content, videos) for image in images}
        if len(rates) != 1 or None in rates:
            raise EvaluationError(
                f'{path}: {sum(key is None for key in keys)} of {len(keys)} images have no time; '
                f'{_FIELDS}'
            )
        clock = FrameClock(rates.pop())
    numbers = [_frame_number(image) for image in images]
    if any(number is None for number in numbers):
        notes['images have no frame number and are taken in their order'] = len(numbers)
        numbers = list(range(len(images)))
    return clock([number for number in numbers if number is not None]), clock.relative


def _frame_rate(
    image: dict[str, Any], content: dict[str, Any], videos: dict[Any, dict[str, Any]]
) -> float | None:
    video = videos.get(image.get('video_id'), {})
    for holder in (image, video, content.get('info') or {}, content):
        for key in ('fps', 'frame_rate'):
            if isinstance(holder, dict) and holder.get(key) is not None:
                rate = float(holder[key])
                if not (math.isfinite(rate) and rate > 0):
                    raise ValueError(f'the frame rate {holder[key]!r} is no positive number')
                return rate
    return None


def _frame_number(image: dict[str, Any]) -> int | None:
    for key in FRAME_KEYS:
        if image.get(key) is not None:
            return int(image[key])
    name = str(image.get('file_name', '')).replace('\\', '/').rpartition('/')[2]
    return trailing_number(name.rpartition('.')[0] or name)
