# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Run a recording through the detector: ``python replay_recording.py my_recording``."""

import sys

from sast_ros.bags import open_recording
from sast_ros.detector import StreamingDetector
from sast_ros.model import load_model
from sast_ros.pipeline import EventPipeline

if len(sys.argv) != 2:
    sys.exit(__doc__)
model = load_model('default')  # or load_model('weights.safetensors', device='cuda')
pipeline = EventPipeline(StreamingDetector(model, score_threshold=0.1), window_ms=50, stride_ms=50)
with open_recording(sys.argv[1]) as recording:
    for chunk in recording:  # EventChunk: .x .y .p .t, numpy
        for found in pipeline.feed(chunk):  # Detections: boxes in sensor pixels, scores, class_ids
            print(found.t_end, len(found), [f'{share.tokens:.2f}' for share in found.kept])
