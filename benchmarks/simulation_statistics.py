# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Statistics of simulated sequences beside those of real recordings, in windows of 50 ms.

    python benchmarks/simulation_statistics.py [--sequences N] [--json FILE] [--plot FILE]

A number of sequences for each camera motion, and the recordings of ../shared where they are beside
the repository (they hold no labelled object); published figures of real streets stand below them
for comparison. Every value is a median over windows or boxes, with the 10th and 90th percentile.
What is compared:

* active: share of the pixels with an event; events/active: events of such a pixel; ON: share of
  ON events.
* noise: events per second of a pixel: lone events (none in the 5x5 pixels around) over places
  without any, which is right for evenly spread noise at any rate and however much of the picture
  is busy. A moving camera adds the traces of faint texture to it.
* lone: share of the events with no other in the 3x3 pixels around.
* Of busy places (at least 8 of 5x5 pixels active): interval: between two events of a pixel;
  mixed: share of the pixels with several events that fire in both polarities; agree: share of
  adjacent pixels with the same prevailing polarity.
* bunched: how much the events gather at the times of the rendered pictures, 0 to 1 (length of the
  mean vector of the phases); for real recordings at a few fixed rates. tied: share of the events
  with the same microsecond as the event before.
* hot: pixels per million that fire in at least half of the windows of a sequence while those
  around them seldom do; Hz: their mean rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
import math
import os
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from rich.table import Table
from sast_ros.bags import open_recording, RecordingError
from sast_ros.cli.terminal import open_console
from sast_ros.events import EventChunk
from sast_ros.labels import CLASSES
from sast_ros_training.simulation.motion import MOTIONS
from sast_ros_training.simulation.scene_renderer import SceneRenderer
from sast_ros_training.simulation.sequence import SimulatedSequence, WINDOW_US
from workload import host, new_parser, REPOSITORY, write_results

RECORDINGS = {
    'hand, VGA': ('ecp_evt3_vga', 'test_events_1'),
    'light at night, IMX636': ('faery_imx636', 'imx636_evt3.raw'),
    'noise, libcaer': ('codecs_edge_cases', 'test_data_libcaer_rollover'),
    'noise, 1 Mpx': ('codecs_edge_cases', 'test_data_evt3_trigger'),
}

#: Published by the project's feasibility run: (p10, p50, p90) or a range; None where unknown.
REFERENCES: dict[str, dict[str, Any]] = {
    'real street, static camera': {
        'events_per_active': 2.27,
        'active': 0.008,
        'noise_hz': 0.004,
        'box': {
            'events_per_pixel': [0.50, 0.61, 1.32],
            'active': [0.26, 0.49],
            'on_share': [0.48, 0.52],
        },
    },
    'real people, hand-held, 346x260, 40 ms': {
        'events_per_second': [6e4, 2e6],
        'active': [0.03, 0.49],
        'events_per_active': [1.1, 2.0],
    },
}

MIN_EVENTS = 50  # below that, a share has no meaning
MIN_BUSY_EVENTS = 300  # events in busy places
MIN_BOX_AREA = 200  # square pixels
CONTROL_RATES = (8, 11, 16, 23, 32, 45)  # pictures a window that real recordings are tried with
INTERVAL_BINS = np.logspace(1, math.log10(WINDOW_US), 61)
PHASE_BINS = 25


