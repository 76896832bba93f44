# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Filters: what each removes, whatever the packing, and what is refused."""

from __future__ import annotations

from collections import Counter
import os

from facts import facts
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest
from sast_ros.bags import open_recording
from sast_ros.errors import SettingError
from sast_ros.events._native import MAX_MESSAGE_EVENTS
from sast_ros.events.chunk import EventChunk, EventFormatError
from sast_ros.events.filters import FilterChain, noise, read_mask, with_absolute_paths

#: A sensor on which events often meet, some at its edges.
WIDTH, HEIGHT = 5, 4

examples = settings(max_examples=150, deadline=None, derandomize=True)


def chunk_of(events, width=WIDTH, height=HEIGHT, **fields) -> EventChunk:
    x, y, p, t = np.array(events, np.int64).reshape(-1, 4).T
    return EventChunk(x, y, p, t, width=width, height=height, **fields)


def events_of(*chunks: EventChunk) -> list[tuple[int, int, int, int]]:
    return [
        tuple(map(int, event))
        for chunk in chunks
        for event in zip(chunk.x, chunk.y, chunk.p, chunk.t)
    ]


@st.composite
def streams(draw, longest_step: int = 3000):
    """Events on the sensor in order, many at the same time or pixel; the clock begins anywhere."""
    count = draw(st.integers(1, 200))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    # Some pixels are much more active than the others
    pixels = random.choice(WIDTH * HEIGHT, count, p=random.dirichlet([0.2] * WIDTH * HEIGHT))
    steps = random.integers(0, 1 + draw(st.integers(0, longest_step)), count)
    begin = draw(st.sampled_from([0, -5_000_000_000, 1 << 40, 1_700_000_000_000_000]))
    columns = pixels % WIDTH, pixels // WIDTH, random.integers(0, 2, count), begin + steps.cumsum()
    return np.stack(columns, axis=1)


def neighbourhood(x: int, y: int):
    return {(x + a, y + b) for a in (-1, 0, 1) for b in (-1, 0, 1)}


def with_predecessor(events, time_us: int):
    last: dict[tuple[int, int], int] = {}
    for x, y, p, t in events:
        if any(t - last[pixel] <= time_us for pixel in neighbourhood(x, y) & last.keys()):
            yield x, y, p, t
        last[x, y] = t


def without_hot_pixels(events):
    """Apply the rule of HotPixelFilter as its docstring has it."""
    begin = events[0][3]
    counts: Counter = Counter()
    quiet: dict[tuple[int, int], int] = {}
    for x, y, p, t in events:
        while t >= begin + noise.HOT_PERIOD_US:
            for pixel in {(a, b) for a in range(WIDTH) for b in range(HEIGHT)}:
                count = counts[pixel]
                rivals = sum(
                    counts[other] > count / 4 for other in neighbourhood(*pixel) - {pixel}
                )
                if count >= noise.HOT_MIN_EVENTS and rivals <= 1:
                    quiet[pixel] = 0
                elif pixel in quiet:
                    quiet[pixel] = quiet[pixel] + 1 if count < noise.HOT_MIN_EVENTS / 2 else 0
                    if quiet[pixel] == noise.HOT_QUIET_PERIODS:
                        del quiet[pixel]
            counts.clear()
            begin += noise.HOT_PERIOD_US
        counts[x, y] += 1
        if (x, y) not in quiet:
            yield x, y, p, t


@examples
@given(streams(), st.sampled_from([1, 40, 1000, 20_000]))
def test_background_activity_is_what_has_no_predecessor_in_its_neighbourhood(stream, time_us):
    chain = FilterChain([f'background-activity={time_us}us'])
    kept = events_of(chain(chunk_of(stream)))
    assert kept == list(with_predecessor(stream.tolist(), time_us))
    assert chain.removed == Counter(background_activity=len(stream) - len(kept))


