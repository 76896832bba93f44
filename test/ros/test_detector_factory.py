# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters to a detector that is warm at the size of the sensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import gc

import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from sast_ros.detector import StreamingDetector  # noqa: E402 - after the skip
from sast_ros.errors import SettingError  # noqa: E402 - after the skip
from sast_ros.model.inference import Engine  # noqa: E402 - after the skip
from sast_ros.ros.detector_factory import load_detectors, WARM_UP_STEPS  # noqa: E402
from sast_ros.ros.parameters import Settings  # noqa: E402 - after the skip


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Leave no object out of the collections of other tests."""
    yield
    gc.unfreeze()


def settings(model: str, height: int, width: int) -> Settings:
    default = Settings()
    return replace(
        default,
        model=replace(default.model, path=model, threads=1),
        input=replace(default.input, height=height, width=width),
    )


@pytest.mark.parametrize(
    ('size', 'cells'), [((0, 0), (240, 304)), ((120, 160), (120, 160)), ((480, 640), (240, 320))]
)
def test_the_warm_up_is_at_the_size_of_the_sensor(size, cells, monkeypatch):
    shapes, step = [], StreamingDetector.step

    def noted(self, histogram):
        shapes.append(tuple(histogram.shape))
        return step(self, histogram)

    monkeypatch.setattr(StreamingDetector, 'step', noted)
    (detector,), untrained = load_detectors(settings('gen1-tiny', *size))
    assert untrained and detector.detector._states is None
    assert shapes == [(20, *cells)] * WARM_UP_STEPS


def test_cameras_share_the_network_and_nothing_else():
    named = replace(settings('gen1-tiny', 120, 160), cameras=['left', 'right', 'rear'])
    detectors, _ = load_detectors(named)
    assert len({id(detector.detector) for detector in detectors}) == 3
    assert len({id(detector.detector.engine) for detector in detectors}) == 1


def test_the_warm_up_takes_every_number_of_streams_that_share_a_step(monkeypatch):
    batches, step = [], Engine.step

    def noted(self, histograms, states):
        batches.append(len(histograms))
        return step(self, histograms, states)

    monkeypatch.setattr(Engine, 'step', noted)
    # As on a GPU; without one the same runs without a graph
    monkeypatch.setattr(
        Engine, 'for_model', classmethod(lambda cls, model, **_: cls(model, 'cuda'))
    )
    named = replace(settings('gen1-tiny', 64, 64), cameras=['left', 'right', 'rear'])
    detectors, _ = load_detectors(named)
    assert batches == [1] * WARM_UP_STEPS + [2, 3]
    assert all(detector.detector._states is None for detector in detectors)


def test_an_impossible_sensor_is_refused_before_the_warm_up():
    wrong = replace(settings('gen1-tiny', 240, 304).model, partition_size=[7, 7])
    with pytest.raises(SettingError):
        load_detectors(replace(settings('gen1-tiny', 240, 304), model=wrong))
