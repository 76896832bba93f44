# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A cache of a few seconds: rectangles that move over a noisy ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sast_ros.events import EventChunk
from sast_ros.histogram import StackedHistogram
from sast_ros.labels import LABEL_DTYPE
from sast_ros_training.training.cache import SequenceInfo, SequenceWriter

CLASSES = ('pedestrian', 'two-wheeler', 'car')
SIZES = ((20, 50), (40, 40), (80, 40))
STEP_US = 50_000


def window(seed: int, number: int, height: int, width: int) -> tuple[EventChunk, np.ndarray]:
    """Return the events of one window and its labels; the same for the same arguments."""
    scene = np.random.default_rng(seed)
    rng = np.random.default_rng([seed, number])
    labels = np.zeros(3, LABEL_DTYPE)
    xs, ys = [rng.integers(0, width, 60)], [rng.integers(0, height, 60)]
    for class_id, (w, h) in enumerate(SIZES):
        w, h = int(w * scene.uniform(0.8, 1.2)), int(h * scene.uniform(0.8, 1.2))
        speed = scene.choice([-1, 1]) * scene.uniform(2, 6)
        x = (scene.uniform(0, width) + speed * number) % width - w / 2
        y = scene.uniform(0, height - h)
        edge = np.concatenate([x + rng.normal(0, 2, 150), x + w + rng.normal(0, 2, 150)])
        xs.append(edge)
        ys.append(y + rng.uniform(0, h, 300))
        left, right = max(0, x), min(width, x + w)
        labels[class_id] = (
            (number + 1) * STEP_US, left, y, max(0, right - left), h, class_id, class_id + 1,
            1 if right > left else 0, 300, True, True,
        )  # fmt: skip
    x, y = (np.concatenate(part).astype(int) for part in (xs, ys))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    count = int(inside.sum())
    t = np.sort(rng.integers(number * STEP_US, (number + 1) * STEP_US, count))
    chunk = EventChunk(
        x[inside].astype(np.uint16),
        y[inside].astype(np.uint16),
        rng.integers(0, 2, count).astype(np.uint8),
        t,
        width=width,
        height=height,
    )
    return chunk, labels[labels['w'] > 0]


def write_sequence(
    path: Path, seed: int, windows: int = 12, size: tuple[int, int] = (240, 304)
) -> Path:
    """Write one sequence of the cache and return its path."""
    height, width = size
    histogram = StackedHistogram(height, width)
    info = SequenceInfo(
        f'seed {seed}', CLASSES, size, 1, histogram.shape, 'static' if seed % 2 else 'pan'
    )
    writer = SequenceWriter(info)
    for number in range(windows):
        chunk, labels = window(seed, number, height, width)
        writer.add(histogram(chunk).numpy(), (number + 1) * STEP_US, len(chunk), labels)
    writer.write(path)
    return path


def write_cache(
    folder: Path,
    train: int = 6,
    validation: int = 2,
    windows: int = 12,
    size: tuple[int, int] = (240, 304),
) -> Path:
    """Write a whole cache and return its folder."""
    for kind, count, first in (('train', train, 0), ('validation', validation, 1000)):
        for seed in range(first, first + count):
            write_sequence(folder / kind / f'{seed:08d}.safetensors', seed, windows, size)
    return folder
