# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ROS messages in mcap, as rosbag2 records them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sast_ros.bags.mcap_topic import LogClock, McapTopic, StreamClock
from sast_ros.bags.recording import FRAME_ID
from sast_ros.bags.writers.base import EventWriter
from sast_ros.errors import SettingError
from sast_ros.events import EventChunk
from sast_ros.events.encoders import (
    cut_packets,
    EventArrayEncoder,
    EventPacketEncoder,
    EVT3_MAX_SIDE,
    EVT3_PERIOD_US,
)

#: Message types by the name that users give.
MESSAGES = {
    'EventPacket': 'event_camera_msgs/msg/EventPacket',
    'EventArray': 'dvs_msgs/msg/EventArray',
}

DEFAULT_TOPIC = '/event_camera/events'


class McapWriter(EventWriter):
    """
    Write ``.mcap`` with one topic of EventPacket (EVT 3.0) or EventArray.

    A message of the source stays a message, with its stamp and frame; other events are cut as a
    driver sends them, and stamped with their own time. ``StreamClock`` in the metadata of the
    channel says how times of the messages and of the recording relate.

    Parameters
    ----------
    path : Path
        The file to write.
    sensor_size : tuple of int or None
        (height, width) in pixels; it must be known.
    force : bool
        Whether to replace a file that exists.
    message : str
        ``'EventPacket'`` or ``'EventArray'``.
    topic : str
        Name of the topic.
    log_offset_ns : int
        ``Recording.log_offset_ns`` of the source.

    """

    name = 'EventPacket (EVT 3.0)'

    def __init__(
        self,
        path: Path,
        sensor_size: tuple[int, int] | None,
        *,
        force: bool = False,
        message: str = 'EventPacket',
        topic: str = DEFAULT_TOPIC,
        log_offset_ns: int = 0,
    ) -> None:
        self._packets = message == 'EventPacket'
        if self._packets:
            self.max_side = EVT3_MAX_SIDE
        if sensor_size is None:
            raise SettingError(
                f'{path}: ROS messages hold the size of the sensor, which the recording does not '
                'state; give it with --sensor-size'
            )
        super().__init__(path, sensor_size, force=force)
        self._topic, self._type = topic, MESSAGES[message]
        self._log_offset_ns = log_offset_ns
        self._mcap: McapTopic | None = None
        self._clock = LogClock()

    def _write(self, chunk: EventChunk) -> None:
        if self._mcap is None:
            self._begin(chunk)
        parts = [chunk] if chunk.stamp_ns is not None else cut_packets(chunk)
        for part in parts:
            self._send(part)

    def _begin(self, chunk: EventChunk) -> None:
        """Open the topic; the first events of the stream decide about its clock."""
        first_us = int(chunk.t[0]) if len(chunk) else 0
        if self._packets:
            # What the 24 bits of EVT 3.0 lack
            self._offset_us = first_us // EVT3_PERIOD_US * EVT3_PERIOD_US
        elif chunk.clock == 'sensor' and chunk.stamp_ns is not None:
            # Events of an EventArray are in ROS time
            self._offset_us = first_us - chunk.stamp_ns // 1000
        else:
            self._offset_us = 0
        encoder = EventPacketEncoder if self._packets else EventArrayEncoder
        self._encode = encoder(self.width, self.height, FRAME_ID)
        self._mcap = McapTopic(
            self._stream, self._topic, self._type, StreamClock(chunk.clock, self._offset_us)
        )

    def _send(self, chunk: EventChunk) -> None:
        """Append one message."""
        assert self._mcap is not None
        if chunk.stamp_ns is None:
            # Stamped when the first data of the message came, received when the last did
            stamp_ns, log_ns = 1000 * int(chunk.t[0]), 1000 * int(chunk.t[-1])
        else:
            self._encode.frame_id = chunk.frame_id
            stamp_ns = chunk.stamp_ns
            log_ns = stamp_ns + self._log_offset_ns
        if isinstance(self._encode, EventPacketEncoder):
            message = self._encode(chunk, stamp_ns)
        else:
            message = self._encode(chunk, stamp_ns, 1000 * (int(chunk.t[0]) - self._offset_us))
        if chunk.discontinuity:
            self._clock.restart(log_ns)
        self._mcap.write(message, self._clock.advance(log_ns))

    def _finish(self) -> None:
        if self._mcap is None:
            # A message without events says how large the sensor is
            none = np.empty(0, np.int64)
            self._begin(EventChunk(none, none, none, none))
            assert self._mcap is not None
            self._mcap.write(self._encode(EventChunk(none, none, none, none), 0), 0)
        self._mcap.finish()
