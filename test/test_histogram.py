# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Stacked histograms are bit-equal to the published preprocessing.

They are so on every device, whatever the chunking.
"""

from __future__ import annotations

from facts import facts
import numpy as np
import pytest
from sast_ros.defaults import MAX_BINS
from sast_ros.errors import SettingError
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.histogram import sampling_offset, StackedHistogram
from sast_ros.kernels import library
import torch

CASES = [
    'random20k',
    'single',
    'single00',
    'same_t',
    'empty',
    'cutoff_overflow',
    'ticks50000',
    'ticks49997',
    'two_ts',
    'span7us',
]
DEVICES = [
    'cpu',
    pytest.param(
        'cuda',
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device here'),
    ),
]


def random_chunk(seed: int, count: int, height: int, width: int, span: int = 50_000) -> EventChunk:
    rng = np.random.default_rng(seed)
    return EventChunk(
        rng.integers(0, width, count),
        rng.integers(0, height, count),
        rng.integers(0, 2, count),
        np.sort(rng.integers(1_000_000, 1_000_000 + span, count)),
    )


def by_formula(
    chunk: EventChunk, height: int, width: int, downsample: int = 1, cutoff: int = 10
) -> np.ndarray:
    """Spec section 1, one event after the other."""
    full = np.zeros((20, height, width), np.int64)
    if len(chunk):
        t0, span = int(chunk.t[0]), max(int(chunk.t[-1] - chunk.t[0]), 1)
        for x, y, p, t in zip(chunk.x, chunk.y, chunk.p, chunk.t):
            full[int(p) * 10 + min(9, 10 * (int(t) - t0) // span), y, x] += 1
    full = np.minimum(full, cutoff)
    rows = slice(downsample // 2, height // downsample * downsample, downsample)
    columns = slice(downsample // 2, width // downsample * downsample, downsample)
    return full[:, rows, columns].astype(np.uint8)


def assert_equals_fixture(fixtures, name: str, overflow: str, device: str) -> None:
    """Compare the histogram of one case with that of the reference, bit by bit."""
    height, width = (int(v) for v in fixtures[f'{name}/hw'])
    chunk = EventChunk(*(fixtures[f'{name}/{k}'] for k in 'xypt'))
    downsample = 2 if int(fixtures[f'{name}/downsample']) else 1
    histogram = StackedHistogram(
        height, width, downsample=downsample, device=device, overflow=overflow
    )(chunk)
    mode = 'fast' if overflow == 'wrap' else 'int16'
    expected = np.zeros(fixtures[f'{name}/{mode}_shape'], np.uint8)
    expected.reshape(-1)[fixtures[f'{name}/{mode}_index']] = fixtures[f'{name}/{mode}_value']
    np.testing.assert_array_equal(histogram.cpu().numpy(), expected)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('overflow', ['saturate', 'wrap'])
@pytest.mark.parametrize('sensor', ['gen1', 'gen4'])
@pytest.mark.parametrize('case', CASES)
def test_histogram_equals_the_published_preprocessing(data_folder, case, sensor, overflow, device):
    fixtures = np.load(data_folder / 'histograms.npz')
    assert_equals_fixture(fixtures, f'{sensor}_{case}', overflow, device)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('overflow', ['saturate', 'wrap'])
@pytest.mark.parametrize('sensor', ['gen1', 'gen4'])
@pytest.mark.parametrize('case', ['random20k', 'ticks50000', 'ticks49997'])
def test_histogram_equals_every_pixel_of_the_full_fixture(shared, case, sensor, overflow, device):
    fixtures = np.load(shared / 'parity' / 'hist_fixtures.npz')
    assert_equals_fixture(fixtures, f'{sensor}_{case}', overflow, device)


@pytest.mark.parametrize('downsample', [1, 2, 3, 4, 5])
def test_a_silhouette_is_where_it_was_once_the_sampling_offset_is_added(downsample):
    """A network of full resolution sees cells; its boxes shall be those on the sensor."""
    rng = np.random.default_rng(downsample)
    histogram = StackedHistogram(120, 160, downsample=downsample)
    errors = []
    for _ in range(200):
        left, top = rng.uniform(5, 50, 2)
        right, bottom = left + rng.uniform(30, 90), top + rng.uniform(20, 60)
        rows, columns = np.mgrid[:120, :160] + 0.5
        inside = (columns > left) & (columns < right) & (rows > top) & (rows < bottom)
        y, x = (each.astype(np.uint16) for each in np.nonzero(inside))
        t = np.arange(len(x), dtype=np.int64)
        chunk = EventChunk(x, y, np.ones(len(x), np.uint8), t, width=160, height=120)
        seen = histogram(chunk).numpy().any(0)
        found = [np.flatnonzero(seen.any(axis))[[0, -1]] + (0, 1) for axis in (0, 1)]
        cells = np.stack(found, 1).reshape(-1)
        errors.append(cells * downsample + sampling_offset(downsample, 1))
        errors[-1] = errors[-1] - (left, top, right, bottom)
    assert np.abs(np.mean(errors, 0)).max() < 0.15 * downsample**0.5
    assert np.abs(errors).max() < downsample / 2 + 0.01


def test_a_network_keeps_the_offset_that_it_was_trained_with():
    assert [sampling_offset(number, number) for number in (1, 2, 3, 4)] == [0, 0, 0, 0]
    assert [sampling_offset(number, 1) for number in (2, 3, 4)] == [0.5, 0, 0.5]
    assert sampling_offset(1, 2) == -0.25


@pytest.mark.parametrize('downsample', [1, 2, 3, 4])
def test_histogram_follows_the_formula_at_any_down_sampling(downsample):
    chunk = random_chunk(1, 3000, 37, 53)
    histogram = StackedHistogram(37, 53, downsample=downsample)(chunk)
    np.testing.assert_array_equal(histogram.numpy(), by_formula(chunk, 37, 53, downsample))


@pytest.mark.parametrize('bins', [1, 2, 3, 10])
@pytest.mark.parametrize('span', [2, 50_000])  # microseconds; the last has many events, or few
@pytest.mark.parametrize('overflow', ['saturate', 'wrap'])
def test_tensor_path_equals_compiled_path(overflow, span, bins):
    histogram = StackedHistogram(24, 30, bins, downsample=2, overflow=overflow, cutoff=None)
    chunk = random_chunk(2, 200_000, 24, 30, span)
    parts = (chunk[:1000], chunk[1000:1001], chunk[1001:])
    torch.testing.assert_close(
        histogram._count_tensors(parts), histogram._count_compiled(parts), rtol=0, atol=0
    )


def test_chunking_does_not_matter():
    chunk = random_chunk(3, 10_000, 240, 304)
    histogram = StackedHistogram(240, 304)
    cuts = [0, 1, 17, 5000, 5000, 9999, 10_000]
    parts = [chunk[a:b] for a, b in zip(cuts, cuts[1:])]
    assert torch.equal(histogram(parts), histogram(chunk))


def test_every_event_is_counted_once_below_the_cutoff():
    chunk = random_chunk(4, 50_000, 240, 304)
    histogram = StackedHistogram(240, 304, cutoff=None)(chunk)
    assert int(histogram.to(torch.int64).sum()) == 50_000
    assert int(histogram[10:].to(torch.int64).sum()) == int(chunk.p.sum())


@pytest.mark.parametrize('path', ['_count_compiled', '_count_tensors'])
@pytest.mark.parametrize(('x', 'y', 'field'), [(304, 0, 'x'), (0, 240, 'y'), (65535, 65535, 'x')])
def test_event_outside_the_sensor_is_named(x, y, field, path):
    chunk = EventChunk([3, x], [4, y], [0, 1], [10, 20])
    with pytest.raises(EventFormatError, match=facts(x, y)) as caught:
        getattr(StackedHistogram(240, 304), path)((chunk,))
    assert caught.value.field == field
    assert caught.value.offset == 1


@pytest.mark.parametrize(
    'wrong',
    [
        {'bins': 0},
        {'bins': MAX_BINS + 1},
        {'cutoff': 256},
        {'cutoff': 0},
        {'downsample': 0},
        {'downsample': 1.5},
        {'height': 240.5},
        {'height': 0},
        {'overflow': 'clip'},
        {'device': 'nope'},
        {'device': None},
        {'device': 'cuda:99'},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        StackedHistogram(**{'height': 240, 'width': 304, **wrong})


@pytest.mark.parametrize('shape', [(20, 239, 304), (20, 240, 303), (20, 0, 304), (20, 1, 1)])
def test_no_cell_is_written_outside_the_histogram(shape):
    """Cells that the maps of rows and columns go beyond are never touched."""
    histogram = StackedHistogram(240, 304)
    histogram.shape = shape
    with pytest.raises(ValueError, match=facts('304x240', *shape)):
        histogram(random_chunk(5, 1000, 240, 304))


@pytest.mark.parametrize('saturate', [0, 10])
@pytest.mark.parametrize('name', ['column', 'row'])
@pytest.mark.parametrize('place', [0, 15, 16, 39])
def test_a_map_beyond_the_cells_counts_nothing(saturate, name, place):
    """A guard of bytes behind the cells stays as it was."""
    maps = {key: np.arange(40, dtype=np.int32) for key in ('column', 'row')}
    maps[name][place] = 40
    memory = np.zeros(2 * 40 * 40 + 4096, np.uint8)
    x = np.full(1, place, np.uint16)
    p, t, edges = np.ones(1, np.uint8), np.zeros(1, np.int64), np.ones(1, np.int64)
    sizes = 40, 40, saturate
    found = library.sast_histogram_add(
        x, x, p, t, 1, 0, edges, 1, maps['column'], 40, maps['row'], 40, *sizes, memory
    )
    assert found == -2
    assert not memory.any()
