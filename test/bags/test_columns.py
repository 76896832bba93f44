# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Columns of events: names, units, polarities and orders."""

from __future__ import annotations

from facts import facts
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from sast_ros.bags import columns, RecordingError
from sast_ros.events._native import INVALID_POLARITY

UNITS = st.sampled_from(['s', 'ms', 'us', 'ns'])


def convert(unit: str = 'us', **changed: object) -> columns.Columns:
    """Convert three events, in which these columns are others."""
    given_columns = {name: np.arange(3) % 2 for name in columns.FIELDS} | {
        name: np.array(values) for name, values in changed.items()
    }
    return columns.convert(given_columns, unit, 'file.h5: /events', 100, columns.RowCount())


@pytest.mark.parametrize(
    ('names', 'order'),
    [
        ('x y p t', 'xypt'),
        ('xs,ys,ts,ps', 'xytp'),
        ('pos_x,pos_y,polarity,timestamp', 'xypt'),
        ('X,Y,Pol,Time', 'xypt'),
        ('t [us],x,y,p', 'txyp'),
        ('x,y,p,t_ns', 'xypt'),
        ('Timestamp (us),x,y,pols', 'txyp'),
    ],
)
def test_columns_are_found_by_their_usual_names(names, order):
    listed = names.split(',') if ',' in names else names.split()
    wanted = dict(zip(order, listed, strict=True))
    assert columns.find_fields(['id', *listed, 'frame']) == wanted


@pytest.mark.parametrize('names', ['', 'x y p', 'x y t', 'x y p q', 'width height x y'])
def test_columns_are_not_guessed(names):
    assert columns.find_fields(names.split()) == {}


@pytest.mark.parametrize(
    ('name', 'unit'),
    [('t_us', 'us'), ('t [ns]', 'ns'), ('time(ms)', 'ms'), ('timestamp_sec', 's'), ('ts', None)]
    + [('timestamps', None), ('t_offset', None)],
)
def test_a_name_may_tell_the_unit(name, unit):
    assert columns.name_unit(name) == unit


@given(st.lists(st.integers(0, 2**40), min_size=40, max_size=60, unique=True), UNITS)
def test_times_in_any_unit_come_out_as_microseconds(times, unit):
    exact = sorted(times)
    scaled = {'s': 1e-6, 'ms': 1e-3, 'us': 1.0, 'ns': 1e3}[unit] * np.array(exact, np.float64)
    t = convert(unit, x=exact, y=exact, p=np.zeros(len(exact)), t=scaled)[3]
    assert t.dtype == np.int64
    np.testing.assert_array_equal(t, exact)


@given(st.integers(0, 2**41), st.sampled_from(['u8', 'i8', '>i8', '>u8']))
def test_integers_are_microseconds_or_since_1970_nanoseconds(start, dtype):
    times = (start + np.arange(50) * 7).astype(dtype)
    assert columns.time_unit(times) == 'us'
    epoch = ((times + times.dtype.type(10**15)) * 1000).astype(dtype)
    assert columns.time_unit(epoch) == 'ns'
    t = convert('ns', x=np.zeros(50), y=np.zeros(50), p=np.zeros(50), t=epoch)[3]
    np.testing.assert_array_equal(t, times.astype('i8') + 10**15)


def test_floats_are_seconds_unless_none_of_many_has_a_fraction():
    assert columns.time_unit(np.array([0.0, 1.0, 2.0])) == 's'
    assert columns.time_unit(np.arange(100) / 1e6) == 's'
    assert columns.time_unit(np.arange(100, dtype=np.float64)) == 'us'
    assert columns.time_unit(1.6e18 + np.arange(100) * 1e6) == 'ns'
    assert columns.time_unit(np.array([np.nan, np.inf])) == 's'


@pytest.mark.parametrize(
    ('given_p', 'wanted'),
    [
        (np.array([False, True]), [0, 1]),
        (np.array([0, 1], np.uint8), [0, 1]),
        (np.array([-1, 1], np.int8), [0, 1]),
        (np.array([-1.0, 1.0]), [0, 1]),
    ],
)
def test_polarities_of_every_kind_are_0_and_1(given_p, wanted):
    p = convert(x=[0, 0], y=[0, 0], t=[0, 0], p=given_p)[2]
    assert p.tolist() == wanted


@pytest.mark.parametrize('name', columns.FIELDS)
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 1e300])
def test_one_value_that_is_no_number_costs_one_event_and_many_are_an_error(name, value):
    values = np.arange(1000) % 2 + 0.0
    full = dict.fromkeys(columns.FIELDS, values)
    spoilt = values.copy()
    spoilt[500] = value
    x, _, p, t = columns.convert({**full, name: spoilt}, 's', 'file.h5', 0, columns.RowCount())
    valid = (p != INVALID_POLARITY) & (x >= 0) & (x <= 1) & (p <= 1)
    wanted = np.arange(1000) != 500
    if name != 'y' or not np.isfinite(value):
        np.testing.assert_array_equal(valid & (p >= 0), wanted)
    np.testing.assert_array_equal(t[wanted], 1_000_000 * values[wanted])
    if not np.isfinite(value) or name == 't':
        with pytest.raises(RecordingError, match=facts('file.h5', name, 'event 7')):
            columns.convert(
                {**full, name: np.full(1000, value)}, 's', 'file.h5', 7, columns.RowCount()
            )


def test_wrong_values_are_judged_by_their_share_of_all_events_so_far():
    good = dict.fromkeys(columns.FIELDS, np.arange(1000) % 2 + 0.0)
    bad = {**good, 'x': np.full(1000, np.nan)}
    count = columns.RowCount()
    for _ in range(150):
        columns.convert(good, 's', 'file.h5', 0, count)
    p = columns.convert(bad, 's', 'file.h5', 0, count)[2]
    assert (p == INVALID_POLARITY).all()
    with pytest.raises(RecordingError, match=facts('file.h5', 'x', 'event 9', 2000, 152_000)):
        columns.convert(bad, 's', 'file.h5', 9, count)


def test_coordinates_with_fractions_are_an_error():
    with pytest.raises(RecordingError, match=facts('file.h5', 'x', 'event 100', 0.5)):
        convert(x=[0.5, 1.5, 2.5])


@pytest.mark.parametrize(('unit', 'time'), [('s', 2**62), ('us', 2**63), ('ms', -(2**61))])
def test_times_beyond_those_of_ros_are_an_error(unit, time):
    with pytest.raises(RecordingError, match=facts('file.h5', 't', 'event 100', time)):
        convert(unit, t=[time] * 3)


@given(st.data(), st.sampled_from(columns.ORDERS), st.integers(100, 400))
def test_the_order_of_four_columns_shows_in_their_values(data, order, count):
    chance = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    rows = {
        'x': chance.integers(0, 640, count),
        'y': chance.integers(0, 480, count),
        'p': chance.integers(0, 2, count),
        't': np.sort(chance.integers(0, 2_000_000, count)) + 20_000,
    }
    table = np.stack([rows[field] for field in order], 1)
    assert columns.column_order(table) == order
    table[data.draw(st.integers(0, count - 1))] = 60_000  # one bad event does not change it
    assert columns.column_order(table) == order


@given(st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), max_size=20))
def test_the_order_that_nothing_shows_is_t_x_y_p(rows):
    assert columns.column_order(np.array(rows, np.int64).reshape(-1, 4)) == 'txyp'
