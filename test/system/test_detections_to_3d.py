# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The examples that take the detections further, beside the node that replays a recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from system.conftest import NodeProcess
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    Detection3DArray,
    ObjectHypothesisWithPose,
)

EXAMPLES = Path(__file__).resolve().parents[2] / 'examples'

#: Camera of the bundled recording (sast_ros/example/dataset.json).
WIDTH, HEIGHT, FOCAL, CENTRE = 304, 240, 404.9, (152.0, 120.0)

#: Depth on the left and the right half of the picture, metres.
LEFT_M, RIGHT_M = 8.0, 20.0


def calibration() -> CameraInfo:
    info = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model='plumb_bob')
    info.k = [FOCAL, 0.0, CENTRE[0], 0.0, FOCAL, CENTRE[1], 0.0, 0.0, 1.0]
    return info


def depth_image(header: Any) -> Image:
    """Return depth in millimetres, with a padded row and a column of no depth."""
    depth = np.zeros((HEIGHT, WIDTH + 8), '<u2')
    depth[:, :WIDTH] = 1000 * np.where(np.arange(WIDTH) < WIDTH // 2, LEFT_M, RIGHT_M)
    depth[:, ::7] = 0  # unknown
    image = Image(header=header, height=HEIGHT, width=WIDTH, encoding='16UC1', is_bigendian=0)
    image.step = depth.shape[1] * depth.itemsize
    image.data.frombytes(depth.tobytes())
    return image


@contextmanager
def example(bench: Any, name: str, *parameters: str) -> Iterator[NodeProcess]:
    arguments = [word for parameter in parameters for word in ('-p', parameter)]
    process = NodeProcess(
        bench.folder, bench.environment, *arguments, program=(str(EXAMPLES / name),)
    )
    try:
        yield process
    finally:
        assert process.end() == 0, process.log


def play(bench: Any, heard: list[Any], wanted: int, listeners: int = 2) -> None:
    """
    Play the bundled recording to the node until there are so many messages with objects.

    Then end the node: a signal makes an error of a message that an example is being given.
    """
    node = bench.start_node(model__path='default', detections__score_threshold=0.3)
    driver = bench.observer.node.create_publisher(CameraInfo, 'camera_info', 1)
    timer = bench.observer.node.create_timer(0.02, lambda: driver.publish(calibration()))
    observer = bench.observer
    observer.wait_for(driver.get_subscription_count)
    observer.wait_for(lambda: observer.node.count_subscribers('detections') == listeners)
    player = subprocess.Popen(
        [sys.executable, '-m', 'sast_ros.demo.player'], env=bench.environment
    )
    try:
        observer.wait_for(
            lambda: sum(bool(array.detections) for array in heard) >= wanted,
            what=f'for {wanted} arrays with objects, {len(heard)} came',
        )
    finally:
        observer.node.destroy_timer(timer)
        player.terminate()
        player.wait(60)
    assert node.end() == 0, node.log


def boxes_of(bench: Any, located: Any) -> Any:
    """Return the 2-D message of the same stamp."""
    (array,) = [one for one in bench.observer.detections if one.header == located.header]
    return array


def test_depth_gives_positions_and_sizes(bench):
    observer, heard = bench.observer, []
    depths = observer.node.create_publisher(Image, 'depth', qos_profile_sensor_data)
    observer.subscribe(Detection3DArray, 'detections_3d', heard.append, 1000)
    with example(bench, 'detections_to_3d.py'):
        observer.wait_for(depths.get_subscription_count)
        answer = observer.subscribe(
            Detection2DArray,
            'detections',
            lambda array: depths.publish(depth_image(array.header)),
            1000,
        )
        play(bench, heard, wanted=10, listeners=3)
        observer.node.destroy_subscription(answer)
    checked = {LEFT_M: 0, RIGHT_M: 0}
    for located in (one for one in heard if one.detections):
        flat = boxes_of(bench, located).detections
        for one, detection in zip(located.detections, flat, strict=True):
            box, made = detection.bbox, one.bbox
            x, y, half = box.center.position.x, box.center.position.y, box.size_x / 4
            if x - half < WIDTH / 2 < x + half + 1:
                continue  # its middle sees both halves
            z = LEFT_M if x < WIDTH / 2 else RIGHT_M
            # Similar triangles: X : Z = (x - cx) : f
            position = [(x - CENTRE[0]) * z / FOCAL, (y - CENTRE[1]) * z / FOCAL, z]
            at = made.center.position
            np.testing.assert_allclose([at.x, at.y, at.z], position, atol=1e-9)
            size = [box.size_x * z / FOCAL, box.size_y * z / FOCAL, 0.0]
            np.testing.assert_allclose([made.size.x, made.size.y, made.size.z], size, atol=1e-9)
            assert one.results[0].pose.pose == made.center
            assert (one.id, one.header) == (detection.id, detection.header)
            assert one.results[0].hypothesis == detection.results[0].hypothesis
            checked[z] += 1
    assert all(checked.values()), checked


def test_one_box_lies_where_it_was_computed_by_hand(bench):
    observer, heard = bench.observer, []
    create = observer.node.create_publisher
    publishers = [
        create(kind, topic, 10)
        for kind, topic in (
            (Detection2DArray, 'detections'),
            (CameraInfo, 'detections/camera_info'),
            (Image, 'depth'),
        )
    ]
    observer.subscribe(Detection3DArray, 'detections_3d', heard.append, 10)
    depth = np.full((240, 304), np.inf, '>f4')
    depth[120:160, 172:212] = 10.0  # the box, and nothing beside it
    header = Header(frame_id='camera')
    header.stamp.sec = 5
    image = Image(header=header, height=240, width=304, encoding='32FC1', is_bigendian=1)
    image.step = 4 * 304
    image.data.frombytes(depth.tobytes())
    info = CameraInfo(header=header, width=304, height=240)
    info.k = [400.0, 0.0, 152.0, 0.0, 400.0, 120.0, 0.0, 0.0, 1.0]
    array = Detection2DArray(header=header)
    for x, y in ((192.0, 140.0), (50.0, 50.0)):  # the second has no depth
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = 'car', 0.5
        one = Detection2D(header=header, results=[hypothesis], id='3')
        one.bbox.center.position.x, one.bbox.center.position.y = x, y
        one.bbox.size_x, one.bbox.size_y = 40.0, 20.0
        array.detections.append(one)
    with example(bench, 'detections_to_3d.py'):
        # Again and again, as what is sent before both sides know each other is lost
        timer = observer.node.create_timer(
            0.1, lambda: [each.publish(one) for each, one in zip(publishers, (array, info, image))]
        )
        observer.wait_for(lambda: heard)
        observer.node.destroy_timer(timer)
    assert heard[0].header == header
    (one,) = heard[0].detections
    at, size = one.bbox.center.position, one.bbox.size
    # 40 pixels right of the centre and 20 below it, 10 m away, at a focal length of 400 pixels
    assert (at.x, at.y, at.z) == (1.0, 0.5, 10.0)
    assert (size.x, size.y, size.z) == (1.0, 0.5, 0.0)
    assert (one.id, one.results[0].hypothesis.class_id) == ('3', 'car')


def test_the_ground_gives_distances_without_a_depth_image(bench):
    heard: list[Any] = []
    bench.observer.subscribe(Detection3DArray, 'detections_3d', heard.append, 1000)
    height = 3.72  # of the camera of the recording
    with example(bench, 'detections_to_3d.py', f'ground_height:={height}'):
        play(bench, heard, wanted=5)
    checked = 0
    for located in (one for one in heard if one.detections):
        for one in located.detections:
            at, size = one.bbox.center.position, one.bbox.size
            # The lower edge lies on the ground
            assert at.y + size.y / 2 == pytest.approx(height)
            assert at.z > 0 and size.x > 0
            checked += 1
    assert checked >= 5


def test_yolo_messages_are_those_of_the_detections(bench):
    yolo = pytest.importorskip('yolo_msgs.msg', reason='yolo_msgs of yolo_ros is not installed')
    heard: list[Any] = []
    bench.observer.subscribe(yolo.DetectionArray, 'detections_yolo', heard.append, 1000)
    with example(bench, 'detections_to_yolo.py'):
        play(bench, heard, wanted=5)
    for made in (one for one in heard if one.detections):
        array = boxes_of(bench, made)
        for one, detection in zip(made.detections, array.detections, strict=True):
            box, hypothesis = detection.bbox, detection.results[0].hypothesis
            assert (one.class_name, one.score) == (hypothesis.class_id, hypothesis.score)
            assert one.class_name == bench.observer.labels[-1].class_map[one.class_id].class_name
            assert one.id == detection.id
            at = one.bbox.center.position
            assert (at.x, at.y) == (box.center.position.x, box.center.position.y)
            assert (one.bbox.size.x, one.bbox.size.y) == (box.size_x, box.size_y)


def test_without_yolo_msgs_the_conversion_says_so(bench):
    environment = {**bench.environment, 'PYTHONPATH': str(EXAMPLES.parent)}
    command = [sys.executable, EXAMPLES / 'detections_to_yolo.py']
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=bench.folder
    )
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.startswith('yolo_msgs is not installed') and done.stderr.count('\n') == 1
