"""The page of the report: what it needs is collected here, its text is in ``page.html.j2``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from sast_ros.evaluation.box_filter import choose_box_filter
from sast_ros.evaluation.metrics.breakdown import SPEEDS
from sast_ros.evaluation.metrics.error_analysis import worst_false_positives, worst_missed
from sast_ros.evaluation.metrics.matching import match_recording, MatchCounts, MatchedRecording
from sast_ros.evaluation.report import plots
from sast_ros.evaluation.report.cases import collect_cases
from sast_ros.evaluation.report.entry import ReportEntry
from sast_ros.evaluation.report.pictures import PICTURE_SIZE
from sast_ros.version import installed_version

#: Maximum number of recordings that are drawn over time, the first of them without a click.
MAX_CURVES = 12
_OPEN_CURVES = 3

#: Maximum number of recordings in the table, the first of them without a click.
MAX_ROWS = 1000
_OPEN_ROWS = 25

#: Maximum number of pictures of missed objects, and of false positives.
MAX_PICTURES = 12

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
    part = path.with_name(f'{path.name}.part')
    part.write_text(page, encoding='utf-8')
    os.replace(part, path)


@dataclass(frozen=True)
class _Row:
    """A recording and its counts at the operating score."""

    entry: ReportEntry
    matched: MatchedRecording
    counts: MatchCounts

    @property
    def name(self) -> str:
        return self.entry.paired.name

    @property
    def errors(self) -> int:
        return self.counts.labels + self.counts.detections - 2 * self.counts.matches

    @property
    def note(self) -> str:
        return '; '.join(map(str, self.summary.get('warnings') or ()))

    @property
    def summary(self) -> dict[str, Any]:
        return self.entry.detected.summary or {}

    @property
    def model(self) -> str:
        model, weights = self.summary.get('model', 'unknown'), self.summary.get('weights')
        return f'{model}, weights {weights}' if weights and model != 'unknown' else str(model)


def _render(folder: Path, result: dict[str, Any], entries: Sequence[ReportEntry]) -> str:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        'href': partial(_href, folder),
        'known': lambda value, digits=3: None if value is None else f'{value:.{digits}f}',
        'number': plots.number_text,
        'svg': Markup,
        'thousands': lambda number: f'{number:,}'.replace(',', '\u202f'),
    }
    defaults = {
        'boxes': 'auto',
        'failed': (),
        'inputs': (),
        'labels_from': None,
        'protocol': 'last-window',
        'score': 'as in the detections',
    }
    result = {**defaults, **result}
    matched = [match_recording(one.paired) for one in entries]
    rows = [_Row(entry, whole, whole.counts()) for entry, whole in zip(entries, matched)]
    rows.sort(
        key=lambda row: (1.0 if row.counts.f1 is None else row.counts.f1, -row.errors, row.name)
    )
    matched = [row.matched for row in rows]
    worst = sorted(rows, key=lambda row: (-row.errors, row.name))[:MAX_CURVES]
    by_name = {one.paired.name: one for one in entries}
    names = [one['name'] for one in result['recordings']]
    windows = [row.entry.detected.windows for row in worst]
    lengths = [len(row.matched.frames) for row in worst]
    lengths += [len(table) for table in windows if table is not None]
    filters = {choose_box_filter(result['boxes'], one.detected.sensor_size) for one in entries}
    return environment.get_template('page.html.j2').render(
        averages=_AVERAGES,
        class_number=plots.class_number,
        curves=[_curve(row) for row in worst],
        false_positives={
            'scored': True,
            **collect_cases(*worst_false_positives(matched, MAX_PICTURES), by_name),
        },
        filters=sorted(filters, key=lambda one: one.diagonal),
        has_notes=any(row.note for row in rows),
        has_videos=any(row.entry.video for row in rows),
        longest=max(lengths, default=0),
        max_points=plots.MAX_POINTS,
        max_rows=MAX_ROWS,
        missed={
            'scored': False,
            **collect_cases(*worst_missed(matched, MAX_PICTURES), by_name),
        },
        models=sorted({row.model for row in rows}),
        now=f'{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}'.strip(),
        open_curves=_OPEN_CURVES,
        open_rows=_OPEN_ROWS,
        picture_size=PICTURE_SIZE,
        plots=_breakdown(result),
        result=result,
        rows=rows,
        score=f'{result["operating_point"]["score"]:g}',
        speeds=SPEEDS,
        title=f'Detection report: {names[0]}' if len(names) == 1 else 'Detection report',
        untrained=any(row.summary.get('weights') == 'untrained' for row in rows),
        version=installed_version(),
        without_labels=[name for name, one in result['per_class'].items() if not one['labels']],
    )


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


def _curve(row: _Row) -> dict[str, Any]:
    """Return the plot over time of one recording."""
    detected, start = row.entry.detected, row.entry.start_us
    seconds, rates, tokens = np.zeros(0), None, np.zeros((0, 4))
    # Messages of detections contain neither events nor tokens
    windows = detected.windows if detected.summary is not None else None
    if windows is not None and len(windows):
        seconds = (windows['t'] - start) / 1e6
        rates = windows['events'] / detected.duration_us
        if windows['kept_tokens'].any():
            tokens = windows['kept_tokens'].astype(float)
    frames = row.matched.frames
    errors = (
        np.array([(one.frame.t_end - start) / 1e6 for one in frames]),
        np.array([len(one.missed) for one in frames], float),
        np.array([len(one.false_positives) for one in frames], float),
    )
    svg = plots.over_time(row.name, seconds, rates, tokens, errors)
    return {'row': row, 'svg': svg, 'windows': rates is not None}


def _href(folder: Path, target: Path) -> str:
    """Return the address of a file relative to the folder of the page."""
    return quote(Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix())
