"""Labels of recordings: what was there to be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
import json
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags.storage import is_storage_file
from sast_ros.evaluation.boxes import check_boxes, read_boxes
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.topics import read_topic
from sast_ros.labels import BOX_DTYPE

#: Class names in class-id order of data sets whose files do not tell them.
LABEL_CLASSES = {
    'gen1': ('car', 'pedestrian'),
    '1mpx': (
        'pedestrian',
        'two-wheeler',
        'car',
        'truck',
        'bus',
        'traffic-sign',
        'traffic-light',
    ),
}

#: Sensor sizes, (height, width), of these data sets.
_SENSORS = {(240, 304): 'gen1', (720, 1280): '1mpx'}


@dataclass(frozen=True)
class Labels:
    """
    The labels of one recording.

    Parameters
    ----------
    path: where they come from.
    boxes: ``BOX_DTYPE[N]`` sorted by time.
    times: ``int64[T]``, times that somebody has looked at, sorted; those of the boxes and, where
        the source tells, those at which nothing was there.
    classes: class names in class-id order.
    clock: of the times, in microseconds: ``'recording'``, that of the events, or ``'ros'``.

    """

    path: Path
    boxes: np.ndarray
    times: np.ndarray
    classes: tuple[str, ...]
    clock: str = 'recording'


def canonical(name: str) -> str:
    """Return a class name as it is compared: ``'Two wheeler'`` is ``'two-wheeler'``."""
    plain = '-'.join(name.strip().lower().replace('_', ' ').replace('-', ' ').split())
    return {'person': 'pedestrian', 'twowheeler': 'two-wheeler'}.get(plain, plain)


def label_classes(text: str) -> tuple[str, ...]:
    """Return the classes that ``--label-classes`` names: a data set, or names with commas."""
    if text.lower() in LABEL_CLASSES:
        return LABEL_CLASSES[text.lower()]
    return tuple(name.strip() for name in text.split(',') if name.strip())


def find_labels(folder: Path, name: str) -> Path:
    """
    Return the label file of a recording.

    It is called ``NAME_bbox.npy``, ``NAME.json`` or, as the only JSON file with annotations, it is
    one for all recordings; or it is a bag, ``NAME_labels.mcap`` or ``NAME``, or the folder itself
    is one; a ``_td`` or ``_events`` at the end of the name does not count.

    Parameters
    ----------
    folder:
        where labels are, or a file with labels.
    name:
        of the recording, without suffix.

    Raises
    ------
    EvaluationError: there is none.

    """
    if not folder.exists():
        raise EvaluationError(f'{folder} does not exist; name the folder or file with labels')
    if folder.is_file():
        return folder
    for stem in stems(name):
        for candidate in (f'{stem}_bbox.npy', f'{stem}.npy', f'{stem}.json'):
            if (folder / candidate).is_file():
                return folder / candidate
        for candidate in (f'{stem}_labels.mcap', f'{stem}.mcap', f'{stem}.db3', stem):
            if _is_bag(folder / candidate):
                return folder / candidate
    shared = [path for path in sorted(folder.glob('*.json')) if _is_coco(path)]
    if len(shared) == 1:
        return shared[0]
    if _is_bag(folder):
        return folder
    there = sorted(path.name for path in folder.glob('*_bbox.npy'))
    listing = ', '.join(there[:3]) + (', ...' if len(there) > 3 else '') if there else 'none'
    raise EvaluationError(
        f'{folder} has no labels of the recording {name}: neither {stems(name)[-1]}_bbox.npy nor '
        f'{stems(name)[-1]}.json (there are: {listing}); name the folder with its labels'
    )


def stems(name: str) -> list[str]:
    """Return the names under which the labels of a recording may be kept."""
    names = [name]
    for ending in ('_td', '_events'):
        if name.endswith(ending):
            names.append(name[: -len(ending)])
    return names


def _is_bag(path: Path) -> bool:
    if path.is_dir():
        return (path / 'metadata.yaml').is_file()
    return path.is_file() and is_storage_file(path)


def _is_coco(path: Path) -> bool:
    try:
        return 'annotations' in json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, TypeError):
        return False


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
    path:
        ``.npy`` in the Prophesee layout, COCO ``.json``, or bag with a topic of
        ``vision_msgs/msg/Detection2DArray``.
    name:
        of the recording, for a COCO file with several.
    classes:
        class names in class-id order; by default those of the file itself, of ``dataset.json``
        beside it, of the data set with this sensor, or ``default``.
    sensor_size:
        (height, width) in pixels, if known.
    default:
        class names if nothing tells them.
    topic:
        of a bag, if there are several of this type.

    Raises
    ------
    EvaluationError: no labels, another format, or class ids without a name.
    RecordingError: a damaged bag.

    """
    reader = _READERS.get(path.suffix.lower())
    if path.is_dir() or is_storage_file(path):
        labels = _from_bag(path, topic)
    elif reader is not None:
        labels = reader(path, name)
    else:
        raise EvaluationError(
            f'{path}: labels are read from {", ".join(sorted(_READERS))} files and from bags'
        )
    if classes is not None or not labels.classes:
        named = tuple(classes or _guess_classes(path, sensor_size) or default)
        labels = replace(labels, classes=named)
    labels = replace(labels, classes=tuple(canonical(name) for name in labels.classes))
    unknown = labels.boxes['class_id'] >= len(labels.classes)
    if unknown.any():
        raise EvaluationError(
            f'{path}: {int(unknown.sum())} boxes have the class id '
            f'{int(labels.boxes["class_id"][unknown][0])}, but only '
            f'{len(labels.classes)} classes are known ({", ".join(labels.classes)}); tell the '
            'others with --label-classes'
        )
    return labels


