# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings in, detections out."""

from __future__ import annotations

from collections.abc import Callable
import os

from sast_ros.bags.aedat4 import AEDAT4_SUFFIXES, Aedat4Recording
from sast_ros.bags.arrays import ARRAY_SUFFIXES, ArrayRecording
from sast_ros.bags.detections import (
    detection_boxes,
    detection_message,
    DETECTIONS_TOPIC,
    DETECTIONS_TYPE,
    DetectionWriter,
)
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.event_stream import EVENT_STREAM_SUFFIXES, EventStreamRecording
from sast_ros.bags.hdf5 import HDF5_SUFFIXES, Hdf5Recording
from sast_ros.bags.names import compression_problem
from sast_ros.bags.prophesee import PROPHESEE_SUFFIXES, PropheseeRecording
from sast_ros.bags.recording import EventTopic, Recording
from sast_ros.bags.rosbag import RosBag
from sast_ros.bags.storage import storage_suffix
from sast_ros.bags.text import TEXT_SUFFIXES, TextRecording
from sast_ros.example import recording_path
from sast_ros.foreign_file import foreign_content

__all__ = [
    'DETECTIONS_TOPIC',
    'DETECTIONS_TYPE',
    'DetectionWriter',
    'EventTopic',
    'Recording',
    'RecordingError',
    'detection_boxes',
    'detection_message',
    'open_recording',
]


#: What opens a file, by the end of its name, and the kinds for error messages.
_READERS: tuple[tuple[tuple[str, ...], Callable[..., Recording], str], ...] = (
    (PROPHESEE_SUFFIXES, PropheseeRecording, 'Prophesee .raw or .dat'),
    (AEDAT4_SUFFIXES, Aedat4Recording, 'iniVation .aedat4'),
    (EVENT_STREAM_SUFFIXES, EventStreamRecording, 'Event Stream .es'),
    (HDF5_SUFFIXES, Hdf5Recording, 'HDF5 .h5'),
    (TEXT_SUFFIXES, TextRecording, 'text .txt or .csv (also .gz, .zip)'),
    (ARRAY_SUFFIXES, ArrayRecording, 'numpy .npy or .npz'),
)

#: Kinds of files with several streams, of which ``topic`` names one.
_WITH_TOPICS = (Aedat4Recording, Hdf5Recording)

#: Every kind of recording, for error messages and help.
KINDS = ', '.join(
    ['a rosbag2 folder, .db3 or .mcap', 'rosbag1 .bag', *(kind for _, _, kind in _READERS)]
)


def open_recording(path: str | os.PathLike, topic: str | None = None) -> Recording:
    """
    Open a recording of events; the extension of the file selects the format.

    Parameters
    ----------
    path : path-like
        Rosbag2 folder, ``.db3`` or ``.mcap`` file, rosbag1 ``.bag`` (these also with ``.zst`` or
        ``.zstd`` behind, in small or capital letters), or a file of another format
        (docs/how_to/recordings.md); ``'example'`` is the bundled recording.
    topic : str, optional
        Topic of a ROS bag, group of an HDF5 file, or stream of an ``.aedat4`` file, to read; by
        default the only one that carries events.

    Raises
    ------
    RecordingError
        There is no such file, it is no recording or a damaged one, it has no events, or several
        topics with events and none of them was chosen.

    """
    path = recording_path(path)
    if not path.exists():
        raise RecordingError(f'{path} does not exist; name a recording ({KINDS})')
    if not (path.is_file() or path.is_dir()):  # opening a pipe would wait for its writer
        raise RecordingError(f'{path} is a pipe or device; write it to a file, and name that')
    if path.is_dir() or storage_suffix(path):
        return RosBag(path, topic)
    for suffixes, reader, _ in _READERS:
        if not path.name.lower().endswith(suffixes):
            continue
        if topic is not None and reader not in _WITH_TOPICS:
            raise RecordingError(f'{path} has no topics; leave --topic out')
        problem = foreign_content(path, 'the recording')
        if problem:
            raise RecordingError(f'{path} {problem}')
        return reader(path, topic) if reader in _WITH_TOPICS else reader(path)
    problem = compression_problem(path)
    problem = problem and (foreign_content(path, 'the recording') or problem)
    raise RecordingError(f'{path} {problem or f"is no recording that can be read; name {KINDS}"}')
