# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What the token selection does: kept tokens, step time and accuracy against event density.

    python benchmarks/sparsity.py [--model default] [--drives 60] [--seconds 2] [--threads 1]
    [--cache FOLDER] [--json FILE] [--plot FILE] [--scenes FILE]

Simulated drives that no training of this repository has seen (seeds from 2 000 000 on, camera
motions as they are drawn), or the sequences in FOLDER, of a training's cache. Each goes through
three copies of the network, in changing order:

* adaptive: the selection as published.
* dense: every token of every partition.
* random: in each window and stage as many partitions as the adaptive copy took there and as many
  tokens in them, but any. They are drawn outside of the clock.

The weights are the same, and if they were trained with the adaptive selection, both others are
strange to them: read the accuracy of `dense` as that of these weights, not of dense training.
Step: network, boxes and NMS at score 0.01; attention: the scored attention of the four stages,
part of the step. All run on plain PyTorch, whose parts can be watched and whose selection can be
replaced; benchmarks/step_time.py times the engine. Times are processor time, all threads together:
with one thread that is the wall clock of an idle machine, and on a busy one it is not the wait for
others (`wall`). Shares of kept tokens count those of the padded input; `w/g`: attention by window
and by grid. Accuracy: by
sast_ros.evaluation, with what a training's validation counts. A box holds a token of stage 1 if it
holds the middle of its 4x4 pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
import tempfile
import time
from typing import Any
from unittest import mock

import numpy as np
from rich.progress import track
from sast_ros.cli.terminal import columns_table, open_console, print_error, UNTRAINED_WARNING
from sast_ros.detector import Detections, StreamingDetector
from sast_ros.labels import MIN_VISIBILITY
from sast_ros.model import SAST, selection
from sast_ros.model.choice import choose_model
from sast_ros.model.inference import Engine
from sast_ros.model.selection import Selection
from sast_ros.process import keep_heap
from sast_ros_training.training.cache import CachedSequence, list_sequences, SUFFIX
from sast_ros_training.training.sources.simulation import DrivePlan, simulate_drive
from sast_ros_training.training.validation import (
    by_density,
    MAX_DETECTIONS,
    run_sequence,
    SequenceResult,
    summarise,
)
import sparsity_pictures
import torch
from torch import Tensor
from workload import host, new_parser, write_results

#: Trainings count their drives from 1 and 1 000 000 on; ``sast-ros simulate`` uses pairs.
FIRST_SEED = 2_000_000
SCORE_THRESHOLD = 0.01  # of a training's validation
MODES = ('adaptive', 'dense', 'random')
PARTS = ('step', 'attention', 'wall')
ORDERS = (
    ('adaptive', 'dense', 'random'),
    ('dense', 'adaptive', 'random'),
    ('adaptive', 'random', 'dense'),
)
#: Densities that are compared, windows within this factor of them, and the bar.
SPARSE, BUSY, NEAR, BAR = 0.01, 0.25, 1.25, 3.0


@dataclass
class Steps:
    """
    What one detector did, an entry for each window.

    ``step``, ``attention``: processor time in milliseconds, ``wall``: of the step by the clock;
    ``selections``: four pairs (by window, by grid).
    """

    wall: list[float] = field(default_factory=list)
    step: list[float] = field(default_factory=list)
    attention: list[float] = field(default_factory=list)
    selections: list[list[tuple[Selection, Selection]]] = field(default_factory=list)


