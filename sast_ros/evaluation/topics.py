"""Labels and detections that were recorded as ``vision_msgs/msg/Detection2DArray``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags.definitions import message_types
from sast_ros.bags.detections import (
    DETECTIONS_TYPE,
)
from sast_ros.bags.rosbag import topic_messages
from sast_ros.bags.storage import open_storage
from sast_ros.evaluation.boxes import check_boxes
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
    path:
        rosbag2 folder, ``.mcap`` or ``.db3`` file.
    topic:
        name of the topic; by default the only one of this type.

    Returns
    -------
    ``BOX_DTYPE[N]`` with ``t`` the stamp of the message's header in microseconds, sorted by it
    (class ids by the names, ``class_confidence`` the score of the best hypothesis, a track id for
    each ``id``); ``int64[M]`` stamps of all messages, those without objects too; class names.

    Raises
    ------
    EvaluationError: no such topic, several of them, no messages, or boxes that are none.
    RecordingError: no bag, or a damaged one.

    """
    rows: list[tuple[int, float, float, float, float, str, str, float]] = []
    stamps = []
    store = message_types()
    with ExitStack() as stack:
        files, _ = open_storage(path, stack)
        chosen = _choose(
            path,
            sorted(
                {
                    connection.topic
                    for file in files
                    for connection in file.connections()
                    if connection.msgtype == DETECTIONS_TYPE
                }
            ),
            topic,
        )
        for _, raw in topic_messages(files, chosen, DETECTIONS_TYPE):
            array: Any = store.deserialize_cdr(raw, DETECTIONS_TYPE)
            stamp = array.header.stamp
            t = stamp.sec * 1_000_000 + stamp.nanosec // 1000
            stamps.append(t)
            for detection in array.detections:
                if not detection.results:
                    raise EvaluationError(
                        f'{path}: an object of {chosen} at {t / 1e6:.6f} s has no class; record '
                        'it with a hypothesis'
                    )
                best = max(detection.results, key=lambda result: result.hypothesis.score)
                box = detection.bbox
                rows.append(
                    (
                        t,
                        box.center.position.x - box.size_x / 2,
                        box.center.position.y - box.size_y / 2,
                        box.size_x,
                        box.size_y,
                        best.hypothesis.class_id,
                        detection.id,
                        best.hypothesis.score,
                    )
                )
    if not stamps:
        raise EvaluationError(f'{path}: there are no messages on {chosen}; name another recording')
    classes = tuple(sorted({row[5] for row in rows}))
    tracks = {name: number for number, name in enumerate(sorted({row[6] for row in rows}))}
    boxes = np.zeros(len(rows), BOX_DTYPE)
    for index, (row, box) in enumerate(zip(rows, boxes)):
        box['t'], box['x'], box['y'], box['w'], box['h'] = row[:5]
        box['class_id'] = classes.index(row[5])
        # Objects that nobody has tracked are objects of their own
        box['track_id'] = tracks[row[6]] if row[6] else len(tracks) + index
        box['class_confidence'] = row[7]
    check_boxes(boxes, f'{path}, {chosen}')
    order = np.argsort(boxes['t'], kind='stable')
    return boxes[order], np.sort(np.array(stamps, np.int64)), classes


def holds_only_detections(path: Path) -> bool:
    """
    Return whether a bag has a topic of detections and none of events.

    Raises
    ------
    RecordingError: no bag, or a damaged one.

    """
    with ExitStack() as stack:
        files, _ = open_storage(path, stack)
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