@examples
@given(streams(longest_step=200_000))
def test_hot_pixels_are_those_of_the_rule(stream):
    chain = FilterChain(['hot-pixel'])
    kept = events_of(chain(chunk_of(stream)))
    assert kept == list(without_hot_pixels(stream.tolist()))
    assert chain.removed['hot_pixel'] == len(stream) - len(kept)


def test_the_streams_of_this_test_have_hot_pixels():
    removed = FilterChain(['hot-pixel'])
    random = np.random.default_rng(0)
    times = np.sort(random.integers(0, 3_000_000, 400))
    pixels = np.where(random.random(400) < 0.5, 7, random.integers(0, WIDTH * HEIGHT, 400))
    stream = np.stack([pixels % WIDTH, pixels // WIDTH, pixels % 2, times], axis=1)
    kept = events_of(removed(chunk_of(stream)))
    assert kept == list(without_hot_pixels(stream.tolist()))
    assert removed.removed['hot_pixel'] > 50


ALL = (
    'hot-pixel',
    'background-activity=400us',
    'roi=1,0,4,3',
    'flip=rotate-180',
    'flip=horizontal',
    'flip=vertical',
)


@examples
@given(
    streams(longest_step=100_000),
    st.lists(st.sampled_from(ALL), min_size=1, max_size=4),
    st.lists(st.integers(0, 200), max_size=12),
)
def test_what_is_kept_does_not_depend_on_how_events_were_packed(stream, texts, cuts):
    whole, packed = FilterChain(texts), FilterChain(texts)
    chunk = chunk_of(stream)
    edges = [0, *sorted(min(cut, len(chunk)) for cut in cuts), len(chunk)]
    parts = [packed(chunk[a:b]) for a, b in zip(edges, edges[1:])]
    assert events_of(*parts) == events_of(whole(chunk))
    assert packed.removed == whole.removed
    assert sum(whole.removed.values()) == len(chunk) - sum(map(len, parts))


@examples
@given(streams())
def test_a_filter_begins_anew_with_every_stream(stream):
    chunk, chain = chunk_of(stream), FilterChain(['hot-pixel', 'background-activity=1ms'])
    first = events_of(chain(chunk))
    again = chunk_of(stream, discontinuity=True)
    assert events_of(chain(again)) == first
    larger = chunk_of(stream, width=2 * WIDTH, height=HEIGHT)
    assert events_of(chain(larger)) == events_of(FilterChain(chain.texts)(larger))
    chain.reset()
    assert events_of(chain(chunk)) == first


def test_a_chunk_of_more_events_than_a_message_may_hold_is_filtered():
    count = 2 * MAX_MESSAGE_EVENTS + 4
    columns = {'x': np.uint16, 'y': np.uint16, 'p': np.uint8, 't': np.int64}
    events = {name: np.zeros(count, dtype) for name, dtype in columns.items()}
    events['x'][::2] = 1
    chunk = EventChunk(**events, width=WIDTH, height=HEIGHT)
    kept = FilterChain([f'roi=0,0,1,{HEIGHT}'])(chunk)
    assert len(kept) == count // 2 > MAX_MESSAGE_EVENTS
    assert not kept.x.any()


def test_filters_are_applied_in_the_given_order():
    chunk = chunk_of([(0, 0, 1, 5), (4, 0, 0, 6)])
    assert events_of(FilterChain(['roi=0,0,2,4', 'flip=horizontal'])(chunk)) == [(4, 0, 1, 5)]
    assert events_of(FilterChain(['flip=horizontal', 'roi=0,0,2,4'])(chunk)) == [(0, 0, 0, 6)]


@pytest.mark.parametrize(
    ('value', 'place'), [('horizontal', (3, 3)), ('vertical', (1, 0)), ('rotate-180', (3, 0))]
)
def test_flip_moves_events_and_removes_none(value, place):
    chain = FilterChain([f'flip={value}'])
    assert events_of(chain(chunk_of([(1, 3, 1, 7)]))) == [(*place, 1, 7)]
    assert not chain.removed


def test_region_keeps_its_own_first_and_last_pixels():
    everywhere = [(x, y, 0, 0) for y in range(HEIGHT) for x in range(WIDTH)]
    chain = FilterChain(['roi=1,2,3,1'])
    assert events_of(chain(chunk_of(everywhere))) == [(x, 2, 0, 0) for x in (1, 2, 3)]
    assert chain.removed == {'region_of_interest': 17}
    whole = chunk_of(everywhere)
    assert FilterChain([f'roi=0,0,{WIDTH},{HEIGHT}'])(whole) is whole


def test_facts_of_the_chunk_stay(tmp_path):
    chunk = chunk_of([(0, 0, 1, 5), (4, 0, 0, 6)], stamp_ns=7, frame_id='cam', lost_packets=2)
    kept = FilterChain(['roi=0,0,2,4'])(chunk)
    assert (kept.stamp_ns, kept.frame_id, kept.lost_packets) == (7, 'cam', 2)
    assert (kept.width, kept.height, len(kept)) == (WIDTH, HEIGHT, 1)
    assert [array.dtype for array in (kept.x, kept.y, kept.p, kept.t)] == [
        array.dtype for array in (chunk.x, chunk.y, chunk.p, chunk.t)
    ]


# ----------------------------------------------------------------------------------- mask pictures

SHAPE = np.array([[0, 1, 0, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 0, 0, 0]], bool)


def as_palette(picture):
    return Image.fromarray(picture.astype(np.uint8) * 255).convert('P')


def as_transparent(picture):
    pixels = np.full((*picture.shape, 4), 255, np.uint8)
    pixels[..., 3] = picture * 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ('suffix', 'make'),
    [
        ('.png', lambda picture: Image.fromarray(picture.astype(np.uint8) * 255)),
        ('.png', lambda picture: Image.fromarray(picture)),
        ('.png', lambda picture: Image.fromarray(picture.astype(np.uint16))),
        (
            '.png',
            lambda picture: Image.fromarray(np.stack([picture] * 3, 2) * np.uint8([0, 9, 0])),
        ),
        ('.png', as_palette),
        ('.png', as_transparent),
        ('.PGM', lambda picture: Image.fromarray(picture.astype(np.uint8))),
        ('.pbm', lambda picture: Image.fromarray(picture)),
    ],
    ids=['grey', 'one bit', '16 bits', 'colour', 'palette', 'transparent', 'PGM', 'PBM'],
)
def test_mask_picture_keeps_what_is_not_black(tmp_path, suffix, make):
    path = tmp_path / f'mask{suffix}'
    make(SHAPE).save(path)
    assert (read_mask(path) == SHAPE).all()


@pytest.mark.parametrize('dtype', [bool, np.uint8, np.int64, np.float32])
def test_mask_array_keeps_what_is_not_zero(tmp_path, dtype):
    np.save(tmp_path / 'mask.npy', np.asfortranarray(SHAPE.astype(dtype)))
    assert (read_mask(tmp_path / 'mask.npy') == SHAPE).all()


def test_mask_removes_and_counts(tmp_path):
    np.save(tmp_path / 'mask.npy', SHAPE)
    chain = FilterChain([f'mask={tmp_path / "mask.npy"}'])
    everywhere = [(x, y, 0, 0) for y in range(HEIGHT) for x in range(WIDTH)]
    assert events_of(chain(chunk_of(everywhere))) == [
        (x, y, 0, 0) for x, y, _, _ in everywhere if SHAPE[y, x]
    ]
    assert chain.removed == {'mask': int((~SHAPE).sum())}


def test_identity_of_a_mask_is_its_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save('a.npy', SHAPE)
    Image.fromarray(SHAPE).save('b.png')
    np.save('c.npy', ~SHAPE)
    a, b, c = ([each] for each in ('mask=a.npy', 'mask=b.png', 'mask=c.npy'))
    assert FilterChain(a).identity == FilterChain(b).identity != FilterChain(c).identity
    moved = with_absolute_paths(['hot-pixel', *a])
    assert moved == ('hot-pixel', f'mask={tmp_path / "a.npy"}')
    assert FilterChain(moved).identity == FilterChain(['hot-pixel', *a]).identity


def damaged(path, content: bytes):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    'kind',
    ['missing', 'pipe', 'folder', 'text', 'text in .npy', 'cut off', 'too large', 'huge header']
    + ['cube', '(1000000000000, 5)', f'({10**30}, 5)', '(-4, 5)', '(4', '-' * 9000 + '1'],
)
def test_a_mask_that_cannot_be_read_is_refused(tmp_path, kind):
    if kind == 'missing':
        path = tmp_path / 'mask.png'
    elif kind == 'pipe':
        path = tmp_path / 'mask.png'
        os.mkfifo(path)
    elif kind == 'folder':
        path = tmp_path / 'mask.npy'
        path.mkdir()
    elif kind == 'text':
        path = damaged(tmp_path / 'mask.png', b'this is no picture')
    elif kind == 'text in .npy':
        path = damaged(tmp_path / 'mask.npy', b'this is no picture')
    elif kind == 'cut off':
        Image.effect_noise((64, 64), 50).save(tmp_path / 'whole.png')
        path = damaged(tmp_path / 'mask.png', (tmp_path / 'whole.png').read_bytes()[:900])
    elif kind == 'too large':
        path = damaged(tmp_path / 'mask.pgm', b'P5 100000 100000 255\n')
    elif kind == 'huge header':
        np.save(tmp_path / 'whole.npy', SHAPE)
        content = (tmp_path / 'whole.npy').read_bytes()
        path = damaged(tmp_path / 'mask.npy', content.replace(b'(4, 5), }    ', b'(8192,8192),}'))
    elif kind == 'cube':
        path = tmp_path / 'mask.npy'
        np.save(path, np.zeros((2, 3, 4)))
    else:
        text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {kind}}}\n".encode()
        head = b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little')
        path = damaged(tmp_path / 'mask.npy', head + text + bytes(20))
    with pytest.raises(SettingError, match=facts(str(path), 'mask', 'PNG')):
        FilterChain([f'mask={path}'])


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('hot', ['hot-pixel', 'background-activity', 'roi=', 'mask=', 'flip=']),
        ('hot-pixel=3', ['takes no value', 'hot-pixel']),
        ('background-activity=5', ['us, ms or s']),
        ('background-activity=', ['us, ms or s']),
        ('background-activity=0us', ['1us to 10s']),
        ('background-activity=1e3us', ['1us to 10s']),
        ('background-activity=-1ms', ['1us to 10s']),
        ('background-activity=11s', ['1us to 10s']),
        ('roi=1,2,3', ['roi=X,Y,WIDTH,HEIGHT']),
        ('roi=1,2,0,4', ['roi=X,Y,WIDTH,HEIGHT']),
        ('roi=-1,2,3,4', ['roi=X,Y,WIDTH,HEIGHT']),
        ('flip', ['horizontal', 'vertical', 'rotate-180']),
        ('flip=left', ['horizontal', 'vertical', 'rotate-180']),
    ],
)
def test_an_unknown_filter_or_value_is_refused_with_what_is_known(text, named):
    with pytest.raises(SettingError, match=facts(repr(text), *named)) as caught:
        FilterChain(['hot-pixel', text])
    assert '\n' not in str(caught.value)


