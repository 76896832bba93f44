# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The calibration of a camera comes with the stamp and frame of each detection message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rclpy.qos import DurabilityPolicy, qos_profile_sensor_data, QoSProfile
from sensor_msgs.msg import CameraInfo
from system.streams import activate, ARRAY, as_array, batches, HEIGHT, WIDTH
from vision_msgs.msg import Detection2DArray

COUNTER = 'camera_info published'
OUTPUT = 'detections/camera_info'
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ALL = {'detections__score_threshold': 0.0, 'detections__max_count': 3}


def calibration(width: int = WIDTH, height: int = HEIGHT, focal: float = 300.0) -> CameraInfo:
    info = CameraInfo(width=width, height=height, distortion_model='plumb_bob')
    info.header.frame_id = 'of_the_driver'
    info.header.stamp.sec = 7
    info.k = [focal, 0.0, 152.0, 0.0, focal, 120.0, 0.0, 0.0, 1.0]
    info.d = [-0.1, 0.01, 0.0, 0.0, 0.0]
    return info


class Calibrated:
    """A driver that publishes calibrations, and a node that listens to what is made of them."""

    def __init__(self, bench: Any, name: str = '', qos: Any = LATCHED) -> None:
        self._bench, self._node, self.name = bench, bench.observer.node, name
        self.arrays: list[Any] = []
        self.infos: list[Any] = []
        self._part = 0
        keep = bench.observer.subscribe
        self._driver = self._node.create_publisher(CameraInfo, f'{name}camera_info', qos)
        self._subscriptions = [
            keep(Detection2DArray, f'{name}detections', self.arrays.append, 1000),
            keep(CameraInfo, f'{name}{OUTPUT}', self.infos.append, 1000),
        ]
        self.wait_for(self._driver.get_subscription_count)
        self.wait_for(lambda: self._node.count_publishers(f'{name}{OUTPUT}'))

    def wait_for(self, condition: Callable[[], object]) -> None:
        self._bench.observer.wait_for(condition)

    def calibrate(self, message: CameraInfo) -> None:
        self._driver.publish(message)

    def send_windows(self) -> None:
        """Publish events and wait for their detections."""
        before, observer = len(self.arrays), self._bench.observer
        stream = as_array(batches(9, start_us=self._part * 300_000))
        self._part += 1
        publisher = self._bench.publisher(ARRAY, topic=f'{self.name}events')
        publisher.start(stream.messages).go()
        publisher.finish()
        observer.wait_for(lambda: len(self.arrays) >= before + len(stream.stamps_ns))

    def send_until(self, condition: Callable[[], object], message: CameraInfo) -> None:
        """Publish the calibration and windows until the condition holds."""
        for _ in range(20):
            self.calibrate(message)
            self.send_windows()
            if condition():
                return
        raise AssertionError(f'{len(self.arrays)} detections, {len(self.infos)} calibrations')

    def stop_listening(self) -> None:
        self._node.destroy_subscription(self._subscriptions.pop())

    def close(self) -> None:
        for each in self._subscriptions:
            self._node.destroy_subscription(each)
        self._node.destroy_publisher(self._driver)


@pytest.fixture
def calibrated(node: Any) -> Iterator[Callable[..., Calibrated]]:
    """Return what makes drivers and listeners for the node."""
    made: list[Calibrated] = []

    def make(*arguments: Any, **options: Any) -> Calibrated:
        made.append(Calibrated(node, *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def counted(node: Any) -> int:
    return int(node.observer.status(lambda _, values: COUNTER in values)[COUNTER])


def test_each_detection_message_has_a_calibration_of_equal_header(node, calibrated):
    activate(node, **ALL)
    camera = calibrated()
    camera.send_until(lambda: camera.infos, calibration())
    camera.send_windows()
    camera.wait_for(lambda: camera.infos[-1].header == camera.arrays[-1].header)
    without = len(camera.arrays) - len(camera.infos)  # those before the first calibration
    latest = camera.arrays[without:]
    assert len(latest) > 4
    assert [info.header for info in camera.infos] == [array.header for array in latest]
    for array in camera.arrays:
        assert array.header.frame_id == 'camera' and array.detections
        assert all(one.header == array.header for one in array.detections)
    expected = calibration()
    for info in camera.infos:
        expected.header = info.header
        assert info == expected  # K, D and size as the driver has sent them


def test_without_a_calibration_nothing_is_published(node, calibrated):
    activate(node, **ALL)
    camera = calibrated()
    camera.send_windows()
    assert camera.infos == [] and counted(node) == 0


def test_nothing_is_made_while_nobody_listens(node, calibrated):
    activate(node, **ALL)
    camera = calibrated()
    camera.send_until(lambda: camera.infos, calibration())
    camera.stop_listening()
    camera.send_windows()  # the node may not know yet that nobody listens
    before = counted(node)
    camera.send_windows()
    assert 0 < counted(node) == before < len(camera.arrays)


def test_the_newest_calibration_of_a_best_effort_driver_is_passed_on(node, calibrated):
    activate(node, **ALL)
    camera = calibrated(qos=qos_profile_sensor_data)
    for focal in (310.0, 320.0):
        camera.send_until(
            lambda focal=focal: camera.infos and camera.infos[-1].k[0] == focal,
            calibration(focal=focal),
        )


def test_a_calibration_of_another_size_is_passed_on_with_one_warning(node, calibrated):
    activate(node, **ALL)
    camera = calibrated()
    camera.send_until(lambda: len(camera.infos) > 1, calibration(640, 480))
    assert {(info.width, info.height) for info in camera.infos} == {(640, 480)}
    assert node.nodes[-1].log.count('640x480 pixels, but the sensor has 304x240') == 1


def test_each_of_two_cameras_has_its_own(node, calibrated):
    activate(node, cameras=['left', 'right'], **ALL)
    left, right = calibrated('left/'), calibrated('right/')
    left.send_until(lambda: left.infos, calibration(focal=111.0))
    right.send_until(lambda: right.infos, calibration(focal=222.0))
    assert {info.k[0] for info in left.infos} == {111.0}
    assert {info.k[0] for info in right.infos} == {222.0}
