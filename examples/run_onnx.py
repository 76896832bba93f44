# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detect in a recording with ONNX Runtime: ``python run_onnx.py network.onnx my_recording``."""

import json
import sys

import numpy as np
import onnxruntime
from sast_ros.bags import open_recording
from sast_ros.histogram import StackedHistogram
from sast_ros.windows import WindowCutter


def suppress(boxes, scores, iou):
    """Return the boxes of one class that stay in non-maximum suppression, best score first."""
    areas, order, kept = boxes[:, 2] * boxes[:, 3], np.argsort(-scores, kind='stable'), []
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        sides = np.minimum(high[best], high[order]) - np.maximum(low[best], low[order])
        inside = np.prod(np.maximum(sides, 0), axis=1)
        order = order[inside <= iou * (areas[best] + areas[order] - inside)]
    return kept


def calibrate(scores, values):
    """Return scores, a column for each class, as shares of boxes that are correct."""
    if values is None:
        return scores
    with np.errstate(divide='ignore'):
        odds = values['low'] * np.log(scores) - values['high'] * np.log1p(-scores)
    return 1 / (1 + np.exp(-odds - values['offsets']))


if len(sys.argv) != 3:
    sys.exit(__doc__)
session = onnxruntime.InferenceSession(sys.argv[1])
about = session.get_modelmeta().custom_metadata_map
about = {key: json.loads(about[key]) for key in about if key not in ('sast_ros', 'model')}
inputs = session.get_inputs()[1:]  # h1 to h4, c1 to c4; the first one is the histogram
states = zeros = {each.name: np.zeros(each.shape, np.float32) for each in inputs}

to_histogram = StackedHistogram(
    *about['sensor_size'], about['bins'], about['cutoff'], about['downsample']
)
least = about['score_threshold']
cutter = WindowCutter(1000 * about['window_ms'], 1000 * about['stride_ms'])
with open_recording(sys.argv[2]) as recording:
    for window in (window for chunk in recording for window in cutter.cut(chunk)):
        if window.reset:
            states = zeros
        histogram = to_histogram(window.parts).numpy()[None]
        detections, *after = session.run(None, {'histogram': histogram, **states})
        states = dict(zip(zeros, after))
        boxes = about['downsample'] * detections[0, :, :4]  # centre and size in sensor pixels
        boxes[:, :2] += about['box_offset']
        raw = detections[0, :, 4:5] * detections[0, :, 5:]
        scores = calibrate(raw, about['calibration'])
        found = []
        for class_id, name in enumerate(about['classes']):
            ours = (raw.argmax(axis=1) == class_id) & (scores[:, class_id] >= least)
            score = scores[ours, class_id]
            for index in suppress(boxes[ours], score, about['nms_iou']):
                found.append(f'{name} {score[index]:.2f} at {boxes[ours][index].round(1)}')
        print(window.t_end, len(found), *found, sep=', ')