def test_times_have_units_and_a_default():
    times = [
        noise.BackgroundActivityFilter(text).time_us
        for text in (
            'background-activity',
            'background-activity=5000us',
            'background-activity=2.5ms',
            'background-activity=0.02 s',
        )
    ]
    assert times == [noise.BACKGROUND_ACTIVITY_US, 5000, 2500, 20_000]


def test_no_filter_changes_nothing():
    chunk = EventChunk([1], [1], [1], [1])  # not even the size of the sensor is needed
    chain = FilterChain([''])
    assert not chain
    assert chain(chunk) is chunk


@pytest.mark.parametrize(
    ('text', 'width', 'height'), [('roi=3,0,3,1', 5, 9), ('roi=0,3,1,2', 9, 4)]
)
def test_a_region_that_reaches_outside_the_sensor_is_an_error(text, width, height):
    with pytest.raises(EventFormatError, match=facts(text, f'{width}x{height}')):
        FilterChain([text])(chunk_of([(0, 0, 0, 0)], width=width, height=height))


def test_a_mask_of_another_size_is_an_error_with_every_chunk(tmp_path):
    np.save(tmp_path / 'mask.npy', SHAPE)
    chain = FilterChain([f'mask={tmp_path / "mask.npy"}'])
    for _ in range(2):
        with pytest.raises(EventFormatError, match=facts('mask.npy', '5x4', '4x5')):
            chain(chunk_of([(0, 0, 0, 0)], width=4, height=5))
    assert len(chain(chunk_of([(1, 0, 0, 0)]))) == 1


