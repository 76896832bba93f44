# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A recording, played again and again through the detector node, on the live page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import itertools
from pathlib import Path
from typing import Any

from sast_ros.bags import open_recording
from sast_ros.demo.processes import DemoError, detector_process, player_process, private_domain
from sast_ros.output import lock_folder, OutputError

EVENTS_TOPIC = '/event_camera/events'


@contextlib.contextmanager
def playing(
    folder: Path,
    path: str | Path,
    topic: str | None,
    parameters: Mapping[str, Any],
    log: Callable[[str], None],
) -> Iterator[Callable[[], None]]:
    """
    Play a recording through the node in a ROS domain of its own, while a ``with`` block lasts.

    Parameters
    ----------
    folder : Path
        Folder for the logs of the processes, or one beside it where another process has its own.
    path : str or Path
        What to play; see ``open_recording``.
    topic : str or None
        Topic with the events in the recording; by default the only one.
    parameters : mapping
        Parameters of the node by their names.
    log : callable
        Called with a sentence for the user before the processes start.

    Yields
    ------
    callable
        Raises ``DemoError`` if one of the processes has ended.

    Raises
    ------
    RecordingError
        There is no such recording, or it cannot be sent as messages.

    """
    height, width = (parameters.get(f'input.{side}', 0) for side in ('height', 'width'))
    with open_recording(path, topic) as recording:
        if height and width:
            recording.given_size = height, width
        next(recording.messages(), None)  # raises what the player would
        player_parameters = {
            'recording': str(recording.path),
            'recording_topic': recording.topic,
            'height': height,
            'width': width,
            'loop': True,
        }
    with _folder_of_its_own(folder) as logs:
        log(f'starting the detector node, which takes seconds; logs in {logs}')
        detector = detector_process(dict(parameters), EVENTS_TOPIC, logs)
        player = player_process(player_parameters, EVENTS_TOPIC, logs)

        def check() -> None:
            for child in (detector, player):
                if child.exit_code() is not None:
                    raise DemoError(child.failure())

        with private_domain(), detector, player:
            yield check


@contextlib.contextmanager
def _folder_of_its_own(folder: Path) -> Iterator[Path]:
    """Create and lock a folder, ``NAME-2`` and so on where others are shown at the same time."""
    with contextlib.ExitStack() as stack:
        for number in itertools.count(1):
            chosen = folder.with_name(f'{folder.name}-{number}') if number > 1 else folder
            with contextlib.suppress(OutputError):
                stack.enter_context(lock_folder(chosen))
                break
        yield chosen
