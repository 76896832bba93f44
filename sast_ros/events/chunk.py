# noqa: A005 - imported as sast_ros.events.chunk only
# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Events in memory.

One structure of arrays for every camera and every wire format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from sast_ros.errors import SastError

#: Reasons in ``EventChunk.left_out``: coordinates outside the sensor; a value that the format does
#: not allow, or an event that the source itself marked invalid; a time far from that of the
#: stream; a single message of another sensor size or frame than those around it; before row,
#: column and time were known (stream joined, or packets lost).
OUTSIDE_SENSOR = 'outside_sensor'
INVALID = 'invalid'
STRAY_TIME = 'stray_time'
OTHER_SIZE = 'other_size'
OTHER_FRAME = 'other_frame'
UNSYNCHRONISED = 'unsynchronised'

#: Limits of what is a sensor: pixels on a side and in all, and how many times longer one side may
#: be than the other. Anything beyond is corruption.
MAX_SENSOR_SIDE = 8192
_MAX_PIXELS = 1 << 24
_MAX_ASPECT = 32

#: What to do about a wrong size.
SIZE_ADVICE = 'give the right size (--sensor-size, in the node input.width and input.height)'

#: Times are within what ``builtin_interfaces/Time`` holds, in microseconds; others are invalid.
MAX_TIME_US = (2**31 - 1) * 1_000_000


