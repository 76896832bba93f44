"""The job of a batch: the replay of one recording."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from dataclasses import replace as changed
import functools
import os
from pathlib import Path
import platform
import shutil
from typing import Any, TYPE_CHECKING
import uuid

from sast_ros.bags import DetectionWriter, open_recording
from sast_ros.errors import format_error, SastError
from sast_ros.evaluation.batch.jobs import BatchError
from sast_ros.evaluation.batch.plan import Replay, ReplayOptions, VIDEO
from sast_ros.evaluation.metrics.matching import OPERATING_SCORE

if TYPE_CHECKING:
    from sast_ros.detector import Detections
    from sast_ros.model import SAST
    from sast_ros.windows import EventWindow

_ATTEMPT = 'replay-'
_PART = '.part'

Progress = Callable[[int, int, str], None]


def run_replay(replay: Replay, progress: Progress | None = None) -> dict[str, Any]:
    """
    Replay a recording and return its summary.

    The files are written into a folder inside ``replay.folder`` and moved when they are complete,
    the summary last. So no file is incomplete, even if two processes replay the same recording.

    Raises
    ------
    BatchError
        If the model or the device cannot be used.
    SastError, OSError
        If the recording cannot be replayed.

    """
    options = replay.options
    try:
        model, trained = _load(options.model, options.device, options.digest)
    except (SastError, OSError) as error:
        raise BatchError(format_error(error)) from error
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    part = replay.folder / f'{_ATTEMPT}{uuid.uuid4().hex}{_PART}'
    try:
        replay.folder.mkdir(parents=True, exist_ok=True)
        for left in replay.folder.glob(f'{_ATTEMPT}*{_PART}'):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        part.mkdir()
        summary = _compose(replay, model, trained, part, progress)
        # The old summary first, the new one last
        for name in ('summary.json', VIDEO):
            (replay.folder / name).unlink(missing_ok=True)
        for path in sorted(part.iterdir(), key=lambda path: path.name == 'summary.json'):
            os.replace(path, replay.folder / path.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        torch.set_num_threads(threads)
    return summary


def run_replay_on_node(replay: Replay) -> dict[str, Any]:
    """
    Replay a recording on another machine than it was planned on, and return its summary.

    Raises
    ------
    BatchError
        If this machine does not see the files, or has another version of the program; else as
        ``run_replay``.

    """
    for path in (replay.path, replay.folder.parent):
        if not path.exists():
            raise BatchError(
                f'the node {platform.node()} does not see {path}; recordings, weights and --out '
                'must lie on a file system that every node mounts at the same place'
            )
    if _digest_here(changed(replay.options)) != replay.digest:
        raise BatchError(
            f'the node {platform.node()} does not see the weights {replay.options.model}, or has '
            'another version of them, of sast_ros or of torch; install the same on every node'
        )
    return run_replay(replay)


@functools.lru_cache(maxsize=1)
def _digest_here(options: ReplayOptions) -> str:
    return options.digest


@functools.lru_cache(maxsize=1)
def _load(name: str, device: str, digest: str) -> tuple[SAST, bool]:
    """Return the model and whether it is trained, loaded once; ``digest`` identifies weights."""
    from sast_ros.kernels import keep_heap
    from sast_ros.model import choose_model

    keep_heap()
    return choose_model(name, device)


def _compose(
    replay: Replay, model: SAST, trained: bool, out: Path, progress: Progress | None
) -> dict[str, Any]:
    """Write the detections, and the video, of a recording into a folder; return the summary."""
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

            def write(window: EventWindow, detections: Detections) -> None:
                if options.score == 'class':
                    detections = changed(detections, scores=detections.class_scores)
                writer.write(detections)
                if draw is not None:
                    draw(window, _at_operating_score(detections))

            summary = {
                **replay_recording(recording, pipeline, progress=progress, on_window=write),
                'weights': options.model if trained else 'untrained',
                'score': options.score,
                'threads': options.threads,
                'replay_key': replay.key,
            }
            writer.finish(summary)
    return summary


def _at_operating_score(detections: Detections) -> Detections:
    """Return the detections of at least the operating score: all of them would hide the events."""
    chosen = detections.scores >= OPERATING_SCORE
    columns = ('boxes', 'scores', 'class_ids', 'objectness', 'class_scores')
    return changed(detections, **{name: getattr(detections, name)[chosen] for name in columns})
