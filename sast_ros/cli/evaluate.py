"""``sast-ros evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import sys
import time
from typing import Any, TYPE_CHECKING

from sast_ros.cli.arguments import add_detector, number_between, whole_number
from sast_ros.cli.terminal import (
    new_table,
    open_console,
    print_error,
    progress_bar,
    show_progress,
    UNTRAINED_WARNING,
    write_json,
)
from sast_ros.defaults import MAX_DETECTIONS
from sast_ros.process import limit_spinning

if TYPE_CHECKING:
    from rich.table import Table
    from sast_ros.evaluation.evaluate import Protocol
    from sast_ros.evaluation.fleet import Outcome
    from sast_ros.evaluation.replays import Replay, ReplayOptions

#: Recordings are replayed with this least score: what is left out could only make the average
#: precision worse.
SCORE_THRESHOLD = 0.01


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'evaluate',
        help='detections or recordings + labels -> mAP and more',
        description='Judge detections against labels by the protocol of the Prophesee automotive '
        'data sets: the first half second and small boxes are left out, and each label is '
        'compared with the last window that had ended then. Recordings are replayed first, those '
        'that the same command has replayed before excepted. Of several inputs one that cannot '
        'be judged is left out and told at the end, with exit code 1.',
    )
    command.add_argument(
        'inputs',
        nargs='+',
        type=Path,
        metavar='DETECTIONS_OR_BAG',
        help='folder of a replay, .npy file with boxes, bag with Detection2DArray, or recording',
    )
    command.add_argument(
        '--labels',
        type=Path,
        required=True,
        metavar='DIR',
        help='folder with NAME_bbox.npy (Prophesee layout) or NAME.json (COCO) for each '
        'recording, one COCO file for all of them, bags with Detection2DArray, or the one file',
    )
    command.add_argument(
        '--label-topic', metavar='T', help='topic of labels in a bag (default: the only one)'
    )
    command.add_argument(
        '--label-classes',
        metavar='C',
        help='class names of .npy labels in class-id order: gen1, 1mpx, or names with commas '
        '(default: dataset.json beside them, else by the sensor)',
    )
    command.add_argument(
        '--protocol',
        choices=('last-window', 'prophesee-legacy'),
        default='last-window',
        help='which detections a label is compared with: those of the last window that had ended '
        'then, or as in the toolbox all within 50 ms (default: %(default)s)',
    )
    command.add_argument(
        '--boxes',
        choices=('auto', 'gen1', '1mpx', 'all'),
        default='auto',
        help='which boxes count: diagonal and sides of at least 30 and 10 pixels (gen1), of 60 '
        'and 20 (1mpx), or all (default: by the sensor)',
    )
    command.add_argument(
        '--score',
        choices=('product', 'class'),
        default='product',
        help='what orders the detections of replayed recordings: objectness x class probability, '
        'or the class probability alone as in the papers (default: %(default)s)',
    )
    command.add_argument('--topic', metavar='T', help='topic with events of the recordings')
    add_detector(command, SCORE_THRESHOLD)
    _add_fleet(command)
    command.add_argument(
        '--video',
        action='store_true',
        help='write overlay.mp4 of every replay, to which the report links',
    )
    command.add_argument(
        '--out',
        type=Path,
        default=Path('out/evaluate'),
        metavar='DIR',
        help='report.html, and results of the replays, a folder for each recording (default: '
        '%(default)s)',
    )
    command.add_argument(
        '--json', metavar='FILE', help='write all figures to FILE; - is standard output'
    )
    command.set_defaults(command=run)
    return command


def _add_fleet(command: argparse.ArgumentParser) -> None:
    """Add what says where recordings are replayed; the figures do not depend on it."""
    command.add_argument(
        '--threads',
        type=whole_number(1, 256),
        default=1,
        metavar='N',
        help='threads of the network on a processor; the last bits of detections depend on it '
        '(default: %(default)s)',
    )
    command.add_argument(
        '--workers',
        type=whole_number(1, 1024),
        metavar='N',
        help='recordings replayed at the same time, in processes of their own: about as many as '
        'cores / threads, with 0.5 GB of memory each (default: 1, in this process; with Ray as '
        'many as there is room for)',
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
        help='GPUs that a recording takes on Ray, for example 0.25 (default: 1 with --device '
        'cuda, else 0)',
    )
    command.add_argument(
        '--retries',
        type=whole_number(0, 100),
        default=2,
        metavar='N',
        help='how often a recording is tried again whose process was killed '
        '(default: %(default)s)',
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it and return the exit code."""
    limit_spinning()
    from sast_ros.evaluation.errors import EvaluationError
    from sast_ros.evaluation.evaluate import evaluate, Protocol
    from sast_ros.evaluation.inputs import Inputs
    from sast_ros.evaluation.labels import label_classes
    from sast_ros.evaluation.report import write_report

    protocol = Protocol(
        arguments.protocol,
        arguments.boxes,
        label_classes(arguments.label_classes) if arguments.label_classes else None,
        arguments.label_topic,
    )
    inputs = Inputs(
        arguments.inputs, arguments.labels, arguments.out, _options(arguments), arguments.video
    )
    inputs.replay(lambda replays: _replay(arguments, replays), _tell_before)
    judged = inputs.judge(protocol)
    try:
        if not judged:
            raise EvaluationError(f'none of the {len(arguments.inputs)} inputs can be judged')
        figures = evaluate([one.paired for one in judged])
        result = {**_conventions(arguments, protocol), **figures}
        result['failed'] = [
            {'input': str(path), 'reason': reason} for path, reason in inputs.failed.items()
        ]
        report = arguments.out / 'report.html'
        missing = ''
        try:
            write_report(report, result, judged)
        except ImportError as error:
            missing = f'no report was written ({error})'
        if not write_json(result, arguments.json):
            console = open_console()
            console.print()
            console.print(_table(result))
            console.print(_classes(result))
            if not missing:
                console.print(f'report: {report}')
            if inputs.untrained:
                console.print(UNTRAINED_WARNING, style='bold yellow')
        if missing:
            print_error(missing)
    finally:
        for reason in inputs.failed.values():
            print_error(f'left out: {reason}')
    return 1 if inputs.failed else 0


