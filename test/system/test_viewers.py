# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures, markers and points come over real topics, and only where somebody listens."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as PillowImage
import pytest
from system.streams import (
    activate,
    ARRAY,
    as_array,
    batches,
    HEIGHT,
    score_of,
    stamps_of,
    START_NS,
    WIDTH,
)

COUNTER = 'messages for viewers'


def message_types() -> dict[str, type]:
    from sast_ros.ros.viewers import TOPICS

    return {topic: message_class for topic, (message_class, _) in TOPICS.items()}


def published(node, windows: int) -> int:
    """Return the counter once the node has done so many windows."""
    values = node.observer.status(lambda _, values: values.get('windows done') == str(windows))
    return int(values[COUNTER])


def as_picture(message) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def test_nothing_is_made_while_nobody_listens(node):
    stream = as_array(batches(9))
    activate(node)
    node.publish(ARRAY, stream.messages)
    assert published(node, len(stream.stamps_ns)) == 0


def listen(node, *topics: str, **parameters: object) -> tuple[dict, list]:
    """Return messages of topics by name, and the event batches, once all topics have some."""
    observer, made = node.observer, batches(13)
    stream = as_array(made)
    heard: dict = {topic: [] for topic in topics}
    activate(node, detections__score_threshold=0.0, detections__max_count=3, **parameters)
    subscriptions = [
        observer.subscribe(message_types()[topic], topic, heard[topic].append, 10)
        for topic in topics
    ]
    publisher = node.publisher(ARRAY).start(
        stream.messages, [50_000_000 * index for index in range(13)]
    )
    observer.wait_for(lambda: all(map(observer.node.count_publishers, topics)))
    observer.wait_for(lambda: observer.node.count_publishers('/events') == 1)
    publisher.go()
    observer.wait_for(lambda: len(observer.detections) == len(stream.stamps_ns))
    observer.wait_for(lambda: all(heard.values()), what=f'for {heard}')
    for subscription in subscriptions:
        observer.node.destroy_subscription(subscription)
    stamps = stamps_of(observer.detections)
    for topic, messages in heard.items():
        for message in messages if topic != 'annotations' else ():  # these have no header
            top = message.header if hasattr(message, 'header') else message.markers[0].header
            assert stamps_of([type('Stamped', (), {'header': top})])[0] in stamps
            assert top.frame_id == 'camera'
    return heard, made


def test_the_event_image_registers_to_the_pixel(node):
    heard, made = listen(node, 'event_image')
    message = heard['event_image'][0]
    window = stamps_of(node.observer.detections).index(stamps_of([message])[0])
    x, y, p, t = (np.concatenate(values) for values in zip(*made))
    end = int(t[0]) + 50_000 * (window + 1)
    inside = (t >= end - 50_000) & (t < end)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[y[inside], x[inside]] = True
    background = np.array((13, 16, 24), np.uint8)
    np.testing.assert_array_equal((as_picture(message) != background).any(axis=2), expected)


def test_the_jpeg_shows_the_overlay(node):
    heard, _ = listen(node, 'overlay', 'overlay/compressed')
    pictures = {stamps_of([message])[0]: as_picture(message) for message in heard['overlay']}
    compared = 0
    for message in heard['overlay/compressed']:
        assert 'jpeg' in message.format
        with PillowImage.open(io.BytesIO(bytes(message.data))) as file:
            assert file.format == 'JPEG' and file.size == (WIDTH, HEIGHT)
            decoded = np.asarray(file.convert('RGB')).astype(int)
        picture = pictures.get(stamps_of([message])[0])
        if picture is not None:
            assert np.abs(decoded - picture).mean() < 12
            compared += 1
    assert compared


