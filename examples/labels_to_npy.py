# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Write labels as a training reads them: ``python labels_to_npy.py my_recording my_labels [FPS]``.

The labels are of any format that ``sast-ros evaluate`` reads, COCO or YOLO text for example. FPS,
frames per second, is for those that have frame numbers; frame 0 is at the first event. The class
ids are in the order of dataset.json beside the recording, which is written if there is none.
"""

import json
from pathlib import Path
import sys

import numpy as np
from sast_ros.bags import open_recording
from sast_ros.bags.names import recording_stem
from sast_ros.evaluation.formats.box_file import FrameClock
from sast_ros.evaluation.labels import canonical, DATASET, read_class_list, read_labels

if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
path, source = map(Path, sys.argv[1:3])
name = recording_stem(path.resolve())
frames = FrameClock(float(sys.argv[3]) if len(sys.argv) > 3 else None)
with open_recording(path) as recording:
    labels = read_labels(source, name, sensor_size=recording.sensor_size, frames=frames)
    first = next(int(chunk.t[0]) for chunk in recording if len(chunk))
if labels.clock == 'ros':
    sys.exit('labels in ROS time: evaluate them; this script knows the clock of the events only')
labels = labels.on_clock(first, 'recording')
target, index = (path.with_name(file) for file in (f'{name}_bbox.npy', DATASET))
if target.exists():
    sys.exit(f'{target}: exists; move it away, if it is not to be kept')
classes = read_class_list(index) if index.exists() else labels.classes
order = [canonical(one) for one in classes]
used = {labels.classes[number] for number in np.unique(labels.boxes['class_id'])}
if used - {*order}:
    sys.exit(f'{index}: does not have the classes {", ".join(used - {*order})}; add them')
ids = np.array([order.index(one) if one in order else 0 for one in labels.classes])
labels.boxes['class_id'] = ids[labels.boxes['class_id']]
if not index.exists():
    index.write_text(json.dumps({'classes': classes}))
np.save(target, labels.boxes)
path.with_name(f'{name}_bbox_times.npy').unlink(missing_ok=True)  # of other boxes
if labels.listed:  # also the times without any object
    np.save(path.with_name(f'{name}_bbox_times.npy'), labels.times)
for warning in labels.warnings:
    print(warning)
if len(labels.regions):
    print(f'{len(labels.regions)} regions to be ignored are left out: a training has none')
print(f'{len(labels.boxes)} boxes at {len(labels.times)} times')
print(f'classes: {", ".join(classes)}')
