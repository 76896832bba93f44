# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Labels and detections that were recorded as ``vision_msgs/msg/Detection2DArray``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags.definitions import message_types
from sast_ros.bags.detections import DETECTIONS_TYPE
from sast_ros.bags.rosbag import topic_messages
from sast_ros.bags.storage import open_storage
from sast_ros.evaluation.boxes import check_boxes, sort_by_time
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.events import EVENT_TYPES
from sast_ros.labels import BOX_DTYPE


def read_topic(
    path: Path, topic: str | None = None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """
    Read the messages of one topic of a bag.

    Parameters
    ----------
    path : Path
        A rosbag2 folder, ``.mcap`` or ``.db3`` file.
    topic : str, optional
        Name of the topic; by default the only one of this type.

    Returns
    -------
    boxes : BOX_DTYPE[N]
        Sorted by ``t``, the stamp of the message in microseconds. ``class_confidence`` is the
        score of the best hypothesis; there is one track id for each ``id``.
    stamps : int64[M]
        Stamps of all messages, with or without objects.
    classes : tuple of str
        Class names in class-id order.

    Raises
    ------
    EvaluationError
        If the topic does not exist or is ambiguous, has no messages, or has invalid boxes.
    RecordingError
        If this is not a bag, or a damaged one.

    """
    objects: list[tuple[int, str, str, float, list[float]]] = []
    stamps = []
    store = message_types()
    with ExitStack() as stack:
        files = open_storage(path, stack).files
        every = [connection for file in files for connection in file.connections()]
        found = {one.topic for one in every if one.msgtype == DETECTIONS_TYPE}
        chosen = _choose(path, sorted(found), topic)
        for _, raw in topic_messages(files, chosen, DETECTIONS_TYPE):
            array: Any = store.deserialize_cdr(raw, DETECTIONS_TYPE)
            t = array.header.stamp.sec * 1_000_000 + array.header.stamp.nanosec // 1000
            stamps.append(t)
            objects += [(t, *_read_object(path, chosen, t, one)) for one in array.detections]
    if not stamps:
        raise EvaluationError(f'{path}: there are no messages on {chosen}; name another recording')
    classes = tuple(sorted({name for _, name, *_ in objects}))
    tracks = {name: number for number, name in enumerate(sorted({row[2] for row in objects}))}
    boxes = np.array(
        [
            # Objects without an id are tracks of their own
            (t, *box, classes.index(name), tracks[key] if key else len(tracks) + index, score)
            for index, (t, name, key, score, box) in enumerate(objects)
        ],
        BOX_DTYPE,
    )
    check_boxes(boxes, f'{path}, {chosen}')
    return sort_by_time(boxes), np.sort(np.array(stamps, np.int64)), classes


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


def holds_only_detections(path: Path) -> bool:
    """
    Return whether a bag has a topic of detections and none of events.

    Raises
    ------
    RecordingError
        If this is not a bag, or a damaged one.

    """
    with ExitStack() as stack:
        files = open_storage(path, stack).files
        types = {c.msgtype for file in files for c in file.connections()}
    return DETECTIONS_TYPE in types and not types & set(EVENT_TYPES)


def _choose(path: Path, topics: list[str], wanted: str | None) -> str:
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
            + ('choose one with --label-topic' if topics else 'name a recording with one')
        )
    return topics[0]
