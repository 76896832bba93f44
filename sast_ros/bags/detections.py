# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detections in files: boxes as numpy file, as mcap recording, and a summary of the run."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from sast_ros.bags.definitions import message_types
from sast_ros.bags.mcap_topic import LogClock, McapTopic
from sast_ros.detections import detection_array, Detections, DETECTIONS_TYPE
from sast_ros.labels import BOX_DTYPE
from sast_ros.output import check_place, create_file, discard_file, lock_folder

#: One window per row: t = window end as in BOX_DTYPE; stamp_ns = the same in ROS time; events in
#: it; detections written; share (0..1) of windows and of tokens that stages 1 to 4 kept.
WINDOW_DTYPE = np.dtype(
    [
        ('t', '<i8'),
        ('stamp_ns', '<i8'),
        ('events', '<u4'),
        ('detections', '<u4'),
        ('kept_windows', '<f4', (4,)),
        ('kept_tokens', '<f4', (4,)),
    ]
)

_FILES = ('detections.npy', 'detections.mcap', 'windows.npy', 'summary.json')

DETECTIONS_TOPIC = '/detections'


def detection_boxes(detections: Detections) -> np.ndarray:
    """Return the detections of one window as ``BOX_DTYPE[N]``; ``track_id`` 0: no track."""
    boxes = np.zeros(len(detections), BOX_DTYPE)
    boxes['t'] = detections.t_end
    boxes['x'], boxes['y'] = detections.boxes[:, 0], detections.boxes[:, 1]
    boxes['w'] = detections.boxes[:, 2] - detections.boxes[:, 0]
    boxes['h'] = detections.boxes[:, 3] - detections.boxes[:, 1]
    boxes['class_id'] = detections.class_ids
    if detections.track_ids is not None:
        boxes['track_id'] = detections.track_ids
    boxes['class_confidence'] = detections.scores
    return boxes


def window_row(detections: Detections) -> np.ndarray:
    """Return the facts of a window beside its boxes, ``WINDOW_DTYPE[1]``."""
    row = np.zeros(1, WINDOW_DTYPE)
    row['t'], row['stamp_ns'] = detections.t_end, window_stamp_ns(detections)
    row['events'], row['detections'] = detections.events, len(detections)
    for stage, kept in enumerate(detections.kept):
        row['kept_windows'][0, stage], row['kept_tokens'][0, stage] = kept.windows, kept.tokens
    return row


def window_stamp_ns(detections: Detections) -> int:
    """Return the end of the window in ns, in ROS time if the recording has it."""
    if detections.stamp_ns is not None:
        return detections.stamp_ns
    if detections.t_end is None:
        raise ValueError(
            'detections of a StreamingDetector step have no time; those of EventPipeline do'
        )
    return 1000 * detections.t_end


def detection_message(
    detections: Detections, class_id_format: Literal['name', 'index'] = 'name'
) -> bytes:
    """Return the detections of one window as serialised ``vision_msgs/msg/Detection2DArray``."""
    types = message_types()
    array = detection_array(
        detections, window_stamp_ns(detections), types.types.__getitem__, class_id_format
    )
    return bytes(types.serialize_cdr(array, DETECTIONS_TYPE))


