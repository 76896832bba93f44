"""One page that says what detections are worth: figures, plots, and pictures of the mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
import os
from pathlib import Path
from typing import Any

import numpy as np
from sast_ros.evaluation.detected import Detected
from sast_ros.evaluation.evaluate import Protocol
from sast_ros.evaluation.matching import MIN_IOU, OPERATING_SCORE
from sast_ros.evaluation.mistakes import Outcomes, outcomes
from sast_ros.evaluation.pairing import PairedRecording
from sast_ros.evaluation.report_figures import class_table, figure_plots
from sast_ros.evaluation.report_html import (
    escape,
    figure,
    link,
    listing,
    section,
    table,
    thousands,
    tile,
)
from sast_ros.evaluation.report_mistakes import alarms, misses
from sast_ros.evaluation.report_plots import MAX_POINTS, number_text, Plots
from sast_ros.version import installed_version

#: At most so many recordings are drawn over time, the first of them without a click.
MAX_CURVES = 12
_OPEN_CURVES = 3

#: At most so many recordings are in the table, the first of them without a click.
MAX_ROWS = 1000
_OPEN_ROWS = 25

_PROTOCOLS = {
    'last-window': 'Each label is compared with the detections of the last window that had ended '
    'at its time: what was known then.',
    'prophesee-legacy': 'Each label is compared with all detections within 50 ms before and after '
    'it, as in the toolbox of the Prophesee data sets; of several windows that are pooled all but '
    'one count as false alarms.',
}

# The page can load nothing, whatever its text may hold.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Judged:
    """
    One recording of a report.

    Parameters
    ----------
    paired: its labels and detections, as they went into ``evaluate``.
    detected: where the detections come from.
    recording: file or folder with its events, for pictures; ``None`` if it is not known.
    topic: topic with its events, ``None`` for the only one.
    video: ``overlay.mp4`` of its replay, for links; ``None`` if there is none.

    """

    paired: PairedRecording
    detected: Detected
    recording: Path | None = None
    topic: str | None = None
    video: Path | None = None

    @property
    def start_us(self) -> int:
        """Start of the recording on the clock of the detections."""
        told = self.detected.start_us
        return self.paired.start_us if told is None else told


def write_report(path: Path, result: dict[str, Any], judged: Sequence[Judged]) -> None:
    """
    Write the report: a page that needs no other file, but for the videos that it links to.

    Parameters
    ----------
    path:
        the file to write; its folder is made if needed.
    result:
        what ``evaluate`` returned about these recordings; where they are known with ``protocol``,
        ``boxes``, ``score``, ``labels_from``, ``inputs`` and ``failed`` (``input`` and ``reason``
        of recordings that could not be judged).
    judged:
        the recordings.

    Raises
    ------
    ImportError: matplotlib is not installed.
    OSError: the file cannot be written.

    """
    page = _Page(path.parent, result, judged).html()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.part')
    part.write_text(page, encoding='utf-8')
    os.replace(part, path)


@dataclass(frozen=True)
class _Row:
    """A recording and how it did at the operating score."""

    judged: Judged
    outcomes: Outcomes
    labels: int
    detections: int
    matches: int

    @property
    def errors(self) -> int:
        return self.labels + self.detections - 2 * self.matches

    @property
    def worth(self) -> float:
        """F1 score; 1 where there is nothing."""
        both = self.labels + self.detections
        return 2 * self.matches / both if both else 1.0


class _Page:
    """The report, section by section."""

    def __init__(self, folder: Path, result: dict[str, Any], judged: Sequence[Judged]) -> None:
        self._plots = Plots()
        self._folder = folder
        self._result = result
        self._judged = {one.paired.name: one for one in judged}
        rows = [_row(one) for one in judged]
        self._rows = sorted(rows, key=lambda row: (row.worth, -row.errors, row.judged.paired.name))

    def html(self) -> str:
        style = Path(__file__).with_name('report.css').read_text(encoding='utf-8')
        name = self._title()
        matched = [row.outcomes for row in self._rows]
        body = '\n'.join(
            filter(
                None,
                (
                    self._headline(),
                    class_table(self._result),
                    figure_plots(self._result, self._plots),
                    self._over_time(),
                    misses(matched, self._judged, self._folder),
                    alarms(matched, self._judged, self._folder),
                    self._recordings(),
                    self._failed(),
                    self._how(),
                ),
            )
        )
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f'<title>{escape(name)}</title>\n<link rel="icon" href="data:,">\n'
            f'<style>\n{style}</style>\n</head>\n'
            f'<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n'
        )

    # ------------------------------------------------------------------------------------- summary

    def _title(self) -> str:
        names = [one['name'] for one in self._result['recordings']]
        return f'Detection report: {names[0]}' if len(names) == 1 else 'Detection report'

    def _headline(self) -> str:
        result, point = self._result, self._result['operating_point']
        count = len(result['recordings'])
        score = f'{point["score"]:g}'
        judged = (
            f'{thousands(result["labels"])} labels at {thousands(result["images"])} times of '
            f'{_recordings(count)}'
        )
        sentence = f'At a score of {score}, {_of_hundred(point["recall"])} labels are found'
        if point['precision'] is None:
            sentence += '; there are no boxes with this score.'
        else:
            sentence += f' and {_of_hundred(point["precision"])} boxes are right.'
        right = (
            f'Right: of the class of a label, and overlapping it by an IoU of {point["iou"]:g} or '
            'more.'
        )
        tiles = [
            tile(
                'mAP', _figure(result['AP']), 'mean over IoU 0.5 to 0.95 and classes', 'no labels'
            ),
            tile('AP50', _figure(result['AP50']), 'the same at IoU 0.5', 'no labels'),
            tile(
                'precision',
                _figure(point['precision'], 2),
                f'{thousands(point["matches"])} of {thousands(point["detections"])} boxes right, '
                f'score from {score}',
                'no boxes',
            ),
            tile(
                'recall',
                _figure(point['recall'], 2),
                f'{thousands(point["matches"])} of {thousands(point["labels"])} labels found, '
                f'score from {score}',
                'no labels',
            ),
            self._alarm_tile(),
            self._latency_tile(),
        ]
        return (
            f'<header>\n<h1>{escape(self._title())}</h1>\n'
            f'<p class="soft">{escape(judged)}. {_made()}.</p>\n'
            f'<p class="lead">{escape(sentence)} <span class="soft">{escape(right)}</span></p>\n'
            '</header>\n'
            f'<ul class="tiles">\n{"".join(tiles)}\n</ul>\n{self._notes()}'
        )

    def _alarm_tile(self) -> str:
        alarms = self._result['false_positives']
        if not alarms['minutes_without_labels']:
            about = 'labels throughout; wrong boxes there count in the precision'
            return tile('false alarms', None, about, 'not judged')
        minutes = alarms['minutes_without_labels']
        if minutes < 1:  # too short for a rate
            about = f'in {60 * minutes:.1f} s without labels'
            return tile('false alarms', thousands(alarms['detections']), about)
        about = f'a minute, in {minutes:.1f} minutes without labels'
        return tile('false alarms', f'{alarms["per_minute"]:.1f}', about)

    def _latency_tile(self) -> str:
        late = self._result['latency']
        if not late['tracks']:
            return tile(
                'found after', None, 'no object came into view while labelled', 'not judged'
            )
        never = f'{late["never_found"]} of {late["tracks"]} new objects never found'
        if late['median_ms'] is None:
            return tile('found after', None, never, 'none found')
        return tile('found after', f'{late["median_ms"]:.0f} ms', f'median; {never}')

    def _notes(self) -> str:
        notes = []
        if any((one.detected.summary or {}).get('weights') == 'untrained' for one in
               self._judged.values()):  # fmt: skip
            notes.append('The weights are untrained: the boxes mean nothing.')
        failed = self._result.get('failed') or []
        if failed:
            total = len(failed) + len(self._result['recordings'])
            notes.append(f'{len(failed)} of {_recordings(total)} could not be judged; see below.')
        left = self._result['labels_left_out']
        if left:
            names = ', '.join(f'{thousands(count)} {name}' for name, count in left.items())
            notes.append(f'Left out, as the detector does not know these classes: {names}.')
        return '\n'.join(f'<p class="note">{escape(note)}</p>' for note in notes)

    # ---------------------------------------------------------------------------------- recordings

    def _over_time(self) -> str:
        rows = sorted(self._rows, key=lambda row: (-row.errors, row.judged.paired.name))
        rows = rows[:MAX_CURVES]
        if not rows:
            return ''
        drawn = [self._time_plot(row) for row in rows]
        first, rest = drawn[:_OPEN_CURVES], drawn[_OPEN_CURVES:]
        more = ''
        if rest:
            more = (
                f'<details><summary>{_recordings(len(rest), "more ")}</summary>'
                f'<div class="plots">{"".join(rest)}</div></details>'
            )
        total = len(self._rows)
        about = 'Events, share of the tokens that each stage of the network looked at, and errors.'
        if total > len(rows):
            about += f' Shown are the {len(rows)} of {total} recordings with the most errors.'
        elif total > 1:
            about += ' Recordings with the most errors come first.'
        longest = max(len(row.outcomes.pairs) for row in rows)
        windows = [row.judged.detected.windows for row in rows]
        longest = max(longest, *(len(one) for one in windows if one is not None), 0)
        if longest > MAX_POINTS:
            about += (
                f' Where there are more than {MAX_POINTS} windows, neighbours are drawn as one: '
                'the mean of events and tokens, the most errors.'
            )
        return section(
            'Over time', f'<p>{about}</p>', f'<div class="plots">{"".join(first)}</div>', more
        )

    def _time_plot(self, row: _Row) -> str:
        judged = row.judged
        detected, start = judged.detected, judged.start_us
        seconds, rates, tokens = np.zeros(0), None, np.zeros((0, 4))
        # Messages of detections tell neither events nor tokens
        windows = detected.windows if detected.summary is not None else None
        if windows is not None and len(windows):
            seconds = (windows['t'] - start) / 1e6
            rates = windows['events'] / detected.duration_us
            if windows['kept_tokens'].any():
                tokens = windows['kept_tokens'].astype(float)
        pairs = row.outcomes.pairs
        errors = (
            np.array([(one.pair.at - start) / 1e6 for one in pairs]),
            np.array([len(one.missed) for one in pairs], float),
            np.array([len(one.wrong) for one in pairs], float),
        )
        name = judged.paired.name
        drawn = self._plots.over_time(
            seconds, rates, tokens, errors, f'Event rate, kept tokens and errors of {name}'
        )
        caption = f'{row.labels - row.matches} of {row.labels} labels missed, '
        caption += f'{row.detections - row.matches} of {row.detections} boxes wrong.'
        if rates is None:
            caption += ' Events and tokens are not known: the detections come without windows.npy.'
        return figure(name, drawn, caption)

    def _recordings(self) -> str:
        rows = self._rows[:MAX_ROWS]
        if not rows:
            return ''
        videos = any(row.judged.video is not None for row in rows)
        notes = any(_remark(row.judged.detected) for row in rows)
        head = ['recording', 'labels', 'boxes', 'right', 'precision', 'recall', 'F1']
        head += ['video'] * videos + ['note'] * notes
        cells = [self._cells(row, videos, notes) for row in rows]
        first, rest = cells[:_OPEN_ROWS], cells[_OPEN_ROWS:]
        more = ''
        if rest:
            more = (
                f'<details><summary>{_recordings(len(rest), "more ")}</summary>'
                f'{table("More recordings", head, rest)}</details>'
            )
        about = f'At a score of {OPERATING_SCORE:g} and IoU {MIN_IOU:g}'
        about += (
            ', worst first (F1, the harmonic mean of precision and recall).'
            if len(rows) > 1
            else '.'
        )
        if len(self._rows) > len(rows):
            about += f' Shown are the worst {len(rows)} of {len(self._rows)}.'
        return section('Recordings', f'<p>{about}</p>', table('Recordings', head, first), more)

    def _cells(self, row: _Row, videos: bool, notes: bool) -> list[str]:
        judged = row.judged
        cells = [
            escape(judged.paired.name),
            *(thousands(count) for count in (row.labels, row.detections, row.matches)),
            number_text(row.matches / row.detections if row.detections else None, 2),
            number_text(row.matches / row.labels if row.labels else None, 2),
            number_text(row.worth if row.labels + row.detections else None, 2),
        ]
        if videos:
            video = judged.video
            cells.append('–' if video is None else link(video, self._folder, 'video'))
        if notes:
            cells.append(escape(_remark(judged.detected)))
        return cells

    def _failed(self) -> str:
        failed = self._result.get('failed') or []
        if not failed:
            return ''
        rows = [(str(one['input']), escape(str(one['reason']))) for one in failed]
        return section('Not judged', listing(rows))

    # ------------------------------------------------------------------------------------ protocol

    def _how(self) -> str:
        result = self._result
        name = result.get('protocol', 'last-window')
        filters = {
            Protocol(boxes=result.get('boxes', 'auto')).box_filter(one.detected.sensor_size)
            for one in self._judged.values()
        }
        left_out = '; '.join(
            f'what happens in the first {one.skip_us / 1e6:g} s'
            + (
                f', and boxes with a diagonal under {one.diagonal:g} or a side under {one.side:g} '
                'pixels'
                if one.diagonal
                else ''
            )
            for one in sorted(filters, key=lambda one: one.diagonal)
        )
        rows = [('protocol', f'{escape(name)}. {escape(_PROTOCOLS.get(name, ""))}')]
        if left_out:
            rows.append(('left out', f'{escape(left_out)}; of labels and detections alike'))
        score = result.get('score')
        rows.append(('score', escape(f'{score}' if score else 'as in the detections')))
        rows.append(
            (
                'average precision',
                'as in COCO: 101 recall points, at most 100 boxes a time and class '
                '(faster-coco-eval)',
            )
        )
        models = Counter(_model(one.detected) for one in self._judged.values())
        if models:
            rows.append(('model', escape('; '.join(sorted(models)))))
        if result.get('labels_from'):
            rows.append(('labels', escape(str(result['labels_from']))))
        inputs = result.get('inputs') or []
        if inputs:
            shown = ''.join(f'<li>{escape(str(one))}</li>' for one in inputs[:MAX_ROWS])
            shown += f'<li>and {len(inputs) - MAX_ROWS} more</li>' * (len(inputs) > MAX_ROWS)
            summary = f'<summary>{len(inputs)} named</summary>'
            rows.append(('inputs', f'<details>{summary}<ul>{shown}</ul></details>'))
        rows.append(('made by', escape(f'sast_ros {installed_version()}, {_now()}')))
        return section('How it was judged', listing(rows))


def _row(judged: Judged) -> _Row:
    made = outcomes(judged.paired)
    return _Row(
        judged,
        made,
        sum(len(one.pair.labels) for one in made.pairs),
        sum(len(one.found) for one in made.pairs),
        sum(int((one.choice >= 0).sum()) for one in made.pairs),
    )


def _figure(value: float | None, digits: int = 3) -> str | None:
    return None if value is None else f'{value:.{digits}f}'


def _of_hundred(share: float | None) -> str:
    return 'none' if not share else f'{100 * share:.0f} of 100'


def _recordings(count: int, more: str = '') -> str:
    return f'{thousands(count)} {more}recording{"s" * (count != 1)}'


def _remark(detected: Detected) -> str:
    summary = detected.summary or {}
    return '; '.join(str(one) for one in summary.get('warnings') or ())


def _model(detected: Detected) -> str:
    summary = detected.summary or {}
    if 'model' not in summary:
        return 'not known'
    weights = summary.get('weights')
    return f'{summary["model"]}, weights {weights}' if weights else str(summary['model'])


def _made() -> str:
    return f'{_now()}, sast_ros {installed_version()}'


def _now() -> str:
    return f'{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}'.strip()
