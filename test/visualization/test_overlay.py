# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures show what the events and detections are."""

from __future__ import annotations

from facts import facts
import numpy as np
import pytest
from sast_ros.detector import Detections, StageShare
from sast_ros.events import EventChunk
from sast_ros.labels import BOX_DTYPE
from sast_ros.visualization import draw_overlay
from sast_ros.visualization.overlay import BACKGROUND, OFF, ON, OverlayStyle, THEMES

HEIGHT, WIDTH = 240, 304


def make_chunk(x: list[int], y: list[int], p: list[int]) -> EventChunk:
    return EventChunk(np.array(x), np.array(y), np.array(p), np.arange(len(x)))


def make_detections(
    *boxes: tuple[float, ...], scores: tuple[float, ...] = (), **fields: object
) -> Detections:
    count = len(boxes)
    values = np.array(scores or [0.9] * count, np.float32)
    fields = {
        'class_ids': np.zeros(count, np.int64),
        'class_names': ('car', 'pedestrian'),
        **fields,
    }
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=values,
        objectness=values,
        class_scores=values,
        width=WIDTH,
        height=HEIGHT,
        **fields,
    )


def draw(
    chunk: EventChunk, detections: Detections | None = None, **arguments: object
) -> np.ndarray:
    detections = make_detections() if detections is None else detections
    return draw_overlay([chunk], detections, HEIGHT, WIDTH, **arguments)


def test_a_pixel_without_events_is_background() -> None:
    picture = draw(make_chunk([], [], []))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert picture.dtype == np.uint8
    assert (picture[100] == BACKGROUND).all()


def test_on_events_are_white_and_off_events_blue_and_brighter_with_their_number() -> None:
    picture = draw(
        make_chunk([10] + [20] * 15 + [30] + [40] * 15, [100] * 32, [1] * 16 + [0] * 16)
    ).astype(int)
    one_on, many_on, one_off, many_off = (picture[100, x] for x in (10, 20, 30, 40))
    assert np.abs(many_on - ON).max() <= 2
    assert np.abs(many_off - OFF).max() <= 2
    assert BACKGROUND < tuple(one_on) < tuple(many_on)
    assert sum(BACKGROUND) < one_off.sum() < many_off.sum()
    assert one_on.sum() > one_off.sum()


def test_events_outside_the_picture_are_left_out() -> None:
    picture = draw(make_chunk([WIDTH, 65535, 5], [100, 100, 65535], [1, 1, 1]))
    assert (picture[100] == BACKGROUND).all()


def test_a_window_is_drawn_like_its_parts() -> None:
    class Window:
        parts = (make_chunk([5], [100], [1]), make_chunk([6], [100], [0]))

    picture = draw_overlay(Window(), make_detections(), HEIGHT, WIDTH)
    assert (picture == draw_overlay(list(Window.parts), make_detections(), HEIGHT, WIDTH)).all()
    assert (picture[100, 5:7] != BACKGROUND).all()


def test_scale_turns_a_sensor_pixel_into_a_square() -> None:
    chunk = make_chunk([10], [100], [1])
    small, large = draw(chunk), draw(chunk, scale=3)
    assert large.shape == (3 * HEIGHT, 3 * WIDTH, 3)
    assert (large[300:303, 30:33] == small[100, 10]).all()
    assert (large[300:303, 33] == BACKGROUND).all()


@pytest.mark.parametrize('scale', [1, 3])
def test_a_box_frames_its_pixels_in_the_colour_of_its_class(scale: int) -> None:
    detections = make_detections(
        (50, 80, 90, 120), (150, 80, 190, 120), class_ids=np.array([0, 1])
    )
    picture = draw(make_chunk([], [], []), detections, scale=scale)
    car, pedestrian = picture[100 * scale, 50 * scale], picture[100 * scale, 150 * scale]
    bottom, right = picture[120 * scale - 1], picture[:, 90 * scale - 1]
    assert (bottom[slice(50 * scale, 90 * scale)] == car).all()
    assert (right[slice(80 * scale, 120 * scale)] == car).all()
    assert (picture[100 * scale, 70 * scale] == BACKGROUND).all()
    assert (picture[100 * scale, 90 * scale] == BACKGROUND).all()
    assert (car != pedestrian).any()


def test_a_class_has_the_same_colour_under_any_number() -> None:
    box = (50, 80, 90, 120)
    gen1 = make_detections(box, class_ids=np.array([0]), class_names=('car', 'pedestrian'))
    megapixel = make_detections(
        box, class_ids=np.array([2]), class_names=('pedestrian', 'two-wheeler', 'car')
    )
    chunk = make_chunk([], [], [])
    assert (draw(chunk, gen1) == draw(chunk, megapixel)).all()