@dataclass
class Sample:
    """
    Windows that are compared together.

    ``values``: name to one value per window, ``boxes``: class to name to one value per box;
    ``intervals``, ``phases``: numbers of events in ``INTERVAL_BINS`` and in ``PHASE_BINS`` parts
    of the time between two pictures; ``facts``: anything else for the JSON file.
    """

    name: str
    real: bool
    values: dict[str, list[float]] = field(default_factory=dict)
    boxes: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    intervals: np.ndarray = field(default_factory=lambda: np.zeros(60))
    phases: np.ndarray = field(default_factory=lambda: np.zeros(PHASE_BINS))
    facts: dict[str, Any] = field(default_factory=dict)
    _events: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64))
    _active: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64))

    def add(
        self, chunk: EventChunk, start: int, height: int, width: int, rates: Iterable[int]
    ) -> None:
        """
        Take in the events of the 50 ms after ``start``.

        ``rates``: numbers of pictures a window whose times the events may gather at.
        """
        place = (chunk.p.astype(np.int64) * height + chunk.y) * width + chunk.x
        counts = np.bincount(place, minlength=2 * height * width).astype(np.int32)
        counts = counts.reshape(2, height, width)
        off, on = counts
        both = off + on
        active = both > 0
        events, pixels = len(chunk), height * width
        self._note('events_per_second', events * 1e6 / WINDOW_US)
        self._note('active', float(active.mean()))
        self._events, self._active = self._events + both, self._active + active
        around = neighbourhood(both, 2)
        lone, empty = np.count_nonzero((both == 1) & (around == 1)), np.count_nonzero(around == 0)
        if empty > 0.02 * pixels:
            self._note('noise_hz', lone / empty * 1e6 / WINDOW_US)
        if events < MIN_EVENTS:
            return
        self._note('events_per_active', events / np.count_nonzero(active))
        self._note('on_share', float(on.sum() / events))
        self._note('lone', float(((both == 1) & (neighbourhood(both, 1) == 1)).sum() / events))
        self._note('tied', float(np.mean(np.diff(chunk.t) == 0)))
        self._busy(chunk, counts, neighbourhood(active.astype(np.int32), 2) >= 8)
        phase = (chunk.t - start) / WINDOW_US
        powers = [abs(np.mean(np.exp(2j * np.pi * rate * phase))) ** 2 for rate in rates]
        # Even times at random have a power of 1 / events
        surplus = (events * np.mean(powers) - 1) / (events - 1)
        self._note('bunched', math.sqrt(max(surplus, 0.0)))
        for rate in rates:
            self.phases += np.histogram(rate * phase % 1, PHASE_BINS, (0, 1))[0]

    def add_box(self, chunk: EventChunk, box: np.void) -> None:
        """Take in the events inside a labelled box, of what moves and can be seen."""
        if not box['recent'] or box['visibility'] < 0.5 or box['w'] * box['h'] < MIN_BOX_AREA:
            return
        left, top = math.floor(box['x']), math.floor(box['y'])
        right, bottom = math.ceil(box['x'] + box['w']), math.ceil(box['y'] + box['h'])
        inside = (chunk.x >= left) & (chunk.x < right) & (chunk.y >= top) & (chunk.y < bottom)
        places = chunk.y[inside].astype(np.int64) * chunk.width + chunk.x[inside]
        events, active = len(places), len(np.unique(places))
        area = (right - left) * (bottom - top)
        values = self.boxes.setdefault(CLASSES[box['class_id']], {})
        values.setdefault('events_per_pixel', []).append(events / area)
        values.setdefault('active', []).append(active / area)
        if events >= MIN_EVENTS:
            values.setdefault('on_share', []).append(float(chunk.p[inside].mean()))
            values.setdefault('events_per_active', []).append(events / active)

    def finish(self) -> None:
        """Find the hot pixels, after the last window of a sequence."""
        windows = len(self.values['active'])
        if windows < 20:  # too few to tell a hot pixel from one that fired a few times
            return
        around = (neighbourhood(self._active, 1) - self._active) / 8
        hot = (self._active >= 0.5 * windows) & (around < 0.1 * windows)
        self._note('hot_per_million', 1e6 * float(hot.mean()))
        if hot.any():
            rate = self._events[hot].mean() / windows
            self._note('hot_hz', float(rate) * 1e6 / WINDOW_US)

    def merge(self, other: Sample) -> None:
        """Take in all that another sample has."""
        for name, values in other.values.items():
            self.values.setdefault(name, []).extend(values)
        for class_name, measured in other.boxes.items():
            mine = self.boxes.setdefault(class_name, {})
            for name, values in measured.items():
                mine.setdefault(name, []).extend(values)
        self.intervals += other.intervals
        self.phases += other.phases

    def summary(self) -> dict[str, Any]:
        """Return percentiles of everything, ready for JSON."""
        return {
            'name': self.name,
            'real': self.real,
            'windows': len(self.values.get('active', [])),
            **self.facts,
            **{name: percentiles(values) for name, values in self.values.items()},
            'boxes': {
                name: {
                    'count': len(values['active']),
                    **{key: percentiles(value) for key, value in values.items()},
                }
                for name, values in self.boxes.items()
            },
        }

    def _busy(self, chunk: EventChunk, counts: np.ndarray, busy: np.ndarray) -> None:
        kept = busy[chunk.y, chunk.x]
        if np.count_nonzero(kept) < MIN_BUSY_EVENTS:
            return
        pixel = chunk.y[kept].astype(np.int64) * busy.shape[1] + chunk.x[kept]
        order = np.argsort(pixel, kind='stable')
        same = np.diff(pixel[order]) == 0
        intervals = np.diff(chunk.t[kept][order])[same]
        if len(intervals):
            self._note('interval_ms', float(np.median(intervals)) / 1e3)
        self.intervals += np.histogram(intervals, INTERVAL_BINS)[0]
        several = busy & (counts.sum(axis=0) > 1)
        if several.any():
            self._note('mixed', float((counts[:, several].min(axis=0) > 0).mean()))
        sign = np.where(busy, np.sign(counts[1] - counts[0]), 0)
        pairs = [sign[:, 1:] * sign[:, :-1], sign[1:] * sign[:-1]]
        agree, oppose = (sum(np.count_nonzero(pair == v) for pair in pairs) for v in (1, -1))
        if agree + oppose:
            self._note('agree', agree / (agree + oppose))

    def _note(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)


