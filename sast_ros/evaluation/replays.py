"""
Replays of recordings that are to be judged.

Each has a key, a digest of everything that decides its detections. It stands in the summary that
completes the replay, so that what has been done is known to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import contextlib
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
import fcntl
import functools
import hashlib
from importlib import metadata
import json
import os
from pathlib import Path
import platform
import shutil
from typing import Any, TYPE_CHECKING
import uuid

import sast_ros
from sast_ros.bags import DetectionWriter, open_recording
from sast_ros.errors import format_error
from sast_ros.evaluation.detected import Detected, read_detected
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.fleet import FleetError, JobError
from sast_ros.evaluation.matching import OPERATING_SCORE

if TYPE_CHECKING:
    from sast_ros.detector import Detections
    from sast_ros.model import SAST
    from sast_ros.windows import EventWindow

#: The overlay of a replay, beside its detections.
VIDEO = 'overlay.mp4'

#: Of a file as much is read at its beginning and at its end.
_EDGE = 1 << 20

_PACKAGE = Path(sast_ros.__file__).parent

#: Parts of the package that have no influence on the detections of a recording.
_ELSEWHERE = {'cli', 'demo', 'evaluation', 'ros', 'simulation', 'training', 'visualization'}

_ATTEMPT = 'replay-'
_PART = '.part'


@dataclass(frozen=True)
class ReplayOptions:
    """
    What decides the detections of a recording, beside the recording itself.

    ``model``, ``device``: as for ``choose_model``; ``topic``: ``None`` for the only one;
    ``window_ms``, ``stride_ms``, ``score_threshold``, ``nms_iou``, ``max_detections``: of the
    pipeline and the detector; ``score``: ``'product'`` or ``'class'``, what the score of a
    detection is; ``sensor_size``: (height, width) in pixels, ``None`` where the recording tells;
    ``threads``: of the network on a processor, whose number changes the last bits of sums.
    """

    model: str = 'default'
    device: str = 'auto'
    topic: str | None = None
    window_ms: float = 50
    stride_ms: float = 50
    score_threshold: float = 0.01
    nms_iou: float = 0.45
    max_detections: int = 100
    score: str = 'product'
    sensor_size: tuple[int, int] | None = None
    threads: int = 1

    def weights(self) -> Path | None:
        """Return the file with the weights, ``None`` for untrained ones."""
        bundled = _PACKAGE / 'model' / 'weights' / f'{self.model}.safetensors'
        if bundled.is_file():
            return bundled
        return Path(self.model) if self.model.endswith('.safetensors') else None

    @functools.cached_property
    def digest(self) -> str:
        """
        SHA-256 of the options, the weights and the program.

        Raises
        ------
        OSError: the weights cannot be read.

        """
        weights = self.weights()
        fields = {**asdict(self), 'model': None if weights else self.model}
        with contextlib.suppress(metadata.PackageNotFoundError):
            fields['torch'] = metadata.version('torch').partition('+')[0]  # of any build
        content = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
        if weights and weights.exists():  # if it does not, loading it says so
            content.update(weights.read_bytes())
        for path in sorted(_PACKAGE.rglob('*.py')):
            if path.relative_to(_PACKAGE).parts[0] not in _ELSEWHERE:
                content.update(path.read_bytes())
        return content.hexdigest()


@dataclass(frozen=True)
class Replay:
    """
    A recording, the folder for its detections, and what decides them.

    ``digest``: of the options where it was planned; ``key``: of them and the recording;
    ``video``: whether there shall be an ``overlay.mp4`` as well.
    """

    path: Path
    folder: Path
    options: ReplayOptions
    digest: str
    key: str
    video: bool = False


def plan_replay(path: Path, folder: Path, options: ReplayOptions, video: bool = False) -> Replay:
    """
    Return the replay of a recording into a folder.

    Raises
    ------
    RecordingError: there is no such recording.
    OSError: the recording or the weights cannot be read.

    """
    if not path.exists():
        open_recording(path)  # says what can be named
    key = hashlib.sha256(f'{options.digest} {recording_digest(path)}'.encode())
    for library in sorted((_PACKAGE / 'kernels').glob('*.so')):
        key.update(library.read_bytes())
    return Replay(path, folder, options, options.digest, key.hexdigest(), video)


def recording_digest(path: Path) -> str:
    """
    Return a digest of a recording: names and sizes of its files, the first and last MiB of each.

    Where the recording lies, and when it was copied there, does not count.

    Raises
    ------
    OSError: it cannot be read.

    """
    content = hashlib.sha256()
    files: Iterable[Path] = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
    for file in files:
        size = file.stat().st_size
        content.update(f'{file.name} {size}\n'.encode())
        with file.open('rb') as stream:
            content.update(stream.read(_EDGE))
            stream.seek(max(_EDGE, size - _EDGE))
            content.update(stream.read(_EDGE))
    return content.hexdigest()


def finished(replay: Replay) -> Detected | None:
    """Return the detections of a replay that has been made before, ``None`` if it has not."""
    if not (replay.folder / 'summary.json').is_file():
        return None
    try:
        detected = read_detected(replay.folder)
    except EvaluationError:  # half of the files are of something else
        return None
    if detected.windows is None or (detected.summary or {}).get('replay_key') != replay.key:
        return None
    if replay.video and len(detected.windows) and not (replay.folder / VIDEO).is_file():
        return None
    return detected


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """
    Let no other process replay into a folder while the ``with`` block lasts; make it if needed.

    Raises
    ------
    EvaluationError: another process does; it is named.

    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / '.evaluate.lock').open('a+') as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            raise EvaluationError(
                f'{stream.read().strip() or "another process"} is replaying into {folder}; wait '
                'for it, or give another --out'
            ) from error
        stream.truncate(0)
        stream.write(f'process {os.getpid()} on {platform.node()}')
        stream.flush()
        yield


