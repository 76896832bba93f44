# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The plots of the report, as SVG that is part of the page.

They are small, so that they can be read on a phone. Text stays text, and every colour is a
variable of the page's style sheet: what is drawn in ``_INK`` is ``var(--ink)`` in the file, in
light and in dark mode. Unknown values are ``None``, as in ``compute_metrics``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
import io
from pathlib import Path
import re
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.evaluation.report.entry import ReportEntry

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width of every plot; the unit is about a pixel of a phone.
_WIDTH = 310

#: Maximum number of points of a curve over time; of more windows the mean is drawn.
MAX_POINTS = 240

# Classes in a legend within a plot; of more, and letters of their names, it would hide the curves.
_MAX_INSIDE = 7
_MAX_NAME = 28

# Height of a line of a legend.
_LINE = 17

# Colours that stand for variables of the style sheet.
_VARIABLES = ('ink', 'soft', 'line', 'accent', 'bad')
_COLOURS = {name: f'#0a0b{index:02x}' for index, name in enumerate(_VARIABLES)}
_INK, _SOFT, _, _ACCENT, _BAD = _COLOURS.values()
_CLASSES = tuple(f'#0a0c{index:02x}' for index in range(7))
_STAGES = tuple(f'#0a0d{index:02x}' for index in range(4))
_COLOURS |= {f'class-{index}': colour for index, colour in enumerate(_CLASSES)}
_COLOURS |= {f'stage-{index + 1}': colour for index, colour in enumerate(_STAGES)}
_NAMES = {colour: name for name, colour in _COLOURS.items()}

# Classes with a colour of their own in the pictures have it here too.
_KNOWN = {'car': 0, 'pedestrian': 1, 'two-wheeler': 2}

# The lines of classes differ in more than their colour.
_DASHES = ('-', (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))
_DASHED = (0, (4, 3))

# Useless inside a page: global styles, ids, fonts.
_REPLACED = (
    (r'<(metadata|style).*?</\1>', ''),
    (r'<g id="[^"]*"', '<g'),
    ('xlink:href', 'href'),
    (r'font: ([\d.]+)px [^;"]*', r'font-size: \1px'),
    (r' font-family: [^;]*;', ''),
    (r'\s+', ' '),
    (r'<defs> </defs>', ''),
)

_STYLE = Path(__file__).with_suffix('.mplstyle')


def precision_recall(per_class: dict[str, dict[str, Any]]) -> str:
    """Plot the curve of every class that has labels, with a point at the operating score."""
    known = [values['curve'] is not None for values in per_class.values()]
    beside = sum(known) > _MAX_INSIDE

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        labels = []
        for index, (name, values) in enumerate(per_class.items()):
            if values['curve'] is None:
                continue
            number = class_number(name, index)
            colour, dashes = _CLASSES[number], _DASHES[number % len(_DASHES)]
            recall, precision = (np.array(values['curve'][key]) for key in ('recall', 'precision'))
            reached = precision > 0
            short = name if len(name) <= _MAX_NAME else f'{name[: _MAX_NAME - 1]}…'
            labels.append(f'{short} {number_text(values["AP50"], 2)}')
            axes.plot(recall[reached], precision[reached], color=colour, ls=dashes, label=index)
            point = values['recall'], values['precision']
            if None not in point:
                axes.plot(*point, 'o', color=colour, markersize=7, markeredgecolor=_INK)
        _unit_axes(axes, 'recall', 'precision')
        add_legend: Any = figure.legend if beside else axes.legend
        place = 'outside lower left' if beside else 'lower left'
        legend = add_legend(title='AP50', alignment='left', loc=place, fontsize=10.5)
        for text, label in zip(legend.get_texts(), labels):  # as labels, some have a meaning
            text.set_text(label)

    height = 250 + (_LINE * (sum(known) + 1) if beside else 0)
    return _plot(draw, height, 'Precision over recall of every class')


