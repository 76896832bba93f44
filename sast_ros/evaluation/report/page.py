# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The page of the report: what it needs is collected here, its text is in ``page.html.j2``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sast_ros.evaluation.box_filter import choose_box_filter
from sast_ros.evaluation.metrics.breakdown import SPEEDS
from sast_ros.evaluation.metrics.error_analysis import worst_false_positives, worst_missed
from sast_ros.evaluation.report import plots
from sast_ros.evaluation.report.cases import collect_cases
from sast_ros.evaluation.report.entry import ReportEntry
from sast_ros.evaluation.report.pictures import PICTURE_SIZE
from sast_ros.output import write_file
from sast_ros.version import installed_version

#: Maximum number of recordings that are drawn over time, the first of them without a click.
MAX_CURVES = 12
_OPEN_CURVES = 3

#: Maximum number of recordings in the table, the first of them without a click.
MAX_ROWS = 1000
_OPEN_ROWS = 25

#: Maximum number of pictures of missed objects, and of false positives.
MAX_PICTURES = 12

#: Entries of the result that may be missing.
_DEFAULTS: dict[str, Any] = {
    'boxes': 'auto',
    'failed': (),
    'ignored_regions': 0,
    'inputs': (),
    'label_warnings': (),
    'labels_clipped': None,
    'labels_clipped_away': 0,
    'labels_from': None,
    'live': None,
    'protocol': 'last-window',
    'score': 'as in the detections',
}

_AVERAGES = ['AP', 'AP50', 'AP75', 'AP_small', 'AP_medium', 'AP_large', 'AR_100']


def write_report(path: Path, result: dict[str, Any], entries: Sequence[ReportEntry]) -> None:
    """
    Write the report: a page that needs no other file, except the videos that it links to.

    Parameters
    ----------
    path : Path
        The file to write; its folder is created.
    result : dict
        What ``compute_metrics`` returned about these recordings; optionally with ``protocol``,
        ``boxes``, ``score``, ``labels_from``, ``inputs`` and ``failed`` (``input`` and ``reason``
        of recordings that could not be evaluated).
    entries : sequence of ReportEntry
        The recordings.

    Raises
    ------
    ModuleNotFoundError
        If jinja2, matplotlib or Pillow is not installed.
    OSError
        If the file cannot be written.

    """
    page = _render(path.parent, result, entries)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, page)


def _render(folder: Path, result: dict[str, Any], entries: Sequence[ReportEntry]) -> str:
    import jinja2
    from markupsafe import Markup

    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([here, here.parents[1]]),  # the theme is for pages too
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        'href': partial(_href, folder),
        'number': plots.number_text,
        'svg': Markup,
        'thousands': lambda number: f'{number:,}'.replace(',', '\u202f'),
    }
    template = environment.get_template('page.html.j2')
    return template.render(_recordings(entries), **_overview(_DEFAULTS | result, entries))


def _overview(result: dict[str, Any], entries: Sequence[ReportEntry]) -> dict[str, Any]:
    """Return what the page says about all recordings together."""
    names = [one['name'] for one in result['recordings']]
    filters = {choose_box_filter(result['boxes'], one.detected.sensor_size) for one in entries}
    return {
        'averages': _AVERAGES,
        'class_number': plots.class_number,
        'filters': sorted(filters, key=lambda one: one.diagonal),
        'models': sorted({_model(one.summary) for one in entries}),
        'now': f'{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}'.strip(),
        'plots': _breakdown(result),
        'result': result,
        'score': f'{result["operating_point"]["score"]:g}',
        'speeds': SPEEDS,
        'title': f'Detection report: {names[0]}' if len(names) == 1 else 'Detection report',
        'untrained': any(one.summary.get('weights') == 'untrained' for one in entries),
        'version': installed_version(),
        'without_labels': [n for n, one in result['per_class'].items() if not one['labels']],
    }


def _recordings(entries: Sequence[ReportEntry]) -> dict[str, Any]:
    """Return what the page says about each recording: rows, curves over time, error cases."""
    rows = sorted(entries, key=lambda one: (_worth(one), -one.errors, one.name))
    worst = sorted(rows, key=lambda one: (-one.errors, one.name))[:MAX_CURVES]
    lengths = [len(one.matched.frames) for one in worst]
    lengths += [len(one.detected.windows) for one in worst if one.detected.windows is not None]
    matched = [one.matched for one in rows]
    by_name = {one.name: one for one in entries}
    return {
        'curves': [(one, plots.over_time(one)) for one in worst],
        'false_positives': collect_cases(*worst_false_positives(matched, MAX_PICTURES), by_name),
        'has_notes': any(one.summary.get('warnings') for one in rows),
        'has_videos': any(one.video for one in rows),
        'longest': max(lengths, default=0),
        'max_points': plots.MAX_POINTS,
        'max_rows': MAX_ROWS,
        'missed': collect_cases(*worst_missed(matched, MAX_PICTURES), by_name),
        'open_curves': _OPEN_CURVES,
        'open_rows': _OPEN_ROWS,
        'picture_size': PICTURE_SIZE,
        'rows': rows,
    }


def _worth(entry: ReportEntry) -> float:
    return 1.0 if entry.counts.f1 is None else entry.counts.f1


def _model(summary: dict[str, Any]) -> str:
    if 'model' not in summary:
        return 'unknown'
    weights = summary.get('weights')
    return f'{summary["model"]}, weights {weights}' if weights else str(summary['model'])


def _breakdown(result: dict[str, Any]) -> dict[str, str | None]:
    """Return the plots of all recordings together, ``None`` where the values are unknown."""
    latency, rates, speeds = (result[key] for key in ('latency', 'by_event_rate', 'by_speed'))
    limits = [f'{row["most_mev_per_s"]:.2g}' for row in rates[:-1]]
    names = [
        *(f'under {limit}' for limit in limits[:1]),
        *(f'{low} to {high}' for low, high in zip(limits, limits[1:])),
        *(f'over {limit}' for limit in limits[-1:]),
    ]
    sizes = [
        (name, {'AP': result[f'AP_{area}']})
        for name, area in (('up to 32²', 'small'), ('to 96²', 'medium'), ('larger', 'large'))
    ]

    def bars(about: str, names: Sequence[str], rows: list[dict[str, Any]]) -> str | None:
        groups = [(name, {'AP': row['AP'], 'AP50': row['AP50']}) for name, row in zip(names, rows)]
        return plots.bars(groups, f'Average precision by {about}') if groups else None

    return {
        'precision_recall': plots.precision_recall(result['per_class']),
        'calibration': None
        if result['calibration']['expected_error'] is None
        else plots.calibration(result['calibration']['bins']),
        'latency': plots.latency(latency['waits_ms'], latency['never_found'])
        if latency['tracks']
        else None,
        'event_rate': bars('event rate, in thirds', names, rates),
        'size': plots.bars(sizes, 'Average precision by size'),
        'speed': bars('speed', [row['name'] for row in speeds], speeds),
    }


def _href(folder: Path, target: Path) -> str:
    """Return the address of a file relative to the folder of the page."""
    return quote(os.fsencode(os.path.relpath(target.resolve(), folder.resolve())))