def _options(arguments: argparse.Namespace) -> ReplayOptions:
    from sast_ros.evaluation.replays import ReplayOptions

    return ReplayOptions(
        model=arguments.model,
        device=arguments.device,
        topic=arguments.topic,
        window_ms=arguments.window_ms,
        stride_ms=arguments.stride_ms,
        score_threshold=arguments.score_threshold,
        nms_iou=arguments.nms_iou,
        max_detections=MAX_DETECTIONS,
        score=arguments.score,
        sensor_size=arguments.sensor_size,
        threads=arguments.threads,
    )


def _replay(arguments: argparse.Namespace, replays: list[Replay]) -> Iterator[Outcome]:
    """Make the replays where they are to be made, and show how far that is."""
    from sast_ros.evaluation.replays import run_replay

    if arguments.ray_address is not None:
        outcomes = _replay_on_ray(arguments, replays)
    elif (arguments.workers or 1) > 1:
        from sast_ros.evaluation.fleet import run_in_processes

        outcomes = run_in_processes(run_replay, replays, arguments.workers, arguments.retries)
    else:
        from sast_ros.evaluation.fleet import run_here

        yield from run_here(_replay_here, replays)
        return
    with contextlib.closing(outcomes), _show_fleet(len(replays)) as progress:
        for outcome in outcomes:
            progress(outcome)
            yield outcome


def _replay_here(replay: Replay) -> None:
    from sast_ros.evaluation.replays import run_replay

    with show_progress(f'replay {replay.path.name}') as progress:
        run_replay(replay, progress)


