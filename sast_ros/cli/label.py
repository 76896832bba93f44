# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros label``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sast_ros.cli.arguments import (
    add_detector,
    add_interval,
    add_json,
    detector_options,
    whole_number,
)
from sast_ros.cli.terminal import new_table, open_console, show_progress, show_results, write_json
from sast_ros.errors import SettingError, UsageError
from sast_ros.example import recording_path
from sast_ros.process import limit_spinning

#: Minimum score of what is exported: deleting a wrong box is less work than drawing a missed one.
SCORE_THRESHOLD = 0.2

#: As ``sast_ros.labelling`` knows them.
FORMATS = ('coco', 'cvat')

#: Options of the export alone, with their defaults; what is given of the detector is noted.
_EXPORT = {'every': 1, 'topic': None, 'start': 0, 'end': None, 'out': None, 'params': None}


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'label',
        help='annotate a recording, starting from detections',
        description='Export pictures of a recording and what is detected in them, to be edited '
        'in an annotation tool: COCO JSON or "CVAT for images 1.1". With --import take the edited '
        'annotations back, as NAME_bbox.npy beside the recording, which "sast-ros evaluate" and '
        '"sast-ros train" read.',
    )
    command.add_argument(
        'recording',
        type=Path,
        metavar='RECORDING',
        help='any recording that "sast-ros replay" reads',
    )
    command.add_argument(
        '--import',
        type=Path,
        dest='source',
        metavar='FOLDER',
        help='read edited annotations back from a folder that this command wrote',
    )
    command.add_argument(
        '--format',
        choices=FORMATS,
        help='format of the annotations (default: coco; with --import the one found)',
    )
    command.add_argument(
        '--every',
        type=whole_number(1, 100_000),
        default=1,
        metavar='N',
        help='export every Nth window (default: %(default)s)',
    )
    command.add_argument('--topic', metavar='T', help='topic with events (default: the only one)')
    add_interval(command)
    command.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='folder of the export (default: out/label/NAME-OF-RECORDING)',
    )
    add_detector(command, SCORE_THRESHOLD)
    command.add_argument(
        '--force',
        action='store_true',
        help='replace an earlier export, with --import the labels beside the recording',
    )
    add_json(command, 'summary')
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Export or import labels and return the exit code."""
    if arguments.source is not None:
        return _import(arguments)
    limit_spinning()
    from sast_ros.bags import open_recording
    from sast_ros.bags.names import recording_stem

    out = arguments.out or Path('out/label') / recording_stem(arguments.recording.resolve())
    with open_recording(arguments.recording, arguments.topic) as recording:
        from sast_ros.labelling import export_labels
        from sast_ros.replay import ReplayOptions

        options = ReplayOptions(
            **detector_options(arguments), start=arguments.start, end=arguments.end
        )
        with show_progress(f'label {arguments.recording.name}') as progress:
            summary = export_labels(
                recording,
                out,
                options,
                arguments.format or FORMATS[0],
                every=arguments.every,
                force=arguments.force,
                progress=progress,
            )
    if not write_json(summary, arguments.json):
        table = new_table(f'label: {summary["recording"]}')
        table.add_row('pictures', f'{summary["pictures"]} of {summary["windows"]} windows')
        table.add_row('boxes', f'{summary["boxes"]}, to be edited')
        show_results(
            table,
            '\n'.join(summary['warnings']),
            out,
            [summary['labels'], 'images', 'export.json'],
        )
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from sast_ros.labelling import import_labels

    given = [*vars(arguments).get('given', ())]
    given += [name for name, value in _EXPORT.items() if getattr(arguments, name) != value]
    if given:
        raise UsageError(
            f'--import takes no options of the export or the detector; leave out '
            f'{", ".join(given).replace("_", "-")}'
        )
    recording = recording_path(arguments.recording)
    if not recording.exists():
        raise SettingError(f'{recording} does not exist; name the recording that was exported')
    summary = import_labels(arguments.source, recording, arguments.format, force=arguments.force)
    if not write_json(summary, arguments.json):
        open_console().print(_import_table(summary))
    return 0


def _import_table(summary: dict[str, Any]) -> Any:
    table = new_table('label: imported')
    table.add_row('written', summary['path'])
    table.add_row('boxes', f'{summary["boxes"]}, {summary["added"]} of them added')
    without = summary['pictures_without_boxes']
    table.add_row('pictures', f'{summary["pictures"]}, {without} of them without boxes')
    if summary['missing']:
        table.add_row('not labelled', f'{summary["missing"]} pictures that were taken out')
    for reason, count in summary['left_out'].items():
        table.add_row('left out', f'{count} {reason}')
    table.add_row('classes', ', '.join(summary['classes']))
    return table