class ObservedDetector(StreamingDetector):
    """A detector that notes its steps."""

    def __init__(self, model: SAST, mode: str) -> None:
        super().__init__(model, SCORE_THRESHOLD, max_detections=MAX_DETECTIONS)
        self.engine = Engine(model, 'plain')  # the others have no modules to watch
        self.configure_sparsity(mode)
        self.noted = Steps()
        self._attention = self._entered = 0.0
        network = self.engine.network
        network.register_forward_hook(self._note_selections)
        for stage in network.backbone.stages:  # scoring, selection and attention lie between these
            stage.downsample_cf2cl.register_forward_hook(self._enter)
            stage.lstm.register_forward_pre_hook(self._leave)

    def step(self, histogram: Tensor | np.ndarray) -> Detections:
        self._attention = 0.0
        wall, start = time.perf_counter(), time.process_time()
        detections = super().step(histogram)
        self.noted.step.append(1e3 * (time.process_time() - start))
        self.noted.wall.append(1e3 * (time.perf_counter() - wall))
        self.noted.attention.append(1e3 * self._attention)
        return detections

    def _note_selections(self, module, inputs, output) -> None:
        self.noted.selections.append(output.selections)

    def _enter(self, module, inputs, output) -> None:
        self._entered = time.process_time()

    def _leave(self, module, inputs) -> None:
        self._attention += time.process_time() - self._entered


class RandomDetector(ObservedDetector):
    """A detector that takes tokens at random, in numbers that are given."""

    def __init__(self, model: SAST) -> None:
        super().__init__(model, 'adaptive')
        self._drawn: list[list[Tensor]] = []

    def draw(self, selections: Iterable[list[tuple[Selection, Selection]]], seed: int) -> None:
        """Prepare the next steps, with the numbers of these."""
        random = torch.Generator().manual_seed(seed)
        self._drawn = [
            [shuffled(selection.mask, random) for pair in stages for selection in pair]
            for stages in selections
        ]

    def step(self, histogram: Tensor | np.ndarray) -> Detections:
        masks = iter(self._drawn.pop(0))

        def select(scores: Tensor, order: Tensor, bounce: float) -> Selection:
            return Selection(next(masks), order)

        with mock.patch.object(selection, 'select', select):
            return super().step(histogram)


def shuffled(mask: Tensor, random: torch.Generator) -> Tensor:
    """
    Return a selection of as many partitions and as many tokens in them, at random places.

    ``mask``: ``bool[B, N, T]``.
    """
    result = torch.empty_like(mask)
    for sample, target in zip(mask, result):
        partitions, tokens = sample.shape
        counts = sample.sum(dim=1)[torch.randperm(partitions, generator=random)]
        places = torch.rand(partitions, tokens, generator=random).argsort(dim=1).argsort(dim=1)
        target[:] = places < counts[:, None]
    return result


@dataclass
class Observation:
    """
    One sequence.

    Attributes
    ----------
    sequence : CachedSequence
        What was seen.
    results : dict[str, SequenceResult]
        Results of each mode, for the accuracy.
    times : dict[str, dict[str, list[float]]]
        ``step``, ``attention`` and ``wall`` of each mode, milliseconds per window.
    kept : numpy.ndarray
        ``[windows, 4, 2]`` share of the tokens that the adaptive copy took in each stage, by
        window and by grid.
    tokens : numpy.ndarray
        ``[windows, rows, columns]`` in 0, 1, 2, how often it took each token of stage 1.

    """

    sequence: CachedSequence
    results: dict[str, SequenceResult]
    times: dict[str, dict[str, list[float]]]
    kept: np.ndarray
    tokens: np.ndarray

    @property
    def active(self) -> np.ndarray:
        """Share of the pixels that have events, per window."""
        return np.array(self.results['adaptive'].active)

    def objects(self, window: int) -> np.ndarray:
        """Return the labels of what moved lately and can be seen."""
        labels = self.sequence.labels(window)
        return labels[labels['recent'] & (labels['visibility'] >= MIN_VISIBILITY)]

    def inside(self, window: int) -> np.ndarray:
        """Return which tokens of stage 1 have their centre in an object's box."""
        centres = [4 * np.arange(side) + 2 for side in self.tokens.shape[1:]]
        y, x = (self.sequence.info.downsample * c for c in np.meshgrid(*centres, indexing='ij'))
        inside = np.zeros(self.tokens.shape[1:], bool)
        for box in self.objects(window):
            inside |= (
                (x >= box['x'])
                & (x < box['x'] + box['w'])
                & (y >= box['y'])
                & (y < box['y'] + box['h'])
            )
        return inside


