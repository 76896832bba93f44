# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A GPU without memory left: simulated, as it cannot be had where tests run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

rclpy = pytest.importorskip('rclpy')

from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sast_ros.ros import detector_node  # noqa: E402
from sast_ros.ros.camera import MAX_FAILURES, process_windows  # noqa: E402
from sast_ros.windows import EventWindow  # noqa: E402
import torch  # noqa: E402


@pytest.fixture
def node(ros_domain) -> Iterator[detector_node.DetectorNode]:
    context = rclpy.Context()
    rclpy.init(context=context)
    values = {'autostart': False, 'model.path': 'gen1-tiny'}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = detector_node.DetectorNode(context=context, parameter_overrides=overrides)
    yield node
    node.close()
    context.try_shutdown()


def out_of_memory(*_: object) -> None:
    raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 MiB')


def test_a_window_without_memory_costs_itself_and_many_stop_the_node(node, monkeypatch):
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    (camera,) = node._cameras
    window = EventWindow(0, 50_000, (), 304, 240, 50_000_000)
    detector = camera._detector
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(detector.detector, 'step', out_of_memory)
            for _ in range(MAX_FAILURES - 1):
                assert not process_windows([(camera, window)])
        assert not process_windows([(camera, window)])
    assert camera._monitor.step_errors == 2 * (MAX_FAILURES - 1)
    assert camera._monitor.windows_done == 2
    monkeypatch.setattr(detector.detector, 'step', out_of_memory)
    for _ in range(MAX_FAILURES - 1):
        assert not process_windows([(camera, window)])
    ((given_up, error),) = process_windows([(camera, window)])
    assert given_up is camera
    assert isinstance(error, torch.OutOfMemoryError)


def test_a_model_without_memory_is_one_sentence(node, monkeypatch):
    monkeypatch.setattr(detector_node, 'load_detectors', out_of_memory)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert 'CUDA out of memory' in node._failure