class EventFormatError(SastError, ValueError):
    """
    A message, file or array that does not hold the events that it claims to hold.

    The text states what is wrong, where (message type, field, byte offset) and what to do.

    Attributes
    ----------
    field : str
        Name of the offending field, for example ``'events'``; empty for the whole message.
    offset : int or None
        Byte offset in the message or file, or index of the event; ``None`` if neither applies.

    """

    def __init__(self, message: str, *, field: str = '', offset: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.offset = offset


def refuse_sensor_size(height: int, width: int) -> str:
    """Return why no sensor has this size in pixels, empty if one may have it."""
    if not (0 < height <= MAX_SENSOR_SIDE and 0 < width <= MAX_SENSOR_SIDE):
        return f'each side must be 1 to {MAX_SENSOR_SIDE}'
    if height * width > _MAX_PIXELS:
        return f'no sensor has more than {_MAX_PIXELS} pixels'
    if max(height, width) > _MAX_ASPECT * min(height, width):
        return f'no side is more than {_MAX_ASPECT} times as long as the other'
    return ''


@dataclass(frozen=True, slots=True, eq=False)
class EventChunk:
    """
    A run of consecutive events of one camera.

    Attributes
    ----------
    x, y : uint16[N]
        Pixel column and row; (0, 0) is the top-left pixel.
    p : uint8[N]
        Polarity, 0 = OFF (darker), 1 = ON (brighter).
    t : int64[N]
        Microseconds, non-decreasing, on the clock named by ``clock``.
    width, height : int
        Sensor size in pixels; 0 if unknown.
    clock : {'sensor', 'ros'}
        Whether ``t`` counts the camera's own clock (EVT, libcaer) or is ROS time.
    stamp_ns : int or None
        ``header.stamp`` in nanoseconds of the message with the events; ``None`` outside ROS.
    frame_id : str
        ``header.frame_id`` of that message.
    reordered : int
        Events that were behind a later one in the source; they were sorted.
    late_us : int
        How far the latest of them was behind, microseconds.
    left_out : Mapping[str, int]
        Events of the source that are not in the chunk, by reason.
    lost_packets : int
        Messages missing before this one (gap in ``seq``).
    discontinuity : bool
        Whether time restarted before the first event of this chunk: a new stream. A
        ``StreamOrder`` keeps it for the next chunk with events.
    ordered : bool
        Whether a ``StreamOrder`` has placed the chunk in its stream.
    epoch_us : int
        Microseconds to add to ``t`` for the time on which all agree who receive this stream,
        whenever they joined: ``t`` of an EVT stream counts from a roll-over of the sensor's
        counter that depends on the first packet received (see ``EventPacketDecoder``), and that
        of a recording may be another clock than that of its messages.

    Raises
    ------
    EventFormatError
        Arrays of different lengths, values that do not fit the types above, polarity other than 0
        and 1, decreasing time, times beyond ``MAX_TIME_US``, or coordinates outside a known sensor
        size.

    """

    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    t: np.ndarray
    width: int = 0
    height: int = 0
    clock: Literal['sensor', 'ros'] = 'sensor'
    stamp_ns: int | None = None
    frame_id: str = ''
    reordered: int = 0
    late_us: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    lost_packets: int = 0
    discontinuity: bool = False
    ordered: bool = False
    checked: bool = field(default=False, repr=False)
    epoch_us: int = 0

    def __post_init__(self) -> None:
        if self.checked:  # decoders have verified their arrays while making them
            return
        for name, dtype in (('x', np.uint16), ('y', np.uint16), ('p', np.uint8), ('t', np.int64)):
            object.__setattr__(self, name, _as_exact(name, getattr(self, name), dtype))
        count = len(self.t)
        for name in ('x', 'y', 'p'):
            if len(getattr(self, name)) != count:
                raise EventFormatError(
                    f'EventChunk: {name} has {len(getattr(self, name))} elements but t has '
                    f'{count}; give one of each for every event',
                    field=name,
                )
        if count == 0:
            return
        if self.p.max() > 1:
            index = int(np.argmax(self.p > 1))
            raise EventFormatError(
                f'EventChunk: polarity of event {index} is {int(self.p[index])}; it must be 0 '
                '(OFF) or 1 (ON)',
                field='p',
                offset=index,
            )
        backwards = self.t[1:] < self.t[:-1]
        if backwards.any():
            index = int(np.argmax(backwards)) + 1
            raise EventFormatError(
                f'EventChunk: time of event {index} ({int(self.t[index])} us) is before that of '
                f'the previous one ({int(self.t[index - 1])} us); sort the events, for example by '
                'numpy.argsort(t, kind="stable")',
                field='t',
                offset=index,
            )
        if self.t[0] < -MAX_TIME_US or self.t[-1] > MAX_TIME_US:
            index = int(np.argmax((self.t < -MAX_TIME_US) | (self.t > MAX_TIME_US)))
            raise EventFormatError(
                f'EventChunk: time of event {index} is {int(self.t[index])} us, beyond what ROS '
                'time holds (68 years); give microseconds',
                field='t',
                offset=index,
            )
        for name, size in (('x', self.width), ('y', self.height)):
            values = getattr(self, name)
            if size and int(values.max()) >= size:
                index = int(np.argmax(values >= size))
                raise EventFormatError(
                    f'EventChunk: {name} of event {index} is {int(values[index])}, outside the '
                    f'sensor ({self.width}x{self.height} pixels)',
                    field=name,
                    offset=index,
                )

    def __len__(self) -> int:
        return len(self.t)

    @property
    def dropped(self) -> int:
        """Number of events of the source that are not in the chunk."""
        return sum(self.left_out.values())

    def __getitem__(self, events: slice) -> EventChunk:
        """Return a contiguous run of the events, as views; counts stay with the first event."""
        if not isinstance(events, slice) or events.step not in (None, 1):
            raise TypeError(
                'an EventChunk is sliced by a contiguous range of events, for example chunk[10:20]'
            )
        counts: dict[str, Any] = {}
        if events.indices(len(self))[0] == 0:
            names = ('reordered', 'late_us', 'left_out', 'lost_packets', 'discontinuity')
            counts = {name: getattr(self, name) for name in names}
        return EventChunk(
            self.x[events],
            self.y[events],
            self.p[events],
            self.t[events],
            width=self.width,
            height=self.height,
            clock=self.clock,
            stamp_ns=self.stamp_ns,
            frame_id=self.frame_id,
            ordered=self.ordered,
            checked=True,
            epoch_us=self.epoch_us,
            **counts,
        )


def _as_exact(name: str, values: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    """Return a one-dimensional, contiguous array of the dtype with exactly the same values."""
    given = np.asarray(values)
    if given.ndim != 1:
        raise EventFormatError(
            f'EventChunk: {name} has shape {given.shape}; it must be one-dimensional', field=name
        )
    if given.dtype == dtype:
        return np.ascontiguousarray(given)
    if given.size == 0:
        return np.empty(0, dtype)
    if given.dtype.kind not in 'biuf':
        raise EventFormatError(
            f'EventChunk: {name} has dtype {given.dtype}; it must be numeric', field=name
        )
    with np.errstate(invalid='ignore'):
        converted = given.astype(dtype)
    changed = converted != given
    if changed.any():
        index = int(np.argmax(changed))
        raise EventFormatError(
            f'EventChunk: {name} of event {index} is {given[index]}, which is no '
            f'{np.dtype(dtype).name}',
            field=name,
            offset=index,
        )
    return converted
