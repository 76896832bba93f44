# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Simulated recordings on disk.

Each is a rosbag2 mcap file with events, boxes in the Prophesee layout, the ends of all windows,
and a preview; one ``dataset.json`` describes all of them that are complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
import contextlib
from dataclasses import dataclass
import io
import itertools
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.bags.mcap_topic import McapTopic
from sast_ros.errors import SastError
from sast_ros.evaluation.boxes import times_path
from sast_ros.events.chunk import EventChunk
from sast_ros.events.encoders import cut_packets, EventArrayEncoder, EventPacketEncoder
from sast_ros.labels import BOX_DTYPE, CLASSES, MIN_SIDE, MIN_VISIBILITY
from sast_ros.output import create_file, discard_file, lock_folder, write_file
from sast_ros.process import end_with_parent
from sast_ros_training.simulation.models import load_models_once
from sast_ros_training.simulation.preview import Preview
from sast_ros_training.simulation.sequence import GEOMETRIES, sequence_length_us, SimulatedSequence
from sast_ros_training.simulation.timing import DEFAULT_TIMING, WindowTiming

EVENTS_TOPIC = '/event_camera/events'
FRAME_ID = 'event_camera'

#: Time from one look at the progress of other processes to the next.
_POLL_S = 0.5

_EVALUATION_DTYPE = np.dtype([*BOX_DTYPE.descr, ('ignored', '?')])

#: Message type and encoder by the name of the format.
_FORMATS = {
    'evt3': ('event_camera_msgs/msg/EventPacket', EventPacketEncoder),
    'dvs': ('dvs_msgs/msg/EventArray', EventArrayEncoder),
}


class SimulationError(SastError, RuntimeError):
    """A process that simulates was killed or stopped."""


@dataclass(frozen=True)
class SequencePlan:
    """
    What is to be simulated; everything else follows from the seed.

    ``geometry``, ``motion``, ``models`` (a folder), ``timing`` and ``scene`` are those of
    ``SimulatedSequence``; ``encoding`` is 'evt3' or 'dvs'; ``video`` asks for a preview.
    """

    seed: int
    index: int
    seconds: float
    geometry: str
    motion: str | None
    models: Path | None
    encoding: str
    video: bool
    timing: WindowTiming = DEFAULT_TIMING
    scene: str | None = None

    @property
    def name(self) -> str:
        """File name without suffix."""
        return f'drive_{self.index:04d}'


def labelled_boxes(labels: np.ndarray, height: int) -> np.ndarray:
    """
    Return those of the labels (``LABEL_DTYPE[N]``) that a recording comes with, ``BOX_DTYPE[M]``.

    Objects that have never made enough events to be noticed, that are hidden but for a quarter, or
    that are too small for a sensor of this height are left out.
    """
    return _boxes(labels[_counts(labels, height)], BOX_DTYPE)


def evaluation_boxes(labels: np.ndarray, height: int) -> np.ndarray:
    """
    Return all labels (``LABEL_DTYPE[N]``) for ``mean_average_precision``.

    They are ``BOX_DTYPE[N]`` with the field ``ignored``, true for those that ``labelled_boxes``
    leaves out: these objects are there, and a detection of one is not false.
    """
    boxes = _boxes(labels, _EVALUATION_DTYPE)
    boxes['ignored'] = ~_counts(labels, height)
    return boxes


def _counts(labels: np.ndarray, height: int) -> np.ndarray:
    side = MIN_SIDE * max(1.0, height / 240)
    seen = labels['seen'] & (labels['visibility'] >= MIN_VISIBILITY)
    return seen & (np.minimum(labels['w'], labels['h']) >= side)