def observe(
    detectors: dict[str, ObservedDetector], sequence: CachedSequence, number: int
) -> Observation:
    """Run a sequence through all detectors; ``number`` decides their order and the random draw."""
    results = {}
    for mode in ORDERS[number % len(ORDERS)]:
        detector = detectors[mode]
        detector.noted = Steps()
        if isinstance(detector, RandomDetector):
            detector.draw(detectors['adaptive'].noted.selections, number)
        results[mode] = run_sequence(detector, sequence)
    noted = {mode: detectors[mode].noted for mode in MODES}
    times = {part: {mode: getattr(noted[mode], part) for mode in MODES} for part in PARTS}
    return observed(sequence, results, detectors['adaptive'], times)


def observed(
    sequence: CachedSequence,
    results: dict[str, SequenceResult],
    detector: ObservedDetector,
    times: dict[str, dict[str, list[float]]],
) -> Observation:
    """Return what is known of a sequence; ``detector`` has noted its selections."""
    kept, tokens = [], []
    for stages in detector.noted.selections:
        kept.append([[float(s.mask.float().mean()) for s in pair] for pair in stages])
        tokens.append(sum(raster(selection) for selection in stages[0]))
    height, width = (-(-side // 4) for side in sequence.info.shape[1:])
    padded = detector.config.padded_size(sequence.info.shape[1:])
    maps = np.array(tokens).reshape(len(sequence), padded[0] // 4, padded[1] // 4)
    return Observation(sequence, results, times, np.array(kept), maps[:, :height, :width])


def raster(selection: Selection) -> np.ndarray:
    """Return which tokens are selected, ``uint8[tokens]`` in raster order."""
    tokens = np.zeros(selection.order.numel(), np.uint8)
    tokens[selection.order.flatten().numpy()] = selection.mask[0].flatten().numpy()
    return tokens


def simulate(folder: Path, model: SAST, drives: int, seconds: float) -> None:
    """Simulate drives into a folder."""
    for seed in range(FIRST_SEED, FIRST_SEED + drives):
        target = folder / f'{seed}{SUFFIX}'
        config = model.config
        plan = DrivePlan(
            target=target,
            seed=seed,
            seconds=seconds,
            geometry='gen1',
            motion=None,
            scene='street',
            models=None,
            network=config.name,
            classes=config.classes,
        )
        simulate_drive(plan)


# ---------------------------------------------------------------------------------------- results


def density_rows(observations: Sequence[Observation]) -> list[dict[str, Any]]:
    """Return what was kept and how long it took at which event density."""
    active = np.concatenate([one.active for one in observations])
    kept = np.concatenate([one.kept for one in observations])
    times = {
        (part, mode): np.concatenate([one.times[part][mode] for one in observations])
        for part in PARTS
        for mode in MODES
    }
    rows = []
    for least, most, chosen in by_density(active):
        mean = kept[chosen].mean(axis=0).round(4)
        rows.append(
            {
                'least': least,
                'most': most,
                'windows': int(chosen.sum()),
                'kept_tokens': {'window': mean[:, 0].tolist(), 'grid': mean[:, 1].tolist()},
                **{
                    f'{part}_ms': {
                        mode: round(float(np.median(times[part, mode][chosen])), 2)
                        for mode in MODES
                    }
                    for part in PARTS
                },
            }
        )
    return rows


def ratio(observations: Sequence[Observation]) -> dict[str, Any]:
    """Compare the tokens kept in stage 1 at the two densities of the bar."""
    active = np.concatenate([one.active for one in observations])
    kept = np.concatenate([one.kept for one in observations])[:, 0].mean(axis=1)
    sequence = np.concatenate([np.full(len(one.active), k) for k, one in enumerate(observations)])
    sides: list[dict[str, Any]] = []
    for density in (SPARSE, BUSY):
        near = (active >= density / NEAR) & (active < density * NEAR)
        sides.append(
            {
                'active': density,
                'windows': int(near.sum()),
                'sequences': len(np.unique(sequence[near])),
                'mean': round(float(kept[near].mean()), 4) if near.any() else None,
                'median': round(float(np.median(kept[near])), 4) if near.any() else None,
            }
        )
    sparse, busy = sides
    ratios = {
        f'ratio_of_{kind}s': round(busy[kind] / sparse[kind], 2)
        if busy[kind] and sparse[kind]
        else None
        for kind in ('mean', 'median')
    }
    return {'bar': BAR, 'within_factor': NEAR, 'sparse': sparse, 'busy': busy, **ratios}


def accuracy_rows(
    observations: Sequence[Observation], classes: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return accuracy and time of the three selections."""
    rows = []
    for mode in MODES:
        summary = summarise([one.results[mode] for one in observations], classes)
        times = {
            f'{part}_ms': np.concatenate([one.times[part][mode] for one in observations])
            for part in PARTS
        }
        rows.append(
            {
                'selection': mode,
                **summary['all'],
                'ap50_by_motion': {
                    motion: values['ap50'] for motion, values in summary['by_motion'].items()
                },
                **{
                    name: {
                        'median': round(float(np.median(values)), 2),
                        'mean': round(float(values.mean()), 2),
                    }
                    for name, values in times.items()
                },
            }
        )
    return rows


def place_rows(observations: Sequence[Observation]) -> list[dict[str, Any]]:
    """Return how much of stage 1 is kept inside and outside the boxes of objects."""
    sums: dict[str, np.ndarray] = {}
    for one in observations:
        for window in range(len(one.sequence)):
            inside = one.inside(window)
            if not inside.any():
                continue
            share = one.tokens[window] / 2  # mean of window and grid attention
            values = np.array(
                [1, inside.sum(), share[inside].sum(), (~inside).sum(), share[~inside].sum()]
            )
            for name in (one.sequence.info.motion or 'unknown', 'all'):
                sums[name] = sums.get(name, 0) + values
    return [
        {
            'camera': name,
            'windows': int(windows),
            'box_share': round(tokens_in / (tokens_in + tokens_out), 4),
            'kept_inside': round(kept_in / tokens_in, 4),
            'kept_outside': round(kept_out / tokens_out, 4),
            'of_kept_inside': round(kept_in / (kept_in + kept_out), 4),
        }
        for name, (windows, tokens_in, kept_in, tokens_out, kept_out) in sorted(
            sums.items(), key=lambda item: (item[0] == 'all', item[0])
        )
    ]


# ---------------------------------------------------------------------------------------- showing


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share."""
    return '-' if share is None else f'{100 * share:.{digits}f}'


def decimal(value: float | None) -> str:
    """Write an average precision."""
    return '-' if value is None else f'{value:.3f}'


def density_name(row: dict[str, Any]) -> str:
    """Write the borders of a row of the first table."""
    if row['most'] == 1:
        return f'> {100 * row["least"]:g} %'
    if row['least'] == 0:
        return f'< {100 * row["most"]:g} %'
    return f'{100 * row["least"]:g} - {100 * row["most"]:g} %'


def show(result: dict[str, Any]) -> None:
    """Print everything."""
    console = open_console()
    density = [
        [density_name(row), row['windows']]
        + [
            f'{percent(w, 0)}/{percent(g, 0)}'
            for w, g in zip(row['kept_tokens']['window'], row['kept_tokens']['grid'])
        ]
        + [
            ' / '.join(f'{row[part][mode]:.1f}' for mode in MODES)
            for part in ('step_ms', 'attention_ms')
        ]
        for row in result['by_density']
    ]
    console.print(
        columns_table(
            'Tokens kept by window/grid, %, and median ms, by share of active pixels',
            ['active', 'windows', *(f'stage {k}' for k in range(1, 5))]
            + ['step: adaptive / dense / random', 'attention: a / d / r'],
            density,
        ),
        '',
    )
    compared = result['stage_1']
    for one in (compared['sparse'], compared['busy']):
        console.print(
            f'stage 1 keeps {percent(one["mean"])} % (median {percent(one["median"])} %) at '
            f'{100 * one["active"]:g} % active pixels: {one["windows"]} windows of '
            f'{one["sequences"]} sequences within a factor of {compared["within_factor"]:g}'
        )
    console.print(
        f'ratio of means {compared["ratio_of_means"]}, of medians '
        f'{compared["ratio_of_medians"]}; bar {compared["bar"]:g}\n'
    )
    classes = list(result['accuracy'][0]['by_class'])
    console.print(
        columns_table(
            'Accuracy (by class: AP50) and median ms by selection',
            ['selection', 'mAP', 'AP50', *classes, 'step ms (mean)', 'attention', 'wall'],
            [
                [row['selection'], decimal(row['ap']), decimal(row['ap50'])]
                + [decimal(row['by_class'][name]['ap50']) for name in classes]
                + [
                    f'{row[f"{part}_ms"]["median"]:.1f} ({row[f"{part}_ms"]["mean"]:.1f})'
                    for part in PARTS
                ]
                for row in result['accuracy']
            ],
        ),
        '',
    )
    console.print(
        columns_table(
            'Stage-1 tokens inside and outside the boxes of visible objects, %',
            ['camera', 'windows', 'kept inside', 'kept outside', 'ratio']
            + ['area of the boxes', 'of the kept in them'],
            [
                [
                    row['camera'],
                    row['windows'],
                    percent(row['kept_inside']),
                    percent(row['kept_outside']),
                    f'{row["kept_inside"] / max(row["kept_outside"], 1e-9):.1f}',
                    percent(row['box_share']),
                    percent(row['of_kept_inside']),
                ]
                for row in result['places']
            ],
        ),
        '',
    )
    console.print(', '.join(f'{key} {value}' for key, value in result['host'].items()))


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark of the selection takes."""
    parser = new_parser(description)
    parser.add_argument('--model', default='default', help='bundled name, file, configuration')
    parser.add_argument('--drives', type=int, default=60)
    parser.add_argument('--seconds', type=float, default=2.0, help='length of each drive')
    parser.add_argument(
        '--cache', type=Path, metavar='FOLDER', help='instead of simulating; at most DRIVES of it'
    )
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--plot', type=Path, metavar='FILE')
    return parser


@contextmanager
def open_drives(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> Iterator[tuple[SAST, bool, list[CachedSequence]]]:
    """Prepare this process; give the network, whether it is trained, and the held-out drives."""
    torch.set_num_threads(arguments.threads)
    keep_heap()
    model, trained = choose_model(arguments.model, 'cpu')
    if not trained:
        print_error(UNTRAINED_WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.cache or Path(temporary)
        if arguments.cache is None:
            simulate(folder, model, arguments.drives, arguments.seconds)
        paths = list_sequences(folder)
        if not paths:
            parser.error(f'{folder} holds no sequence; give the folder of one part of a cache')
        paths = paths[:: -(-len(paths) // arguments.drives)]  # spread over all
        yield model, trained, [CachedSequence(path) for path in paths]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('--scenes', type=Path, metavar='FILE', help='three windows with tokens')
    arguments = parser.parse_args()
    with open_drives(parser, arguments) as (model, trained, sequences):
        detectors = {
            'adaptive': ObservedDetector(model, 'adaptive'),
            'dense': ObservedDetector(model, 'dense'),
            'random': RandomDetector(model),
        }
        observe(detectors, sequences[0], 0)  # the products of most shapes are prepared now
        console = open_console(stderr=True)
        observations = [
            observe(detectors, sequence, number)
            for number, sequence in enumerate(track(sequences, 'watching', console=console))
        ]
        result = {
            'benchmark': 'token selection of a trained network on held-out sequences',
            'host': host(),
            'threads': arguments.threads,
            'model': Path(arguments.model).name,
            'trained': trained,
            'sequences': len(sequences),
            'windows': sum(len(sequence) for sequence in sequences),
            'seconds': arguments.seconds if arguments.cache is None else None,
            'by_density': density_rows(observations),
            'stage_1': ratio(observations),
            'accuracy': accuracy_rows(observations, model.config.classes),
            'places': place_rows(observations),
        }
        show(result)
        write_results(arguments.json, result)
        if arguments.plot:
            sparsity_pictures.plot(observations, result, arguments.plot)
        if arguments.scenes:
            sparsity_pictures.draw_scenes(observations, model.config.classes, arguments.scenes)


if __name__ == '__main__':
    main()
