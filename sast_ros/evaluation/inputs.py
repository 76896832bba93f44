"""From what was named to be judged to detections with their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
from pathlib import Path

from sast_ros.bags import RecordingError
from sast_ros.errors import format_error
from sast_ros.evaluation.detected import Detected, is_detections, read_detected
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.evaluate import pair_recording, Protocol
from sast_ros.evaluation.fleet import Outcome
from sast_ros.evaluation.labels import find_labels
from sast_ros.evaluation.replays import finished, hold, plan_replay, Replay, ReplayOptions, VIDEO
from sast_ros.evaluation.report import Judged

#: What the score of a detection can be.
SCORES = {'product': 'objectness x class probability', 'class': 'class probability'}


class Inputs:
    """
    Detections and recordings, each with its labels.

    One of several that cannot be judged is left out and noted in ``failed``; a single one raises
    its error.

    Parameters
    ----------
    paths: detections, or recordings to be replayed.
    labels: folder or file with labels.
    out: folder for the replays, a folder for each recording.
    options: of the replays.
    video: whether the replays shall have an ``overlay.mp4``.

    Raises
    ------
    EvaluationError: there are no such labels, or two recordings have one name.

    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Path,
        out: Path,
        options: ReplayOptions,
        video: bool = False,
    ) -> None:
        if not labels.exists():
            raise EvaluationError(f'{labels} does not exist; name the folder or file with labels')
        self._several = len(paths) > 1
        self._labels = labels
        self._out = out
        self._score = options.score
        self._video = video
        self._paths = paths
        self._detected: dict[Path, Detected] = {}
        self._planned: dict[Path, Replay] = {}
        self._failed: dict[Path, str] = {}
        names: set[str] = set()
        for path in paths:
            with self._noted(path):
                name = self._look(path, options)
                if name in names:
                    raise _TwiceError(
                        f'two recordings are called {name}; their labels could not be told '
                        'apart, so judge them one by one'
                    )
                names.add(name)

    @property
    def failed(self) -> dict[Path, str]:
        """Why inputs were left out, by their paths and in their order."""
        return {path: self._failed[path] for path in self._paths if path in self._failed}

    @property
    def untrained(self) -> bool:
        """Whether some of the detections are those of untrained weights."""
        summaries = [detected.summary or {} for detected in self._detected.values()]
        return any(summary.get('weights') == 'untrained' for summary in summaries)

    def replay(
        self,
        run: Callable[[list[Replay]], Iterator[Outcome]],
        tell_before: Callable[[int, int], None],
    ) -> None:
        """
        Replay the recordings for which that has not been done before.

        Parameters
        ----------
        run:
            does replays and yields how each ended, in any order.
        tell_before:
            called with the number of recordings that were replayed before, if there are any, and
            that of all recordings.

        Raises
        ------
        EvaluationError: somebody else is writing into the folder, or the replays are not in it
            afterwards.

        """
        if not self._planned:
            return
        with hold(self._out):
            todo: dict[Path, Replay] = {}
            for path, planned in self._planned.items():
                detected = finished(planned)
                if detected is None:
                    todo[path] = planned
                else:
                    self._detected[path] = detected
            if len(todo) < len(self._planned):
                tell_before(len(self._planned) - len(todo), len(self._planned))
            if not todo:
                return
            paths = list(todo)
            for outcome in run(list(todo.values())):
                path = paths[outcome.index]
                with self._noted(path):
                    if outcome.reason:
                        error = None if self._several else outcome.error
                        raise error or EvaluationError(outcome.reason)
                    self._detected[path] = self._made(todo[path])

    def judge(self, protocol: Protocol) -> list[Judged]:
        """Return the recordings that can be judged, as they are judged."""
        recordings = []
        for path, detected in self._detected.items():
            with self._noted(path):
                # Files of others are judged as they are
                used = (detected.summary or {'score': self._score}).get('score', 'product')
                if used != self._score:
                    raise EvaluationError(
                        f'{detected.path}: its scores are {SCORES.get(used, used)}; give the '
                        f'recording instead, or --score {used}'
                    )
                paired = pair_recording(detected, self._labels, protocol)
                recordings.append(Judged(paired, detected, *self._shown(path, detected)))
        return recordings

    def _shown(
        self, path: Path, detected: Detected
    ) -> tuple[Path | None, str | None, Path | None]:
        """Return the recording, the topic with its events, and the video of its replay."""
        planned = self._planned.get(path)
        video = detected.path.with_name(VIDEO)
        return (
            path if planned else None,
            planned.options.topic if planned else (detected.summary or {}).get('topic') or None,
            video if detected.summary is not None and video.is_file() else None,
        )

    def _look(self, path: Path, options: ReplayOptions) -> str:
        """Read detections or plan a replay, and return the name of the recording."""
        if is_detections(path):
            detected = self._detected[path] = read_detected(path)
            return detected.name
        name = path.resolve().stem
        # What cannot be judged need not be replayed
        find_labels(self._labels, name)
        folder = self._out / name
        if folder.resolve() == path.resolve():
            raise EvaluationError(
                f'{path}: its detections would be written into the recording; give another --out'
            )
        self._planned[path] = plan_replay(path, folder, options, self._video)
        return name

    def _made(self, replay: Replay) -> Detected:
        detected = finished(replay)
        if detected is None:
            raise EvaluationError(
                f'{replay.path} was replayed, but the detections are not in {replay.folder}; '
                '--out must lie on a file system that every node mounts at the same place'
            )
        return detected

    @contextlib.contextmanager
    def _noted(self, path: Path) -> Iterator[None]:
        """Note what is wrong with one of several inputs, and go on."""
        try:
            yield
        except _TwiceError:
            raise
        except (EvaluationError, RecordingError, OSError) as error:
            if not self._several:
                raise
            reason = format_error(error)
            self._failed[path] = reason if path.name in reason else f'{path}: {reason}'


class _TwiceError(EvaluationError):
    """A mistake in the command, not in an input."""
