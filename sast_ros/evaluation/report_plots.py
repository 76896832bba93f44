"""
The plots of the report, as SVG for the inside of a page.

They are small, so that they can be read on a phone, text stays text, and every colour is a
variable of the page's style sheet: what is drawn in ``_INK`` is ``var(--ink)`` in the file, in
light and in dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from html import escape
import io
import re
from typing import Any, TYPE_CHECKING

import numpy as np
from sast_ros.errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width of every plot; the unit is about a pixel of a phone.
_WIDTH = 310

#: Points of a curve over time at most; of more windows the mean is drawn.
MAX_POINTS = 240

# Colours that stand for variables of the style sheet.
_VARIABLES = ('ink', 'soft', 'line', 'accent', 'bad', 'good')
_COLOURS = {name: f'#0a0b{index:02x}' for index, name in enumerate(_VARIABLES)}
_INK, _SOFT, _LINE, _ACCENT, _BAD, _GOOD = _COLOURS.values()
_CLASSES = tuple(f'#0a0c{index:02x}' for index in range(7))
_STAGES = tuple(f'#0a0d{index:02x}' for index in range(4))
_COLOURS |= {f'class-{index}': colour for index, colour in enumerate(_CLASSES)}
_COLOURS |= {f'stage-{index + 1}': colour for index, colour in enumerate(_STAGES)}
_NAMES = {colour: name for name, colour in _COLOURS.items()}

# Classes that the pictures draw in a colour of their own have it here too.
_KNOWN = {'car': 0, 'pedestrian': 1, 'two-wheeler': 2}

# The lines of classes differ in more than their colour.
_DASHES = ('-', (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))

# What is of no use inside a page: styles for all of it, names, letters of its own.
_REPLACED = (
    (r'<(metadata|style).*?</\1>', ''),
    (r'<g id="[^"]*"', '<g'),
    ('xlink:href', 'href'),
    (r'font: ([\d.]+)px [^;"]*', r'font-size: \1px'),
    (r' font-family: [^;]*;', ''),
    (r'\s+', ' '),
    (r'<defs> </defs>', ''),
)

_STYLE: Any = {
    'axes.axisbelow': True,
    'axes.edgecolor': _SOFT,
    'axes.grid': True,
    'axes.labelcolor': _SOFT,
    'axes.labelsize': 11,
    'axes.linewidth': 0.8,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'font.size': 11,
    'grid.color': _LINE,
    'grid.linewidth': 0.8,
    'legend.fontsize': 11,
    'legend.frameon': False,
    'legend.handlelength': 2.2,
    'legend.labelcolor': _INK,
    'lines.linewidth': 1.8,
    'svg.fonttype': 'none',
    'svg.hashsalt': 'sast_ros',
    'text.color': _INK,
    'text.parse_math': False,
    'xtick.color': _SOFT,
    'xtick.labelsize': 11,
    'ytick.color': _SOFT,
    'ytick.labelsize': 11,
}


class Plots:
    """
    Draw plots.

    Each method returns SVG with a description for those who cannot see it. What is not known is
    ``None`` in all figures, as in those of ``evaluate``.

    Raises
    ------
    ImportError: matplotlib is not installed.

    """

    def __init__(self) -> None:
        try:
            import matplotlib
        except ModuleNotFoundError as error:
            raise MissingPackageError(
                f'the report needs {error.name}, which is not installed; pip install matplotlib'
            ) from error
        self._matplotlib = matplotlib

    def precision_recall(self, per_class: dict[str, dict[str, Any]], about: str) -> str:
        """Draw the curve of every class that has labels, with a point at the operating score."""
        with self._figure(250, about) as (figure, drawn):
            axes = figure.subplots()
            for index, (name, values) in enumerate(per_class.items()):
                if values['curve'] is None:
                    continue
                number = class_number(name, index)
                recall, precision = (
                    np.array(values['curve'][key]) for key in ('recall', 'precision')
                )
                reached = precision > 0
                colour, dashes = _CLASSES[number], _DASHES[number % len(_DASHES)]
                label = f'{name} {number_text(values["AP50"], 2)}'
                axes.plot(
                    recall[reached], precision[reached], color=colour, ls=dashes, label=label
                )
                if values['precision'] is not None and values['recall'] is not None:
                    axes.plot(
                        values['recall'],
                        values['precision'],
                        'o',
                        color=colour,
                        markersize=7,
                        markeredgecolor=_INK,
                    )
            _unit(axes, 'recall', 'precision')
            axes.legend(title='AP50', alignment='left', loc='lower left', fontsize=10.5)
        return drawn[0]

    def over_time(
        self,
        seconds: np.ndarray,
        rates: np.ndarray | None,
        tokens: np.ndarray,
        errors: tuple[np.ndarray, np.ndarray, np.ndarray],
        about: str,
    ) -> str:
        """
        Draw what the detector saw, looked at and got wrong in one recording.

        Parameters
        ----------
        seconds:
            ``float64[W]``, end of every window since the start.
        rates:
            ``float64[W]``, million events per second; ``None`` if not known.
        tokens:
            ``float64[W, 4]``, share of tokens kept in stages 1 to 4; ``[0, 4]`` if not known.
        errors:
            ``float64[T]`` labelled times in seconds, missed objects and wrong detections then.
        about:
            the description.

        """
        known = [rates is not None, bool(len(tokens)), True]
        with self._figure(92 * sum(known) + 30, about) as (figure, drawn):
            rows = iter(np.atleast_1d(figure.subplots(sum(known), sharex=True)))
            if rates is not None:
                axes = next(rows)
                x, y = _thinned(seconds, rates)
                around = np.concatenate([x[:1], x, x[-1:]]), np.concatenate([[0], y, [0]])
                axes.fill(*around, color=_ACCENT, alpha=0.2, lw=0)
                axes.plot(x, y, color=_ACCENT, lw=1.4)
                axes.set_ylim(0, max(1.1 * float(rates.max(initial=0)), 1e-3))
                axes.set_ylabel('Mev/s')
            if len(tokens):
                axes = next(rows)
                for stage in range(tokens.shape[1]):
                    x, y = _thinned(seconds, tokens[:, stage])
                    axes.plot(x, 100 * y, color=_STAGES[stage], lw=1.6, label=str(stage + 1))
                axes.set_ylim(0, 100)
                axes.set_ylabel('tokens, %')
                _legend_above(axes, 'stage', 4)
            axes = next(rows)
            times, missed, wrong = errors
            most = max(1.0, float(missed.max(initial=0)), float(wrong.max(initial=0)))
            for values, colour, name, sign in (
                (missed, _BAD, 'missed', 1),
                (wrong, _SOFT, 'wrong boxes', -1),
            ):
                y, edges = _stairs(*_thinned(times, values, largest=True))
                axes.stairs(sign * y, edges, fill=True, color=colour, lw=0, label=name)
            axes.axhline(0, color=_SOFT, lw=0.8)
            axes.set_ylim(-1.15 * most, 1.15 * most)
            axes.yaxis.set_major_formatter(lambda value, _: f'{abs(value):g}')
            axes.yaxis.set_major_locator(self._whole_numbers())
            axes.set_ylabel('errors')
            _legend_above(axes, '', 2)
            if len(seconds) or len(times):
                first = [values[0] for values in (seconds, times) if len(values)]
                last = [values[-1] for values in (seconds, times) if len(values)]
                axes.set_xlim(min(0.0, *first), max(last))
            axes.set_xlabel('seconds since the first event')
            figure.align_ylabels()
        return drawn[0]

    def bars(
        self, rows: Sequence[tuple[str, dict[str, float | None]]], without: str, about: str
    ) -> str:
        """
        Draw values from 0 to 1 beside each other, one group for every row of name and values.

        without: what stands in the place of values that nobody knows.
        """
        with self._figure(200, about) as (figure, drawn):
            axes = figure.subplots()
            names = list(rows[0][1])
            width = 0.8 / len(names)
            for index, name in enumerate(names):
                at = np.arange(len(rows)) + (index - (len(names) - 1) / 2) * width
                values = [row[1][name] for row in rows]
                axes.bar(
                    at,
                    [value or 0 for value in values],
                    0.92 * width,
                    color=_ACCENT,
                    alpha=1 - 0.5 * index / max(1, len(names) - 1),
                    label=name,
                )
                for x, value in zip(at, values):
                    if value is not None:
                        axes.text(x, value + 0.015, number_text(value, 2), ha='center')
            for place, (_, group) in enumerate(rows):
                if all(value is None for value in group.values()):
                    axes.text(place, 0.03, without, ha='center', color=_SOFT)
            axes.set_xticks(range(len(rows)), [row[0] for row in rows])
            axes.tick_params(axis='x', length=0, labelcolor=_INK)
            axes.grid(visible=False, axis='x')
            known = [value for _, group in rows for value in group.values() if value is not None]
            axes.set_ylim(0, min(1.1, max(0.25, 1.25 * max(known, default=1))))
            if len(names) > 1:
                _legend_above(axes, '', len(names))
            else:
                axes.set_ylabel(names[0])
        return drawn[0]

    def calibration(self, bins: Sequence[dict[str, Any]], about: str) -> str:
        """Draw how often detections of each score are right; dots grow with their number."""
        with self._figure(250, about) as (figure, drawn):
            axes = figure.subplots()
            axes.plot([0, 1], [0, 1], color=_SOFT, lw=1, ls=(0, (4, 3)))
            axes.text(0.03, 0.95, 'too cautious', va='top', color=_SOFT)
            axes.text(0.97, 0.05, 'too sure', ha='right', color=_SOFT)
            known = [one for one in bins if one['detections']]
            scores, shares, counts = (
                np.array([one[key] for one in known], float)
                for key in ('mean_score', 'precision', 'detections')
            )
            axes.plot(scores, shares, color=_ACCENT)
            areas = 15 + 150 * np.sqrt(counts / counts.max()) if len(counts) else counts
            axes.scatter(scores, shares, s=areas, color=_ACCENT, zorder=3, lw=0, clip_on=False)
            _unit(axes, 'score', 'share that is right')
        return drawn[0]

    def waits(self, waits_ms: Sequence[float], never: int, about: str) -> str:
        """Draw the share of new objects that were found after a time; never: of which not."""
        with self._figure(250, about) as (figure, drawn):
            axes = figure.subplots()
            seconds = np.sort(np.array(waits_ms, float)) / 1000
            most = max(0.5, 1.1 * float(seconds.max(initial=0)))
            count = len(seconds) + never
            share = 100 * np.arange(len(seconds) + 1) / count
            # A step to each share at the time of its object, and on to the edge
            axes.step([0, *seconds, most], [*share, share[-1]], where='post', color=_ACCENT)
            if never:
                axes.axhline(share[-1], color=_BAD, lw=1, ls=(0, (4, 3)))
                above = share[-1] < 85
                axes.text(
                    most,
                    share[-1] + (3 if above else -4),
                    f'{never} of {count} never',
                    ha='right',
                    va='bottom' if above else 'top',
                    color=_BAD,
                )
            axes.set_xlim(0, most)
            axes.set_ylim(0, 105)
            axes.set_xlabel('seconds since the first label')
            axes.set_ylabel('new objects found, %')
        return drawn[0]

    @contextlib.contextmanager
    def _figure(self, height: int, about: str) -> Iterator[tuple[Figure, list[str]]]:
        """Give a figure, and a list in which its SVG is in the end."""
        from matplotlib.figure import Figure

        drawn: list[str] = []
        with self._matplotlib.rc_context():
            self._matplotlib.rcdefaults()  # nobody's own style
            self._matplotlib.rcParams.update(_STYLE)
            figure = Figure((_WIDTH / 72, height / 72), layout='constrained')
            yield figure, drawn
            stream = io.StringIO()
            figure.savefig(
                stream, format='svg', transparent=True, metadata={'Date': None, 'Creator': None}
            )
        drawn.append(_for_page(stream.getvalue(), about))

    def _whole_numbers(self) -> Any:
        from matplotlib.ticker import MaxNLocator

        return MaxNLocator(3, integer=True)


def class_number(name: str, index: int) -> int:
    """Return which of the seven class colours a class has; index: its place among the classes."""
    others = len(_CLASSES) - len(_KNOWN)
    return _KNOWN.get(name, len(_KNOWN) + index % others)


def number_text(value: float | None, digits: int = 3) -> str:
    """Return a figure between 0 and 1 for people, a dash if it is not known."""
    return '–' if value is None else f'{value:.{digits}f}'


def _unit(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


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
    """Return values and the edges between them, the middles between points; equal ones as one."""
    if not len(x):
        return y, np.zeros(1)
    half = float(np.median(np.diff(x))) / 2 if len(x) > 1 else 0.025
    edges = np.concatenate([[x[0] - half], (x[1:] + x[:-1]) / 2, [x[-1] + half]])
    new = np.append(True, np.diff(y) != 0)
    return y[new], edges[np.append(new, True)]


def _for_page(svg: str, about: str) -> str:
    """
    Return the SVG as a part of a page.

    As wide as there is room, without names that other plots have too, in colours and letters of
    the page.
    """
    head, body = svg.split('<svg', 1)[1].split('>', 1)
    box = re.search(r'viewBox="[^"]*"', head)
    for pattern, new in _REPLACED:
        body = re.sub(pattern, new, body, flags=re.DOTALL)
    body = re.sub(
        r' (d|x|y|transform)="[^"]*"',  # tenths of a pixel will do
        lambda match: re.sub(r'(\d\.\d)\d+', r'\1', match[0]),
        body,
    )
    body = re.sub(r'L [-\d. L]+', lambda match: 'L ' + match[0].replace('L ', ''), body)
    body = re.sub(r'#0a0[bcd][0-9a-f]{2}', lambda match: f'var(--{_NAMES[match[0]]})', body)
    return f'<svg role="img" aria-label="{escape(about)}" {box[0] if box else ""}>{body}'
