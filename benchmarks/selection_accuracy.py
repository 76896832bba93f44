# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What the scores of the tokens are worth: accuracy against the share of tokens that attend.

    python benchmarks/selection_accuracy.py [--model default] [--drives 60] [--seconds 2]
    [--factors 0.1 0.3 1 3 10 30] [--threads 1] [--cache FOLDER] [--json FILE] [--plot FILE]

The same weights on the same held-out drives as in ``sparsity.py``, with the tokens selected

* scored: as published, with AMP multiplied by each factor: the larger, the fewer tokens. That is
  what ``sparsity.mode: budget`` does.
* random: in each window and stage as many partitions as `scored` took there and as many tokens in
  them, but any.
* dense: all of them, ``sparsity.mode: dense``.

Kept share: mean of the four stages, by window and by grid, over all windows. At factor 1 also how
much of stage 1 is kept inside and outside the boxes of visible objects, by camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from sast_ros.cli.terminal import columns_table, open_console
from sast_ros.model import SAST
from sast_ros_training.training.cache import CachedSequence
from sast_ros_training.training.validation import run_sequence, SequenceResult, summarise
import sparsity
from sparsity_pictures import MODE_COLOURS, styled_pyplot
from workload import host, write_results

FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
#: AP of scored minus random, and of dense minus scored; tokens kept inside / outside, static.
BARS = {'scored_minus_random': 0.05, 'dense_minus_scored': -0.01, 'inside_over_outside': 6.0}
COLOURS = {**MODE_COLOURS, 'scored': MODE_COLOURS['adaptive']}


class Comparison:
    """All selections on one sequence after the other."""

    def __init__(self, model: SAST, factors: Sequence[float]) -> None:
        self._factors, self._classes = factors, model.config.classes
        self._scored = sparsity.ObservedDetector(model, 'adaptive')
        self._random = sparsity.RandomDetector(model)
        self._dense = sparsity.ObservedDetector(model, 'dense')
        self._results: dict[tuple[str, float], list[SequenceResult]] = {}
        self._kept: dict[float, list[np.ndarray]] = {factor: [] for factor in factors}
        self._observations: list[sparsity.Observation] = []

    def watch(self, sequence: CachedSequence, number: int) -> None:
        """Run a sequence with every selection; ``number`` decides the random draw."""
        self._note('dense', 1.0, run_sequence(self._dense, sequence))
        for factor in self._factors:
            self._scored.configure_sparsity('adaptive', amp=factor * self._scored.config.amp)
            self._scored.noted = sparsity.Steps()
            result = run_sequence(self._scored, sequence)
            self._note('scored', factor, result)
            seen = sparsity.observed(sequence, {'adaptive': result}, self._scored, {})
            self._kept[factor].append(seen.kept)
            if factor == 1:
                self._observations.append(seen)
            self._random.draw(self._scored.noted.selections, number)
            self._note('random', factor, run_sequence(self._random, sequence))

    def _note(self, selection: str, factor: float, result: SequenceResult) -> None:
        self._results.setdefault((selection, factor), []).append(result)

    def summary(self) -> dict[str, Any]:
        """Return accuracy and kept share of every selection, and where tokens were kept."""
        points = []
        for (selection, factor), results in self._results.items():
            found = summarise(results, self._classes)['all']
            dense = selection == 'dense'
            kept = np.ones((1, 4, 2)) if dense else np.concatenate(self._kept[factor])
            points.append(
                {
                    'selection': selection,
                    'factor': None if dense else factor,
                    'kept': round(float(kept.mean()), 4),
                    'kept_by_stage': kept.mean(axis=(0, 2)).round(4).tolist(),
                    **{name: found[name] for name in ('ap', 'ap50', 'ap75')},
                }
            )
        places = sparsity.place_rows(self._observations)
        return {'points': points, 'places': places, 'bars': _bars(points, places)}


