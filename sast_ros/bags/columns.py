# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Events as columns of numbers: their names, order, units and polarities.

The rules are those of all formats without a definition of their own (HDF5, text, arrays):

* a unit that the file names (attribute ``unit``, header ``t_us``) counts;
* times with a fraction are seconds; whole numbers are microseconds, above 1e17 nanoseconds;
* polarity is 0 or 1, -1 or 1, or a truth value;
* four columns without names are ``t x y p``, unless their values show another usual order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import re

import numpy as np
from sast_ros.bags.blocks import Columns
from sast_ros.bags.errors import RecordingError
from sast_ros.events._native import INVALID_POLARITY
from sast_ros.events.chunk import MAX_TIME_US

FIELDS = ('x', 'y', 'p', 't')

_NAMES = {
    'x': ('x', 'xs', 'pos_x', 'x_pos'),
    'y': ('y', 'ys', 'pos_y', 'y_pos'),
    'p': ('p', 'ps', 'pol', 'pols', 'polarity', 'polarities'),
    't': ('t', 'ts', 'time', 'times', 'timestamp', 'timestamps'),
}

#: Powers of ten that make microseconds.
UNITS = {'s': 6, 'ms': 3, 'us': 0, 'ns': -3}

_SPELLINGS = {
    's': ('s', 'sec', 'secs', 'second', 'seconds'),
    'ms': ('ms', 'msec', 'millisecond', 'milliseconds'),
    'us': ('us', 'usec', '\N{MICRO SIGN}s', '\N{GREEK SMALL LETTER MU}s', 'microsecond')
    + ('microseconds',),
    'ns': ('ns', 'nsec', 'nanosecond', 'nanoseconds'),
}
_UNIT_OF = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}

#: ``t_us``, ``t [us]``, ``time(us)``.
_NAME_WITH_UNIT = re.compile(r'(\w+?)(?:_| ?[\[(])(\w+)[\])]?')

#: Orders of four columns without names: of v2e and the E2VID data sets, of MVSEC, of Metavision.
ORDERS = ('txyp', 'xytp', 'xypt')

#: Events that decide about unit and order.
SAMPLE = 4096

#: Integer times above it are nanoseconds since 1970: as microseconds they were 3000 years.
_MIN_NANOSECONDS = 10**17

_MAX_SIDE = 8192


def find_fields(names: Iterable[str]) -> dict[str, str]:
    """Return the name of each field x, y, p, t among those of columns; empty unless all are."""
    bare: dict[str, str] = {}
    for name in names:
        for key in (name.strip().lower(), _split_unit(name)[0]):
            bare.setdefault(key, name)
    found = {
        field: next((bare[each] for each in _NAMES[field] if each in bare), '') for field in FIELDS
    }
    return found if all(found.values()) else {}


def name_unit(name: str) -> str | None:
    """Return the unit in the name of a column of times, ``'us'`` of ``'t_us'``."""
    return _split_unit(name)[1]


def read_unit(text: object) -> str | None:
    """Return the unit that a text names, ``None`` if it is none of time."""
    return _UNIT_OF.get(str(text).strip().lower())


def _split_unit(name: str) -> tuple[str, str | None]:
    match = _NAME_WITH_UNIT.fullmatch(name.strip().lower())
    unit = read_unit(match[2]) if match else None
    return (match[1], unit) if match and unit else (name.strip().lower(), None)


def time_unit(times: np.ndarray) -> str:
    """
    Return the unit of times that no name and no attribute tells.

    Parameters
    ----------
    times : numpy.ndarray
        The first times of the recording, floating-point or integer.

    Returns
    -------
    str
        ``'s'``, ``'us'`` or ``'ns'``. Floating-point times are seconds, unless they are many and
        (but for 1 %) have no fraction: then they are integers that were stored with others as
        floats.

    """
    if times.dtype.kind == 'f':
        finite = times[np.isfinite(times)]
        whole = finite[finite == np.rint(finite)]
        # A damaged value among many does not decide
        if len(finite) - len(whole) > len(finite) // 100 or len(np.unique(whole)) < 16:
            return 's'
        times = whole
    return 'ns' if len(times) and np.median(times) > _MIN_NANOSECONDS else 'us'


def column_order(rows: np.ndarray) -> str:
    """
    Return the order of four columns without names, one of ``ORDERS``.

    Parameters
    ----------
    rows : numpy.ndarray
        The first events, ``[N, 4]``.

    """
    rows = rows.astype(np.float64)
    usual, *others = ORDERS
    if _plausible(rows, usual) and (len(rows) < 100 or _steps_back(rows, usual) < 0.25):
        return usual
    for order in others:
        if _plausible(rows, order) and _steps_back(rows, order) < 0.05:
            return order
    return usual


def _plausible(rows: np.ndarray, order: str) -> bool:
    """Return whether nearly all rows hold a pixel and a polarity in these columns."""
    x, y, p = (rows[:, order.index(field)] for field in 'xyp')
    good = np.isin(p, (-1, 0, 1))
    for side in (x, y):
        good &= (side >= 0) & (side < _MAX_SIDE) & (side == np.rint(side))
    return bool(np.count_nonzero(good) >= 0.95 * len(rows))


