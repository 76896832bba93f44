# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``sast-ros evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator, Iterator, Sequence
import contextlib
from pathlib import Path
import sys
import time
from typing import Any, TYPE_CHECKING

from sast_ros.cli.arguments import add_detector, detector_options, number_between, whole_number
from sast_ros.cli.terminal import (
    decimal,
    new_table,
    open_console,
    print_error,
    print_line,
    progress_bar,
    show_progress,
    UNTRAINED_WARNING,
    write_json,
)
from sast_ros.defaults import MAX_THREADS
from sast_ros.errors import format_error
from sast_ros.example import recording_path
from sast_ros.output import check_place
from sast_ros.process import limit_spinning

if TYPE_CHECKING:
    from rich.table import Table
    from sast_ros.evaluation.batch.jobs import JobResult
    from sast_ros.evaluation.batch.plan import Replay
    from sast_ros.evaluation.protocol import Protocol

#: Minimum score of the detections of replays: without the rest the average precision would only
#: be worse.
SCORE_THRESHOLD = 0.01


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'evaluate',
        help='score detections against labels',
        description='Evaluate detections against labels by the protocol of the Prophesee '
        'automotive data sets: the first half second and small boxes are left out, and each label '
        'is compared with the last window that had ended then. Recordings are replayed first; '
        'replays that the same command has finished before are reused. If one of several inputs '
        'fails, it is left out and reported at the end, with exit code 1.',
    )
    command.add_argument(
        'inputs',
        nargs='+',
        type=recording_path,
        metavar='RECORDING',
        help='recording to detect in, or detections: folder of a replay, boxes (.npy, COCO '
        'results, CSV) or bag with Detection2DArray; "example" is the bundled recording',
    )
    add_protocol(command)
    command.add_argument(
        '--score',
        choices=('product', 'class', 'uncalibrated'),
        default='product',
        help='score of the detections of replays: objectness x class probability, calibrated '
        'where the weights have a calibration; the class probability alone as in the papers; or '
        'the product as the network gives it (default: %(default)s)',
    )
    command.add_argument('--topic', metavar='T', help='topic with events of the recordings')
    command.add_argument(
        '--detections-topic',
        metavar='T',
        help='topic with the Detection2DArray that a node published: evaluate these, with the '
        'events in the same bag',
    )
    add_detector(command, SCORE_THRESHOLD)
    add_batch(command)
    command.add_argument(
        '--video',
        action='store_true',
        help='write overlay.mp4 of every replay; the report links to it',
    )
    command.add_argument(
        '--out',
        type=Path,
        default=Path('out/evaluate'),
        metavar='DIR',
        help='report.html, and the replays in a folder for each recording (default: %(default)s)',
    )
    command.add_argument(
        '--json', metavar='FILE', help='write all metrics to FILE; - is standard output'
    )
    command.set_defaults(command=run)
    return command


