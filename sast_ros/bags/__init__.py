# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings in, detections out."""

from __future__ import annotations

import os

from sast_ros.bags.detections import (
    detection_boxes,
    detection_message,
    DETECTIONS_TOPIC,
    DETECTIONS_TYPE,
    DetectionWriter,
)
from sast_ros.bags.errors import RecordingError
from sast_ros.bags.hdf5 import HDF5_SUFFIXES, Hdf5Recording
from sast_ros.bags.prophesee import PROPHESEE_SUFFIXES, PropheseeRecording
from sast_ros.bags.recording import EventTopic, Recording
from sast_ros.bags.rosbag import RosBag
from sast_ros.bags.storage import is_storage_file
from sast_ros.example import recording_path

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


def open_recording(path: str | os.PathLike, topic: str | None = None) -> Recording:
    """
    Open a recording of events; the extension of the file selects the format.

    Parameters
    ----------
    path : path-like
        Rosbag2 folder, ``.db3`` or ``.mcap`` file, rosbag1 ``.bag``, Prophesee ``.raw`` or
        ``.dat`` file, or HDF5 file (``.h5``, ``.hdf5``) in the layout of DSEC, M3ED or
        Metavision; ``'example'`` is the bundled recording.
    topic : str, optional
        Topic of a ROS bag, or group of an HDF5 file, to read; by default the only one that
        carries events.

    Raises
    ------
    RecordingError
        There is no such file, it is no recording or a damaged one, it has no events, or several
        topics with events and none of them was chosen.

    """
    path = recording_path(path)
    if not path.exists():
        raise RecordingError(f'{path} does not exist; name a recording ({_KINDS})')
    if path.is_dir() or path.suffix == '.bag' or is_storage_file(path):
        return RosBag(path, topic)
    if path.suffix.lower() in PROPHESEE_SUFFIXES:
        if topic is not None:
            raise RecordingError(
                f'{path} is a Prophesee file and has no topics; leave --topic out'
            )
        return PropheseeRecording(path)
    if path.suffix.lower() in HDF5_SUFFIXES:
        return Hdf5Recording(path, topic)
    raise RecordingError(f'{path} is no recording that can be read; name {_KINDS}')


_KINDS = (
    'a rosbag2 folder, .db3 or .mcap file, a rosbag1 .bag, a Prophesee .raw or .dat, or an HDF5 '
    '.h5 file'
)