def _steps_back(rows: np.ndarray, order: str) -> float:
    """Return the share of events whose time is before that of the one before."""
    steps = np.diff(rows[:, order.index('t')])
    return np.count_nonzero(steps < 0) / max(1, len(steps))


@dataclass(slots=True)
class RowCount:
    """
    Rows of a file so far, and how many of them have values that no event can have.

    Those are left out and counted. More than 1 % mean that the file or its layout is wrong.
    """

    rows: int = 0
    wrong: int = 0

    def add(self, rows: int, wrong: int) -> bool:
        """Count the next rows, the wrong ones among them; return whether too many are wrong."""
        self.rows += rows
        self.wrong += wrong
        return wrong > 0 and self.wrong > max(1, self.rows // 100)


def convert(
    columns: dict[str, np.ndarray], unit: str, place: str, first: int, count: RowCount
) -> Columns:
    """
    Return columns as integers, with times in microseconds.

    Single values that are no number, coordinates with a fraction, times that ROS cannot hold and
    other polarities give events with the polarity ``INVALID_POLARITY``, which are left out and
    counted.

    Parameters
    ----------
    columns : dict of str to numpy.ndarray
        ``x``, ``y``, ``p`` and ``t``, one-dimensional, of one length.
    unit : str
        Unit of the times, a key of ``UNITS``.
    place : str
        File and group, for errors.
    first : int
        Index of the first event in the recording, for errors.
    count : RowCount
        The events before; these are added.

    Raises
    ------
    RecordingError
        Too many of the events so far have such values.

    """
    values = {
        name: each.astype(each.dtype.newbyteorder('='), copy=False)
        for name, each in columns.items()
    }
    invalid = np.zeros(len(values['t']), bool)
    found: dict[str, np.ndarray] = {}
    for name, each in values.items():
        wrong = _find_wrong(name, each, unit)
        if wrong is not None and wrong.any():
            found[name] = wrong
            invalid |= wrong
    if count.add(len(invalid), int(np.count_nonzero(invalid))):
        index = int(np.argmax(invalid))
        name = next(name for name, wrong in found.items() if wrong[index])
        kind = {'t': f'time in {unit}', 'p': 'polarity'}.get(name, 'whole number')
        raise RecordingError(
            f'{place}: {name} of event {first + index} is {values[name][index]}, which is no '
            f'{kind}, and {count.wrong} of the first {count.rows} events are like it; export the '
            'recording anew'
        )
    for name, wrong in found.items():
        values[name] = np.where(wrong, np.zeros(1, values[name].dtype), values[name])
    p = _polarity(values['p'])
    if invalid.any():
        p = np.where(invalid, INVALID_POLARITY, p)
    return _pixels(values['x']), _pixels(values['y']), p, _microseconds(values['t'], unit)


def _find_wrong(name: str, values: np.ndarray, unit: str) -> np.ndarray | None:
    """Return which values their field cannot have, ``None`` if the type excludes that."""
    factor = 10.0 ** UNITS[unit]
    if name == 'p':
        return None if values.dtype.kind == 'b' else ~((values == 0) | (np.abs(values) == 1))
    if values.dtype.kind == 'f':
        if name == 't':
            with np.errstate(over='ignore'):
                return ~(np.abs(values.astype(np.float64)) * factor < MAX_TIME_US)
        return ~(np.isfinite(values) & (values == np.rint(values)))
    if name != 't' or (factor <= 1 and values.dtype.itemsize < 8):
        return None
    limit = int(MAX_TIME_US / factor)
    wrong = values > min(limit, np.iinfo(values.dtype).max)
    return wrong | (values < max(-limit, np.iinfo(values.dtype).min))


def _microseconds(times: np.ndarray, unit: str) -> np.ndarray:
    if times.dtype.kind == 'f':
        return np.rint(times.astype(np.float64) * 10.0 ** UNITS[unit]).astype(np.int64)
    if unit == 'ns':
        return (times // 1000).astype(np.int64)
    return times.astype(np.int64) * 10 ** UNITS[unit]


def _pixels(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != 'f':
        return values
    return np.clip(values, -1, 1 << 16).astype(np.int32)  # what is larger is outside as well


def _polarity(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == 'b':
        return values.view(np.uint8)
    if values.dtype.kind == 'f':
        values = np.clip(values, -2, 2).astype(np.int8)
    return values if values.dtype.kind == 'u' else np.where(values == -1, 0, values)


def check_type(place: str, name: str, dtype: np.dtype) -> None:
    """Raise RecordingError if the values of a column cannot be those of its field."""
    kinds = 'biuf' if name == 'p' else 'iuf'
    if dtype.kind not in kinds or dtype.itemsize > 8:
        raise RecordingError(
            f'{place}: {name} is of type {dtype}; it must hold numbers of at most 64 bits'
        )