def over_time(entry: ReportEntry) -> str:
    """Plot event rate and kept tokens, both if they are known, and errors of one recording."""
    windows, frames = entry.windows, entry.matched.frames
    seconds = (windows['t'] - entry.start_us) / 1e6
    rates = windows['events'] / entry.detected.duration_us
    tokens = windows['kept_tokens'].astype(float)
    times = (np.array([one.frame.t_end for one in frames], float) - entry.start_us) / 1e6
    missed, wrong = (
        np.array([len(getattr(one, kind)) for one in frames], float)
        for kind in ('missed', 'false_positives')
    )

    def draw(figure: Figure) -> None:
        rows = iter(np.atleast_1d(figure.subplots(count, sharex=True)))
        if len(windows):
            axes = next(rows)
            x, y = _thinned(seconds, rates)
            around = np.concatenate([x[:1], x, x[-1:]]), np.concatenate([[0], y, [0]])
            axes.fill(*around, color=_ACCENT, alpha=0.2, lw=0)
            axes.plot(x, y, color=_ACCENT, lw=1.4)
            axes.set(ylabel='Mev/s', ylim=(0, max(1.1 * float(rates.max(initial=0)), 1e-3)))
        if tokens.any():
            axes = next(rows)
            for stage in range(tokens.shape[1]):
                x, y = _thinned(seconds, tokens[:, stage])
                axes.plot(x, 100 * y, color=_STAGES[stage], lw=1.6, label=str(stage + 1))
            axes.set(ylabel='tokens, %', ylim=(0, 100))
            _legend_above(axes, 'stage', 4)
        axes = next(rows)
        _draw_errors(axes, times, missed, wrong)
        ends = [values[[0, -1]] for values in (seconds, times) if len(values)]
        if ends:
            axes.set_xlim(min(0.0, np.min(ends)), np.max(ends))
        axes.set_xlabel('seconds since the first event')
        figure.align_ylabels()

    count = 1 + bool(len(windows)) + bool(tokens.any())
    return _plot(draw, 92 * count + 30, f'Event rate, kept tokens and errors of {entry.name}')