def _replay_on_ray(arguments: argparse.Namespace, replays: list[Replay]) -> Iterator[Outcome]:
    from sast_ros.evaluation.fleet_ray import run_on_ray
    from sast_ros.evaluation.replays import run_replay_on_node, with_absolute_paths

    gpus = arguments.gpus_per_recording
    if gpus is None:
        gpus = 1 if arguments.device.startswith('cuda') else 0
    return run_on_ray(
        run_replay_on_node,
        [with_absolute_paths(replay) for replay in replays],
        arguments.ray_address,
        cpus=arguments.threads,
        gpus=gpus,
        at_once=arguments.workers,
        retries=arguments.retries,
    )


def _tell_before(count: int, total: int) -> None:
    print(f'replay: {count} of {total} recordings were replayed before', file=sys.stderr)


@contextlib.contextmanager
def _show_fleet(total: int) -> Iterator[Callable[[Outcome], None]]:
    """Show how many recordings are done: a bar with events per second, or lines."""
    done = events = 0
    began = time.perf_counter()
    console = open_console(stderr=True)
    if not console.is_terminal:
        with show_progress('replay') as tell:

            def count(outcome: Outcome) -> None:
                nonlocal done
                done += 1
                tell(done, total, 'recordings')

            yield count
        return
    with progress_bar(console, 'rate', transient=True) as bar:
        task = bar.add_task('replay', total=total, rate=f'0 of {total} recordings')

        def draw(outcome: Outcome) -> None:
            nonlocal done, events
            done += 1
            events += (outcome.result or {}).get('events', 0)
            speed = events / (time.perf_counter() - began) / 1e6
            text = f'{done} of {total} recordings, {speed:.2f} Mev/s'
            bar.update(task, completed=done, rate=text)

        yield draw


def _conventions(arguments: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    from sast_ros.evaluation.inputs import SCORES

    return {
        'protocol': protocol.name,
        'boxes': protocol.boxes,
        'score': SCORES[arguments.score],
        'threads': arguments.threads,
        'labels_from': str(arguments.labels),
        'inputs': [str(path) for path in arguments.inputs],
    }


def _table(result: dict[str, Any]) -> Table:
    table = new_table('evaluate')
    table.add_row('protocol', f'{result["protocol"]}, score: {result["score"]}')
    table.add_row(
        'judged',
        f'{result["labels"]} labels at {result["images"]} times of '
        f'{len(result["recordings"])} recordings',
    )
    if result['labels_left_out']:
        left = ', '.join(f'{count} {name}' for name, count in result['labels_left_out'].items())
        table.add_row('left out', f'{left}: classes that the detector does not know')
    table.add_row('mAP', f'{_number(result["AP"])} (AP50 {_number(result["AP50"])})')
    alarms = result['false_positives']
    if alarms['minutes_without_labels']:
        table.add_row(
            'false alarms',
            f'{alarms["per_minute"]:.1f} a minute in {alarms["minutes_without_labels"]:.1f} '
            'minutes without labels',
        )
    late = result['latency']
    if late['tracks']:
        found = late['tracks'] - late['never_found']
        text = f'{found} of {late["tracks"]} new objects found'
        if late['median_ms'] is not None:
            text += f', half of them after {late["median_ms"]:.0f} ms, 90 % after'
            text += f' {late["p90_ms"]:.0f} ms'
        table.add_row('latency', text)
    return table


def _classes(result: dict[str, Any]) -> Table:
    from rich.table import Table

    point = result['operating_point']
    table = Table(box=None, pad_edge=False, title_justify='left')
    names = ['AP', 'AP50', 'AP75', 'AP_small', 'AP_medium', 'AP_large', 'AR_100']
    table.add_column('')
    for name in ('labels', *names):
        table.add_column(name.replace('_', ' '), justify='right')
    for name in ('precision', 'recall'):
        table.add_column(f'{name} at {point["score"]:g}', justify='right')
    rows = {**result['per_class'], 'all': {**result, **_shares(point)}}
    for row, values in rows.items():
        cells = [_number(values[name]) for name in (*names, 'precision', 'recall')]
        table.add_row(row, str(values['labels']), *cells)
    return table


def _shares(point: dict[str, Any]) -> dict[str, Any]:
    return {name: point[name] for name in ('precision', 'recall')}


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
