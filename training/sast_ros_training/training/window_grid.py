# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Average precision on simulated drives by length and stride of the windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sast_ros.bags.detections import detection_boxes
from sast_ros.detector import StreamingDetector
from sast_ros.evaluation.box_filter import choose_box_filter
from sast_ros.evaluation.metrics.average_precision import mean_average_precision
from sast_ros.pipeline import WindowDetector
from sast_ros_training.simulation.dataset import evaluation_boxes
from sast_ros_training.simulation.sequence import cut_windows, SimulatedSequence
from sast_ros_training.simulation.timing import WindowTiming

#: Labels and detections ``BOX_DTYPE`` of every window of a drive.
Frames = list[tuple[np.ndarray, np.ndarray]]


def detect_grid(
    detector: StreamingDetector, drive: SimulatedSequence, timings: Sequence[WindowTiming]
) -> dict[WindowTiming, Frames]:
    """
    Simulate a drive once, and detect in it with windows of every timing.

    Parameters
    ----------
    detector : StreamingDetector
        Its state is reset before each timing.
    drive : SimulatedSequence
        One that has not been simulated yet; its own timing does not matter.
    timings : sequence of WindowTiming
        The windows; they are those of the node, from the first event on.

    Returns
    -------
    dict
        For each timing, every window's labels, with the field ``ignored``, and what was found in
        it.

    """
    parts = list(drive.record(timings))
    found: dict[WindowTiming, Frames] = {}
    for timing in timings:
        windows = WindowDetector(detector)
        detector.reset()
        found[timing] = [
            (evaluation_boxes(labels, drive.height), detection_boxes(windows.process(window)))
            for window, labels in cut_windows(parts, timing)
        ]
    return found


def summarise_grid(
    drives: Iterable[Mapping[WindowTiming, Frames]],
    classes: Sequence[str],
    sensor_size: tuple[int, int],
) -> list[dict[str, Any]]:
    """
    Return the metrics of every timing over all drives, ready for JSON.

    Parameters
    ----------
    drives : iterable of dict
        What ``detect_grid`` returns, all with the same timings.
    classes : sequence of str
        Class names in class-id order.
    sensor_size : tuple of int
        (height, width) in pixels; decides which small boxes are left out.

    Returns
    -------
    list of dict
        ``window_ms``, ``stride_ms`` and the keys of ``mean_average_precision``.

    """
    drives = list(drives)
    boxes = choose_box_filter('auto', sensor_size)
    return [
        {
            'window_ms': timing.window_us / 1000,
            'stride_ms': timing.stride_us / 1000,
            **mean_average_precision(
                [frame for drive in drives for frame in drive[timing]], classes, boxes
            ),
        }
        for timing in (drives[0] if drives else ())
    ]