class DetectionWriter:
    """
    Write the detections into a folder while a recording is replayed.

    The files are ``detections.npy``, ``detections.mcap``, ``windows.npy`` (``WINDOW_DTYPE``, a
    row for every window, whether it has detections or not) and ``summary.json``. They are written
    under the names ``*.part`` and renamed by ``finish``, ``summary.json`` last: a folder with a
    summary is complete. Memory does not grow with the recording. The same detections give the same
    bytes.

    Parameters
    ----------
    folder : path-like
        Folder to write into, created if needed. Results of an earlier run are replaced by
        ``finish``. No other writer may write into it until the block ends.
    log_offset_ns : int
        ``Recording.log_offset_ns``: added to the log times of ``detections.mcap``, so that it
        plays beside the bag of the events; the stamps in the headers stay. Log times continue
        where time jumps back (camera restarted, bag in a loop).
    class_id_format : {'name', 'index'}
        Content of ``hypothesis.class_id`` in ``detections.mcap``.
    locked : bool
        Whether the caller holds the lock of the folder, ``lock_folder``.

    Raises
    ------
    OutputError
        Another process writes into the folder.
    OSError
        A file cannot be written; the error names it. This holds for every method.

    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        log_offset_ns: int = 0,
        class_id_format: Literal['name', 'index'] = 'name',
        locked: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self._class_id_format: Literal['name', 'index'] = class_id_format
        self._log_offset_ns = log_offset_ns
        self._clock = LogClock()
        with contextlib.ExitStack() as stack:
            if not locked:
                stack.enter_context(lock_folder(self.folder))
            for name in _FILES:
                check_place(self.folder / name)
            stack.callback(self._remove_parts)
            self._boxes = _RowFile(self._part('detections.npy'), BOX_DTYPE, stack)
            self._rows = _RowFile(self._part('windows.npy'), WINDOW_DTYPE, stack)
            self._stream = create_file(self._part('detections.mcap'))
            stack.callback(discard_file, self._stream)
            self._mcap = McapTopic(self._stream, DETECTIONS_TOPIC, DETECTIONS_TYPE)
            self._beside: dict[str, McapTopic] = {}
            self._stack = stack.pop_all()

    def write(self, detections: Detections) -> None:
        """Append the detections of one window; a window without any is a message without boxes."""
        self._boxes.append(detection_boxes(detections))
        self._rows.append(window_row(detections))
        message = detection_message(detections, self._class_id_format)
        self._mcap.write(message, self._log_time_ns(detections))

    def write_beside(
        self, detections: Detections, topic: str, type_name: str, message: bytes
    ) -> None:
        """Add a serialised message of another topic to ``detections.mcap``, at the same time."""
        if topic not in self._beside:
            self._beside[topic] = self._mcap.beside(topic, type_name)
        self._beside[topic].write(message, self._log_time_ns(detections))

    def _log_time_ns(self, detections: Detections) -> int:
        log_ns = window_stamp_ns(detections) + self._log_offset_ns
        if self._clock.is_behind(log_ns):
            duration_us = (detections.t_end or 0) - (detections.t_start or 0)
            self._clock.restart(log_ns - 1000 * duration_us)
        return self._clock.advance(log_ns)

    def finish(self, summary: dict[str, Any]) -> None:
        """Complete the files, write the summary and rename all of them."""
        self._boxes.close()
        self._rows.close()
        self._mcap.finish()
        self._stream.close()
        # A folder without summary is incomplete: the old one is removed first, the new one added
        # last.
        (self.folder / 'summary.json').unlink(missing_ok=True)
        with create_file(self._part('summary.json')) as file:
            file.write((json.dumps(summary, indent=2) + '\n').encode())
        for name in _FILES:
            os.replace(self._part(name), self.folder / name)
        self._stack.close()

    def _remove_parts(self) -> None:
        for name in _FILES:
            self._part(name).unlink(missing_ok=True)

    def __enter__(self) -> DetectionWriter:
        """Return the writer itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Remove the files if ``finish`` was not called."""
        self._stack.close()

    def _part(self, name: str) -> Path:
        return self.folder / f'{name}.part'


class _RowFile:
    """
    A ``.npy`` file of one dtype that grows; its header has no rows until it is closed.

    ``stack`` closes it, whatever happens.
    """

    def __init__(self, path: Path, dtype: np.dtype, stack: contextlib.ExitStack) -> None:
        self._count = 0
        self._dtype = dtype
        self._file: BinaryIO = create_file(path)
        stack.callback(discard_file, self._file)
        self._write_header()
        self._start = self._file.tell()

    def append(self, rows: np.ndarray) -> None:
        self._file.write(rows.tobytes())
        self._count += len(rows)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        # numpy leaves room in the header for the first axis to grow.
        if self._file.tell() != self._start:
            raise RuntimeError(
                f'numpy {np.__version__} wrote a header of {self._file.tell()} bytes, not '
                f'{self._start}'
            )
        self._file.close()

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                'descr': np.lib.format.dtype_to_descr(self._dtype),
                'fortran_order': False,
                'shape': (self._count,),
            },
        )