def test_labels_are_thin_white_outlines_below_the_detections() -> None:
    labels = np.zeros(2, BOX_DTYPE)
    labels['x'], labels['y'], labels['w'], labels['h'] = (50, 150), 80, 40, 40
    detections = make_detections((150, 80, 190, 120))
    picture = draw(make_chunk([], [], []), detections, scale=3, labels=labels)
    white = (picture == 255).all(axis=2)
    assert white[240, 150:270].all()
    assert white[240:360, 269].all()
    assert not white[242, 160:260].any()
    assert not white[:, 450:].any()
    assert (picture[300, 450] != BACKGROUND).any()


def test_texts_do_not_hide_one_another_and_the_best_have_the_first_choice() -> None:
    """Plates above, below, and at the edges inside; there is no room for a fifth."""
    box, scores = (50, 80, 140, 140), (0.9, 0.8, 0.7, 0.6, 0.5)
    names = ('van', 'tram', 'bus', 'dog', 'car')
    for count in range(1, 6):
        given = make_detections(
            *[box] * count, scores=scores[:count], class_ids=np.arange(count), class_names=names
        )
        picture = draw(make_chunk([], [], []), given, style=OverlayStyle(('boxes',)))
        colours = [THEMES['dark'].class_colour(names[one], one) for one in range(count)]
        plates = [(picture[:, 53:100] == colour).all(axis=2) for colour in colours]
        rows = [
            np.flatnonzero(
                plate[:, :10].any(axis=1) & plate[:, -10:].any(axis=1) & ~plate.all(axis=1)
            )
            for plate in plates
        ]
        middles = [row.mean() if len(row) else None for row in rows]
        expected = [72, 148, 88, 132, None][:count]
        assert middles == [pytest.approx(at, abs=3) if at else None for at in expected]


def test_a_text_keeps_clear_of_the_strips() -> None:
    given = make_detections((0, 0, WIDTH, HEIGHT), (60, 222, 90, HEIGHT), t_end=1)
    picture = draw(make_chunk([], [], []), given, note='a remark')
    for left in (10, 70):
        column = (picture[:, left] == THEMES['dark'].class_colour('car', 0)).all(axis=1)
        rows = np.flatnonzero(column)
        rows = rows[(rows > 5) & (rows < HEIGHT - 5)]
        assert len(rows) > 8 and rows.min() >= 15 and rows.max() < HEIGHT - 15


@pytest.mark.parametrize(
    'box',
    [
        (0, 0, 3, 3),
        (-50, -50, 500, 500),
        (303, 239, 304, 240),
        (10, 10, 10, 10),
        (np.nan, 0, 5, 5),
    ],
)
def test_any_box_can_be_drawn(box: tuple[float, ...]) -> None:
    detections = make_detections(box, class_ids=np.array([7]))  # a class without a name
    assert draw(make_chunk([], [], []), detections, scale=1).shape == (HEIGHT, WIDTH, 3)


def test_status_note_and_reset_are_written_at_the_edges_and_fit_a_small_picture() -> None:
    chunk = make_chunk([], [], [])
    plain = draw(chunk)
    told = draw(
        chunk,
        make_detections(
            t_end=12_345_678,
            events=1_234_567,
            kept=(StageShare(1.0, 0.5),) * 4,
            reset='time_jump_back',
        ),
        note='a rather long remark that has to become smaller to fit',
    )
    changed = np.flatnonzero((plain != told).any((1, 2)))
    assert changed.min() < 5
    assert changed.max() > HEIGHT - 6
    assert ((changed < 20) | (changed > HEIGHT - 20)).all()
    assert (told[:, -1] == plain[:, -1])[20:].all()


def test_the_same_input_gives_the_same_picture() -> None:
    rng = np.random.default_rng(0)
    chunk = make_chunk(
        rng.integers(0, WIDTH, 5000), rng.integers(0, HEIGHT, 5000), rng.integers(0, 2, 5000)
    )
    detections = make_detections((5, 5, 90, 90), t_end=1, events=5000)
    assert (draw(chunk, detections) == draw(chunk, detections)).all()


def test_an_impossible_size_is_refused() -> None:
    with pytest.raises(ValueError, match=facts('304x0')):
        draw_overlay([], make_detections(), 0, WIDTH)