def neighbourhood(picture: np.ndarray, reach: int) -> np.ndarray:
    """Sum of an integer picture over the squares of ``2 reach + 1`` pixels around each pixel."""
    padded = np.pad(picture, ((reach + 1, reach), (reach + 1, reach)))
    sums = padded.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    size = 2 * reach + 1
    return sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]


def percentiles(values: Sequence[float]) -> list[float]:
    """10th, 50th and 90th percentile, to four digits."""
    return [float(f'{value:.4g}') for value in np.percentile(values, (10, 50, 90))]


def simulated(motion: str, sequences: int, seconds: float) -> Sample:
    """Simulate sequences with the seeds 0, 1, ... and take in all their windows."""
    sample = Sample(motion, real=False)
    described, recent = [], []
    pictures: list[int] = []
    original = SceneRenderer.steps

    def noted(self: SceneRenderer, start: float, end: float) -> int:
        pictures.append(original(self, start, end))
        return pictures[-1]

    # A sequence does not report how many pictures its windows were rendered from
    with mock.patch.object(SceneRenderer, 'steps', noted):
        for seed in range(sequences):
            sequence = SimulatedSequence(seed, seconds, motion=motion, scene='street')
            one = Sample(motion, real=False)
            for window in sequence.windows():
                start = window.t_end - WINDOW_US
                one.add(window.chunk, start, sequence.height, sequence.width, pictures[-1:])
                recent += list(window.labels['recent'])
                for box in window.labels:
                    one.add_box(window.chunk, box)
            one.finish()
            sample.merge(one)
            described.append({**sequence.describe(), **medians(one)})
    sample.facts = {
        'pictures_a_window': percentiles(pictures),
        'labels': len(recent),
        'recent_labels': round(float(np.mean(recent or [0])), 3),
        'sequences': described,
    }
    return sample


def medians(sample: Sample) -> dict[str, float]:
    """Median of every value of a sample, to four digits."""
    return {name: percentiles(values)[1] for name, values in sample.values.items()}


def recorded(name: str, path: Path) -> Sample:
    """
    Take in the whole windows of a recording.

    Raises
    ------
    RecordingError
        There is no such recording, or it cannot be read.

    """
    sample = Sample(name, real=True)
    with open_recording(path) as recording:
        size = recording.sensor_size
        chunks = [chunk for chunk in recording if len(chunk)]
    height, width = size or (chunks[0].height, chunks[0].width)
    for window, start in cut(chunks, height, width):
        sample.add(window, start, height, width, CONTROL_RATES)
    sample.finish()
    sample.facts = {'height': height, 'width': width}
    return sample


def cut(chunks: list[EventChunk], height: int, width: int) -> Iterator[tuple[EventChunk, int]]:
    """Cut a stream into its whole windows with their start times."""
    x, y, p, t = (np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in 'xypt')
    starts = np.arange(t[0], t[-1] - WINDOW_US, WINDOW_US)
    for start in starts:
        part = slice(*np.searchsorted(t, [start, start + WINDOW_US]))
        yield EventChunk(x[part], y[part], p[part], t[part], width=width, height=height), start


