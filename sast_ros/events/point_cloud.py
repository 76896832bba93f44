# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/msg/PointCloud2 with one event a point; its fields are found by their names."""

from __future__ import annotations

from dataclasses import replace
import struct
from typing import Literal

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events._native import (
    check_count,
    CLOCK_SIZE,
    DecodedEvents,
    empty_events,
    EventArrays,
    INVALID_POLARITY,
    pixels,
)
from sast_ros.events.cdr import Cursor
from sast_ros.events.chunk import EventChunk
from sast_ros.kernels import library

POINT_CLOUD = 'sensor_msgs/msg/PointCloud2'

#: sensor_msgs/PointField: datatype number to numpy type character.
_DATATYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}

#: Accepted names of the fields of an event; the first one present is taken.
_NAMES = {'x': ('x',), 'y': ('y',), 't': ('t', 'ts', 'timestamp', 'time'), 'p': ('p', 'polarity')}

#: Maximum fields of a point; a larger number is corruption.
_MAX_FIELDS = 256

#: Units of time in microseconds, as (multiplier, divisor).
_UNITS = {'s': (1_000_000, 1), 'ms': (1_000, 1), 'us': (1, 1), 'ns': (1, 1_000)}

#: Integral times from here on are nanoseconds since 1970; as microseconds they would be after the
#: year 5000.
_MIN_NANOSECONDS = 10**17

#: Times this close to header.stamp are ROS time.
_SAME_CLOCK_US = 10_000_000

#: Maximum magnitude of a time in microseconds (9 000 years); keeps int64 arithmetic exact.
_MAX_TIME_US = 2**58

_DIMENSIONS = struct.Struct('<II')
_FIELD = struct.Struct('<IB')
_U32 = struct.Struct('<I')
_FLAG = struct.Struct('<B')


