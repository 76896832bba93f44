# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Write labels as a training reads them: ``python labels_to_npy.py my_recording my_labels [FPS]``.

The labels are of any format that ``sast-ros evaluate`` reads, COCO or YOLO text for example. FPS,
frames per second, is for those that have frame numbers; frame 0 is at the first event.
"""

from pathlib import Path
import sys

import numpy as np
from sast_ros.bags import open_recording
from sast_ros.bags.names import recording_stem
from sast_ros.evaluation.formats.box_file import FrameClock
from sast_ros.evaluation.labels import read_labels

if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
path, source = map(Path, sys.argv[1:3])
name = recording_stem(path.resolve())
frames = FrameClock(float(sys.argv[3])) if len(sys.argv) > 3 else None
with open_recording(path) as recording:
    labels = read_labels(source, name, sensor_size=recording.sensor_size, frames=frames)
    first = next(int(chunk.t[0]) for chunk in recording if len(chunk))
if labels.clock == 'ros':
    sys.exit('labels in ROS time: evaluate them; this script knows the clock of the events only')
labels = labels.on_clock(first, 'recording')
np.save(path.with_name(f'{name}_bbox.npy'), labels.boxes)
if labels.listed:  # also the times without any object
    np.save(path.with_name(f'{name}_bbox_times.npy'), labels.times)
for warning in labels.warnings:
    print(warning)
print(f'{len(labels.boxes)} boxes at {len(labels.times)} times')
print(f'data.source_classes: [{", ".join(labels.classes)}]')