def test_an_unknown_size_of_the_sensor_is_an_error_unless_it_is_given():
    chunk = EventChunk([4], [3], [1], [1])
    chain = FilterChain(['hot-pixel'])
    with pytest.raises(EventFormatError, match='size of the sensor'):
        chain(chunk)
    assert chain(chunk, (4, 5)) is chunk


@pytest.mark.parametrize(
    'text', ['hot-pixel', 'background-activity', 'roi=0,0,1,1', 'flip=vertical']
)
@pytest.mark.parametrize(('x', 'y', 'axis'), [(5, 0, 'x'), (0, 4, 'y'), (65_535, 65_535, 'x')])
def test_events_outside_the_sensor_never_reach_the_loops(text, x, y, axis):
    chunk = EventChunk([0, x], [0, y], [1, 1], [1, 2])
    with pytest.raises(EventFormatError, match='outside the sensor') as caught:
        FilterChain([text])(chunk, (HEIGHT, WIDTH))
    assert (caught.value.field, caught.value.offset) == (axis, 1)


def test_times_may_be_far_apart():
    early, late = -(2**50), 2**50
    times = [early, early, -1, 0, late, late]
    chunk = EventChunk([1] * 6, [1] * 6, [0] * 6, times, width=WIDTH, height=HEIGHT)
    kept = FilterChain(['hot-pixel', 'background-activity=1us'])(chunk)
    assert kept.t.tolist() == [early, 0, late]


