# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Run the demonstration: start the processes, wait for conditions, collect, evaluate."""

from __future__ import annotations

from collections.abc import Callable
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any, TYPE_CHECKING

from sast_ros.bags import open_recording, RecordingError
from sast_ros.demo.playback import Playback
from sast_ros.demo.processes import DemoError, detector_process, player_process, private_domain
from sast_ros.example import EXAMPLE
from sast_ros.output import lock_folder

if TYPE_CHECKING:
    from sast_ros.demo.observer import DemoSession


def run_demo(
    out: str | Path,
    recording: str | Path = EXAMPLE,
    *,
    topic: str | None = None,
    labels: Path | None = None,
    seconds: float | None = None,
    model: str = 'default',
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """
    Play a recording over ROS topics through the detector node, and write what comes back.

    Parameters
    ----------
    out : str or Path
        Folder for the results and the logs; it is made if needed.
    recording : str or Path, optional
        What to play; see ``open_recording``.
    topic : str or None, optional
        Topic with the events in the recording; by default the only one.
    labels : Path or None, optional
        File or folder with labels; by default ``NAME_bbox.npy`` beside the recording.
    seconds : float or None, optional
        Play only so much of the recording.
    model : str, optional
        As ``model.path`` of the node.
    progress : callable, optional
        Called with a sentence whenever a new step begins.

    Returns
    -------
    dict
        The summary; ``complete`` is true if every window came back, in order.

    Raises
    ------
    DemoError
        A process failed or fell silent, or ROS 2 is not there.
    OutputError
        Another process writes into the folder.

    """
    if labels is not None and not labels.exists():
        raise DemoError(f'{labels} does not exist; name the labels of the recording')
    folder = Path(out)
    with lock_folder(folder), open_recording(recording, topic) as bag:
        (folder / 'summary.json').unlink(missing_ok=True)  # of an earlier run
        if bag.sensor_size is None:
            raise RecordingError(
                f'{bag.path} does not state the size of its sensor; run "sast-ros replay" with '
                '--sensor-size instead'
            )
        playback = Playback(bag, seconds)
        with private_domain():
            session = _play(folder, playback, model, progress)
        progress('drawing the overlay, comparing the detections with the labels')
        from sast_ros.demo.results import write_results  # imports torch: after the measurement

        return write_results(folder, playback, session, model, labels)


def load_observer() -> ModuleType:
    """
    Import what needs ROS 2, ``sast_ros.demo.observer``.

    Raises
    ------
    DemoError
        ROS 2 or a message package is missing.

    """
    try:
        return importlib.import_module('sast_ros.demo.observer')
    except ImportError as error:
        raise DemoError(
            f'ROS 2 or its message packages are not installed ({error}); run "make setup", or '
            'source ROS 2 and build the repository with colcon, and take a ROS 2 of another '
            'Python out of PYTHONPATH; "sast-ros doctor" tells more'
        ) from error


def _play(
    folder: Path, playback: Playback, model: str, progress: Callable[[str], None]
) -> DemoSession:
    """Run the three processes until every message has come back; return what was received."""
    observing = load_observer()
    recording = playback.recording
    parameters = {
        'autostart': True,
        'model.path': model,
        # A machine that is too slow shows it in the latency, not in windows that were dropped
        'overload.queue_windows': 1000,
        'overload.max_age_ms': 60_000.0,
    }
    detector = detector_process(parameters, observing.EVENTS_TOPIC, folder)
    player_parameters = {
        'recording': str(recording.path),
        'recording_topic': recording.topic,
        'seconds': playback.seconds or 0.0,
        'subscriptions': 2,  # of the detector, and of this process, which comes last
    }
    player = player_process(player_parameters, observing.EVENTS_TOPIC, folder)
    progress('starting the detector node')
    with detector, player, observing.Observer(detector, player) as observer:
        content = playback.content
        observer.wait_for_detector()
        progress(
            f'playing {recording.path.name} for {content.seconds:.1f} s: player -> '
            f'{observing.EVENTS_TOPIC} -> {observing.NODE_NAME} -> {observing.DETECTIONS_TOPIC}'
        )
        observer.collect(playback)
        waiting = content.windows - len(observer.session.detections)
        if waiting > 1:
            progress(
                f'waiting for {waiting} windows: the node is slower than real time on this machine'
            )
        observer.wait_for_rest(content)
        return observer.session
