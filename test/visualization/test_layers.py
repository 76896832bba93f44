# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Layers and colours of an overlay."""

from __future__ import annotations

from itertools import combinations

from facts import facts
import numpy as np
import pytest
from sast_ros.defaults import OVERLAY_LAYERS, OVERLAY_THEMES
from sast_ros.detections import Detections, TokenMap
from sast_ros.detector import StreamingDetector
from sast_ros.events import EventChunk
from sast_ros.model import untrained_model
from sast_ros.pipeline import EventPipeline
from sast_ros.visualization import draw_overlay, OverlayStyle, THEMES

HEIGHT, WIDTH = 240, 304

#: How who lacks the cones for red, green or blue sees linear RGB (Viénot, Brettel and Mollon 1999,
#: Machado, Oliveira and Fernandes 2009 for blue).
EYES = {
    'all cones': np.eye(3),
    'no red': np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    'no green': np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
    'no blue': np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [[0.41246, 0.35758, 0.18044], [0.21267, 0.71515, 0.07217], [0.01933, 0.11919, 0.95030]]
)
WHITE = np.array([0.95047, 1, 1.08883])


def linear(colour: tuple[int, int, int]) -> np.ndarray:
    """Return linear RGB (IEC 61966-2-1)."""
    value = np.array(colour) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* of linear RGB."""
    relative = TO_XYZ @ rgb.clip(0, 1) / WHITE
    f = np.where(relative > 0.008856, np.cbrt(relative), 7.787 * relative + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Return the ratio of luminances as of WCAG 2."""
    low, high = sorted(TO_XYZ[1] @ linear(colour) for colour in (one, other))
    return float((high + 0.05) / (low + 0.05))


def chunk(*events: tuple[int, int, int]) -> EventChunk:
    x, y, p = np.array(events or np.zeros((0, 3), int)).T
    return EventChunk(x, y, p, np.arange(len(x)))


def detections(**fields: object) -> Detections:
    one = np.array([0.9], np.float32)
    values = {
        'boxes': np.array([[100, 60, 160, 120]], np.float32),
        'scores': one,
        'objectness': one,
        'class_scores': one,
        'class_ids': np.zeros(1, np.int64),
        'class_names': ('car',),
        'width': WIDTH,
        'height': HEIGHT,
        'events': 1234,
    }
    return Detections(**{**values, **fields})  # type: ignore[arg-type]


def draw(*layers: str, events: EventChunk | None = None, **arguments: object) -> np.ndarray:
    theme = str(arguments.pop('theme', 'dark'))
    found = arguments.pop('found', None) or detections()
    style = OverlayStyle(layers, theme)
    parts = [events or chunk((10, 100, 1))]
    return draw_overlay(parts, found, HEIGHT, WIDTH, style=style, **arguments)  # type: ignore


@pytest.mark.parametrize('theme', OVERLAY_THEMES)
def test_the_colours_differ_for_every_kind_of_eyes(theme: str) -> None:
    colours = THEMES[theme]
    named = {'on': colours.on, 'off': colours.off, **colours.classes}
    for name, colour in named.items():
        assert contrast(colour, colours.background) >= 3, name
    for (one, a), (other, b) in combinations(named.items(), 2):
        for eyes, matrix in EYES.items():
            distance = np.linalg.norm(lab(matrix @ linear(a)) - lab(matrix @ linear(b)))
            assert distance >= 20, f'{one} and {other} with {eyes}'


@pytest.mark.parametrize('theme', OVERLAY_THEMES)
def test_without_layers_there_is_nothing_but_background(theme: str) -> None:
    tokens = TokenMap(np.full((60, 76), 2, np.uint8), 4)
    found = detections(track_ids=np.array([3]), reset='gap')
    trails = {3: np.array([[0, 0], [200, 200]], np.float32)}
    picture = draw(theme=theme, found=found, tokens=tokens, trails=trails)
    assert (picture == THEMES[theme].background).all()


@pytest.mark.parametrize('theme', OVERLAY_THEMES)
def test_each_layer_changes_its_own_pixels(theme: str) -> None:
    kinds = np.zeros((60, 76), np.uint8)
    kinds[20, 30] = 1
    arguments = {
        'theme': theme,
        'found': detections(track_ids=np.array([3])),
        'tokens': TokenMap(kinds, 4),
        'trails': {3: np.array([[20, 200], [80, 200]], np.float32)},
    }
    empty = draw(**arguments)

    def changed(*layers: str) -> tuple[slice, slice]:
        where = np.argwhere((draw(*layers, **arguments) != empty).any(axis=2))
        (top, left), (bottom, right) = where.min(axis=0), where.max(axis=0) + 1
        return slice(int(top), int(bottom)), slice(int(left), int(right))

    assert changed('events') == (slice(100, 101), slice(10, 11))
    assert changed('tokens') == (slice(80, 84), slice(120, 124))
    rows, columns = changed('ids')  # the trail; the number stands at the box
    assert 199 <= rows.start < rows.stop <= 202 and 19 <= columns.start < columns.stop <= 82
    rows, columns = changed('boxes')
    assert rows.start < 60 and (rows.stop, columns) == (120, slice(100, 160))
    rows, _ = changed('status')
    assert rows.start > HEIGHT - 20 and rows.stop == HEIGHT


