# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One topic in an mcap file, described so that any reader of rosbag2 understands it."""

from __future__ import annotations

from typing import BinaryIO

from mcap.writer import Writer
from sast_ros.bags.definitions import message_types


class McapTopic:
    """
    Write the messages of one topic.

    Parameters
    ----------
    stream : BinaryIO
        Output; it stays open.
    topic : str
        Name of the topic.
    type_name : str
        Message type in ROS 2 spelling, one of ``message_types``.

    """

    def __init__(self, stream: BinaryIO, topic: str, type_name: str) -> None:
        self._count = 0
        self._writer = Writer(stream)
        self._writer.start(profile='ros2', library='sast_ros')
        types = message_types()
        definition, _ = types.generate_msgdef(type_name, ros_version=2)
        schema = self._writer.register_schema(type_name, 'ros2msg', definition.encode())
        metadata = {'offered_qos_profiles': '', 'topic_type_hash': types.hash_rihs01(type_name)}
        self._channel = self._writer.register_channel(topic, 'cdr', schema, metadata)

    def write(self, message: bytes, time_ns: int) -> None:
        """Append a serialised message, logged and published at that time, numbered in order."""
        self._writer.add_message(self._channel, time_ns, message, time_ns, self._count)
        self._count += 1

    def finish(self) -> None:
        """Complete the file."""
        self._writer.finish()
