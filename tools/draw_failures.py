# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Draw what the bundled weights get wrong: docs/images/failures.png of their model card.

``.venv/bin/python tools/draw_failures.py [FOLDER]``, two minutes; the folder is docs/images by
default. Of each kind of simulated drive, the window with the most false boxes or the most missed
objects at a score of 0.3; that of a drive once at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import sys

import numpy as np
from PIL import Image
from sast_ros.bags.detections import detection_boxes
from sast_ros.detections import Detections
from sast_ros.detector import StreamingDetector
from sast_ros.evaluation.metrics.matching import iou_matrix, OPERATING_SCORE
from sast_ros.model import load_model, SAST
from sast_ros.pipeline import WindowDetector
from sast_ros.visualization import draw_overlay
from sast_ros.windows import EventWindow
from sast_ros_training.simulation.dataset import evaluation_boxes
from sast_ros_training.simulation.sequence import SimulatedSequence
import torch

#: What is looked for: camera, scene, whether false boxes or missed objects count, and the words.
KINDS = (
    (None, 'near', True, 'near the camera: boxes where no road user is'),
    ('static', 'street', False, 'static camera: missed'),
    ('pan', 'street', False, 'panning camera: missed'),
    ('driving', 'street', True, 'driving: boxes where no road user is'),
)
FIRST_SEED, DRIVES, SECONDS, SCALE = 4_000_000, 5, 2.0, 2
#: Windows in which the state of the network is young are not looked at.
SETTLED_US = 500_000


@dataclass(frozen=True, eq=False)
class Failure:
    """A window, what was found, the labels, and how many of them or of the boxes are wrong."""

    window: EventWindow
    found: Detections
    labels: np.ndarray
    wrong: int


def main(folder: Path) -> None:
    """Write failures.png."""
    torch.set_num_threads(1)
    model = load_model('default')
    rows = []
    for number, (motion, scene, false, words) in enumerate(KINDS):
        first = FIRST_SEED + 100 * number
        seeds = range(first, first + DRIVES)
        drives = (SimulatedSequence(seed, SECONDS, 'gen1', motion, scene=scene) for seed in seeds)
        worst = [worst_window(drive, model, false) for drive in drives]
        chosen = sorted(worst, key=lambda one: one.wrong)[-2:]
        rows.append(np.hstack([picture(one, words) for one in chosen]))
    Image.fromarray(np.vstack(rows)).quantize(96).save(folder / 'failures.png', optimize=True)


def worst_window(drive: SimulatedSequence, model: SAST, false: bool) -> Failure:
    """Return the window of a drive in which most is wrong."""
    detector = WindowDetector(StreamingDetector(model, score_threshold=OPERATING_SCORE))
    failures: list[Failure] = []
    for window, labels in drive.cut():
        found, truth = detector.process(window), evaluation_boxes(labels, drive.height)
        if window.t_end > SETTLED_US:
            failures.append(Failure(window, found, truth, count_wrong(found, truth, false)))
    return max(failures, key=lambda one: one.wrong)


def count_wrong(found: Detections, truth: np.ndarray, false: bool) -> int:
    """Return the number of boxes without an object, or of objects without a box."""
    boxes = detection_boxes(found)
    match = iou_matrix(boxes, truth) >= 0.5
    match &= boxes['class_id'][:, None] == truth['class_id']
    if false:
        return int(np.count_nonzero(~match.any(axis=1)))
    return int(np.count_nonzero(~match.any(axis=0) & ~truth['ignored']))


def picture(one: Failure, words: str) -> np.ndarray:
    """Draw a window with its labels in white."""
    found = one.found
    labels = one.labels[~one.labels['ignored']]
    return draw_overlay(one.window, found, found.height, found.width, SCALE, words, labels)


if __name__ == '__main__':
    main(Path(sys.argv[1] if len(sys.argv) > 1 else 'docs/images'))