@pytest.mark.parametrize(
    ('size', 'side', 'seen'), [((720, 1280), 16, 1280), ((481, 641), 8, 640)], ids=['even', 'odd']
)
def test_tokens_of_a_sensor_larger_than_the_network_lie_on_its_pixels(
    size: tuple[int, int], side: int, seen: int
) -> None:
    height, width = size
    pipeline = EventPipeline(StreamingDetector(untrained_model('gen1-tiny', seed=1)))
    random = np.random.default_rng(0)
    count = 60_000  # a window of 50 ms, and an event that ends it
    t = np.append(np.sort(random.integers(0, 50_000, count)), 50_001)
    x, y = random.integers(width // 2, width, count + 1), random.integers(0, height, count + 1)
    p = random.integers(0, 2, count + 1)
    ((window, found),) = pipeline.steps(EventChunk(x, y, p, t, width=width, height=height))
    tokens = pipeline.detector.selected.token_map()
    assert tokens.side == side and 0 < (tokens.kinds > 0).mean() < 1
    mask = tokens.mask(height, width)
    assert mask.shape == size and not mask[:, seen:].any()
    style = OverlayStyle(('events', 'tokens'))
    picture = draw_overlay(window, found, height, width, style=style, tokens=tokens)
    assert picture.shape == (height, width, 3)
    rows, columns = np.indices((height, width)) // tokens.side
    np.testing.assert_array_equal(mask, tokens.kinds[rows, columns])
    expected = THEMES['dark'].table[mask, 0]
    without_events = np.ones((height, width), bool)
    for part in window.parts:
        without_events[part.y, part.x] = False
    assert without_events[:, : width // 2].all() and not without_events.all()
    np.testing.assert_array_equal(picture[without_events], expected[without_events])
    assert (picture != expected)[~without_events].any(axis=-1).all()


def test_tokens_tint_the_ground_more_where_both_kinds_attend_and_leave_the_events() -> None:
    kinds = np.zeros((60, 76), np.uint8)
    kinds[25, :3] = 0, 1, 2
    events = chunk(*[(x, 101, 1) for x in (1, 5, 9) for _ in range(15)])
    picture = draw('events', 'tokens', events=events, tokens=TokenMap(kinds, 4)).astype(int)
    none, one, both = (picture[100, x] for x in (1, 5, 9))
    assert (none == THEMES['dark'].background).all()
    assert none[1] < one[1] < both[1]
    many = [picture[101, x] for x in (1, 5, 9)]
    assert np.abs(many - many[0]).max() <= 2


@pytest.mark.parametrize('scale', [1, 3])
@pytest.mark.parametrize('size', [(240, 304), (61, 77)])
def test_a_token_covers_its_pixels(scale: int, size: tuple[int, int]) -> None:
    height, width = size
    side, rng = 8, np.random.default_rng(0)
    kinds = rng.integers(0, 3, (-(-height // side), 2 + width // side)).astype(np.uint8)
    style = OverlayStyle(('tokens',))
    picture = draw_overlay(
        [], detections(), height, width, scale, style=style, tokens=TokenMap(kinds, side)
    )
    expected = kinds.repeat(side * scale, axis=0).repeat(side * scale, axis=1)
    table = THEMES['dark'].table[:, 0]
    expected = expected[: height * scale, : width * scale]
    np.testing.assert_array_equal(picture, table[expected])


def test_a_map_that_does_not_cover_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=facts('304x240', '76x59')):
        draw('tokens', tokens=TokenMap(np.zeros((59, 76), np.uint8), 4))


def test_a_number_stands_before_the_class_where_there_is_one() -> None:
    untracked, none, some = (
        draw('boxes', 'ids', found=detections(track_ids=ids))
        for ids in (None, np.array([0]), np.array([7]))
    )
    assert (untracked == none).all()
    assert (untracked != some).any()
    assert (draw('boxes', found=detections(track_ids=np.array([7]))) == untracked).all()


@pytest.mark.parametrize('seed', range(20))
def test_any_trail_can_be_drawn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(150, 10.0 ** rng.integers(0, 5), (rng.integers(0, 9), 2))
    points[rng.random(points.shape) < 0.1] = np.nan
    found = detections(track_ids=np.array([1]))
    assert draw('ids', found=found, trails={1: points}).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(('layers', 'theme'), [(('boxes', 'sky'), 'dark'), (('boxes',), 'grey')])
def test_what_does_not_exist_is_refused(layers: tuple[str, ...], theme: str) -> None:
    with pytest.raises(ValueError, match=facts('sky' if 'sky' in layers else 'grey')):
        OverlayStyle(layers, theme)
    assert set(OVERLAY_THEMES) == THEMES.keys()
    assert OverlayStyle(OVERLAY_LAYERS).layers == OVERLAY_LAYERS
