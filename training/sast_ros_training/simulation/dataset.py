"""
Simulated recordings on disk.

Each is a rosbag2 mcap file with events, boxes in the Prophesee layout, and a preview; one
``dataset.json`` describes all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
import contextlib
from dataclasses import dataclass
import functools
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.bags.mcap_topic import McapTopic
from sast_ros.events.chunk import EventChunk
from sast_ros.events.encoders import cut_packets, EventArrayEncoder, EventPacketEncoder
from sast_ros.labels import BOX_DTYPE, CLASSES, MIN_SIDE, MIN_VISIBILITY
from sast_ros_training.simulation.sequence import (
    GEOMETRIES,
    SimulatedSequence,
    WINDOW_US,
)

if TYPE_CHECKING:
    from sast_ros_training.simulation.gltf import ModelLibrary

EVENTS_TOPIC = '/event_camera/events'
FRAME_ID = 'event_camera'

#: Message types by the name of the format.
FORMATS = {
    'evt3': 'event_camera_msgs/msg/EventPacket',
    'dvs': 'dvs_msgs/msg/EventArray',
}


@dataclass(frozen=True)
class SequencePlan:
    """What is to be simulated; everything else follows from the seed."""

    seed: int
    index: int
    seconds: float
    geometry: str
    motion: str | None
    models: Path | None
    encoding: str
    video: bool

    @property
    def name(self) -> str:
        """File name without suffix."""
        return f'drive_{self.index:04d}'


def labelled_boxes(labels: np.ndarray, height: int) -> np.ndarray:
    """
    Return the labels that a recording comes with, as ``BOX_DTYPE[N]``.

    labels: ``LABEL_DTYPE[N]``; objects that have never made enough events to be noticed, that
    are hidden but for a quarter, or that are too small are left out.
    height: of the sensor in pixels.
    """
    side = MIN_SIDE * max(1.0, height / 240)
    chosen = labels[
        labels['seen']
        & (labels['visibility'] >= MIN_VISIBILITY)
        & (np.minimum(labels['w'], labels['h']) >= side)
    ]
    boxes = np.zeros(len(chosen), BOX_DTYPE)
    for name in ('t', 'x', 'y', 'w', 'h', 'class_id', 'track_id'):
        boxes[name] = chosen[name]
    boxes['class_confidence'] = 1
    return boxes


def write_sequence(folder: Path, plan: SequencePlan) -> dict[str, Any]:
    """
    Simulate one sequence into ``NAME.mcap``, ``NAME_bbox.npy`` and, if wanted, ``NAME.mp4``.

    Returns its entry in ``dataset.json``. The files get their names when they are complete; the
    same plan gives the same bytes.
    """
    models = _models(plan.models) if plan.models else None
    sequence = SimulatedSequence(
        (plan.seed, plan.index), plan.seconds, plan.geometry, plan.motion, models=models
    )
    bag, boxes_file = folder / f'{plan.name}.mcap', folder / f'{plan.name}_bbox.npy'
    part = bag.with_suffix('.mcap.part')
    boxes, events = [], 0
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(part.open('wb'))
        writer = _EventBag(stream, plan.encoding, sequence.width, sequence.height)
        preview = None
        if plan.video:
            from sast_ros_training.simulation.preview import Preview

            preview = Preview(folder / f'{plan.name}.mp4', sequence.height, sequence.width)
            stack.enter_context(preview)
        for window in sequence.windows():
            writer.write(window.chunk)
            boxes.append(labelled_boxes(window.labels, sequence.height))
            events += len(window.chunk)
            if preview is not None:
                preview.add(window, boxes[-1])
        writer.write(sequence.tail)
        events += len(sequence.tail)
        writer.finish()
    rows = np.concatenate(boxes)
    part_boxes = boxes_file.with_suffix('.npy.part')
    with part_boxes.open('wb') as stream:
        np.save(stream, rows)
    os.replace(part, bag)
    os.replace(part_boxes, boxes_file)
    return {
        'name': plan.name,
        **sequence.describe(),
        'windows': sequence.count,
        'events': events,
        'boxes': {
            name: int((rows['class_id'] == index).sum()) for index, name in enumerate(CLASSES)
        },
        'tracks': len(np.unique(rows['track_id'])),
    }


@functools.cache
def _models(folder: Path) -> ModelLibrary:
    """Return the models of a folder, read once by each process."""
    from sast_ros_training.simulation.gltf import load_models

    return load_models(folder)


def write_dataset(
    folder: Path, plans: Sequence[SequencePlan], workers: int
) -> Iterable[dict[str, Any]]:
    """
    Simulate all sequences in ``workers`` processes and write ``dataset.json`` at the end.

    Yields the entry of each sequence as it gets done, in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index_file = folder / 'dataset.json'
    index_file.unlink(missing_ok=True)  # a folder with an index is complete
    entries = []
    if workers > 1 and len(plans) > 1:
        context = multiprocessing.get_context('spawn')
        with ProcessPoolExecutor(min(workers, len(plans)), mp_context=context) as pool:
            for entry in pool.map(write_sequence, [folder] * len(plans), plans):
                entries.append(entry)
                yield entry
    else:
        for plan in plans:
            entries.append(write_sequence(folder, plan))
            yield entries[-1]
    first = plans[0]
    height, width = GEOMETRIES[first.geometry]
    content = {
        'classes': list(CLASSES),
        'geometry': first.geometry,
        'width': width,
        'height': height,
        'seed': first.seed,
        'seconds': first.seconds,
        'format': first.encoding,
        'topic': EVENTS_TOPIC,
        'label_period_us': WINDOW_US,
        'sequences': entries,
    }
    part = index_file.with_suffix('.json.part')
    part.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
    os.replace(part, index_file)


class _EventBag:
    """An mcap recording of one event topic, a message every 4 ms; time begins at 0."""

    def __init__(self, stream: Any, format_name: str, width: int, height: int) -> None:
        encoder = EventPacketEncoder if format_name == 'evt3' else EventArrayEncoder
        self._encode = encoder(width, height, FRAME_ID)
        self._mcap = McapTopic(stream, EVENTS_TOPIC, FORMATS[format_name])

    def write(self, chunk: EventChunk) -> None:
        """Append the events, in messages as a driver sends them."""
        for packet in cut_packets(chunk):
            # Stamped as a driver does: when the first data of the message came, logged when the
            # last did.
            stamp, logged = 1000 * int(packet.t[0]), 1000 * int(packet.t[-1])
            self._mcap.write(self._encode(packet, stamp), logged)

    def finish(self) -> None:
        """Complete the file."""
        self._mcap.finish()
