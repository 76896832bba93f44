"""
sensor_msgs/msg/PointCloud2 with one event a point.

No convention exists, so fields are found by name.
"""

from __future__ import annotations

from dataclasses import dataclass
import struct
from typing import Literal

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.events import _native
from sast_ros.events.cdr import Cursor
from sast_ros.events.chunk import EventChunk

POINT_CLOUD = 'sensor_msgs/msg/PointCloud2'

#: sensor_msgs/PointField: datatype number to numpy type character.
_DATATYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}

#: Accepted names of what an event needs; the first one present is taken.
_NAMES = {'x': ('x',), 'y': ('y',), 't': ('t', 'ts', 'timestamp', 'time'), 'p': ('p', 'polarity')}

#: More fields than any point has: a larger number is corruption.
_MAX_FIELDS = 256

#: Units of time in microseconds, as (multiplier, divisor).
_UNITS = {'s': (1_000_000, 1), 'ms': (1_000, 1), 'us': (1, 1), 'ns': (1, 1_000)}

#: Whole times from here on are nanoseconds since 1970: as microseconds they would lie after the
#: year 5000.
_NANOSECONDS_FROM = 10**17

#: Times this close to header.stamp are ROS time.
_SAME_CLOCK_US = 10_000_000

#: Largest magnitude of a time in microseconds that is believed (9 000 years); keeps int64
#: arithmetic exact.
_MAX_TIME_US = 2**58

_DIMENSIONS = struct.Struct('<II')
_FIELD = struct.Struct('<IB')
_U32 = struct.Struct('<I')
_FLAG = struct.Struct('<B')


@dataclass(frozen=True, slots=True)
class _PointField:
    """One field of a point."""

    offset: int
    kind: str


