"""``sast-ros evaluate``."""

from __future__ import annotations

import argparse
from dataclasses import replace as changed
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING

from sast_ros.cli.arguments import add_detector
from sast_ros.cli.replay import new_pipeline
from sast_ros.cli.terminal import (
    new_table,
    open_console,
    show_progress,
    UNTRAINED_WARNING,
    write_json,
)

if TYPE_CHECKING:
    from rich.table import Table
    from sast_ros.detector import Detections
    from sast_ros.evaluation.evaluate import Protocol
    from sast_ros.evaluation.pairing import PairedRecording
    from sast_ros.model import SAST
    from sast_ros.windows import EventWindow

#: Recordings are replayed with this least score: what is left out could only make the average
#: precision worse.
SCORE_THRESHOLD = 0.01

SCORES = {'product': 'objectness x class probability', 'class': 'class probability'}


def add(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add the command to the parser and return its own parser."""
    command = commands.add_parser(
        'evaluate',
        help='detections or recordings + labels -> mAP and more',
        description='Judge detections against labels by the protocol of the Prophesee automotive '
        'data sets: the first half second and small boxes are left out, and each label is '
        'compared with the last window that had ended then. Recordings are replayed first.',
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
        choices=tuple(SCORES),
        default='product',
        help='what orders the detections of replayed recordings: objectness x class probability, '
        'or the class probability alone as in the papers (default: %(default)s)',
    )
    command.add_argument('--topic', metavar='T', help='topic with events of the recordings')
    add_detector(command, SCORE_THRESHOLD)
    command.add_argument(
        '--out',
        type=Path,
        default=Path('out/evaluate'),
        metavar='DIR',
        help='results of the replays, a folder for each recording (default: %(default)s)',
    )
    command.add_argument(
        '--json', metavar='FILE', help='write all figures to FILE; - is standard output'
    )
    command.set_defaults(command=run)
    return command


def run(arguments: argparse.Namespace) -> int:
    """Do it and return the exit code."""
    os.environ.setdefault('GOMP_SPINCOUNT', '10000')  # see replay
    from sast_ros.evaluation.detected import is_detections, read_detected
    from sast_ros.evaluation.errors import EvaluationError
    from sast_ros.evaluation.evaluate import evaluate, pair_recording, Protocol
    from sast_ros.evaluation.labels import find_labels, label_classes

    protocol = Protocol(
        arguments.protocol,
        arguments.boxes,
        label_classes(arguments.label_classes) if arguments.label_classes else None,
        arguments.label_topic,
    )
    recordings: list[PairedRecording] = []
    replayer = _Replayer(arguments)
    for path in arguments.inputs:
        folder = path
        if not is_detections(path):
            name = path.resolve().stem
            folder = arguments.out / name
            # What cannot be judged need not be replayed
            find_labels(arguments.labels, name)
            replayer.replay(path, folder)
        detected = read_detected(folder)
        # Files of others are judged as they are
        used = (detected.summary or {'score': arguments.score}).get('score', 'product')
        if used != arguments.score:
            raise EvaluationError(
                f'{detected.path}: its scores are {SCORES.get(used, used)}; give the recording '
                f'instead, or --score {used}'
            )
        recordings.append(pair_recording(detected, arguments.labels, protocol))
        twice = [one.name for one in recordings[:-1] if one.name == recordings[-1].name]
        if twice:
            raise EvaluationError(
                f'two recordings are called {twice[0]}; their labels could not be told apart, '
                'so judge them one by one'
            )
    result = {**_conventions(arguments, protocol), **evaluate(recordings)}
    if not write_json(result, arguments.json):
        console = open_console()
        console.print()
        console.print(_table(result))
        console.print(_classes(result))
        if replayer.untrained:
            console.print(UNTRAINED_WARNING, style='bold yellow')
    return 0


class _Replayer:
    """Replays recordings, with the model loaded at the first one."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._model: SAST | None = None
        self.untrained = False

    def replay(self, path: Path, out: Path) -> None:
        """Replay one recording into a folder."""
        from sast_ros.bags import DetectionWriter, open_recording

        arguments = self._arguments
        with open_recording(path, topic=arguments.topic) as recording:
            from sast_ros.kernels import keep_heap
            from sast_ros.model import choose_model
            from sast_ros.replay import replay

            if self._model is None:
                keep_heap()
                self._model, trained = choose_model(arguments.model, arguments.device)
                self.untrained = not trained
            pipeline = new_pipeline(arguments, self._model, recording.sensor_size)
            with (
                DetectionWriter(out, log_offset_ns=recording.log_offset_ns) as writer,
                show_progress(f'replay {path.name}') as progress,
            ):

                def keep(window: EventWindow, detections: Detections) -> None:
                    if arguments.score == 'class':
                        detections = changed(detections, scores=detections.class_scores)
                    writer.write(detections)

                summary = replay(recording, pipeline, progress=progress, on_window=keep)
                weights = 'untrained' if self.untrained else arguments.model
                writer.finish({**summary, 'weights': weights, 'score': arguments.score})


def _conventions(arguments: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    return {
        'protocol': protocol.name,
        'boxes': protocol.boxes,
        'score': SCORES[arguments.score],
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
