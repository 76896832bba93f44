# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detect in events that are already in numpy arrays; here in random ones."""

import numpy as np
from sast_ros.detector import StreamingDetector
from sast_ros.events import EventChunk
from sast_ros.model import load_model
from sast_ros.pipeline import EventPipeline

WIDTH, HEIGHT, EVENTS = 640, 480, 200_000
random = np.random.default_rng(0)
events = EventChunk(
    x=random.integers(0, WIDTH, EVENTS).astype(np.uint16),
    y=random.integers(0, HEIGHT, EVENTS).astype(np.uint16),
    p=random.integers(0, 2, EVENTS).astype(np.uint8),  # 0 OFF, 1 ON
    t=np.sort(random.integers(0, 260_000, EVENTS)),  # microseconds, non-decreasing
    width=WIDTH,
    height=HEIGHT,
)

pipeline = EventPipeline(StreamingDetector(load_model('default')))
for found in pipeline.feed(events):  # call feed again for the events that follow
    print(f'{found.t_start} to {found.t_end} us: {found.events} events, {len(found)} detections')
    for box, score, class_id in zip(found.boxes, found.scores, found.class_ids):
        print(f'  {found.class_names[class_id]} {score:.2f} at {box.round(1)}')
