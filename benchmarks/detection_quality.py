# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What a model finds in held-out simulated drives.

    python benchmarks/detection_quality.py [--model default] [--sequences 60] [--seconds 5]
    [--seed 2026] [--geometry gen1] [--workers 2] [--json FILE]

The drives are those of `sast-ros simulate --seed K --sequences N --seconds S`, their labels those
of the `_bbox.npy` files; no seed of that command is ever trained on. Protocol of the Prophesee
data sets (sast_ros.evaluation): from 0.5 s on, boxes of a diagonal of 30 and a side of 10 pixels
or more, the detections of a label's window. AP50 by class and camera, AP over IoU .5 to .95; by
size of the object, by event rate and by light; precision and recall at a score of 0.3.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.evaluation.metrics.coco import mark_ignored
from sast_ros.evaluation.metrics.matching import OPERATING_SCORE
from workload import host

#: Sides of squares in sensor pixels between small, medium and large objects.
SIZES = (48, 96)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', default='default')
    parser.add_argument('--sequences', type=int, default=60)
    parser.add_argument('--seconds', type=float, default=5.0)
    parser.add_argument('--seed', type=int, default=2026)
    parser.add_argument('--geometry', default='gen1')
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    jobs = [
        (arguments.model, (arguments.seed, index), arguments.seconds, arguments.geometry)
        for index in range(arguments.sequences)
    ]
    with ProcessPoolExecutor(
        arguments.workers, mp_context=multiprocessing.get_context('spawn')
    ) as pool:
        sequences = list(pool.map(run, *zip(*jobs, strict=True)))
    classes = sequences[0]['classes']
    rows = {'all cameras': judge(sequences, classes)}
    for motion in sorted({sequence['motion'] for sequence in sequences}):
        rows[motion] = judge([s for s in sequences if s['motion'] == motion], classes)
    for night in (False, True):
        chosen = [s for s in sequences if s['night'] == night]
        if chosen:
            rows['night' if night else 'day'] = judge(chosen, classes)
    rows.update(by_size(sequences, classes))
    rows.update(by_rate(sequences, classes))
    header = ''.join(f'{name:>22}' for name in (*classes, 'all'))
    print(f'{"":28}{header}   AP50 (labels); all: AP50 / AP')
    for name, row in rows.items():
        cells = [
            f'{row["by_class"][c]["ap50"] or 0:.3f} ({row["labels"][c]})'
            if row['by_class'][c]['ap50'] is not None
            else '-'
            for c in classes
        ]
        whole = f'{row["ap50"]:.3f} / {row["ap"]:.3f}' if row['ap'] is not None else '-'
        print(f'{name:28}' + ''.join(f'{cell:>22}' for cell in (*cells, whole)))
    operating = at_operating_score(sequences, classes)
    for name, values in operating.items():
        print(
            f'{name} at a score of {OPERATING_SCORE}: precision {values["precision"]:.2f}, '
            f'recall {values["recall"]:.2f}'
        )
    if arguments.json:
        content = {
            'command': vars(arguments) | {'json': None},
            'host': host(),
            'classes': classes,
            'average_precision': rows,
            'operating_point': operating,
        }
        arguments.json.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def run(model_name: str, seed: tuple[int, int], seconds: float, geometry: str) -> dict[str, Any]:
    """Simulate a drive and detect in it; return labels and detections of every window."""
    from sast_ros.bags.detections import detection_boxes
    from sast_ros.detector import StreamingDetector
    from sast_ros.model import load_model
    from sast_ros.pipeline import EventPipeline
    from sast_ros.process import keep_heap
    from sast_ros_training.simulation.dataset import labelled_boxes
    from sast_ros_training.simulation.sequence import SimulatedSequence
    import torch

    torch.set_num_threads(1)
    keep_heap()
    model = load_model(model_name)
    drive = SimulatedSequence(seed, seconds, geometry)
    detector = StreamingDetector(model, score_threshold=0.01, max_detections=100)
    pipeline = EventPipeline(detector, (drive.height, drive.width))
    labels, found, events = {}, {}, {}

    def note(detections: Any) -> None:
        found[detections.t_end] = detection_boxes(detections)
        events[detections.t_end] = detections.events

    for window in drive.windows():
        labels[window.t_end] = labelled_boxes(window.labels, drive.height)
        for detections in pipeline.feed(window.chunk):
            note(detections)
    for detections in pipeline.feed(drive.tail):
        note(detections)
    if set(labels) != set(found):
        raise RuntimeError(f'drive {seed}: windows and labels do not belong together')
    return {
        'classes': list(model.config.classes),
        'motion': drive.motion,
        'night': drive.describe()['night'],
        'geometry': geometry,
        'images': [(labels[t], found[t], events[t]) for t in sorted(labels)],
    }


