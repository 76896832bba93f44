# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros transcode``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sast_ros.cli.arguments import add_interval, add_json, sensor_size, wrong_usage
from sast_ros.cli.terminal import (
    left_out,
    new_table,
    open_console,
    print_error,
    show_progress,
    thousands,
    write_json,
)
from sast_ros.errors import UsageError

#: Formats that are written, as ``sast_ros.bags.writers`` knows them.
FORMATS = ('mcap', 'raw', 'dat', 'h5', 'npz', 'csv', 'txt')
MESSAGES = ('EventPacket', 'EventArray')


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'transcode',
        help='convert a recording',
        description='Write a recording in another format, which the extension of OUT selects: '
        '.mcap (ROS messages), .raw (Prophesee EVT 3.0), .dat, .h5 (layout of DSEC), .npz, .csv '
        'or .txt. Pixels, polarities and times of all events stay exactly the same.',
    )
    command.add_argument(
        'recordings',
        type=Path,
        nargs='+',
        metavar='RECORDING',
        help='recording of any format that "sast-ros replay" reads; several with --to',
    )
    command.add_argument(
        'out', type=Path, metavar='OUT', help='file to write; with --to, the folder for the files'
    )
    command.add_argument(
        '--to',
        choices=FORMATS,
        help='convert several recordings to this format; files keep their names',
    )
    command.add_argument(
        '--message',
        choices=MESSAGES,
        default=MESSAGES[0],
        help='messages in .mcap: event_camera_msgs/EventPacket with EVT 3.0, or '
        'dvs_msgs/EventArray (default: %(default)s)',
    )
    command.add_argument(
        '--topic', metavar='T', help='topic with events (default: the only one in the recording)'
    )
    add_interval(command)
    command.add_argument(
        '--sensor-size',
        type=sensor_size,
        metavar='WxH',
        help='sensor size WxH; overrides the recording, for example 640x480',
    )
    command.add_argument('--force', action='store_true', help='replace files that exist')
    add_json(command, 'summary')
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Write every recording and return the exit code."""
    from sast_ros.bags import open_recording
    from sast_ros.bags.transcode import transcode

    targets = _targets(arguments)
    summaries = []
    failed: dict[str, str] = {}
    for source, target in targets:
        with (
            left_out(failed, str(source), alone=len(targets) == 1),
            open_recording(source, arguments.topic) as recording,
        ):
            title = ' '.join(filter(None, (f'transcode {source.name}', recording.topic)))
            with show_progress(title) as progress:
                summary = transcode(
                    recording,
                    target,
                    message=arguments.message,
                    sensor_size=arguments.sensor_size,
                    start=arguments.start,
                    end=arguments.end,
                    force=arguments.force,
                    progress=progress,
                )
            summaries.append(summary)
            if arguments.json != '-':
                _show(summary)
    inputs = [{'input': source, 'reason': reason} for source, reason in failed.items()]
    content = {'files': summaries, 'failed': inputs} if arguments.to else summaries[0]
    write_json(content, arguments.json)
    for reason in failed.values():
        print_error(f'left out: {reason}')
    return 1 if failed else 0


def _targets(arguments: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Return each recording with the file to write."""
    from sast_ros.bags.writers import find_writer

    sources = arguments.recordings
    if arguments.to is None:
        if len(sources) > 1:
            raise UsageError(
                f'{len(sources)} recordings cannot be written into one file {arguments.out}; give '
                'a folder and the format with --to'
            )
        with wrong_usage():
            find_writer(arguments.out)
        return [(sources[0], arguments.out)]
    from sast_ros.bags.names import recording_stem

    names: dict[str, Path] = {}
    for source in sources:
        name = f'{recording_stem(source.resolve())}.{arguments.to}'
        if name in names:
            raise UsageError(
                f'{names[name]} and {source} would both be written into {arguments.out / name}; '
                'transcode them into different folders'
            )
        names[name] = source
    return [(source, arguments.out / name) for name, source in names.items()]


def _show(summary: dict[str, Any]) -> None:
    table = new_table(f'transcode: {summary["recording"]}')
    table.add_row('written', f'{summary["path"]} ({summary["bytes"] / 1e6:.1f} MB)')
    table.add_row('from', ', '.join(filter(None, (summary['format'], summary['type']))))
    size = summary['sensor_size']
    table.add_row('sensor', f'{size["width"]}x{size["height"]} pixels' if size else 'size unknown')
    first, last = summary['first_event_us'], summary['last_event_us']
    length = f' from {first} to {last} us' if first is not None else ''
    table.add_row('events', thousands(summary['events']) + length)
    left_out = ', '.join(
        f'{thousands(count)} {reason.replace("_", " ")}'
        for reason, count in summary['events_left_out'].items()
    )
    if left_out:
        table.add_row('events left out', left_out)
    if summary['lost_packets']:
        table.add_row('packets lost', thousands(summary['lost_packets']))
    for text in summary['warnings']:
        table.add_row('warning', text)
    table.add_row('took', f'{summary["wall_seconds"]:.1f} s')
    open_console().print(table)