COLUMNS = {
    'events_per_second': ('kev/s', 1e-3, 1),
    'active': ('active %', 100, 2),
    'events_per_active': ('events/active', 1, 2),
    'on_share': ('ON', 1, 2),
    'noise_hz': ('noise Hz', 1, 4),
}
STRUCTURE = {
    'lone': ('lone', 1, 3),
    'interval_ms': ('interval ms', 1, 2),
    'mixed': ('mixed', 1, 2),
    'agree': ('agree', 1, 2),
    'bunched': ('bunched', 1, 3),
    'tied': ('tied', 1, 2),
    'hot_per_million': ('hot/million', 1, 0),
    'hot_hz': ('hot Hz', 1, 0),
}
BOX_COLUMNS = {
    'events_per_pixel': ('events/pixel', 1, 2),
    'active': ('active %', 100, 0),
    'events_per_active': ('events/active', 1, 2),
    'on_share': ('ON', 1, 2),
}


def cell(value: Any, factor: float, digits: int) -> str:
    """One to three numbers of a table."""
    if value is None:
        return ''
    values = value if isinstance(value, list) else [value]
    mark = '-' if len(values) == 2 else '/'
    return mark.join(f'{factor * one:.{digits}f}' for one in values)


def table(title: str, rows: list[tuple[str, int | None, dict]], columns: dict) -> Table:
    """Rows of (name, count, values) as a table."""
    made = Table(title=title, title_justify='left', title_style='bold', box=None)
    made.add_column('', overflow='fold')
    made.add_column('number', justify='right')
    for heading, _, _ in columns.values():
        made.add_column(heading, justify='right', no_wrap=True)
    for name, count, values in rows:
        cells = [cell(values.get(key), *form) for key, (_, *form) in columns.items()]
        made.add_row(name, '' if count is None else str(count), *cells)
    return made


def show(summaries: list[dict[str, Any]]) -> None:
    """Print the three tables."""
    console = open_console()
    sources = [
        (f'{"real: " if one["real"] else "simulated: "}{one["name"]}', one['windows'], one)
        for one in summaries
    ]
    published = [(name, None, one) for name, one in REFERENCES.items()]
    boxes = [
        (f'{one["name"]}, {name}', values['count'], values)
        for one in summaries
        for name, values in sorted(one['boxes'].items())
    ]
    for name, one in REFERENCES.items():
        if 'box' in one:
            boxes.append((f'{name}, car', None, one['box']))
    console.print(
        table('Windows of 50 ms (p10 / p50 / p90)', [*sources, *published], COLUMNS), '\n'
    )
    middles = [
        (name, count, {key: values[key][1] for key in STRUCTURE if key in values})
        for name, count, values in sources
    ]
    console.print(table('Structure (medians)', middles, STRUCTURE), '\n')
    console.print(table('Inside the boxes of simulated objects', boxes, BOX_COLUMNS))


COLOURS = {'static': '#1b7837', 'pan': '#2166ac', 'handheld': '#b35806', 'driving': '#762a83'}
CLASS_STYLES = dict(zip(CLASSES, ('-', '--', ':')))


