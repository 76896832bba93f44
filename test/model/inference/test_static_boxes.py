# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Boxes found with static shapes are exactly those of the host."""

from __future__ import annotations

import numpy as np
import pytest
from sast_ros.model.inference.postprocess import select_boxes
from sast_ros.model.inference.static_boxes import find_boxes, unpack_boxes
import torch

SIZE = 256, 320
ANCHORS = 1680  # of this size at strides 8, 16 and 32


def random_output(seed: int, *, ties: bool, active: int) -> torch.Tensor:
    """
    Return an output of which about ``active`` anchors are likely.

    ``ties``: scores and boxes are rounded so much that many are equal.
    """
    generator = torch.Generator().manual_seed(seed)
    output = torch.rand(ANCHORS, 8, generator=generator)
    output[:, :2] = 4 * output[:, :2] - 2
    output[:, 2:4] = 3 * output[:, 2:4] - 1
    likely = torch.rand(ANCHORS, generator=generator) < active / ANCHORS
    output[:, 4] = torch.where(likely, 0.3 + 0.7 * output[:, 4], 0.05 * output[:, 4])
    return (8 * output).round() / 8 if ties else output


def assert_same(output: torch.Tensor, threshold: float, iou: float) -> int:
    """Compare with the host; return how many boxes there are, -1 if it has to be asked."""
    expected = select_boxes(output, SIZE, threshold, iou)
    found = unpack_boxes(find_boxes(output, SIZE, threshold, iou).numpy())
    if found is None:
        return -1
    for one, two in zip(found, expected):
        assert one.dtype == two.dtype
        np.testing.assert_allclose(one, two, rtol=2e-6, atol=1e-4)  # another exponential
    assert np.array_equal(found[3], expected[3])
    return len(expected[1])


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('iou', [0.0, 0.3, 0.45, 0.7, 1.0])
def test_boxes_equal_those_of_the_host(iou, ties):
    counts = [
        assert_same(random_output(seed, ties=ties, active=active), 0.1, iou)
        for seed, active in enumerate((5, 20, 60, 120, 250))
    ]
    assert counts[0] > 0
    assert all(count != -1 for count in counts)


@pytest.mark.parametrize('threshold', [0.0, 0.01, 0.5, 1.0])
def test_thresholds_as_tensors_are_the_same_as_numbers(threshold):
    output = random_output(3, ties=True, active=100)
    output[0, 4:6] = 1.0
    as_tensors = torch.tensor([threshold, 0.45], dtype=torch.float64)
    expected = find_boxes(output, SIZE, threshold, 0.45)
    assert torch.equal(find_boxes(output, SIZE, *as_tensors), expected)


def test_a_score_equal_to_the_threshold_is_kept():
    output = torch.zeros(ANCHORS, 7)
    output[7, 4], output[7, 5] = 0.7, 0.9
    score = float(output[7, 4] * output[7, 5])
    assert assert_same(output, score, 0.45) == 1
    assert assert_same(output, float(np.nextafter(np.float32(score), 1)), 0.45) == 0


def test_more_boxes_than_candidates_are_left_to_the_host():
    assert assert_same(random_output(0, ties=False, active=ANCHORS), 0.1, 0.45) == -1
    assert assert_same(random_output(0, ties=False, active=400), 0.1, 0.45) > 0


@pytest.mark.parametrize('length, decided', [(8, True), (16, True), (40, False)])
def test_a_long_chain_of_overlaps_is_left_to_the_host(length, decided):
    """Each box suppresses the next alone, so that every second stays, decided one by one."""
    output = torch.zeros(ANCHORS, 6)
    row = output[: SIZE[1] // 8 * 2]  # two rows of stride 8: neighbours are 8 pixels apart
    row[:length, 2:4] = np.log(2)  # 16 pixels: IoU 1/3 with the next, 0 with the one behind
    row[:length, 4] = torch.linspace(0.9, 0.5, length)
    row[:length, 5] = 1
    found = assert_same(output, 0.1, 0.3)
    assert found == ((length + 1) // 2 if decided else -1)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('column', [0, 3, 4, 7])
def test_output_that_is_not_finite_is_refused(value, column):
    output = random_output(1, ties=False, active=20)
    output[1000, column] = value
    with pytest.raises(ValueError, match='not finite'):
        unpack_boxes(find_boxes(output, SIZE, 0.1, 0.45).numpy())


def test_boxes_without_end_suppress_what_they_do_on_the_host():
    output = random_output(2, ties=False, active=60)
    output[::50, 2:4] = 200.0  # exp overflows
    assert assert_same(output, 0.1, 0.45) > 0
