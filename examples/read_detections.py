# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Read what a replay has written: ``python read_detections.py out/replay/my_recording``."""

import json
from pathlib import Path
import sys

import numpy as np

if len(sys.argv) != 2:
    sys.exit(__doc__)
folder = Path(sys.argv[1])
summary = json.loads((folder / 'summary.json').read_text())
boxes = np.load(folder / 'detections.npy')  # a row for each box
windows = np.load(folder / 'windows.npy')  # a row for each window

print(f'{summary["windows"]} windows, {summary["events"]} events, {len(boxes)} detections')
for class_id, name in enumerate(summary['classes']):
    chosen = boxes[(boxes['class_id'] == class_id) & (boxes['class_confidence'] >= 0.3)]
    times = np.unique(chosen['t'])  # ends of windows, microseconds
    print(f'{name}: {len(chosen)} boxes in {len(times)} windows')
print(f'tokens kept by stage: {windows["kept_tokens"].mean(axis=0).round(2)}')