def plot(samples: list[Sample], path: Path) -> None:
    """Write a picture of the distributions."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {'font.size': 9, 'axes.spines.top': False, 'axes.spines.right': False, 'axes.grid': True}
    )
    pyplot.rcParams.update({'grid.color': '#e6e6e6', 'axes.axisbelow': True})
    figure, axes = pyplot.subplots(3, 3, figsize=(13.5, 10.5), layout='constrained')
    street, people = REFERENCES.values()
    windows = (
        ('active', 'active pixels', 'log', (1e-4, 1)),
        ('events_per_active', 'events per active pixel', 'log', (1, 10)),
        ('on_share', 'share of ON events', 'linear', (0, 1)),
        ('noise_hz', 'background noise, Hz per pixel', 'log', (1e-3, 10)),
        ('lone', 'share of lone events', 'linear', (0, 1)),
    )
    for axis, (name, title, scale, limits) in zip(axes.flat, windows):
        for sample in samples:
            cumulative(axis, sample.values.get(name, []), **line_style(sample))
        axis.set(title=f'Windows: {title}', xscale=scale, xlim=limits, ylim=(0, 1))
        for reference, colour in ((street, '#555555'), (people, '#d6a76c')):
            mark(axis, reference.get(name), colour)
    axes[0, 0].set_ylabel('share of windows')
    axes[1, 0].set_ylabel('share of windows')
    for axis, name, title, limits in (
        (axes[1, 2], 'events_per_pixel', 'events per pixel', (0.02, 10)),
        (axes[2, 0], 'active', 'active pixels', (0.02, 1)),
    ):
        static = samples[0]
        for class_name, values in static.boxes.items():
            cumulative(
                axis,
                values[name],
                color=COLOURS['static'],
                linestyle=CLASS_STYLES[class_name],
                label=f'static, {class_name}',
            )
        mark(axis, street['box'][name], '#555555')
        axis.set(title=f'Boxes: {title}', xscale='log', xlim=limits, ylim=(0, 1))
        axis.legend(frameon=False, fontsize=8)
        axis.set_ylabel('share of boxes')
    for sample in samples:
        if sample.intervals.sum() > 1000:
            share = sample.intervals / sample.intervals.sum() / np.diff(np.log10(INTERVAL_BINS))
            axes[2, 1].stairs(share, INTERVAL_BINS / 1e3, baseline=None, **line_style(sample))
        if sample.phases.sum() > 1000:
            share = PHASE_BINS * sample.phases / sample.phases.sum()
            edges = np.linspace(0, 1, PHASE_BINS + 1)
            axes[2, 2].stairs(share, edges, baseline=None, **line_style(sample))
    axes[2, 1].set(
        title='Between two events of a pixel (busy places)',
        xscale='log',
        xlabel='ms',
        ylabel='density per decade',
    )
    axes[2, 2].set(
        title='Events between two rendered pictures',
        xlabel='part of the time between them',
        ylabel='density (1 = even)',
        ylim=(0, 1.5),
    )
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=4, frameon=False)
    figure.suptitle(
        'Simulated sequences beside real recordings, windows of 50 ms. Shaded: published figures '
        'of a real street, static camera (grey) and of people, hand-held (orange)'
    )
    figure.savefig(path, dpi=110, facecolor='white')


def line_style(sample: Sample) -> dict[str, Any]:
    """Colour, line and label of a sample in the plots."""
    if not sample.real:
        return {'color': COLOURS[sample.name], 'label': f'simulated: {sample.name}', 'lw': 1.8}
    index = list(RECORDINGS).index(sample.name)
    style = ('-', '--', ':', '-.')[index]
    return {'color': '#111111', 'linestyle': style, 'label': f'real: {sample.name}', 'lw': 1.2}


def cumulative(axis: Any, values: list[float], **style: Any) -> None:
    """Draw the cumulative distribution of some values."""
    if values:
        axis.step(np.sort(values), np.arange(1, len(values) + 1) / len(values), **style)


def mark(axis: Any, value: Any, colour: str) -> None:
    """Shade the range, or draw the value, of a published figure."""
    if isinstance(value, list):
        axis.axvspan(value[0], value[-1], color=colour, alpha=0.18, lw=0)
    elif value is not None:
        axis.axvline(value, color=colour, lw=3, alpha=0.35)


def main() -> None:
    """Measure, print, write."""
    parser = new_parser(__doc__)
    parser.add_argument('--sequences', type=int, default=24, help='of each camera motion')
    parser.add_argument('--seconds', type=float, default=1.0, help='length of each')
    parser.add_argument('--plot', type=Path, metavar='FILE')
    arguments = parser.parse_args()
    samples = [simulated(motion, arguments.sequences, arguments.seconds) for motion in MOTIONS]
    shared = Path(os.environ.get('SAST_ROS_SHARED', REPOSITORY.parent / 'shared'))
    skipped = {}
    for name, parts in RECORDINGS.items():
        path = shared.joinpath('data', *parts)
        try:
            samples.append(recorded(name, path))
        except RecordingError as error:
            skipped[name] = '/'.join(parts) if not path.exists() else str(error)
            print(f'skipped: {name}: {error}')
    summaries = [sample.summary() for sample in samples]
    show(summaries)
    result = {
        'benchmark': 'simulated sequences beside real recordings, 50 ms windows',
        'host': host(),
        'seconds_a_sequence': arguments.seconds,
        'results': summaries,
        'skipped': skipped,
        'published': REFERENCES,
    }
    write_results(arguments.json, result)
    if arguments.plot:
        plot(samples, arguments.plot)


if __name__ == '__main__':
    main()