def add_protocol(command: argparse.ArgumentParser) -> None:
    """Add which labels are compared with which detections."""
    command.add_argument(
        '--labels',
        type=Path,
        metavar='DIR',
        help='folder with NAME_bbox.npy (Prophesee layout), NAME.json (COCO), NAME.csv or NAME/ '
        '(YOLO text) for each recording, one COCO file for all of them, bags with '
        'Detection2DArray, or the one file (default: the folder of each recording)',
    )
    command.add_argument(
        '--label-topic',
        metavar='T',
        help='topic with labels, where they are in a bag (default: the only one)',
    )
    command.add_argument(
        '--label-classes',
        metavar='C',
        help='class names of the labels in class-id order: gen1, 1mpx, dsec-det, or a '
        'comma-separated list, which may name several classes alike; or OLD=NEW,... to change '
        'names (default: those in the file or in dataset.json beside it, else by the sensor)',
    )
    command.add_argument(
        '--detection-classes',
        metavar='C',
        help='the same for the detections (default: those of the replay, else of the labels)',
    )
    frames = command.add_mutually_exclusive_group()
    frames.add_argument(
        '--label-fps',
        type=number_between(1e-6, 1e6),
        metavar='F',
        help='frames per second of labels with frame numbers (COCO, CSV, YOLO text); frame 0 is '
        'at the start of the recording',
    )
    frames.add_argument(
        '--label-times',
        type=Path,
        metavar='FILE',
        help='text file with the time of each frame, one per line, instead of a rate',
    )
    command.add_argument(
        '--clip-labels',
        action='store_true',
        help='clip labels to the frame, as the published preprocessing does, and leave out those '
        'of which too little is left',
    )
    command.add_argument(
        '--protocol',
        choices=('last-window', 'prophesee-legacy'),
        default='last-window',
        help='which detections a label is compared with: those of the last window that had ended '
        'then, or all within 50 ms as in the toolbox (default: %(default)s)',
    )
    command.add_argument(
        '--boxes',
        choices=('auto', 'gen1', '1mpx', 'all'),
        default='auto',
        help='minimum size of boxes: diagonal 30 and sides 10 pixels (gen1), 60 and 20 (1mpx), or '
        'none (all) (default: by the sensor)',
    )