def _draw_errors(axes: Axes, times: np.ndarray, missed: np.ndarray, wrong: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator

    most = max(1.0, float(missed.max(initial=0)), float(wrong.max(initial=0)))
    for values, colour, name, sign in (
        (missed, _BAD, 'missed', 1),
        (wrong, _SOFT, 'false positives', -1),
    ):
        y, edges = _stairs(*_thinned(times, values, largest=True))
        axes.stairs(sign * y, edges, fill=True, color=colour, lw=0, label=name)
    axes.axhline(0, color=_SOFT, lw=0.8)
    axes.set(ylabel='errors', ylim=(-1.15 * most, 1.15 * most))
    axes.yaxis.set_major_formatter(lambda value, _: f'{abs(value):g}')
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    _legend_above(axes, '', 2)


def bars(rows: Sequence[tuple[str, dict[str, float | None]]], about: str) -> str:
    """Plot values from 0 to 1 as bars, one group for every row of name and values."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names = list(rows[0][1])
        width = 0.8 / len(names)
        known = [value for _, group in rows for value in group.values() if value is not None]
        for index, name in enumerate(names):
            at = np.arange(len(rows)) + (index - (len(names) - 1) / 2) * width
            values = [group[name] for _, group in rows]
            alpha = 1 - 0.5 * index / max(1, len(names) - 1)
            heights = [value or 0 for value in values]
            axes.bar(at, heights, 0.92 * width, color=_ACCENT, alpha=alpha, label=name)
            for x, value in zip(at, values):
                if value is not None:
                    axes.text(x, value + 0.015, number_text(value, 2), ha='center')
        for place, (_, group) in enumerate(rows):
            if all(value is None for value in group.values()):
                axes.text(place, 0.03, 'no labels', ha='center', color=_SOFT)
        axes.set_xticks(range(len(rows)), [row[0] for row in rows])
        axes.tick_params(axis='x', length=0, labelcolor=_INK)
        axes.grid(visible=False, axis='x')
        axes.set_ylim(0, min(1.1, max(0.25, 1.25 * max(known, default=1))))
        if len(names) > 1:
            _legend_above(axes, '', len(names))
        else:
            axes.set_ylabel(names[0])

    return _plot(draw, 200, about)


def calibration(bins: Sequence[dict[str, Any]]) -> str:
    """Plot the precision of detections of each score; dots grow with their number."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=_SOFT, lw=1, ls=_DASHED)
        axes.text(0.03, 0.95, 'underconfident', va='top', color=_SOFT)
        axes.text(0.97, 0.05, 'overconfident', ha='right', color=_SOFT)
        scores, shares, counts = (
            np.array([one[key] for one in bins if one['detections']], float)
            for key in ('mean_score', 'precision', 'detections')
        )
        areas = 15 + 150 * np.sqrt(counts / counts.max(initial=1))
        axes.plot(scores, shares, color=_ACCENT)
        axes.scatter(scores, shares, s=areas, color=_ACCENT, zorder=3, lw=0, clip_on=False)
        _unit_axes(axes, 'score', 'precision')

    return _plot(draw, 250, 'Precision over the score')


def latency(waits_ms: Sequence[float], missed: int) -> str:
    """Plot the share of new objects that were detected after a time."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        seconds = np.sort(np.array(waits_ms, float)) / 1000
        most = max(0.5, 1.1 * float(seconds.max(initial=0)))
        count = len(seconds) + missed
        share = 100 * np.arange(len(seconds) + 1) / count
        # A step to each share at the time of its object, and on to the edge
        axes.step([0, *seconds, most], [*share, share[-1]], where='post', color=_ACCENT)
        if missed:
            axes.axhline(share[-1], color=_BAD, lw=1, ls=_DASHED)
            offset, side = (3, 'bottom') if share[-1] < 85 else (-4, 'top')
            text = f'{missed} of {count} never'
            axes.text(most, share[-1] + offset, text, ha='right', va=side, color=_BAD)
        axes.set(xlim=(0, most), ylim=(0, 105))
        axes.set(xlabel='seconds since the first label', ylabel='new objects detected, %')

    return _plot(draw, 250, 'Share of new objects detected over time')


def class_number(name: str, index: int) -> int:
    """Return which of the seven class colours a class has; index: its place among the classes."""
    others = len(_CLASSES) - len(_KNOWN)
    return _KNOWN.get(name, len(_KNOWN) + index % others)


def number_text(value: float | None, digits: int = 3) -> str:
    """Return a number between 0 and 1 as text, a dash if it is unknown."""
    return '–' if value is None else f'{value:.{digits}f}'


def _plot(draw: Callable[[Figure], None], height: int, about: str) -> str:
    """Return the SVG of a figure; ``about``: what it shows, for those who cannot see it."""
    from matplotlib import style
    from matplotlib.figure import Figure

    stream = io.StringIO()
    with style.context(_STYLE, after_reset=True):  # independent of the style of the caller
        figure = Figure((_WIDTH / 72, height / 72), layout='constrained')
        draw(figure)
        figure.savefig(
            stream, format='svg', transparent=True, metadata={'Date': None, 'Creator': None}
        )
    return _inline_svg(stream.getvalue(), about)


def _unit_axes(axes: Axes, x: str, y: str) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel=x, ylabel=y)


def _legend_above(axes: Axes, title: str, columns: int) -> None:
    handles, names = axes.get_legend_handles_labels()
    axes.legend(
        handles,
        [f'{title} {names[0]}' if title else names[0], *names[1:]],
        loc='lower right',
        bbox_to_anchor=(1.0, 0.96),
        ncols=columns,
        borderaxespad=0,
        columnspacing=1.2,
        handlelength=1.4,
        handletextpad=0.5,
    )


def _thinned(
    x: np.ndarray, y: np.ndarray, *, largest: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return at most ``MAX_POINTS`` points: means of as many neighbours, or the largest."""
    group = -(-len(x) // MAX_POINTS)
    if group <= 1:
        return x, y
    starts = np.arange(0, len(x), group)
    counts = np.diff(np.append(starts, len(x)))
    values = np.maximum.reduceat(y, starts) if largest else np.add.reduceat(y, starts) / counts
    return np.add.reduceat(x, starts) / counts, values


def _stairs(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values and the edges between them, half-way between points; equal ones as one."""
    if not len(x):
        return y, np.zeros(1)
    half = float(np.median(np.diff(x))) / 2 if len(x) > 1 else 0.025
    edges = np.concatenate([[x[0] - half], (x[1:] + x[:-1]) / 2, [x[-1] + half]])
    new = np.append(True, np.diff(y) != 0)
    return y[new], edges[np.append(new, True)]


def _inline_svg(svg: str, about: str) -> str:
    """
    Return the SVG as a part of a page.

    As wide as there is room, without ids that other plots have too, in colours and fonts of the
    page.
    """
    head, body = svg.split('<svg', 1)[1].split('>', 1)
    box = re.search(r'viewBox="[^"]*"', head)
    for pattern, new in _REPLACED:
        body = re.sub(pattern, new, body, flags=re.DOTALL)
    body = re.sub(
        r' (d|x|y|transform)="[^"]*"',  # tenths of a pixel are enough
        lambda match: re.sub(r'(\d\.\d)\d+', r'\1', match[0]),
        body,
    )
    body = re.sub(r'L [-\d. L]+', lambda match: 'L ' + match[0].replace('L ', ''), body)
    body = re.sub(r'#0a0[bcd][0-9a-f]{2}', lambda match: f'var(--{_NAMES[match[0]]})', body)
    return f'<svg role="img" aria-label="{escape(about)}" {box[0] if box else ""}>{body}'
