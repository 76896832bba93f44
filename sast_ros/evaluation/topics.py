# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Labels and detections that were recorded as ``vision_msgs/msg/Detection2DArray``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
import re
from typing import Any

import numpy as np
from sast_ros.bags.definitions import message_types
from sast_ros.bags.detections import DETECTIONS_TYPE
from sast_ros.bags.rosbag import topic_messages
from sast_ros.bags.storage import open_storage, StorageFile
from sast_ros.evaluation.boxes import check_boxes, sort_by_time
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.events import EVENT_TYPES
from sast_ros.labels import BOX_DTYPE

LABELS_TYPE = 'vision_msgs/msg/LabelInfo'

#: A class id that is the number of a class.
_NUMBER = re.compile(r'[0-9]{1,9}')


@dataclass(frozen=True)
class TopicBoxes:
    """
    The messages of one topic.

    Attributes
    ----------
    topic : str
        Name of the topic.
    boxes : BOX_DTYPE[N]
        Sorted by ``t``, the stamp of the message in microseconds. ``class_confidence`` is the
        score of the best hypothesis; there is one track id for each ``id``.
    stamps_ns : int64[M]
        Stamps of all messages in nanoseconds, with or without objects, sorted.
    classes : tuple of str
        Class names in class-id order; empty if messages and bag state only numbers.
    partial : bool
        Whether the classes are only those of the objects, because there is no ``LabelInfo``.
    restarts : int
        How many stamps are before those of the message received before.
    tracks : int
        Number of different ids; objects without one have track ids above it, each its own.

    """

    topic: str
    boxes: np.ndarray
    stamps_ns: np.ndarray
    classes: tuple[str, ...]
    partial: bool = False
    restarts: int = 0
    tracks: int = 0

    @property
    def detections(self) -> np.ndarray:
        """The boxes with ``track_id`` 0 for those without ``id``, as detections have it."""
        boxes = self.boxes.copy()
        boxes['track_id'][boxes['track_id'] > self.tracks] = 0
        return boxes


def read_topic(
    path: Path, topic: str | None = None, *, option: str = '--label-topic'
) -> TopicBoxes:
    """
    Read the messages of one topic of a bag.

    Where the bag has a ``vision_msgs/msg/LabelInfo`` in the namespace of the topic, or one at all,
    the classes are its classes, and class ids may be their numbers. Without it numbers are those
    of the boxes, as in files.

    Parameters
    ----------
    path : Path
        A rosbag2 folder, ``.mcap`` or ``.db3`` file.
    topic : str, optional
        Name of the topic; by default the only one of this type.
    option : str
        What chooses the topic, for error messages.

    Raises
    ------
    EvaluationError
        If the topic does not exist or is ambiguous, has no messages, or has invalid boxes.
    RecordingError
        If this is not a bag, or a damaged one.

    """
    objects: list[tuple[int, str, str, float, list[float]]] = []
    stamps: list[int] = []
    with ExitStack() as stack:
        files = open_storage(path, stack).files
        chosen = _choose(path, _topics_of(files)[0], topic, option)
        names = _class_names(path, files, chosen)
        for array in _read(path, files, chosen, DETECTIONS_TYPE):
            stamp_ns = array.header.stamp.sec * 1_000_000_000 + array.header.stamp.nanosec
            stamps.append(stamp_ns)
            t = stamp_ns // 1000
            objects += [(t, *_read_object(path, chosen, t, one)) for one in array.detections]
    if not stamps:
        raise EvaluationError(f'{path}: there are no messages on {chosen}; name another recording')
    found = [_class_name(name, names) for _, name, *_ in objects]
    classes = tuple(dict.fromkeys([*names.values(), *sorted(set(found))]))
    ids, partial = {name: index for index, name in enumerate(classes)}, not names
    if classes and partial and all(map(_NUMBER.fullmatch, classes)):
        ids, classes, partial = {name: int(name) for name in classes}, (), False
    keys = sorted({key for _, _, key, *_ in objects} - {''})
    tracks = {key: number for number, key in enumerate(keys, start=1)}
    boxes = np.array(
        [
            # Objects without an id are tracks of their own
            (t, *box, ids[name], tracks[key] if key else len(tracks) + 1 + index, score)
            for index, (name, (t, _, key, score, box)) in enumerate(zip(found, objects))
        ],
        BOX_DTYPE,
    )
    check_boxes(boxes, f'{path}, {chosen}')
    times = np.array(stamps, np.int64)
    restarts = int(np.count_nonzero(np.diff(times) < 0))
    return TopicBoxes(
        *(chosen, sort_by_time(boxes), np.sort(times), classes, partial, restarts),
        tracks=len(tracks),
    )