def judge(sequences: list[dict[str, Any]], classes: list[str]) -> dict[str, Any]:
    return average([image[:2] for s in sequences for image in s['images']], classes, sequences)


def average(
    images: list[tuple[np.ndarray, np.ndarray]],
    classes: list[str],
    sequences: list[dict[str, Any]],
) -> dict[str, Any]:
    from sast_ros.evaluation.box_filter import BOXES_1MPX, BOXES_GEN1
    from sast_ros.evaluation.metrics.average_precision import mean_average_precision

    boxes = BOXES_1MPX if sequences[0]['geometry'] == '1mpx' else BOXES_GEN1
    return mean_average_precision(images, classes, boxes)


def by_size(sequences: list[dict[str, Any]], classes: list[str]) -> dict[str, dict[str, Any]]:
    """Objects of one size; those of other sizes are neither right nor wrong."""
    rows = {}
    borders = (0, *SIZES, 10_000)
    for least, most in zip(borders[:-1], borders[1:], strict=True):
        images = []
        for sequence in sequences:
            for labels, found, _ in sequence['images']:
                side = np.sqrt(labels['w'] * labels['h'])
                marked = mark_ignored(labels, (side < least) | (side >= most))
                side = np.sqrt(found['w'] * found['h'])
                # A detection of another size may belong to an object of this size, but not if far
                near = (side >= 0.7 * least) & (side < 1.4 * most)
                images.append((marked, found[near]))
        name = f'side {least} to {most} px' if most < 10_000 else f'side over {least} px'
        rows[name] = average(images, classes, sequences)
    return rows


def by_rate(sequences: list[dict[str, Any]], classes: list[str]) -> dict[str, dict[str, Any]]:
    """Windows of few, some and many events, a third each."""
    counts = np.array([events for s in sequences for *_, events in s['images']])
    borders = [0, *np.quantile(counts, [1 / 3, 2 / 3]).astype(int).tolist(), 1 << 60]
    rows = {}
    for least, most in zip(borders[:-1], borders[1:], strict=True):
        images = [
            image[:2] for s in sequences for image in s['images'] if least <= image[2] < most
        ]
        rate = f'{20 * least / 1e6:.2f}'
        upper = f' to {20 * most / 1e6:.2f}' if most < 1 << 60 else ' and more'
        rows[f'{rate}{upper} Mev/s'] = average(images, classes, sequences)
    return rows


def at_operating_score(
    sequences: list[dict[str, Any]], classes: list[str]
) -> dict[str, dict[str, float | None]]:
    """Precision and recall of every class at a fixed score, IoU 0.5."""
    from sast_ros.evaluation.box_filter import BOXES_GEN1
    from sast_ros.evaluation.metrics.matching import match_recording
    from sast_ros.evaluation.metrics.operating_point import operating_point
    from sast_ros.evaluation.pairing import Frame, PairedRecording

    frames = []
    for sequence in sequences:
        for *image, _ in sequence['images']:
            labels, found = (
                boxes[BOXES_GEN1(boxes) & (boxes['t'] > BOXES_GEN1.skip_us)] for boxes in image
            )
            frames.append(Frame(0, labels, found))
    recording = PairedRecording('all', tuple(classes), tuple(frames), frames[0].labels[:0], 0)
    rows = operating_point([match_recording(recording)], classes)['per_class']
    return {
        name: {'precision': row['precision'], 'recall': row['recall']}
        for name, row in rows.items()
    }


if __name__ == '__main__':
    main()
