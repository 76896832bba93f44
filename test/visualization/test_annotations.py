# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Pictures and annotations for Foxglove: what another reader of mcap finds in a replay."""

from __future__ import annotations

from collections import defaultdict
import json
from pathlib import Path
import re
from typing import Any

import numpy as np
import pytest
from sast_ros.bags import open_recording
from sast_ros.bags.definitions import message_types
from sast_ros.bags.detections import DETECTIONS_TOPIC
from sast_ros.replay import replay_to_folder, ReplayOptions
from sast_ros.visualization.annotations import image_annotations
from sast_ros.visualization.overlay import THEMES
from system.streams import score_of
from tracking.windows import window

LAYOUT = Path(__file__).resolve().parents[2] / 'config' / 'foxglove' / 'detections.json'


def replayed(folder: Path, **options: Any) -> dict[str, list[Any]]:
    """Return the messages of ``detections.mcap`` by topic, as mcap-ros2-support decodes them."""
    reader = pytest.importorskip('mcap_ros2.reader')
    with open_recording('example') as recording:
        replay_to_folder(recording, folder, ReplayOptions(end=0.4, **options))
    found: dict[str, list[Any]] = defaultdict(list)
    for message in reader.read_ros2_messages(str(folder / 'detections.mcap')):
        found[message.channel.topic].append(message)
    return found


@pytest.fixture(scope='module')
def visual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    return replayed(tmp_path_factory.mktemp('visual'), visual=True, score_threshold=0.05)


def test_every_window_has_a_picture_and_annotations_at_its_time(
    visual: dict[str, list[Any]],
) -> None:
    assert set(visual) == {DETECTIONS_TOPIC, '/event_image', '/annotations'}
    times = [[message.log_time_ns for message in visual[topic]] for topic in visual]
    assert times[0] == times[1] == times[2] and len(times[0]) == 7
    for array, image in zip(visual[DETECTIONS_TOPIC], visual['/event_image'], strict=True):
        assert str(image.ros_msg.header) == str(array.ros_msg.header)


def test_annotations_frame_the_detections(visual: dict[str, list[Any]]) -> None:
    boxes = 0
    for array, drawn in zip(visual[DETECTIONS_TOPIC], visual['/annotations'], strict=True):
        frames, texts = drawn.ros_msg.points, drawn.ros_msg.texts
        assert len(frames) == len(texts) == len(array.ros_msg.detections)
        detections = array.ros_msg.detections
        for detection, frame in zip(detections, frames, strict=True):
            box = detection.bbox
            corners = np.array([(point.x, point.y) for point in frame.points])
            centre = box.center.position
            np.testing.assert_allclose(corners.mean(axis=0), (centre.x, centre.y), atol=1e-4)
            np.testing.assert_allclose(
                np.ptp(corners, axis=0), (box.size_x, box.size_y), atol=1e-4
            )
            assert frame.type == 2  # a closed polygon
            assert str(frame.timestamp) == str(array.ros_msg.header.stamp)
            hypothesis = detection.results[0].hypothesis
            colour = frame.outline_color
            class_colour = THEMES['dark'].class_colour(hypothesis.class_id, 0)
            rgb = np.rint(np.multiply((colour.r, colour.g, colour.b), 255))
            assert tuple(rgb) == class_colour and colour.a == 1
            boxes += 1
        # What is drawn last lies on top
        for detection, text in zip(sorted(detections, key=score_of), texts, strict=True):
            number = f'#{detection.id} ' if detection.id else ''
            class_id = detection.results[0].hypothesis.class_id
            assert text.text == f'{number}{class_id} {score_of(detection):.2f}'
            assert str(text.timestamp) == str(array.ros_msg.header.stamp)
    assert boxes > 5


def test_annotations_have_the_theme_of_the_picture(tmp_path: Path) -> None:
    light, boxes = THEMES['light'], 0
    for drawn in replayed(tmp_path, visual=True, score_threshold=0.05, theme='light')[
        '/annotations'
    ]:
        for text in drawn.ros_msg.texts:
            ground, letters = (
                np.rint([255 * getattr(colour, band) for band in 'rgb'])
                for colour in (text.background_color, text.text_color)
            )
            name = re.sub(r'^#\d+ ', '', text.text).rpartition(' ')[0]
            assert tuple(ground) == light.class_colour(name, 0)
            assert np.abs(ground - letters).max() > 100
            boxes += 1
    assert boxes > 5


def test_texts_stay_in_the_picture() -> None:
    """A letter is 0.573 of the font size wide in Lichtblick."""
    found = window(
        0, [[300, 100, 8, 20], [150, 100, 20, 20], [4, 100, 8, 20]], track_ids=[1, 2, 3]
    )
    drawn = image_annotations(found, 0, lambda name: message_types().types[name])
    ends = [text.position.x + 0.573 * text.font_size * len(text.text) for text in drawn.texts]
    assert max(ends) <= found.width
    assert sorted(text.position.x for text in drawn.texts)[:2] == [0, 140]


def test_the_picture_has_the_events(visual: dict[str, list[Any]]) -> None:
    active = []
    for message in visual['/event_image']:
        image = message.ros_msg
        assert (image.encoding, image.step, image.is_bigendian) == ('rgb8', 3 * image.width, 0)
        picture = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
        active.append((picture != THEMES['dark'].background).any(axis=2).mean())
    assert (image.width, image.height) == (304, 240)
    assert all(0 < share < 0.5 for share in active)


def test_without_the_option_there_are_detections_alone(tmp_path: Path) -> None:
    found = replayed(tmp_path, model='gen1-tiny')
    assert set(found) == {DETECTIONS_TOPIC}


def test_the_layout_shows_topics_that_there_are(visual: dict[str, list[Any]]) -> None:
    layout = json.loads(LAYOUT.read_text())
    panels = layout['configById']
    named: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, str):
            named.append(node)
            for tab in panels[node].get('tabs', ()):
                walk(tab['layout'])
        else:
            assert node['direction'] in ('row', 'column')
            walk(node['first'])
            walk(node['second'])

    walk(layout['layout'])
    assert sorted(named) == sorted(panels)
    image = panels['Image!detections']['imageMode']
    schemas = {topic: messages[0].schema.name for topic, messages in visual.items()}
    assert schemas[image['imageTopic']] == 'sensor_msgs/msg/Image'
    assert [schemas[topic] for topic in image['annotations']] == [
        'foxglove_msgs/msg/ImageAnnotations'
    ]
    assert panels['RawMessages!detections']['topicPath'].split('.')[0] in schemas