def add_batch(command: argparse.ArgumentParser) -> None:
    """Add where recordings are replayed; the metrics do not depend on it."""
    command.add_argument(
        '--threads',
        type=whole_number(1, MAX_THREADS),
        metavar='N',
        help='CPU threads of the network; results differ in the last bits with it (default: 1)',
    )
    command.add_argument(
        '--workers',
        type=whole_number(1, 1024),
        metavar='N',
        help='number of worker processes, about cores / threads, with 0.5 GB of memory each '
        '(default: 1, in this process; with Ray as many as there is room for)',
    )
    command.add_argument(
        '--ray-address',
        metavar='A',
        help='replay on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT, or local to start one '
        'on this machine; recordings, weights and --out must lie at the same place on every node',
    )
    command.add_argument(
        '--gpus-per-recording',
        type=number_between(0, 64),
        metavar='F',
        help='GPUs per recording on Ray, for example 0.25 (default: 1 with --device cuda, else 0)',
    )
    command.add_argument(
        '--retries',
        type=whole_number(0, 100),
        default=2,
        metavar='N',
        help='retries of a recording whose process was killed (default: %(default)s)',
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    limit_spinning()
    from sast_ros.evaluation.errors import EvaluationError
    from sast_ros.evaluation.inputs import EvaluationInputs, SCORES
    from sast_ros.evaluation.metrics.matching import OPERATING_SCORE
    from sast_ros.evaluation.metrics.summary import compute_metrics
    from sast_ros.evaluation.report.page import write_report
    from sast_ros.replay import ReplayOptions

    wanted = detector_options(arguments)
    if arguments.threads is None:
        arguments.threads = wanted.get('threads', 1)
    arguments.device, arguments.sensor_size = wanted['device'], wanted['sensor_size']
    protocol = make_protocol(arguments)
    options = ReplayOptions(
        **wanted | {'threads': arguments.threads},
        score=arguments.score,
        video=arguments.video,
        video_min_score=OPERATING_SCORE,  # all of them would hide the events
    )
    inputs = EvaluationInputs(
        *(arguments.inputs, arguments.labels, arguments.out, options, arguments.topic),
        protocol.label_frames,
        detections_topic=arguments.detections_topic,
        timing_known=arguments.params is not None
        or 'stride_ms' in getattr(arguments, 'given', ()),
    )
    page = arguments.out / 'report.html'
    check_place(page)
    inputs.replay(lambda replays: run_replays(arguments, replays), show_finished)
    entries = inputs.pair(protocol)
    try:
        if not entries:
            raise EvaluationError(f'none of the {len(arguments.inputs)} inputs can be evaluated')
        result = {
            'protocol': protocol.name,
            'boxes': protocol.boxes,
            'score': SCORES[arguments.score],
            'threads': arguments.threads,
            'labels_from': str(arguments.labels or _folders(arguments.inputs)),
            'inputs': [str(path) for path in arguments.inputs],
            **compute_metrics([one.paired for one in entries]),
            'failed': [
                {'input': str(path), 'reason': reason} for path, reason in inputs.failed.items()
            ],
        }
        for warning in result.get('label_warnings', ()):
            print_error(warning)
        report: Path | None = page
        try:
            write_report(page, result, entries)
        except ModuleNotFoundError as error:
            report = None
            print_error(f'no report was written ({format_error(error)})')
        if not write_json(result, arguments.json):
            untrained = any(
                (one.detected.summary or {}).get('weights') == 'untrained' for one in entries
            )
            _show(result, report, untrained)
    finally:
        for reason in inputs.failed.values():
            print_error(f'left out: {reason}')
    return 1 if inputs.failed else 0


def _folders(paths: Sequence[Path]) -> str:
    return ', '.join(dict.fromkeys(str(path.resolve().parent) for path in paths))


def make_protocol(arguments: argparse.Namespace) -> Protocol:
    from sast_ros.evaluation.formats.box_file import FrameClock
    from sast_ros.evaluation.labels import label_classes
    from sast_ros.evaluation.protocol import Protocol

    labels, detections = (
        label_classes(text) if text else None
        for text in (arguments.label_classes, arguments.detection_classes)
    )
    return Protocol(
        arguments.protocol,
        arguments.boxes,
        labels,
        arguments.label_topic,
        detections,
        FrameClock(arguments.label_fps, arguments.label_times),
        arguments.clip_labels,
        arguments.sensor_size,
    )


def run_replays(arguments: argparse.Namespace, replays: list[Replay]) -> Iterator[JobResult]:
    """Run the replays, and show the progress."""
    from sast_ros.evaluation.batch.replay import run_replay

    if arguments.ray_address is not None:
        results = _replay_on_ray(arguments, replays)
    elif (arguments.workers or 1) > 1:
        from sast_ros.evaluation.batch.workers import run_in_processes

        results = run_in_processes(run_replay, replays, arguments.workers, arguments.retries)
    else:
        from sast_ros.evaluation.batch.jobs import run_serially

        yield from run_serially(_replay_here, replays)
        return
    with contextlib.closing(results), _show_batch(len(replays)) as progress:
        for result in results:
            progress(result)
            yield result


def _replay_here(replay: Replay) -> None:
    from sast_ros.evaluation.batch.replay import run_replay

    with show_progress(f'replay {replay.path.name}') as progress:
        run_replay(replay, progress)


def _replay_on_ray(
    arguments: argparse.Namespace, replays: list[Replay]
) -> Generator[JobResult, None, None]:
    from sast_ros.evaluation.batch.ray_cluster import run_on_ray
    from sast_ros.evaluation.batch.replay import run_replay_on_node

    gpus = arguments.gpus_per_recording
    if gpus is None:
        gpus = 1 if arguments.device.startswith('cuda') else 0
    return run_on_ray(
        run_replay_on_node,
        [replay.with_absolute_paths() for replay in replays],
        arguments.ray_address,
        cpus=arguments.threads,
        gpus=gpus,
        at_once=arguments.workers,
        retries=arguments.retries,
    )


def show_finished(count: int, total: int) -> None:
    print_line(f'replay: {count} of {total} recordings were replayed before', sys.stderr)


@contextlib.contextmanager
def _show_batch(total: int) -> Iterator[Callable[[JobResult], None]]:
    """Show how many recordings are done: a bar with events per second, or lines."""
    done = events = 0
    began = time.perf_counter()
    console = open_console(stderr=True)
    with contextlib.ExitStack() as stack:
        if console.is_terminal:
            bar = stack.enter_context(progress_bar(console, 'rate', transient=True))
            task = bar.add_task('replay', total=total, rate=f'0 of {total} recordings')
        else:
            tell = stack.enter_context(show_progress('replay'))

        def count(result: JobResult) -> None:
            nonlocal done, events
            done += 1
            events += (result.value or {}).get('events', 0)
            if console.is_terminal:
                speed = events / (time.perf_counter() - began) / 1e6
                text = f'{done} of {total} recordings, {speed:.2f} Mev/s'
                bar.update(task, completed=done, rate=text)
            else:
                tell(done, total, 'recordings')

        yield count


def _show(result: dict[str, Any], report: Path | None, untrained: bool) -> None:
    """Print the most important metrics."""
    console = open_console()
    console.print()
    console.print(_overview(result))
    console.print(_classes(result))
    if report is not None:
        console.print(f'report: {report}')
    if untrained:
        console.print(UNTRAINED_WARNING, style='bold yellow')


def _overview(result: dict[str, Any]) -> Table:
    table = new_table('evaluate')
    table.add_row('protocol', f'{result["protocol"]}, score: {result["score"]}')
    table.add_row(
        'evaluated',
        f'{result["labels"]} labels in {result["images"]} frames of '
        f'{len(result["recordings"])} recordings',
    )
    if result['labels_left_out']:
        left = ', '.join(f'{count} {name}' for name, count in result['labels_left_out'].items())
        table.add_row('left out', f'{left}: classes that the detector does not have')
    if 'labels_clipped' in result:
        clipped, away = result['labels_clipped'], result['labels_clipped_away']
        table.add_row(
            'clipped', f'{clipped} labels to the frame, {away} of them left out as too small'
        )
    if 'live' in result:
        live = result['live']
        table.add_row(
            'windows',
            f'{live["published"]} published, {live["dropped"]} dropped; '
            f'{live["frames_without_window"]} of {result["images"]} frames have none of their own',
        )
    if 'ignored_regions' in result:
        table.add_row('ignored', f'detections in {result["ignored_regions"]} regions of crowds')
    table.add_row('mAP', f'{decimal(result["AP"])} (AP50 {decimal(result["AP50"])})')
    rate = result['false_positives']
    if rate['minutes_without_labels']:
        table.add_row(
            'false positives',
            f'{rate["per_minute"]:.1f} per minute, in {rate["minutes_without_labels"]:.1f} '
            'minutes without labels',
        )
    reported = result['calibration']['reported']
    if reported['expected_error'] is not None:
        table.add_row(
            'calibration',
            f'error {reported["expected_error"]:.3f} at {reported["score"]:g} and above, '
            f'{reported["detections"]} detections',
        )
    tracking = result['tracking']
    if tracking is not None:
        table.add_row(
            'tracking',
            f'IDF1 {decimal(tracking["IDF1"])}, HOTA {decimal(tracking["HOTA"])}, '
            f'{tracking["id_switches"]} identity switches of {tracking["objects"]} objects in '
            f'{tracking["tracks"]} tracks',
        )
    latency = result['latency']
    if latency['tracks']:
        detected = latency['tracks'] - latency['never_found']
        text = f'{detected} of {latency["tracks"]} new objects detected'
        if latency['median_ms'] is not None:
            text += f', after {latency["median_ms"]:.0f} ms (median), {latency["p90_ms"]:.0f} ms '
            text += '(90th percentile)'
        table.add_row('latency', text)
    return table


def _classes(result: dict[str, Any]) -> Table:
    from rich.table import Table

    point = result['operating_point']
    table = Table(box=None, pad_edge=False, title_justify='left')
    names = ['AP', 'AP50', 'AP75', 'AP_small', 'AP_medium', 'AP_large', 'AR_100']
    shares = ['precision', 'recall']
    table.add_column('')
    for name in ('labels', *names):
        table.add_column(name.replace('_', ' '), justify='right')
    for name in shares:
        table.add_column(f'{name} at {point["score"]:g}', justify='right')
    rows = {**result['per_class'], 'all': {**result, **{name: point[name] for name in shares}}}
    for row, values in rows.items():
        cells = [decimal(values[name]) for name in names + shares]
        table.add_row(row, str(values['labels']), *cells)
    return table
