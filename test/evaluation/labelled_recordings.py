# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings with labels, made by code: textured boxes that move over a noisy background."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from sast_ros.bags.mcap_topic import McapTopic
from sast_ros.events import EventChunk
from sast_ros.events.encoders import cut_packets, EventPacketEncoder
from sast_ros.labels import BOX_DTYPE, CLASSES

WIDTH, HEIGHT = 304, 240
STEP_US = 50_000

#: Width and height in pixels of an object of each class.
_SIZES = ((28, 70), (50, 60), (110, 60))


def write_labelled_recordings(folder: Path, names: list[str], seconds: float) -> list[Path]:
    """Write ``NAME.mcap`` and ``NAME_bbox.npy`` for each name, and one ``dataset.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'dataset.json').write_text(json.dumps({'classes': CLASSES}))
    return [
        write_labelled_recording(folder / f'{n}.mcap', i, seconds) for i, n in enumerate(names)
    ]


def write_labelled_recording(path: Path, seed: int, seconds: float) -> Path:
    """Write one recording with labels every 50 ms; the same for the same seed."""
    scene = np.random.default_rng(seed)
    objects = [
        (class_id, scene.uniform(0, WIDTH), scene.uniform(0, HEIGHT - 75), scene.uniform(40, 160))
        for class_id in scene.permutation(len(CLASSES)).tolist()
    ]
    encode = EventPacketEncoder(WIDTH, HEIGHT, 'event_camera')
    labels = []
    with path.open('wb') as stream:
        bag = McapTopic(stream, '/events', 'event_camera_msgs/msg/EventPacket')
        for number in range(round(seconds * 1e6 / STEP_US) + 1):
            rows = boxes_at(objects, (number + 1) * STEP_US)
            labels.append(rows)
            for packet in cut_packets(window(seed, number, rows)):
                bag.write(encode(packet, 1000 * int(packet.t[0])), 1000 * int(packet.t[-1]))
        bag.finish()
    np.save(path.with_name(f'{path.stem}_bbox.npy'), np.concatenate(labels[:-1]))
    return path


def boxes_at(objects: list[tuple[int, float, float, float]], t: int) -> np.ndarray:
    """Return the labels of one time; the objects move to the right and come back on the left."""
    boxes = np.zeros(len(objects), BOX_DTYPE)
    for track, (class_id, x, y, speed) in enumerate(objects):
        w, h = _SIZES[class_id]
        left = (x + speed * t / 1e6) % (WIDTH + w) - w
        low, high = max(0.0, left), min(float(WIDTH), left + w)
        boxes[track] = t, low, y, high - low, h, class_id, track + 1, 1
    return boxes[boxes['w'] >= 8]


def window(seed: int, number: int, boxes: np.ndarray) -> EventChunk:
    """Return the events of 50 ms: vertical edges and texture of the boxes, and noise."""
    random = np.random.default_rng([seed, number])
    xs, ys = [random.uniform(0, WIDTH, 100)], [random.uniform(0, HEIGHT, 100)]
    for box in boxes:
        edges = box['x'] + box['w'] * np.array([0, 0.1, 0.3, 0.55, 0.7, 0.9, 1])
        xs.append(random.choice(edges, 1200) + random.normal(0, 1, 1200))
        ys.append(box['y'] + box['h'] * random.beta(0.8, 0.8, 1200))
    x, y = (np.concatenate(part).astype(int) for part in (xs, ys))
    inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
    count = int(inside.sum())
    t = np.sort(random.integers(number * STEP_US, (number + 1) * STEP_US, count))
    t[0] = number * STEP_US
    return EventChunk(
        x[inside].astype(np.uint16),
        y[inside].astype(np.uint16),
        random.integers(0, 2, count).astype(np.uint8),
        t,
        width=WIDTH,
        height=HEIGHT,
    )