def _guess_classes(path: Path, sensor_size: tuple[int, int] | None) -> tuple[str, ...]:
    index = path.parent / 'dataset.json'
    if index.is_file():
        try:
            return tuple(json.loads(index.read_text(encoding='utf-8'))['classes'])
        except (ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f'{index}: has no list of classes ({error}); correct it or give --label-classes'
            ) from error
    return LABEL_CLASSES.get(_SENSORS.get(sensor_size or (0, 0), ''), ())


def _from_numpy(path: Path, name: str) -> Labels:
    boxes = read_boxes(path)
    if not len(boxes):
        raise EvaluationError(f'{path}: holds no labels; name a file with boxes')
    return Labels(path, boxes, np.unique(boxes['t']), ())


def _from_coco(path: Path, name: str) -> Labels:
    """
    Read a COCO file.

    Every image is a time: ``t`` or ``timestamp`` in microseconds. Which recording it belongs to is
    its ``recording``, ``sequence`` or ``video``, or the folder in its ``file_name``; without any
    of them the whole file belongs to the one recording.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        images, annotations = content['images'], content['annotations']
        categories = sorted(content['categories'], key=lambda category: category['id'])
    except FileNotFoundError as error:
        raise EvaluationError(f'{path} does not exist; name a file with labels') from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f'{path}: is no COCO file ({type(error).__name__}: {error}); give one with images, '
            'annotations and categories'
        ) from error
    own = [image for image in images if _recording(image) in ('', *stems(name))]
    if images and not own:
        others = sorted({_recording(image) for image in images})
        raise EvaluationError(
            f'{path}: has no image of the recording {name}, only of {", ".join(others[:3])}'
            f'{", ..." if len(others) > 3 else ""}; name its labels'
        )
    ids = {category['id']: index for index, category in enumerate(categories)}
    try:
        times = {image['id']: int(_time(image)) for image in own}
        rows = [row for row in annotations if row['image_id'] in times]
        boxes = np.zeros(len(rows), BOX_DTYPE)
        for box, row in zip(boxes, rows):
            box['t'] = times[row['image_id']]
            box['x'], box['y'], box['w'], box['h'] = row['bbox']
            box['class_id'] = ids[row['category_id']]
            box['track_id'] = row.get('track_id', row.get('id', 0))
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(
            f'{path}: an image or annotation is incomplete ({type(error).__name__}: {error}); '
            'images need id and t (microseconds on the clock of the recording), annotations '
            'image_id, category_id and bbox'
        ) from error
    if not len(boxes):
        raise EvaluationError(f'{path}: holds no labels of {name}; name a file with boxes')
    boxes['class_confidence'] = 1
    check_boxes(boxes, str(path))
    return Labels(
        path,
        boxes[np.argsort(boxes['t'], kind='stable')],
        np.unique(np.array(list(times.values()), np.int64)),
        tuple(str(category['name']) for category in categories),
    )


def _from_bag(path: Path, topic: str | None) -> Labels:
    boxes, stamps, classes = read_topic(path, topic)
    if not len(boxes):
        raise EvaluationError(f'{path}: holds no labels; name a recording with objects')
    return Labels(path, boxes, np.unique(stamps), classes, 'ros')


def _recording(image: dict[str, Any]) -> str:
    for key in ('recording', 'sequence', 'video'):
        if key in image:
            return str(image[key])
    folder = Path(str(image.get('file_name', ''))).parent.name
    return folder


def _time(image: dict[str, Any]) -> int:
    return int(image['t'] if 't' in image else image['timestamp'])


_READERS: dict[str, Callable[[Path, str], Labels]] = {'.npy': _from_numpy, '.json': _from_coco}
