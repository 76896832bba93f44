"""
The C loops of kernels/decode.c with their argument types.

Also what every decoder does with their results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import ctypes
from typing import Any, NamedTuple

import numpy as np
from sast_ros.events.chunk import EventChunk, EventFormatError, MAX_SENSOR_SIDE, TIME_JUMP_BACK_US
from sast_ros.kernels import library

#: Fields by the number that the loops return for an invalid value.
FIELDS = ('x', 'y', 'polarity', 'ts.nanosec')

#: What a loop returns when all values are valid.
OK = -1

_POINTER = ctypes.c_void_p
_INT64 = ctypes.c_int64
_UINT32 = ctypes.c_uint32
_INT32 = ctypes.c_int32
_EVENTS = [_POINTER] * 4  # x, y, p, t


def _declare(name: str, result: type | None, *arguments: type) -> Callable[..., Any]:
    function = getattr(library, name)
    function.restype = result
    function.argtypes = list(arguments)
    return function


event_array = _declare(
    'sast_event_array',
    _INT64,
    _POINTER,
    _INT64,
    _INT64,
    _UINT32,
    _UINT32,
    *_EVENTS,
    _POINTER,
    _POINTER,
)
evt3_scan = _declare('sast_evt3_scan', _INT64, _POINTER, _INT64, _INT64, _POINTER, _POINTER)
evt3_finish = _declare(
    'sast_evt3_finish',
    _INT64,
    _POINTER,
    _POINTER,
    _POINTER,
    _INT64,
    _INT64,
    _UINT32,
    _UINT32,
    _POINTER,
    _POINTER,
)
evt2 = _declare('sast_evt2', _INT64, _POINTER, _INT64, _POINTER, *_EVENTS)
evt21_count = _declare('sast_evt21_count', _INT64, _POINTER, _INT64, _INT32)
evt21 = _declare('sast_evt21', _INT64, _POINTER, _INT64, _INT32, _POINTER, *_EVENTS)
mono = _declare('sast_mono', None, _POINTER, _INT64, ctypes.c_uint64, *_EVENTS)
libcaer = _declare('sast_libcaer', _INT64, _POINTER, _INT64, _INT64, *_EVENTS)
libcaer_cmp_count = _declare('sast_libcaer_cmp_count', _INT64, _POINTER, _INT64)
libcaer_cmp = _declare('sast_libcaer_cmp', _INT64, _POINTER, _INT64, _INT64, *_EVENTS, _POINTER)
dat = _declare('sast_dat', _INT64, _POINTER, _INT64, _INT32, _POINTER, *_EVENTS)
_settle_time = _declare('sast_settle_time', None, _POINTER, _INT64, _INT64, _POINTER)
_steps_back = _declare('sast_steps_back', _INT64, _POINTER, _INT64)
_outside = _declare('sast_outside', _INT64, _POINTER, _POINTER, _INT64, _UINT32, _UINT32, _POINTER)


class DecodedEvents(NamedTuple):
    """
    Events of one payload.

    ``uint16[N]``, ``uint16[N]``, ``uint8[N]``, ``int64[N]`` us non-decreasing, and counts.
    """

    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    t: np.ndarray
    clamped: int = 0
    dropped: int = 0
    restarted: bool = False

    def chunk(self, restarted: bool = False, **fields: Any) -> EventChunk:
        """Return the events with their counts as a chunk with these further fields."""
        x, y, p, t, clamped, dropped, jumped = self
        return EventChunk(
            x,
            y,
            p,
            t,
            clamped=clamped,
            dropped=dropped,
            discontinuity=restarted or jumped,
            checked=True,
            **fields,
        )


def address(array: np.ndarray | bytearray) -> int:
    """
    Address of the first element of a writable, contiguous buffer.

    Unlike ``kernels.pointer`` it refuses read-only arrays, and is quicker: small messages are
    decoded in little more than the time of such calls.
    """
    if not len(array):
        return 0
    return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]


def addresses(arrays: Iterable[np.ndarray]) -> list[int]:
    """Address of each array."""
    return [address(array) for array in arrays]


#: x, y, p, t of some events.
EventArrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def empty_events(count: int) -> EventArrays:
    """Return arrays x, y, p, t for that many events, not initialised."""
    return (
        np.empty(count, np.uint16),
        np.empty(count, np.uint16),
        np.empty(count, np.uint8),
        np.empty(count, np.int64),
    )


def limit(size: int) -> int:
    """Return the first coordinate outside a sensor side of that size (0 = unknown)."""
    return size or MAX_SENSOR_SIDE


def steps_back(t: np.ndarray) -> bool:
    """Return whether time ever steps back."""
    return bool(_steps_back(address(t), len(t)))


def find_outside(x: np.ndarray, y: np.ndarray, width: int, height: int) -> tuple[int, str] | None:
    """Return index and field of the first event outside the sensor, ``None`` if there is none."""
    field = _INT32()
    index = _outside(
        address(x), address(y), len(x), limit(width), limit(height), ctypes.addressof(field)
    )
    return None if index == OK else (index, FIELDS[field.value])


def settle(
    x: np.ndarray,
    y: np.ndarray,
    p: np.ndarray,
    t: np.ndarray,
    unordered: bool | None = None,
    dropped: int = 0,
) -> DecodedEvents:
    """Clamp small steps back of time in place, and drop what is before the last long one."""
    if unordered is None:
        unordered = steps_back(t)
    if not unordered:
        return DecodedEvents(x, y, p, t, 0, dropped)
    result = np.empty(2, np.int64)
    _settle_time(address(t), len(t), TIME_JUMP_BACK_US, address(result))
    start, clamped = result.tolist()
    if start == 0:
        return DecodedEvents(x, y, p, t, clamped, dropped)
    return DecodedEvents(
        x[start:], y[start:], p[start:], t[start:], clamped, dropped + start, restarted=True
    )


def outside_error(
    name: str, found: tuple[int, str], x: np.ndarray, y: np.ndarray, width: int, height: int
) -> EventFormatError:
    """Return the error for an event that ``find_outside`` has found."""
    index, axis = found
    value = int((x if axis == 'x' else y)[index])
    return EventFormatError(
        f'{name} payload: {axis} of event {index} is {value}, outside the sensor of '
        f'{width}x{height} pixels; the packet is corrupt',
        field='events',
        offset=index,
    )
