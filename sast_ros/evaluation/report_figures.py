"""What the report says about the figures: a table of the classes, and plots with captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sast_ros.evaluation.figures import SPEEDS
from sast_ros.evaluation.report_html import escape, figure, section, table, thousands
from sast_ros.evaluation.report_plots import class_number, number_text, Plots


def class_table(result: dict[str, Any]) -> str:
    """Return the section with the figures of every class."""
    point = result['operating_point']
    names = ('AP', 'AP50', 'AP75', 'AP_small', 'AP_medium', 'AP_large', 'AR_100')
    shares = {name: point[name] for name in ('precision', 'recall')}
    rows = []
    for index, (name, values) in enumerate(
        [*result['per_class'].items(), ('all', {**result, **shares})]
    ):
        key = '' if name == 'all' else _key(name, index)
        cells = [number_text(values[key_]) for key_ in names]
        cells += [number_text(values[key_], 2) for key_ in ('precision', 'recall')]
        rows.append([f'{key}{escape(name)}', thousands(values['labels']), *cells])
    head = [
        *('class', 'labels'),
        *(name.replace('_', ' ') for name in names),
        *(f'{name} at {point["score"]:g}' for name in ('precision', 'recall')),
    ]
    return section('By class', table('Figures by class', head, rows, len(rows) - 1))


def figure_plots(result: dict[str, Any], plots: Plots) -> str:
    """Return the section with the plots of all figures."""
    point = result['operating_point']
    without = [name for name, values in result['per_class'].items() if not values['labels']]
    caption = f'At IoU {point["iou"]:g}. Dots: score {point["score"]:g}.'
    if without:
        caption += f' Without labels: {", ".join(without)}.'
    made = [
        figure(
            'Precision and recall',
            plots.precision_recall(result['per_class'], 'Precision over recall of every class'),
            caption,
        ),
        _calibration(result, plots),
        _waits(result, plots),
        _event_rate(result, plots),
        _size(result, plots),
        _speed(result, plots),
    ]
    return section('Where it is good, and where not', f'<div class="plots">{"".join(made)}</div>')


def _calibration(result: dict[str, Any], plots: Plots) -> str:
    known = result['calibration']
    title = 'Can scores be trusted?'
    if known['expected_error'] is None:
        return figure(title, '', 'There are no detections.')
    caption = (
        f'Scores are off by {known["expected_error"]:.2f} on average (expected calibration '
        'error). Larger dots: more detections.'
    )
    drawn = plots.calibration(known['bins'], 'Share of right detections over the score')
    return figure(title, drawn, caption)


def _waits(result: dict[str, Any], plots: Plots) -> str:
    late = result['latency']
    title = 'How soon is a new object found?'
    if not late['tracks']:
        return figure(title, '', 'No object came into view while labelled.')
    caption = f'Of {late["tracks"]} objects that came into view, '
    if late['median_ms'] is None:
        caption += 'none was found.'
    else:
        caption += (
            f'{late["tracks"] - late["never_found"]} were found: half of these within '
            f'{late["median_ms"]:.0f} ms of their first label, 90 % within '
            f'{late["p90_ms"]:.0f} ms.'
        )
    drawn = plots.waits(
        late['waits_ms'], late['never_found'], 'Share of new objects found over time'
    )
    return figure(title, drawn, caption)


def _event_rate(result: dict[str, Any], plots: Plots) -> str:
    rows = result['by_event_rate']
    title = 'Average precision by event rate'
    if not rows:
        return figure(title, '', 'Not known: these detections come without their windows.')
    borders = [f'{row["most_mev_per_s"]:.2g}' for row in rows[:-1]]
    names = [
        f'under {borders[0]}',
        *(f'{low} to {high}' for low, high in zip(borders, borders[1:])),
        f'over {borders[-1]}',
    ]
    drawn = plots.bars(_groups(names, rows), 'no labels', f'{title}, in thirds')
    counts = ', '.join(thousands(row['labels']) for row in rows)
    return figure(
        title,
        drawn,
        f'Million events per second; a third of the times each. Labels: {counts}.',
    )


def _size(result: dict[str, Any], plots: Plots) -> str:
    title = 'Average precision by size'
    names = ('up to 32²', 'to 96²', 'larger')
    keys = ('AP_small', 'AP_medium', 'AP_large')
    rows = [(name, {'AP': result[key]}) for name, key in zip(names, keys)]
    drawn = plots.bars(rows, 'no labels', title)
    return figure(title, drawn, 'Area of the box in square pixels.')


def _speed(result: dict[str, Any], plots: Plots) -> str:
    rows = result['by_speed']
    title = 'Average precision by speed'
    if not rows:
        return figure(title, '', 'Not known: these labels are not tracked.')
    names = [row['name'] for row in rows]
    drawn = plots.bars(_groups(names, rows), 'no labels', title)
    counts = ', '.join(thousands(row['labels']) for row in rows)
    slow, fast = SPEEDS
    return figure(
        title,
        drawn,
        f'Standing: under {slow:g} pixels per second, fast: over {fast:g}. Labels: {counts}.',
    )


def _groups(
    names: Sequence[str], rows: Sequence[dict[str, Any]]
) -> list[tuple[str, dict[str, float | None]]]:
    return [(name, {'AP': row['AP'], 'AP50': row['AP50']}) for name, row in zip(names, rows)]


def _key(name: str, index: int) -> str:
    number = class_number(name, index)
    return f'<span class="key" style="background: var(--class-{number})"></span>'