def _bars(points: list[dict[str, Any]], places: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare with the bars, at factor 1; ``None`` where nothing was measured."""
    ap = {p['selection']: p['ap'] for p in points if p['factor'] in (1, None)}
    ratio = {
        row['camera']: round(row['kept_inside'] / max(row['kept_outside'], 1e-9), 2)
        for row in places
    }

    def difference(a: str, b: str) -> float | None:
        known = ap.get(a) is not None and ap.get(b) is not None
        return round(ap[a] - ap[b], 4) if known else None

    found = {
        'scored_minus_random': difference('scored', 'random'),
        'dense_minus_scored': difference('dense', 'scored'),
        'inside_over_outside': ratio.get('static'),
    }
    return {name: {'bar': bar, 'found': found[name]} for name, bar in BARS.items()}


def show(result: dict[str, Any]) -> None:
    """Print everything."""
    console = open_console()
    rows = [
        [
            point['selection'],
            '-' if point['factor'] is None else f'{point["factor"]:g}',
            sparsity.percent(point['kept']),
            ' / '.join(sparsity.percent(share, 0) for share in point['kept_by_stage']),
            *(sparsity.decimal(point[name]) for name in ('ap', 'ap50', 'ap75')),
        ]
        for point in sorted(result['points'], key=lambda p: (p['selection'], p['factor'] or 0))
    ]
    names = ['selection', 'AMP factor', 'kept', 'by stage', 'mAP', 'AP50', 'AP75']
    console.print(columns_table('Accuracy against kept tokens, %', names, rows), '')
    rows = [
        [
            row['camera'],
            sparsity.percent(row['kept_inside']),
            sparsity.percent(row['kept_outside']),
        ]
        for row in result['places']
    ]
    names = ['camera', 'kept inside', 'kept outside']
    console.print(columns_table('Stage-1 tokens and the boxes of objects, %', names, rows), '')
    for name, value in result['bars'].items():
        console.print(f'{name.replace("_", " ")}: {value["found"]} (bar {value["bar"]:g})')
    console.print(', '.join(f'{key} {value}' for key, value in result['host'].items()))


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw accuracy against kept share, and the tokens inside and outside of boxes."""
    pyplot = styled_pyplot()
    figure, (curves, bars) = pyplot.subplots(
        1, 2, figsize=(10, 4), width_ratios=(1.5, 1), layout='constrained'
    )
    for selection in ('scored', 'random'):
        points = [p for p in result['points'] if p['selection'] == selection]
        points.sort(key=lambda point: point['kept'])
        shares = [100 * point['kept'] for point in points]
        heights = [point['ap'] or 0 for point in points]
        curves.plot(shares, heights, 'o-', color=COLOURS[selection], lw=2.4, label=selection)
        for point, x, y in zip(points, shares, heights):
            if point['factor'] == 1 and selection == 'scored':
                curves.annotate(
                    'adaptive', (x, y), (0, 8), textcoords='offset points', ha='center'
                )
    dense = next(p for p in result['points'] if p['selection'] == 'dense')
    curves.plot(100, dense['ap'] or 0, 's', ms=8, color=COLOURS['dense'], label='dense')
    curves.set(title='mAP, same weights', xlabel='tokens that attend, %', xlim=(0, 104))
    curves.set_ylim(0, 1.15 * max(curves.get_ylim()[1], 0.01))
    curves.legend(frameon=False, loc='lower right')
    places = [row for row in result['places'] if row['camera'] != 'all']
    middle = np.arange(len(places))
    for offset, name, colour in ((-0.2, 'inside', 'scored'), (0.2, 'outside', 'dense')):
        heights = [100 * row[f'kept_{name}'] for row in places]
        drawn = bars.bar(
            middle + offset, heights, 0.38, color=COLOURS[colour], label=f'{name} boxes'
        )
        bars.bar_label(drawn, [f'{height:.0f}' for height in heights], fontsize=9, padding=2)
    bars.set_xticks(middle, [row['camera'] for row in places])
    bars.grid(axis='x', visible=False)
    bars.set_ylim(0, 1.25 * max(bars.get_ylim()[1], 1))
    bars.set_title('Stage 1: tokens kept, %')
    bars.legend(frameon=False, ncols=2, loc='upper right')
    figure.savefig(path, dpi=110, facecolor='white')
    pyplot.close(figure)


def main() -> None:
    parser = sparsity.make_parser(__doc__)
    parser.add_argument('--factors', type=float, nargs='+', default=FACTORS, help='for AMP')
    arguments = parser.parse_args()
    with sparsity.open_drives(parser, arguments) as (model, trained, sequences):
        comparison = Comparison(model, sorted({1.0, *arguments.factors}))
        console = open_console(stderr=True)
        for number, sequence in enumerate(track(sequences, 'watching', console=console)):
            comparison.watch(sequence, number)
        result = {
            'benchmark': 'accuracy of one network by selection and share of tokens',
            'host': host(),
            'model': Path(arguments.model).name,
            'trained': trained,
            'sequences': len(sequences),
            **comparison.summary(),
        }
    show(result)
    write_results(arguments.json, result)
    if arguments.plot:
        plot(result, arguments.plot)


if __name__ == '__main__':
    main()