def _read(path: Path, files: list[StorageFile], topic: str, type_name: str) -> Iterator[Any]:
    """Yield the messages of a topic; one that cannot be read would be an error of the result."""
    for index, message in enumerate(topic_messages(files, topic, type_name)):
        try:
            content = message_types().deserialize_cdr(message.cdr, type_name)
        except Exception as error:  # of rosbags
            raise EvaluationError(
                f'{path}: message {index} of {topic} is damaged ({error}); copy the recording '
                'again'
            ) from error
        yield content


def _class_names(path: Path, files: list[StorageFile], topic: str) -> dict[int, str]:
    """Return the names of the classes by their numbers, of the publisher of a topic; or none."""
    topics = sorted(
        {one.topic for file in files for one in file.connections() if one.msgtype == LABELS_TYPE}
    )
    beside = f'{topic.rpartition("/")[0]}/label_info'
    if len(topics) > 1:
        topics = [name for name in topics if name == beside]
    for labels in _read(path, files, topics[0], LABELS_TYPE) if topics else ():
        return {entry.class_id: entry.class_name for entry in labels.class_map}
    return {}


def _class_name(text: str, names: dict[int, str]) -> str:
    """Return the name that a ``class_id`` stands for, which may be a number."""
    known = text in names.values() or not text.isdecimal()
    return text if known else names.get(int(text), text)


def _read_object(
    path: Path, topic: str, t: int, detection: Any
) -> tuple[str, str, float, list[float]]:
    """Return class, id, score and x, y, w, h of one object."""
    if not detection.results:
        raise EvaluationError(
            f'{path}: an object of {topic} at {t / 1e6:.6f} s has no class; record it with a '
            'hypothesis'
        )
    hypotheses = (result.hypothesis for result in detection.results)
    best = max(hypotheses, key=lambda hypothesis: hypothesis.score)
    box, middle = detection.bbox, detection.bbox.center.position
    w, h = box.size_x, box.size_y
    return best.class_id, detection.id, best.score, [middle.x - w / 2, middle.y - h / 2, w, h]


def find_topics(path: Path) -> tuple[list[str], list[str]]:
    """
    Return the topics with detections and those with events in a bag.

    Raises
    ------
    RecordingError
        If this is not a bag, or a damaged one.

    """
    with ExitStack() as stack:
        return _topics_of(open_storage(path, stack).files)


def _topics_of(files: list[StorageFile]) -> tuple[list[str], list[str]]:
    found = [one for file in files for one in file.connections()]
    detections = {one.topic for one in found if one.msgtype == DETECTIONS_TYPE}
    events = {one.topic for one in found if one.msgtype in EVENT_TYPES}
    return sorted(detections), sorted(events)


def _choose(path: Path, topics: list[str], wanted: str | None, option: str) -> str:
    listing = ', '.join(topics) or 'none'
    if wanted is not None:
        if wanted not in topics:
            raise EvaluationError(
                f'{path} has no topic {wanted} of type {DETECTIONS_TYPE}; it has {listing}'
            )
        return wanted
    if len(topics) != 1:
        raise EvaluationError(
            f'{path} has {len(topics)} topics of type {DETECTIONS_TYPE} ({listing}); '
            + (f'choose one with {option}' if topics else 'name a recording with one')
        )
    return topics[0]
