# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Sensors that are larger than the network's frame: training sees what a node sees."""

from dataclasses import replace

import numpy as np
from sast_ros.detector import StreamingDetector
from sast_ros.model import build_model
from sast_ros.pipeline import WindowDetector
from sast_ros.windows import WindowCutter
from sast_ros_training.simulation.sequence import SimulatedSequence, WINDOW_US
from sast_ros_training.training.cache import CachedSequence
from sast_ros_training.training.config_file import parse_config
from sast_ros_training.training.sources.simulation import plan_drives, simulate_drive


def test_a_cached_vga_drive_is_what_a_node_makes_of_its_stream(tmp_path):
    simulation = {'sequences': 1, 'validation_sequences': 1, 'seconds': 0.2, 'start_with': 1}
    simulation |= {'geometries': {'vga': 1.0}}
    data = {'kind': 'simulation', 'cache': str(tmp_path), 'simulation': simulation}
    (plan,), _ = plan_drives(parse_config({'data': data}, 'test'))
    plan = replace(plan, window_ms=50.0, stride_ms=50.0)
    simulate_drive(plan)
    cached = CachedSequence(plan.target)
    drive = SimulatedSequence(plan.seed, plan.seconds, plan.geometry, plan.motion)
    chunks = [window.chunk for window in drive.windows()] + [drive.tail]
    node = WindowDetector(StreamingDetector(build_model('gen1-tiny').eval()))
    cutter = WindowCutter(WINDOW_US, WINDOW_US)
    cut = [window for chunk in chunks for window in cutter.cut(chunk)]
    assert len(cut) == len(cached) == 4
    for index, window in enumerate(cut):
        np.testing.assert_array_equal(node.prepare(window).numpy(), cached.dense(index))
    assert cached.info.downsample == node.detector.downsample == 2