class PointCloudDecoder:
    """
    Turn serialised PointCloud2 messages into EventChunks.

    Needs the fields ``x``, ``y``, one of ``t|ts|timestamp|time`` and one of ``p|polarity``, of any
    numeric datatype, at any offset, in either byte order. Polarity is 0/1 or -1/+1. Coordinates
    are whole pixels.

    Parameters
    ----------
    sensor_size: (height, width) in pixels; the message does not tell. ``None``: unknown, 0 in the
        chunks.
    time_unit: unit of the time field. ``'auto'``: integers are microseconds; floating-point
        numbers are seconds if any of them has a fraction, else nanoseconds from 1e17 on and
        microseconds below. Decided at the first message whose times are not all zero, and kept
        until ``reset``.

    Time is ROS time (``clock='ros'``) if the first event of a message lies within 10 s of
    ``header.stamp``, else the sensor's.

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
        self.reset()

    def reset(self) -> None:
        """Forget which unit of time and which clock were found."""
        self._unit: str | None = None if self._given_unit == 'auto' else self._given_unit
        self._clock: Literal['sensor', 'ros'] = 'sensor'

    def __call__(self, raw: bytes | bytearray | memoryview) -> EventChunk:
        """
        Decode one message.

        Raises
        ------
        EventFormatError: truncated message, a size that does not agree with the data, a missing
            field, coordinates that are no pixels of the sensor, a polarity that is neither 0/1 nor
            -1/+1, or times that are not finite.

        """
        cursor = Cursor(raw, self._message_type)
        stamp_ns, frame_id = cursor.header()
        rows, columns = cursor.read(_DIMENSIONS, 4, 'height', 'width')
        fields = self._fields(cursor)
        (big_endian,) = cursor.read(_FLAG, 1, 'is_bigendian')
        if big_endian > 1:
            raise cursor.error('is_bigendian', cursor.offset - 1, f'{big_endian} is no boolean')
        point_step, row_step = cursor.read(_DIMENSIONS, 4, 'point_step', 'row_step')
        start, size = cursor.sequence('data', 1)
        cursor.read(_FLAG, 1, 'is_dense')
        cursor.finish('is_dense')
        self._check_size(cursor, start, size, rows, columns, point_step, row_step)

        count = rows * columns
        if count == 0:
            return self._chunk(*_native.empty_events(0), stamp_ns, frame_id, 0, 0, restarted=False)
        order = '>' if big_endian else '<'
        values = {}
        for name, found in self._needed(cursor, fields, point_step).items():
            values[name] = np.ndarray(
                (rows, columns),
                order + found.kind,
                cursor.data,
                start + found.offset,
                (row_step, point_step),
            ).reshape(count)
        x = self._coordinates(cursor, 'x', values['x'], self._width)
        y = self._coordinates(cursor, 'y', values['y'], self._height)
        p = self._polarity(cursor, values['p'])
        t = self._microseconds(cursor, values['t'])
        x, y, p, t, clamped, dropped, restarted = _native.settle(x, y, p, t)
        return self._chunk(x, y, p, t, stamp_ns, frame_id, clamped, dropped, restarted=restarted)

    def _chunk(
        self,
        x: np.ndarray,
        y: np.ndarray,
        p: np.ndarray,
        t: np.ndarray,
        stamp_ns: int,
        frame_id: str,
        clamped: int,
        dropped: int,
        *,
        restarted: bool,
    ) -> EventChunk:
        if len(t):
            self._clock = (
                'ros' if abs(int(t[0]) - stamp_ns // 1000) <= _SAME_CLOCK_US else 'sensor'
            )
        return EventChunk(
            x,
            y,
            p,
            t,
            width=self._width,
            height=self._height,
            clock=self._clock,
            stamp_ns=stamp_ns,
            frame_id=frame_id,
            clamped=clamped,
            dropped=dropped,
            discontinuity=restarted,
            checked=True,
        )

    @staticmethod
    def _fields(cursor: Cursor) -> dict[str, _PointField]:
        """Read sensor_msgs/PointField[]: fields by name."""
        (count,) = cursor.read(_U32, 4, 'fields')
        if count > _MAX_FIELDS:
            raise cursor.error(
                'fields',
                cursor.offset - 4,
                f'{count} fields; no point has more than {_MAX_FIELDS}',
            )
        fields: dict[str, _PointField] = {}
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
                fields.setdefault(name, _PointField(offset, kind))
        return fields

    @staticmethod
    def _needed(
        cursor: Cursor, fields: dict[str, _PointField], point_step: int
    ) -> dict[str, _PointField]:
        """Pick the fields of an event, and check that they lie within the point."""
        needed = {}
        for key, names in _NAMES.items():
            name = next((name for name in names if name in fields), None)
            if name is None:
                wanted = ' or '.join(names)
                raise cursor.error(
                    f'fields.{key}',
                    None,
                    f'no field {wanted}; events need x, y, a time and a polarity',
                )
            field = fields[name]
            if field.offset + int(field.kind[1]) > point_step:
                raise cursor.error(
                    f'fields.{name}',
                    None,
                    f'offset {field.offset} lies outside the point of {point_step} bytes',
                )
            needed[key] = field
        return needed

    @staticmethod
    def _check_size(
        cursor: Cursor,
        start: int,
        size: int,
        rows: int,
        columns: int,
        point_step: int,
        row_step: int,
    ) -> None:
        """Check that the points really are in the data before anything is made of their number."""
        if rows * columns == 0:
            return
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
                f'{rows} x {columns} points of {point_step} bytes need {needed} bytes but there '
                f'are {size}',
            )

    @staticmethod
    def _coordinates(cursor: Cursor, name: str, values: np.ndarray, side: int) -> np.ndarray:
        with np.errstate(invalid='ignore'):
            pixels = values.astype(np.uint16)
        bad = (pixels != values) | (pixels >= _native.limit(side))
        if bad.any():
            index = int(np.argmax(bad))
            room = f'0..{_native.limit(side) - 1}'
            raise cursor.error(
                f'data.{name}',
                None,
                f'{values[index]} of event {index} is no whole pixel in {room}',
            )
        return pixels

    @staticmethod
    def _polarity(cursor: Cursor, values: np.ndarray) -> np.ndarray:
        on = values == 1
        bad = ~(on | (values == 0))
        if bad.any():
            bad &= values != -1
            if bad.any():
                index = int(np.argmax(bad))
                raise cursor.error(
                    'data.p', None, f'{values[index]} of event {index} is neither 0/1 nor -1/+1'
                )
        return on.view(np.uint8)

    def _microseconds(self, cursor: Cursor, values: np.ndarray) -> np.ndarray:
        # PointField has no integers of more than 32 bits: nothing can overflow
        if values.dtype.kind != 'f':
            unit = self._unit or ('us' if values.any() else None)
            multiplier, divisor = _UNITS[unit or 'us']
            self._unit = unit
            return values.astype(np.int64) * multiplier // divisor
        finite = np.isfinite(values)
        if not finite.all():
            index = int(np.argmin(finite))
            raise cursor.error('data.t', None, f'time of event {index} is {values[index]}')
        unit = self._unit or self._find_unit(values)
        multiplier, divisor = _UNITS[unit or 'us']
        values = values.astype(np.float64)
        with np.errstate(over='ignore'):
            values = (
                np.floor(values * multiplier + 0.5) if divisor == 1 else np.floor(values / divisor)
            )
        low, high = values.min(), values.max()
        if low < -_MAX_TIME_US or high > _MAX_TIME_US:
            raise cursor.error(
                'data.t', None, f'times reach from {low} to {high} us; give the right time_unit'
            )
        self._unit = unit
        return values.astype(np.int64)

    @staticmethod
    def _find_unit(values: np.ndarray) -> str | None:
        """Return the unit that floating-point times show, ``None`` if they are all zero."""
        if (values != np.floor(values)).any():
            return 's'
        if np.abs(values).max() >= _NANOSECONDS_FROM:
            return 'ns'
        return 'us' if values.any() else None