def test_layers_and_theme_are_live(node):
    heard, _ = listen(node, 'overlay', overlay__layers=['tokens'], overlay__theme='light')
    for message in heard['overlay']:
        from sast_ros.visualization import THEMES

        ground = {tuple(colour) for colour in THEMES['light'].table[:, 0].tolist()}
        found = {tuple(pixel) for pixel in np.unique(as_picture(message).reshape(-1, 3), axis=0)}
        strips = as_picture(message)[HEIGHT // 2]  # the note on untrained weights is above
        assert {tuple(pixel) for pixel in strips.tolist()} <= ground
        assert len(found & ground) > 1
    assert 'one of' in node.observer.set_parameters(overlay__theme='grey')[0]
    assert 'overlay.layers' in node.observer.set_parameters(overlay__layers=['sky'])[0]


def test_the_token_mask_is_what_the_overlay_tints(node):
    from sast_ros.visualization import THEMES

    heard, _ = listen(node, 'overlay', 'token_mask', overlay__layers=['tokens'])
    tints, levels = THEMES['dark'].table[:, 0], []
    pictures = {stamps_of([message])[0]: as_picture(message) for message in heard['overlay']}
    compared = 0
    for message in heard['token_mask']:
        assert message.encoding == 'mono8' and message.step == WIDTH
        mask = np.frombuffer(message.data, np.uint8).reshape(HEIGHT, WIDTH)
        levels += np.unique(mask).tolist()
        picture = pictures.get(stamps_of([message])[0])
        if picture is not None:
            _, shown = np.vsplit(tints[mask // 127] == picture, 2)  # above is a note
            assert shown.all()
            compared += 1
    assert compared
    assert {0, 127} <= set(levels) <= {0, 127, 254}


def test_the_mask_is_switched_on_and_off_while_it_runs(node):
    from sast_ros.visualization import THEMES

    observer, pictures = node.observer, []
    tints = THEMES['dark'].table[1:, 0]
    activate(node, overlay__layers=['events'], detections__score_threshold=1.0)
    subscription = observer.subscribe(message_types()['overlay'], 'overlay', pictures.append, 10)
    observer.wait_for(lambda: observer.node.count_publishers('overlay'))
    try:
        for part, layers in enumerate((['events'], ['events', 'tokens'], ['tokens'], [''])):
            assert observer.set_parameters(overlay__layers=layers) == []
            assert observer.parameter('overlay.layers') == layers
            messages = as_array(batches(4, start_us=part * 100_000)).messages
            node.publish(ARRAY, messages).finish()
            stamp = START_NS + 1000 * (part * 100_000 + 50_000)  # of its first window
            observer.wait_for(lambda at=stamp: stamps_of(pictures[-1:]) >= [at])
            _, shown = np.vsplit(as_picture(pictures[-1]), 2)  # above is a note
            tinted = (shown[:, :, None] == tints).all(axis=-1).any()
            assert tinted == ('tokens' in layers), layers
            lit = (shown != THEMES['dark'].background).any(axis=-1).mean()
            assert (lit > 0) == (layers != ['']), layers
    finally:
        observer.node.destroy_subscription(subscription)


def test_markers_and_points_lie_where_the_detections_and_events_are(node):
    from sast_ros.ros.messages import PIXEL_M, TIME_M_S

    heard, made = listen(node, 'markers', 'event_cloud')
    detections = {stamps_of([array])[0]: array for array in node.observer.detections}
    for message in heard['markers']:
        clear, *markers = message.markers
        assert clear.action == clear.DELETEALL
        array = detections[stamps_of([clear])[0]]
        lines = [marker for marker in markers if marker.type == marker.LINE_LIST]
        texts = [marker for marker in markers if marker.type == marker.TEXT_VIEW_FACING]
        boxes = []
        for marker in lines:
            points = np.array([(point.x, point.y, point.z) for point in marker.points])
            for corners in points.reshape(-1, 8, 3) / PIXEL_M:
                boxes.append((*corners.min(axis=0)[:2], *corners.max(axis=0)[:2]))
                assert (corners[:, 2] == 0).all()
        expected = [
            (
                box.center.position.x - box.size_x / 2,
                box.center.position.y - box.size_y / 2,
                box.center.position.x + box.size_x / 2,
                box.center.position.y + box.size_y / 2,
            )
            for box in (detection.bbox for detection in array.detections)
        ]
        np.testing.assert_allclose(sorted(boxes), sorted(expected), atol=1e-6)
        assert len(texts) == len(array.detections)
    _, _, _, t = (np.concatenate(values) for values in zip(*made))
    for cloud in heard['event_cloud']:
        names = [field.name for field in cloud.fields]
        points = np.frombuffer(cloud.data, np.float32).reshape(-1, 4)
        assert names == ['x', 'y', 'z', 'polarity'] and len(points) == cloud.width
        assert cloud.row_step == cloud.point_step * cloud.width == len(cloud.data)
        assert 0 < cloud.width <= len(t)
        assert (points[:, 0] / PIXEL_M < WIDTH).all() and (points[:, 1] / PIXEL_M < HEIGHT).all()
        assert (points[:, 2] >= -0.05 * TIME_M_S - 1e-6).all() and (points[:, 2] < 0).all()
        assert set(points[:, 3].tolist()) == {0, 1}


@pytest.mark.parametrize('tracking', [False, True])
def test_annotations_are_those_of_the_detections(node, tracking):
    pytest.importorskip('foxglove_msgs.msg', reason='foxglove_msgs is not installed')
    heard, _ = listen(node, 'annotations', tracking__enabled=tracking)
    detections = {stamps_of([array])[0]: array for array in node.observer.detections}
    for message in heard['annotations']:
        assert message.points and not message.circles
        stamps = [one.timestamp for one in (*message.points, *message.texts)]
        stamps += [message.timestamp] if hasattr(message, 'timestamp') else []  # since 3.2.5
        (stamp,) = {stamp.sec * 10**9 + stamp.nanosec for stamp in stamps}
        array = detections[stamp].detections
        assert len(message.points) == len(message.texts) == len(array)
        rising = sorted(array, key=score_of)
        texts = {id(one): text for one, text in zip(rising, message.texts)}
        for frame, detection in zip(message.points, array):
            text = texts[id(detection)]
            assert frame.type == frame.LINE_LOOP
            box, place = detection.bbox, detection.bbox.center.position
            corners = [
                (place.x + x * box.size_x / 2, place.y + y * box.size_y / 2)
                for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ]
            found = [(point.x, point.y) for point in frame.points]
            np.testing.assert_allclose(found, corners, atol=1e-3)
            assert text.position.x <= found[0][0]
            assert text.position.y in (found[0][1], found[3][1])
            hypothesis = detection.results[0].hypothesis
            score = f'{hypothesis.score:.2f}' if hypothesis.score >= 0.01 else '<0.01'
            number = f'#{detection.id} ' if detection.id else ''
            assert text.text == f'{number}{hypothesis.class_id} {score}'
            assert frame.outline_color == text.background_color
            assert frame.outline_color.a == 1.0 and frame.fill_color.a == 0.0


@pytest.mark.parametrize('topic', ['markers', 'event_cloud', 'overlay/compressed'])
def test_what_nobody_listens_to_is_not_made(node, topic):
    heard, _ = listen(node, topic)
    done = len(node.observer.detections)
    assert 1 <= published(node, done) <= done
    assert set(heard) == {topic}
