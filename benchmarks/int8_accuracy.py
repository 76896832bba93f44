# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What int8 in neck and head would cost in held-out simulated drives.

    python benchmarks/int8_accuracy.py [--sequences 24] [--seconds 5] [--workers 2]

The drives and the protocol are those of simulated_quality.py. Convolutions of neck and head, save
the predictions, get weights rounded to int8 by output channel and inputs rounded to uint8 by
tensor; the sums stay in float32. The rest of the network is as it is.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
from typing import Any

from sast_ros.bags.detections import detection_boxes
from sast_ros.detector import StreamingDetector
from sast_ros.model import load_model
from sast_ros.model.inference import Engine
from sast_ros.pipeline import EventPipeline
from sast_ros_training.simulation.dataset import evaluation_boxes
from sast_ros_training.simulation.sequence import SimulatedSequence
from simulated_quality import judge
import torch
from torch import nn, Tensor

PRECISIONS = ('float32', 'int8')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--sequences', type=int, default=24)
    parser.add_argument('--seconds', type=float, default=5.0)
    parser.add_argument('--workers', type=int, default=2)
    arguments = parser.parse_args()
    jobs = [(index, arguments.seconds) for index in range(arguments.sequences)]
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        drives = list(pool.map(run, *zip(*jobs, strict=True)))
    for precision in PRECISIONS:
        sequences = [drive[precision] for drive in drives]
        row = judge(sequences, sequences[0]['classes'])
        print(f'{precision}: AP50 {row["ap50"]:.4f}, AP {row["ap"]:.4f}')


def run(index: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Simulate a drive; return labels and detections of every window in both precisions."""
    torch.set_num_threads(1)
    model = load_model('default')
    drive = SimulatedSequence((2026, index), seconds, 'gen1')
    pipelines = {}
    for precision in PRECISIONS:
        detector = StreamingDetector(model, score_threshold=0.01, max_detections=100)
        if precision == 'int8':
            detector.engine = Engine(model, 'plain')
            round_to_int8(detector.engine.network)
        pipelines[precision] = EventPipeline(detector, (drive.height, drive.width))
    images: dict[str, list[tuple[Any, Any, int]]] = {precision: [] for precision in PRECISIONS}
    labels = {}

    def feed(chunk: Any) -> None:
        for precision, pipeline in pipelines.items():
            for found in pipeline.feed(chunk):
                images[precision].append((labels[found.t_end], detection_boxes(found), 0))

    for window in drive.windows():
        labels[window.t_end] = evaluation_boxes(window.labels, drive.height)
        feed(window.chunk)
    feed(drive.tail)
    classes = list(model.config.classes)
    return {
        precision: {'classes': classes, 'geometry': 'gen1', 'images': images[precision]}
        for precision in PRECISIONS
    }


def round_to_int8(network: Any) -> None:
    """Round weights now, and inputs in every step."""
    for part in (network.fpn, network.yolox_head):
        for name, layer in part.named_modules():
            if isinstance(layer, nn.Conv2d) and 'preds' not in name:
                unit = layer.weight.abs().amax((1, 2, 3), keepdim=True) / 127 + 1e-12
                layer.weight.data = torch.round(layer.weight / unit) * unit
                layer.register_forward_pre_hook(lambda _, inputs: (rounded(inputs[0]),))


def rounded(x: Tensor) -> Tensor:
    """Return values rounded to 256 levels between the least and the largest, with an exact 0."""
    least, most = x.min().clamp(max=0), x.max().clamp(min=0)
    unit = (most - least) / 255 + 1e-12
    zero = torch.round(-least / unit)
    return (torch.clamp(torch.round(x / unit) + zero, 0, 255) - zero) * unit


if __name__ == '__main__':
    main()