def with_absolute_paths(replay: Replay) -> Replay:
    """Return the same replay for processes with another working directory."""
    options = replay.options
    if options.model.endswith('.safetensors'):
        options = changed(options, model=str(Path(options.model).absolute()))
    path, folder = replay.path.absolute(), replay.folder.absolute()
    return changed(replay, path=path, folder=folder, options=options)


def run_replay_on_node(replay: Replay) -> dict[str, Any]:
    """
    Replay a recording on another machine than it was planned on, and return its summary.

    Raises
    ------
    FleetError: this machine does not see the files, or has another version of the program.
    JobError: as ``run_replay``.

    """
    for path in (replay.path, replay.folder.parent):
        if not path.exists():
            raise FleetError(
                f'the node {platform.node()} does not see {path}; recordings, weights and --out '
                'must lie on a file system that every node mounts at the same place'
            )
    if _digest_here(changed(replay.options)) != replay.digest:
        raise FleetError(
            f'the node {platform.node()} does not see the weights {replay.options.model}, or has '
            'another version of them, of sast_ros or of torch; install the same on every node'
        )
    return run_replay(replay)


@functools.lru_cache(maxsize=1)
def _digest_here(options: ReplayOptions) -> str:
    return options.digest


def run_replay(
    replay: Replay, progress: Callable[[int, int, str], None] | None = None
) -> dict[str, Any]:
    """
    Replay a recording and return its summary.

    The files are written into a folder inside ``replay.folder`` and moved when they are complete,
    the summary last. So nothing is half written, even where two processes replay the same.

    Raises
    ------
    JobError: the recording cannot be replayed; its cause is the error.
    CheckpointError, ValueError: the model or the device cannot be used.

    """
    options = replay.options
    model, trained = _load(options.model, options.device, options.digest)
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        replay.folder.mkdir(parents=True, exist_ok=True)
        _remove_attempts(replay.folder)
        part = replay.folder / f'{_ATTEMPT}{uuid.uuid4().hex}{_PART}'
        try:
            part.mkdir()  # inside, so that a signal finds somebody who removes it
            summary = _replay(replay, model, trained, part, progress)
            _move(part, replay.folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except Exception as error:
        reason = format_error(error)
        raise JobError(
            reason if replay.path.name in reason else f'{replay.path}: {reason}'
        ) from error
    finally:
        torch.set_num_threads(threads)
    return summary


@functools.lru_cache(maxsize=1)
def _load(name: str, device: str, digest: str) -> tuple[SAST, bool]:
    """Return the model and whether it is trained, loaded once; ``digest`` tells weights apart."""
    from sast_ros.model import choose_model
    from sast_ros.process import keep_heap

    keep_heap()
    return choose_model(name, device)


def _replay(
    replay: Replay,
    model: SAST,
    trained: bool,
    out: Path,
    progress: Callable[[int, int, str], None] | None,
) -> dict[str, Any]:
    from sast_ros.detector import StreamingDetector
    from sast_ros.pipeline import EventPipeline
    from sast_ros.replay import replay as replay_recording

    options = replay.options
    detector = StreamingDetector(
        model, options.score_threshold, options.nms_iou, max_detections=options.max_detections
    )
    with open_recording(replay.path, topic=options.topic) as recording:
        size = options.sensor_size or recording.sensor_size
        pipeline = EventPipeline(detector, size, options.window_ms, options.stride_ms)
        with (
            DetectionWriter(out, log_offset_ns=recording.log_offset_ns) as writer,
            contextlib.ExitStack() as stack,
        ):
            draw = None
            if replay.video:
                from sast_ros.visualization import replay_video

                draw = stack.enter_context(replay_video(out / VIDEO, options.stride_ms, trained))

            def keep(window: EventWindow, detections: Detections) -> None:
                if options.score == 'class':
                    detections = changed(detections, scores=detections.class_scores)
                writer.write(detections)
                if draw is not None:
                    draw(window, _sure(detections))

            summary = {
                **replay_recording(recording, pipeline, progress=progress, on_window=keep),
                'weights': options.model if trained else 'untrained',
                'score': options.score,
                'threads': options.threads,
                'replay_key': replay.key,
            }
            writer.finish(summary)
    return summary


def _sure(detections: Detections) -> Detections:
    """Return the detections of at least the operating score: all of them would hide the events."""
    sure = detections.scores >= OPERATING_SCORE
    columns = ('boxes', 'scores', 'class_ids', 'objectness', 'class_scores')
    return changed(detections, **{name: getattr(detections, name)[sure] for name in columns})


def _move(part: Path, folder: Path) -> None:
    """Move all files from one folder to another, the summary last, after the old one has gone."""
    for name in ('summary.json', VIDEO):
        (folder / name).unlink(missing_ok=True)
    for path in sorted(part.iterdir(), key=lambda path: path.name == 'summary.json'):
        os.replace(path, folder / path.name)


def _remove_attempts(folder: Path) -> None:
    """Remove what a process that was killed has left."""
    for part in folder.glob(f'{_ATTEMPT}*{_PART}'):
        shutil.rmtree(part, ignore_errors=True)