# --------------------------------------------------------------------------------- real recordings


@pytest.mark.parametrize(
    ('name', 'pixels', 'share'),
    [
        ('ecp_evt3_vga/test_events_1', [(619, 386), (516, 393), (182, 150)], (0.01, 0.03)),
        ('codecs_edge_cases/test_data_libcaer_rollover', [(639, 478), (259, 283)], (0.10, 0.20)),
        ('codecs_edge_cases/test_data_evt3_trigger', [(579, 266), (1099, 189)], (0.005, 0.03)),
    ],
)
def test_hot_pixels_of_real_sensors_are_removed(shared, name, pixels, share):
    with open_recording(shared / 'data' / name) as recording:
        chunks = list(recording)
    chain = FilterChain(['hot-pixel'])
    kept = [chain(chunk) for chunk in chunks]
    events = sum(map(len, chunks))
    low, high = share
    assert low < chain.removed['hot_pixel'] / events < high
    late = int(chunks[0].t[0]) + noise.HOT_PERIOD_US
    for x, y in pixels:
        before, after = (
            sum(int(((c.x == x) & (c.y == y) & (c.t >= late)).sum()) for c in some)
            for some in (chunks, kept)
        )
        assert before > 20
        assert after == 0


def test_moving_objects_have_no_hot_pixels():
    chain = FilterChain(['hot-pixel'])
    with open_recording('example') as recording:
        assert sum(len(chain(chunk)) for chunk in recording) == 240_661
    assert not chain.removed
