# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A filter that is set while the node is configured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

from rclpy.parameter import Parameter  # noqa: E402
from sast_ros.events.chunk import EventChunk  # noqa: E402
from sast_ros.ros.camera import Camera  # noqa: E402
from sast_ros.ros.detector_node import DetectorNode  # noqa: E402
from sast_ros.windows import WindowCutter  # noqa: E402


@pytest.fixture
def node(ros_domain) -> Iterator[DetectorNode]:
    context = rclpy.Context()
    rclpy.init(context=context)
    overrides = [Parameter('autostart', value=False)]
    node = DetectorNode(context=context, parameter_overrides=overrides)
    yield node
    node.close()
    context.try_shutdown()


@pytest.fixture
def cutter(node) -> WindowCutter:
    """Return the cutter of a camera of the node, without the network."""
    camera = Camera(node, node._settings, iter(()))
    camera._cutter = WindowCutter(50_000, 50_000, sensor_size=(1, 8))
    node._cameras = [camera]
    return camera._cutter


def set_filter(node: DetectorNode, *texts: str) -> None:
    (result,) = node.set_parameters([Parameter('input.filter', value=list(texts))])
    assert result.successful, result.reason


def cut(cutter: WindowCutter, t: int) -> None:
    zeros = np.zeros(8, np.uint8)
    list(cutter.cut(EventChunk(np.arange(8), zeros, zeros, t + np.arange(8))))


def test_an_edited_mask_is_read_when_the_same_value_is_set_again(node, cutter, tmp_path):
    mask = tmp_path / 'road.npy'
    for number, black in enumerate((3, 5)):
        np.save(mask, np.arange(8).reshape(1, 8) >= black)
        set_filter(node, f'mask={mask}')
        before = cutter.statistics.left_out['mask']
        cut(cutter, 1000 * number)
        assert cutter.statistics.left_out['mask'] - before == black


def test_a_filter_that_stays_the_same_keeps_what_it_knows(node, cutter):
    set_filter(node, 'background-activity=1s')
    cut(cutter, 0)
    removed = cutter.statistics.left_out.total()
    assert removed > 0
    set_filter(node, 'background-activity=1s')
    cut(cutter, 1000)
    assert cutter.statistics.left_out.total() == removed
