# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros replay``."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
from pathlib import Path
import re
import shlex
from typing import Any, TYPE_CHECKING

from sast_ros.cli.arguments import (
    add_detector,
    add_interval,
    add_overlay,
    detector_options,
    number_between,
)
from sast_ros.cli.terminal import (
    kept_text,
    left_out,
    new_table,
    print_error,
    show_progress,
    show_results,
    thousands,
    UNTRAINED_WARNING,
)
from sast_ros.errors import SettingError, UsageError
from sast_ros.process import limit_spinning

if TYPE_CHECKING:
    from rich.table import Table
    from sast_ros.bags import Recording


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'replay',
        help='detect in a recording',
        description='Run a recording through the detector, without ROS. Writes detections.npy '
        '(Prophesee box layout), detections.mcap (vision_msgs/Detection2DArray), windows.npy, '
        'summary.json and, with --video and --gif, overlay.mp4 and overlay.gif.',
    )
    command.add_argument(
        'bag',
        type=Path,
        metavar='RECORDING',
        help='rosbag2 folder, .db3, .mcap, rosbag1 .bag, Prophesee .raw or .dat, .aedat4, .es, '
        'HDF5 .h5, .txt, .csv, .npy or .npz; "example" is the bundled one',
    )
    command.add_argument(
        '--topic',
        action='append',
        dest='topics',
        metavar='T',
        help='topic with events (default: the only one in the recording); repeat it for several '
        'cameras, whose results are then in DIR/NAME-OF-TOPIC',
    )
    add_interval(command)
    command.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='folder for the results, which replaces those in it (default: '
        'out/replay/NAME-OF-RECORDING, unless another recording has its results there)',
    )
    command.add_argument(
        '--visual',
        action='store_true',
        help='add pictures of the events and annotations for Foxglove to detections.mcap',
    )
    command.add_argument('--video', action='store_true', help='write overlay.mp4')
    command.add_argument('--gif', action='store_true', help='write overlay.gif')
    command.add_argument(
        '--speed',
        type=number_between(0.01, 10),
        default=1.0,
        metavar='S',
        help='playback speed of video and GIF; 1 is real time, 0.25 slow motion (default: 1)',
    )
    add_overlay(command)
    add_detector(command)
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Replay every topic and return the exit code."""
    limit_spinning()
    from sast_ros.bags import open_recording
    from sast_ros.bags.digest import recording_digest

    with contextlib.ExitStack() as stack:
        # The recording first: its errors are reported before torch is imported.
        recordings = [
            stack.enter_context(open_recording(arguments.bag, topic))
            for topic in arguments.topics or [None]
        ]
        folders = _folders(arguments, recordings)
        path = recordings[0].path.resolve()
        identity = {
            'recording_digest': recording_digest(path),
            'path_digest': hashlib.sha256(os.fsencode(path)).hexdigest(),
        }
        if arguments.out is None:
            for recording, folder in zip(recordings, folders, strict=True):
                _refuse_another(folder, recording.topic, identity)
        failed: dict[str, str] = {}
        for recording, folder in zip(recordings, folders, strict=True):
            with left_out(failed, recording.topic, alone=len(recordings) == 1):
                _replay(arguments, recording, folder, identity)
    for topic, reason in failed.items():
        print_error(f'left out: {topic}: {reason}')
    return 1 if failed else 0


def _folders(arguments: argparse.Namespace, recordings: list[Recording]) -> list[Path]:
    """Return where the results of each recording go."""
    from sast_ros.bags.names import recording_stem

    out = arguments.out or Path('out/replay') / recording_stem(arguments.bag.resolve())
    if len(recordings) == 1:
        return [out]
    # The slashes of a topic become dashes, which no ROS name contains.
    names = [re.sub(r'[^\w-]+', '-', recording.topic.strip('/')) for recording in recordings]
    for index, name in enumerate(names):
        if name in names[:index]:
            other, topic = recordings[names.index(name)].topic, recordings[index].topic
            raise UsageError(
                f'--topic names {topic} twice; give each topic once'
                if other == topic
                else f'the results of {other} and {topic} would both lie in {out / name}; replay '
                'them one by one, with different --out'
            )
    return [out / name for name in names]


def _refuse_another(folder: Path, topic: str, identity: dict[str, str]) -> None:
    """
    Raise an error if a folder that only a name chose has results of another recording.

    A copy is the same recording, and so is what is recorded anew at the same place.
    """
    path = folder / 'summary.json'
    if not path.exists():
        return
    try:
        summary = json.loads(path.read_bytes())
        same = any(summary[name] == value for name, value in identity.items())
        if same and summary['topic'] == topic:
            return
    except (ValueError, LookupError, TypeError):  # of no replay, or of an earlier version
        return
    raise SettingError(
        f'{folder} has the results of another recording of this name, or of another topic; '
        f'give another folder with --out, or --out {shlex.quote(str(folder))} to replace them'
    )


def _replay(
    arguments: argparse.Namespace, recording: Recording, out: Path, identity: dict[str, str]
) -> None:
    """Replay one topic, with a state of its own, and show the results."""
    from sast_ros.replay import GIF, replay_to_folder, ReplayOptions, VIDEO

    options = ReplayOptions(
        **detector_options(arguments),
        start=arguments.start,
        end=arguments.end,
        video=arguments.video,
        gif=arguments.gif,
        video_speed=arguments.speed,
        visual=arguments.visual,
    )
    title = ' '.join(filter(None, (f'replay {arguments.bag.name}', recording.topic)))
    with show_progress(title) as progress:
        summary = replay_to_folder(recording, out, options, progress=progress, facts=identity)
    names = ['detections.npy', 'detections.mcap', 'windows.npy', 'summary.json']
    names += [name for name in (VIDEO, GIF) if (out / name).exists()]
    warnings = list(summary['warnings'])
    if summary['weights'] == 'untrained':
        warnings.append(UNTRAINED_WARNING)
    show_results(_summary_table(summary), '\n'.join(warnings), out, names)


def _summary_table(summary: dict[str, Any]) -> Table:
    from sast_ros.events.filters import FILTER_REASONS

    table = new_table(f'replay: {summary["recording"]}')
    source = (summary['format'], summary['topic'], summary['type'])
    table.add_row('recording', ', '.join(part for part in source if part))
    sensor = summary['sensor_size']
    table.add_row('sensor', f'{sensor["width"]}x{sensor["height"]} pixels')
    table.add_row('model', f'{summary["model"]}, weights {summary["weights"]}')
    table.add_row('events', f'{thousands(summary["events"])} in {summary["seconds"]:.2f} s')
    by_reason = summary['resets_by_reason'].items()
    resets = ', '.join(f'{count} x {reason.replace("_", " ")}' for reason, count in by_reason)
    table.add_row('windows', f'{summary["windows"]} (state reset: {resets or "never"})')
    irregularities = [(summary['lost_packets'], 'packets lost')]
    irregularities += [
        (count, f'events left out ({reason.replace("_", " ")})')
        for reason, count in summary['events_left_out'].items()
        if reason not in FILTER_REASONS
    ]
    irregularities += [
        (summary['reordered'], 'events reordered'),
        (summary['clamped'], 'events too late for their window'),
    ]
    found = [f'{thousands(count)} {what}' for count, what in irregularities if count]
    if found:
        table.add_row('irregularities', ', '.join(found))
    if summary['filters']:
        table.add_row('filters', ' '.join(summary['filters']))
        removed = [
            f'{thousands(count)} by {reason.replace("_", " ")}'
            for reason, count in summary['events_left_out'].items()
            if reason in FILTER_REASONS
        ]
        table.add_row('events removed', ', '.join(removed) or 'none')
    if summary['windows']:
        table.add_row('kept in stages 1-4', kept_text(summary))
    table.add_row(
        'detections',
        f'{summary["detections"]} with a score of at least {summary["score_threshold"]:g}',
    )
    table.add_row(
        'took', f'{summary["wall_seconds"]:.1f} s, {summary["realtime_factor"]:.1f} x real time'
    )
    return table
