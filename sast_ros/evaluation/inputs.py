# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The inputs of an evaluation: from detections and recordings to entries of the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
import contextlib
from dataclasses import replace
import functools
from pathlib import Path

from sast_ros.bags.names import recording_stem
from sast_ros.errors import format_error, is_expected
from sast_ros.evaluation.batch.jobs import JobResult
from sast_ros.evaluation.batch.plan import load_finished, options_digest, plan_replay, Replay
from sast_ros.evaluation.detections import (
    holds_messages,
    is_detections,
    read_detections,
    RecordedDetections,
)
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.formats.box_file import FrameClock, NO_CLOCK
from sast_ros.evaluation.label_files import find_labels
from sast_ros.evaluation.live import read_live
from sast_ros.evaluation.protocol import pair_recording, Protocol
from sast_ros.evaluation.report.entry import ReportEntry
from sast_ros.evaluation.topics import find_topics
from sast_ros.output import lock_folder
from sast_ros.replay import ReplayOptions, VIDEO

#: Names of the scores that a detection can have.
SCORES = {
    'product': 'objectness x class probability, calibrated where the weights are',
    'class': 'class probability',
    'uncalibrated': 'objectness x class probability, not calibrated',
}


class EvaluationInputs:
    """
    Detections and recordings, each with its labels.

    If one of several fails, it is left out and listed in ``failed``; a single one raises its
    error.

    Parameters
    ----------
    paths : sequence of Path
        Detections, or recordings to replay.
    labels : Path, optional
        Folder or file with labels; by default the folder of each recording.
    out : Path
        Folder for the replays, a folder for each recording. Recordings of one name are called by
        the folders that they lie in as well, ``monday/NAME``, also below ``labels``.
    options : ReplayOptions
        Options of the replays.
    topic : str, optional
        Topic with events of the recordings; by default the only one.
    frames : FrameClock, optional
        Times of detections that have frame numbers.
    detections_topic : str, optional
        Topic with detections of bags; those of bags with events are evaluated, not replayed.
    timing_known : bool
        Whether the stride of the options is that of the node that published them.

    Raises
    ------
    EvaluationError
        If the labels do not exist, or those of recordings of one name cannot be told apart.

    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Path | None,
        out: Path,
        options: ReplayOptions,
        topic: str | None = None,
        frames: FrameClock = NO_CLOCK,
        *,
        detections_topic: str | None = None,
        timing_known: bool = False,
    ) -> None:
        if labels is not None and not labels.exists():
            raise EvaluationError(f'{labels} does not exist; name the folder or file with labels')
        self._paths = paths
        self._labels = labels
        self._out = out
        self._options = options
        self._topic = topic
        self._frames = frames
        self._detections_topic = detections_topic
        self._timing_known = timing_known
        self._detected: dict[Path, RecordedDetections] = {}
        self._planned: dict[Path, Replay] = {}
        self._failed: dict[Path, str] = {}
        self._folders: dict[Path, Path] = {}
        named: defaultdict[str, list[Path]] = defaultdict(list)
        for path in paths:
            with self._collect_error(path):
                named[self._read_name(path)].append(path)
        for name, group in named.items():
            self._folders |= self._distinguish(name, group)
        for name, group in named.items():
            for path in group:
                if path not in self._detected:
                    with self._collect_error(path):
                        self._plan(path, name)

    @property
    def failed(self) -> dict[Path, str]:
        """Why inputs were left out, by their paths and in their order."""
        return {path: self._failed[path] for path in self._paths if path in self._failed}

    def replay(
        self,
        run: Callable[[list[Replay]], Iterator[JobResult]],
        on_finished: Callable[[int, int], None],
    ) -> None:
        """
        Replay the recordings whose replays are not finished.

        Parameters
        ----------
        run : callable
            Runs replays and yields their results in any order.
        on_finished : callable
            Called with the number of recordings that were replayed before, if there are any, and
            the number of all.

        Raises
        ------
        EvaluationError
            If another process writes into the folder, or the replays are not in it afterwards.

        """
        if not self._planned:
            return
        with lock_folder(self._out):
            pending = []
            for path, planned in self._planned.items():
                detected = load_finished(planned)
                if detected is None:
                    pending.append(path)
                else:
                    self._detected[path] = detected
            if len(pending) < len(self._planned):
                on_finished(len(self._planned) - len(pending), len(self._planned))
            if not pending:
                return
            for path in pending:  # nodes of a cluster look for it
                self._planned[path].folder.parent.mkdir(parents=True, exist_ok=True)
            for result in run([self._planned[path] for path in pending]):
                path = pending[result.index]
                with self._collect_error(path):
                    if result.reason:
                        raise EvaluationError(result.reason)
                    detected = load_finished(self._planned[path])
                    if detected is None:
                        raise EvaluationError(
                            f'{path} was replayed, but the detections are not in '
                            f'{self._planned[path].folder}; --out must lie on a file system that '
                            'every node mounts at the same place'
                        )
                    self._detected[path] = detected

    def pair(self, protocol: Protocol) -> list[ReportEntry]:
        """Return the recordings that can be evaluated, paired with their labels."""
        entries = []
        for path, detected in self._detected.items():
            with self._collect_error(path):
                summary = detected.summary or {}
                # Files of other tools are evaluated as they are
                used = self._options.score
                if summary or detected.live:
                    used = summary.get('score', 'product')
                if used != self._options.score:
                    raise EvaluationError(
                        f'{detected.path}: its scores are {SCORES.get(used, used)}; give the '
                        f'recording instead, or --score {used}'
                    )
                planned, live = self._planned.get(path), detected.live
                topic = live.events_topic if live else summary.get('topic') or None
                video = detected.path.with_name(VIDEO)
                paired = pair_recording(
                    detected, self._labels_of(path), protocol, sole=len(self._paths) == 1
                )
                entries.append(
                    ReportEntry(
                        replace(paired, name=str(self._folders[path] / paired.name)),
                        detected,
                        path if planned or live else None,
                        planned.topic if planned else topic,
                        video if summary and video.is_file() else None,
                    )
                )
        return entries

    @functools.cached_property
    def _digest(self) -> str:
        return options_digest(self._options, self._topic)

    def _labels_of(self, path: Path) -> Path:
        if self._labels is None:
            return path.resolve().parent
        return self._labels / self._folders.get(path, '')

    def _distinguish(self, name: str, paths: list[Path]) -> dict[Path, Path]:
        """Return the folders by which recordings of one name are told apart, as few as can be."""
        places = [path.resolve().parent for path in paths]
        if self._labels:  # the folder of a replay (--out) may be what differs
            places = [
                path.resolve()
                if (path / 'detections.npy').is_file() and recording_stem(path.resolve()) != name
                else place
                for path, place in zip(paths, places, strict=True)
            ]
        parents = [place.parts[:0:-1] for place in places]  # innermost first
        for depth in range(1 + max(map(len, parents))):
            folders = [Path(*reversed(parts[:depth])) for parts in parents]
            if len({*folders}) < len(paths):
                continue
            labels = [self._labels / folder for folder in folders] if self._labels else []
            missing = [str(path) for path in labels if not path.is_dir()]
            if depth and missing:
                raise EvaluationError(
                    f'{len(paths)} recordings are called {name}, so their labels are ambiguous; '
                    f'have them in folders ({", ".join(missing)}), or evaluate them one by one'
                )
            return dict(zip(paths, folders, strict=True))
        raise EvaluationError(
            f'{len(paths)} recordings are called {name} in {paths[0].resolve().parent}; evaluate '
            'them one by one'
        )

    def _read_name(self, path: Path) -> str:
        """Return the name of a recording; of detections, which are read, that of theirs."""
        if self._is_live(path):
            detected = self._detected[path] = read_live(
                path,
                self._detections_topic,
                self._options,
                self._topic,
                timing_known=self._timing_known,
            )
            return detected.name
        if is_detections(path):
            detected = self._detected[path] = read_detections(
                path, self._labels_of(path), self._frames, self._detections_topic
            )
            return detected.name
        if self._detections_topic is not None:
            raise EvaluationError(
                f'{path} has no topic with detections; leave out --detections-topic'
            )
        return recording_stem(path.resolve())

    def _plan(self, path: Path, name: str) -> None:
        find_labels(self._labels_of(path), name)  # a recording without labels is not replayed
        folder = self._out / self._folders[path] / name
        if folder.resolve() == path.resolve():
            raise EvaluationError(
                f'{path}: its detections would be written into the recording; give another --out'
            )
        self._planned[path] = plan_replay(path, folder, self._options, self._topic, self._digest)

    def _is_live(self, path: Path) -> bool:
        """Return whether a bag with events has the detections to evaluate, too."""
        if (path / 'detections.npy').is_file() or not holds_messages(path):
            return False
        detections, events = find_topics(path)
        if not (detections and events):
            return False
        if self._detections_topic is None and self._topic is None:
            raise EvaluationError(
                f'{path} has events ({", ".join(events)}) and detections '
                f'({", ".join(detections)}); give --detections-topic {detections[0]} to evaluate '
                f'what was published, or --topic {events[0]} to replay the events'
            )
        return self._detections_topic is not None

    @contextlib.contextmanager
    def _collect_error(self, path: Path) -> Iterator[None]:
        """Store the error of one of several inputs, and go on."""
        try:
            yield
        except Exception as error:
            if len(self._paths) == 1 or not is_expected(error):
                raise
            reason = format_error(error)
            self._failed[path] = reason if str(path) in reason else f'{path}: {reason}'