class PointCloudDecoder:
    """
    Turn serialised PointCloud2 messages into EventChunks.

    Needs the fields ``x``, ``y``, one of ``t|ts|timestamp|time`` and one of ``p|polarity``, of any
    numeric datatype, at any offset, in either byte order. Polarity is 0/1 or -1/+1. Coordinates
    are whole pixels. Time is ROS time (``clock='ros'``) if the middle event of a message is within
    10 s of a ``header.stamp`` that is set, else that of the sensor. Times in integers of 32 bits
    roll over (in microseconds after 71.6 minutes) and are continued, each near the one before,
    past times with flipped bits; as for EVT, ``EventChunk.epoch_us`` moves them by whole periods
    to where the first are nearest to ``header.stamp``.

    Parameters
    ----------
    message_type : str
        Name for error messages.
    sensor_size : tuple of int, optional
        (height, width) in pixels, which the message does not contain; ``None``: unknown, 0 in the
        chunks.
    time_unit : {'auto', 's', 'ms', 'us', 'ns'}
        Unit of the time field. ``'auto'``: integers are microseconds; floating-point numbers are
        seconds if more than one in a hundred has a fraction, else nanoseconds from 1e17 on and
        microseconds below. Decided at the first message whose times are not all zero, and kept
        until ``reset``.

    """

    def __init__(
        self,
        message_type: str = POINT_CLOUD,
        *,
        sensor_size: tuple[int, int] | None = None,
        time_unit: Literal['auto', 's', 'ms', 'us', 'ns'] = 'auto',
    ) -> None:
        if time_unit != 'auto' and time_unit not in _UNITS:
            raise SettingError(f"time_unit is {time_unit!r}; give 'auto', 's', 'ms', 'us' or 'ns'")
        self._message_type = message_type
        self._height, self._width = sensor_size or (0, 0)
        self._given_unit = time_unit
        self.stated_size = (0, 0)
        self.reset()

    def reset(self) -> None:
        """Forget which unit of time and which clock were found, and roll-overs of time."""
        self._unit: str | None = None if self._given_unit == 'auto' else self._given_unit
        self._clock: Literal['sensor', 'ros'] = 'sensor'
        self._counter = np.zeros(CLOCK_SIZE, np.int64)  # continues times of 32 bits, in their unit
        self._is_counting = False
        self._epoch_us: int | None = None

    def __call__(self, raw: bytes | bytearray | memoryview) -> EventChunk:
        """
        Decode one message.

        Events outside the sensor, between pixels, with a polarity that is neither 0/1 nor -1/+1,
        or with an impossible time are left out.

        Raises
        ------
        EventFormatError
            Truncated message, a size that does not agree with the data, a missing field, or more
            than half of the events are invalid.

        """
        cursor = Cursor(raw, self._message_type)
        stamp_ns, frame_id = cursor.header()
        values = _read_points(cursor)
        events = self._events(cursor, values) if values else empty_events(0)
        chunk = DecodedEvents(*events).chunk(
            width=self._width, height=self._height, stamp_ns=stamp_ns, frame_id=frame_id
        )
        if len(chunk):
            # The middle event, because a stray is first or last
            behind = stamp_ns // 1000 - int(chunk.t[len(chunk) // 2])
            is_ros = stamp_ns and abs(behind) <= _SAME_CLOCK_US  # 0: not set
            self._clock = 'ros' if is_ros else 'sensor'
            if self._epoch_us is None and self._is_counting:
                multiplier, divisor = _UNITS[self._unit or 'us']
                period = multiplier << 32
                periods = (2 * behind * divisor + period) // (2 * period)
                self._epoch_us = periods * period // divisor
        return replace(chunk, clock=self._clock, epoch_us=self._epoch_us or 0, checked=True)

    def _events(self, cursor: Cursor, values: dict[str, np.ndarray]) -> EventArrays:
        x, y, p = values['x'], values['y'], values['p']
        t, possible = self._microseconds(values['t'])
        on = p == 1
        with np.errstate(invalid='ignore'):  # signalling NaN
            valid = {
                't': possible,
                'x': x == np.floor(x),
                'y': y == np.floor(y),
                'p': on | (p == 0) | (p == -1),
            }
        polarity = on.astype(np.uint8)
        polarity[~np.logical_and.reduce(list(valid.values()))] = INVALID_POLARITY
        if 2 * np.count_nonzero(polarity == INVALID_POLARITY) > len(t):
            name = min(valid, key=lambda name: np.count_nonzero(valid[name]))
            index = int(np.argmin(valid[name]))
            raise cursor.error(
                f'data.{name}', None, f'{values[name][index]} of event {index} is {_WRONG[name]}'
            )
        return pixels(x), pixels(y), polarity, t

    def _microseconds(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the times in microseconds, and which of them are possible."""
        if values.dtype.kind != 'f':
            unit = self._unit or ('us' if values.any() else None)
            multiplier, divisor = _UNITS[unit or 'us']
            self._unit = unit
            # PointField has no integers of more than 32 bits
            longest = values.dtype.itemsize == 4
            values = self._continue(values) if longest else values.astype(np.int64)
            possible = np.abs(values) <= _MAX_TIME_US // multiplier
            return np.where(possible, values, 0) * multiplier // divisor, possible
        finite = np.isfinite(values)
        values = np.where(finite, values, 0).astype(np.float64)
        unit = self._unit or _find_unit(values[finite])
        multiplier, divisor = _UNITS[unit or 'us']
        with np.errstate(over='ignore'):
            values = (
                np.floor(values * multiplier + 0.5) if divisor == 1 else np.floor(values / divisor)
            )
        possible = finite & (np.abs(values) <= _MAX_TIME_US)
        if 2 * np.count_nonzero(possible) >= len(values):
            self._unit = unit
        return np.where(possible, values, 0).astype(np.int64), possible

    def _continue(self, values: np.ndarray) -> np.ndarray:
        """Return times of 32 bits with their roll-overs, in the same unit."""
        counts = values.astype(np.int64)
        if not self._is_counting and not counts.any():
            return counts  # not set yet
        times = np.empty_like(counts)
        library.sast_continue_counts(counts, len(counts), self._counter, times)
        self._is_counting = bool(abs(times[-1]) <= _MAX_TIME_US)
        if not self._is_counting:  # only random values get there
            self._counter[:] = 0
        return times


#: What is wrong with most events of a refused message, by field.
_WRONG = {
    'x': 'no whole pixel',
    'y': 'no whole pixel',
    't': 'no possible time; give the right time_unit',
    'p': 'neither 0/1 nor -1/+1',
}


def _read_points(cursor: Cursor) -> dict[str, np.ndarray]:
    """Read the message behind its header; return x, y, t and p of the points, if there are any."""
    rows, columns = cursor.read(_DIMENSIONS, 4, 'height', 'width')
    fields = _read_fields(cursor)
    (big_endian,) = cursor.read(_FLAG, 1, 'is_bigendian')
    if big_endian > 1:
        raise cursor.error('is_bigendian', cursor.offset - 1, f'{big_endian} is no boolean')
    point_step, row_step = cursor.read(_DIMENSIONS, 4, 'point_step', 'row_step')
    start, size = cursor.sequence('data', 1)
    cursor.read(_FLAG, 1, 'is_dense')
    cursor.finish('is_dense')
    if rows * columns == 0:
        return {}
    # Before anything is allocated for their number
    if point_step == 0:
        raise cursor.error('point_step', None, 'points have no bytes')
    if rows > 1 and row_step < columns * point_step:
        raise cursor.error(
            'row_step', None, f'{row_step} is less than {columns} points of {point_step} bytes'
        )
    needed = (rows - 1) * row_step + columns * point_step
    if needed > size:
        raise cursor.error(
            'data',
            start,
            f'{rows} x {columns} points of {point_step} bytes need {needed} bytes but there are '
            f'{size}',
        )
    check_count(rows * columns)
    values = {}
    for key, names in _NAMES.items():
        name = next((name for name in names if name in fields), None)
        if name is None:
            wanted = ' or '.join(names)
            raise cursor.error(
                f'fields.{key}',
                None,
                f'no field {wanted}; events need x, y, a time and a polarity',
            )
        offset, kind = fields[name]
        if offset + int(kind[1]) > point_step:
            raise cursor.error(
                f'fields.{name}',
                None,
                f'offset {offset} is outside the point of {point_step} bytes',
            )
        values[key] = np.ndarray(
            (rows, columns),
            ('>' if big_endian else '<') + kind,
            cursor.data,
            start + offset,
            (row_step, point_step),
        ).reshape(-1)
    return values


def _read_fields(cursor: Cursor) -> dict[str, tuple[int, str]]:
    """Read sensor_msgs/PointField[]: offset and numpy type of the fields of events by name."""
    (count,) = cursor.read(_U32, 4, 'fields')
    if count > _MAX_FIELDS:
        raise cursor.error(
            'fields', cursor.offset - 4, f'{count} fields; no point has more than {_MAX_FIELDS}'
        )
    fields: dict[str, tuple[int, str]] = {}
    for index in range(count):
        label = f'fields[{index}]'
        name = cursor.string(f'{label}.name')
        offset, datatype = cursor.read(_FIELD, 4, f'{label}.offset', f'{label}.datatype')
        datatype_at = cursor.offset - 1
        (repeats,) = cursor.read(_U32, 4, f'{label}.count')
        kind = _DATATYPES.get(datatype)
        if any(name in names for names in _NAMES.values()):
            if kind is None:
                raise cursor.error(
                    f'{label}.datatype', datatype_at, f'{datatype} is no PointField datatype'
                )
            if repeats > 1:
                raise cursor.error(
                    f'{label}.count', cursor.offset - 4, f'{name} has {repeats} values a point'
                )
            fields.setdefault(name, (offset, kind))
    return fields


def _find_unit(values: np.ndarray) -> str | None:
    """Return the unit that floating-point times show, ``None`` if they are all zero."""
    if not len(values):
        return None
    if 100 * np.count_nonzero(values != np.floor(values)) > len(values):
        return 's'
    if np.median(np.abs(values)) >= _MIN_NANOSECONDS:
        return 'ns'
    return 'us' if values.any() else None