def _boxes(labels: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    boxes = np.zeros(len(labels), dtype)
    for name in ('t', 'x', 'y', 'w', 'h', 'class_id', 'track_id'):
        boxes[name] = labels[name]
    boxes['class_confidence'] = 1
    return boxes


def write_sequence(
    folder: Path, plan: SequencePlan, on_window: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """
    Simulate one sequence into ``NAME.mcap``, ``NAME_bbox.npy`` and, if wanted, ``NAME.mp4``.

    The ends of all windows, with boxes or without, go to ``NAME_bbox_times.npy``. Returns its
    entry in ``dataset.json``. The files get their names when they are complete, and incomplete
    ones are removed after an error; the same plan gives the same bytes. ``on_window`` is called
    after every window.
    """
    try:
        return _write_files(folder, plan, on_window)
    except BaseException:
        _remove_parts(folder, plan)
        raise


def _remove_parts(folder: Path, plan: SequencePlan) -> None:
    for part in folder.glob(f'{plan.name}[._]*.part'):
        part.unlink(missing_ok=True)


def _write_files(
    folder: Path, plan: SequencePlan, on_window: Callable[[], None]
) -> dict[str, Any]:
    models = load_models_once(plan.models) if plan.models else None
    seed = plan.seed, plan.index
    wanted = plan.seconds, plan.geometry, plan.motion, models, plan.timing, plan.scene
    sequence = SimulatedSequence(seed, *wanted)
    height, width = sequence.height, sequence.width
    message_type, make_encoder = _FORMATS[plan.encoding]
    encode: Any = make_encoder(width, height, FRAME_ID)
    bag = folder / f'{plan.name}.mcap'
    part = bag.with_suffix('.mcap.part')
    boxes, ends, events = [], [], 0
    with contextlib.ExitStack() as stack:
        stream = create_file(part)
        stack.callback(discard_file, stream)
        topic = McapTopic(stream, EVENTS_TOPIC, message_type)
        preview = None
        if plan.video:
            video = folder / f'{plan.name}.mp4'
            preview = Preview(video, height, width, plan.timing.stride_us)
            stack.enter_context(preview)
        for window in sequence.windows():
            events += _write_packets(topic, encode, window.chunk)
            boxes.append(labelled_boxes(window.labels, height))
            ends.append(window.t_end)
            if preview is not None:
                preview.add(window, boxes[-1])
            on_window()
        events += _write_packets(topic, encode, sequence.tail)
        topic.finish()
        stream.close()
    rows = np.concatenate(boxes)
    boxes_file = folder / f'{plan.name}_bbox.npy'
    for path, array in ((times_path(boxes_file), np.array(ends, np.int64)), (boxes_file, rows)):
        content = io.BytesIO()
        np.save(content, array)
        write_file(path, content.getvalue())
    os.replace(part, bag)
    if not plan.video:  # that of an earlier simulation would not match
        bag.with_suffix('.mp4').unlink(missing_ok=True)
    counts = np.bincount(rows['class_id'], minlength=len(CLASSES)).tolist()
    return {
        'name': plan.name,
        **sequence.describe(),
        'windows': sequence.count,
        'events': events,
        'boxes': dict(zip(CLASSES, counts, strict=True)),
        'tracks': len(np.unique(rows['track_id'])),
    }


def _write_packets(
    topic: McapTopic, encode: Callable[[EventChunk, int], bytes], chunk: EventChunk
) -> int:
    """Append events in messages of 4 ms; return how many."""
    for packet in cut_packets(chunk):
        # Stamped as a driver does: when the first data of the message came, logged when the last.
        topic.write(encode(packet, 1000 * int(packet.t[0])), 1000 * int(packet.t[-1]))
    return len(chunk)


#: In each process of ``_simulate_in_processes``: how many windows all of them have simulated, and
#: whether to stop.
_shared: Any = None


def _start_worker(parent: int, *shared: Any) -> None:
    global _shared
    _shared = shared
    end_with_parent(parent)


def _write_and_count(folder: Path, plan: SequencePlan) -> dict[str, Any]:
    counter, stop = _shared

    def check() -> None:
        if stop.value:
            raise SimulationError(f'{folder}: the simulation was stopped')

    def count() -> None:
        check()
        with counter.get_lock():
            counter.value += 1

    check()
    return write_sequence(folder, plan, count)


def write_dataset(
    folder: Path,
    plans: Sequence[SequencePlan],
    workers: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """
    Simulate all sequences in ``workers`` processes, and note each in ``dataset.json``.

    Without the class names there the boxes would be taken for those of another data set, so it is
    written behind the first sequence, and when the simulation is stopped. Returns its content.
    ``progress`` is called with the number of windows that are simulated, and of all.

    Raises
    ------
    OutputError
        Another process writes into the folder.
    SimulationError
        One of several processes was killed.
    OSError
        A file cannot be written; the error names it.

    """
    first = plans[0]
    total = len(plans) * len(first.timing.ends(sequence_length_us(first.seconds)))
    with lock_folder(folder):
        index_file = folder / 'dataset.json'
        index_file.unlink(missing_ok=True)
        height, width = GEOMETRIES[first.geometry]
        content: dict[str, Any] = {
            'classes': list(CLASSES),
            'geometry': first.geometry,
            'width': width,
            'height': height,
            'seed': first.seed,
            'seconds': first.seconds,
            'format': first.encoding,
            'topic': EVENTS_TOPIC,
            'window_us': first.timing.window_us,
            'label_period_us': first.timing.stride_us,
            'sequences': [],
        }
        entries: list[dict[str, Any]] = content['sequences']

        def note(entry: dict[str, Any]) -> None:
            entries.append(entry)
            if len(entries) == 1:  # of a killed simulation the classes are known
                _write_index(index_file, content)

        try:
            if workers > 1 and len(plans) > 1:
                _simulate_in_processes(
                    folder, plans, workers, lambda done: progress(done, total), note
                )
            else:
                done = itertools.count(1)
                for plan in plans:
                    note(write_sequence(folder, plan, lambda: progress(next(done), total)))
        finally:
            if entries:
                entries.sort(key=lambda one: one['seed'])
                _write_index(index_file, content)
    return content


def _write_index(path: Path, content: dict[str, Any]) -> None:
    write_file(path, json.dumps(content, indent=2) + '\n')


def _simulate_in_processes(
    folder: Path,
    plans: Sequence[SequencePlan],
    workers: int,
    progress: Callable[[int], None],
    note: Callable[[dict[str, Any]], None],
) -> None:
    """Simulate; ``note`` gets the entry of each sequence that is complete, also if one fails."""
    context = multiprocessing.get_context('spawn')
    counter, stop = context.Value('q', 0), context.RawValue('b', 0)
    with ProcessPoolExecutor(
        min(workers, len(plans)), context, _start_worker, (os.getpid(), counter, stop)
    ) as pool:
        running = {pool.submit(_write_and_count, folder, plan) for plan in plans}
        try:
            while running:
                ended, running = wait(running, _POLL_S, FIRST_EXCEPTION)
                progress(counter.value)
                for future in sorted(ended, key=lambda one: one.exception() is not None):
                    note(future.result())
        except BaseException as error:
            stop.value = not isinstance(error, Exception)  # an interruption does not wait for them
            pool.shutdown(cancel_futures=True)
            for future in running:
                if not future.cancelled() and future.exception() is None:
                    note(future.result())
            if isinstance(error, BrokenProcessPool):
                for plan in plans:
                    _remove_parts(folder, plan)
                raise SimulationError(
                    f'{folder}: a process that simulates was killed; lower --workers if memory is '
                    'short'
                ) from error
            raise
