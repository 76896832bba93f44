# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One file of a ROS bag: the interface that all storage formats have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Connection:
    """
    A topic as one publisher wrote it into a file.

    Attributes
    ----------
    key : int
        Number of the connection in the file.
    topic : str
        Name of the topic.
    msgtype : str
        Message type in ROS 2 spelling; empty if the file does not state it.
    encoding : str
        Serialisation of the messages, ``'cdr'`` or ``'ros1'``; mcap may hold others as well.
    message_count : int
        Messages that the file states to hold.
    metadata : Mapping[str, str]
        What the file says of the topic beside; mcap only.

    """

    key: int
    topic: str
    msgtype: str
    encoding: str
    message_count: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)


#: ``(connection, receive time in ns, serialised message)``.
Stored = tuple[Connection, int, bytes]


class BagFile(ABC):
    """
    One file of a ROS bag, open.

    Parameters
    ----------
    path : Path
        The file, decompressed.

    Attributes
    ----------
    connections : tuple of Connection
        All topics.
    message_count : int
        Number of messages.
    start_time : int
        Receive time of the first message in ns, without messages ``2**63 - 1``.
    truncated : bool
        Whether the file ends too early or cannot be read to its end.

    """

    #: What states ``message_count`` of the connections.
    counted_by = 'index'

    connections: tuple[Connection, ...] = ()
    message_count: int = 0
    start_time: int = 2**63 - 1
    truncated: bool = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._clauses: list[str] = []

    @property
    def missing(self) -> str:
        """What is missing of the file or contradicts it, a clause; empty if the file is whole."""
        return '; '.join(self._clauses)

    def messages(self, connections: Collection[Connection]) -> Iterator[Stored]:
        """
        Yield the messages of some connections in the order of their receive times.

        Raises
        ------
        Exception
            The file is damaged; the type is that of the library that noticed it.

        """
        count = 0
        for stored in self._stored({one.key: one for one in connections}):
            count += 1
            yield stored
        stated = sum(one.message_count for one in connections)
        if count != stated:
            topics = ', '.join(sorted({one.topic for one in connections}))
            self.add_missing(
                f'{self.path.name} holds {count} messages of {topics}, but its {self.counted_by} '
                f'states {stated}'
            )

    def add_missing(self, clause: str) -> None:
        """Add a clause to ``missing``, once."""
        if clause not in self._clauses:
            self._clauses.append(clause)

    @abstractmethod
    def _stored(self, wanted: Mapping[int, Connection]) -> Iterator[Stored]:
        """Yield the messages of the wanted connections, by key, in the order of time."""

    def close(self) -> None:  # noqa: B027 - a file may be open only while it is read
        """Close the file."""
