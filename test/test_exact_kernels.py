# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Compiled loops that decide something give the same bits on every processor.

Which tokens are selected and which boxes stay may depend on the last bit of a sum. The digests are
those of x86-64 (baseline, AVX2, AVX-512) and of aarch64 (``make test-arm``): a loop that fuses a
multiplication with an addition where the processor can gives another one there.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from sast_ros.events.chunk import EventChunk
from sast_ros.histogram import StackedHistogram
from sast_ros.kernels import library
from sast_ros.model import load_model
from sast_ros.model.inference import Engine
from sast_ros.model.inference.cpu import INSTRUCTION_SET, instruction_sets
import torch


def draw(seed: int, *shape: int) -> np.ndarray:
    """Return float32 numbers from -4 to 4 with all bits in use; NumPy keeps this stream."""
    raw = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    return ((raw >> np.uint64(40)).astype(np.float32) / np.float32(1 << 21) - 4).reshape(shape)


def digest(*arrays: np.ndarray) -> str:
    content = b''.join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return hashlib.sha256(content).hexdigest()[:16]


@pytest.mark.parametrize(
    'instruction_set', [name for name in instruction_sets() if name != 'baseline']
)
def test_a_step_of_the_network_has_the_same_bits_on_every_processor(monkeypatch, instruction_set):
    """Those without a fused multiply-add (``baseline``) round otherwise."""
    monkeypatch.setenv(INSTRUCTION_SET, instruction_set)
    engine = Engine(load_model('default'), 'cpu')
    states = None
    found: list[np.ndarray] = []
    for seed in range(3):
        raw = np.random.PCG64(seed).random_raw((20, 240, 304))
        cells = np.where(raw >> np.uint64(32) < 1 << 27, raw % np.uint64(5), 0).astype(np.uint8)
        output = engine.step(torch.from_numpy(cells)[None], states)
        states = output.states
        found += [s.mask.numpy() for pair in output.selections for s in pair]
        found += [value.numpy() for pair in states for value in pair]
    assert digest(*found) == 'd28fb7ebf9b925f9'


def test_suppression_at_the_threshold_is_the_same_on_every_processor():
    count, iou = 4000, np.float32(0.45)
    left, top, width, height = np.abs(draw(5, 4, count)) * 50 + 1
    shift = width * (1 - iou) / (1 + iou)  # IoU is iou up to the rounding of these lines
    boxes = np.empty((count, 2, 4), np.float32)
    boxes[:, 0] = np.stack([left, top, left + width, top + height], axis=1)
    boxes[:, 1] = boxes[:, 0] + np.stack([shift, 0 * shift, shift, 0 * shift], axis=1)
    alive = np.ones((count, 2), np.uint8)
    for pair, kept in zip(boxes, alive):
        library.sast_nms(pair, np.zeros(2, np.int64), 2, float(iou), kept)
    assert alive[:, 0].all()
    assert 0.2 < alive[:, 1].mean() < 0.8  # the last bit decides
    assert digest(alive) == 'a77a84ff7dd37dfe'


def test_histogram_is_the_same_on_every_processor():
    raw = np.random.PCG64(6).random_raw((4, 20_000))
    x, y, p = ((raw[i] % n).astype(np.uint16) for i, n in enumerate([40, 30, 2]))
    times = np.sort(raw[3] % 50_000).astype(np.int64)
    events = EventChunk(x, y, p.astype(np.uint8), times, width=40, height=30)
    assert digest(StackedHistogram(30, 40, cutoff=3)(events).numpy()) == 'a3900d7225f7a9a3'
