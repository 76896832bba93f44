# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The job of a batch: the replay of one recording."""

from __future__ import annotations

import functools
import os
import platform
import shutil
from typing import Any
import uuid

from sast_ros.bags import open_recording
from sast_ros.errors import SettingError
from sast_ros.evaluation.batch.jobs import BatchError
from sast_ros.evaluation.batch.plan import options_digest, Replay
from sast_ros.replay import Progress, replay_to_folder, VIDEO

_ATTEMPT = 'replay-'
_PART = '.part'


def run_replay(replay: Replay, progress: Progress | None = None) -> dict[str, Any]:
    """
    Replay a recording and return its summary.

    The files are written into a folder inside ``replay.folder`` and moved when they are complete,
    the summary last. So no file is incomplete, even if two processes replay the same recording.

    Raises
    ------
    BatchError
        If the model, the device or another option cannot be used.
    SastError, OSError
        If the recording cannot be replayed.

    """
    from sast_ros.model.checkpoint import CheckpointError

    folder = replay.folder
    part = folder / f'{_ATTEMPT}{uuid.uuid4().hex}{_PART}'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f'{_ATTEMPT}*{_PART}'):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        part.mkdir()
        facts = {'replay_key': replay.key}
        with open_recording(replay.path, topic=replay.topic) as recording:
            summary = replay_to_folder(
                recording, part, replay.options, progress=progress, facts=facts
            )
        # The old summary first, the new one last
        for name in ('summary.json', VIDEO):
            (folder / name).unlink(missing_ok=True)
        for path in sorted(part.iterdir(), key=lambda path: path.name == 'summary.json'):
            os.replace(path, folder / path.name)
    except (CheckpointError, SettingError) as error:
        raise BatchError(str(error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return summary


def run_replay_on_node(replay: Replay) -> dict[str, Any]:
    """
    Replay a recording on another machine than it was planned on, and return its summary.

    Raises
    ------
    BatchError
        If this machine does not see the files, or has another version of the program.
    SastError, OSError
        As ``run_replay``.

    """
    for path in (replay.path, replay.folder.parent):
        if not path.exists():
            raise BatchError(
                f'the node {platform.node()} does not see {path}; recordings, weights and --out '
                'must lie on a file system that every node mounts at the same place'
            )
    if _cached_digest(replay.options, replay.topic) != replay.digest:
        raise BatchError(
            f'the node {platform.node()} does not see the weights {replay.options.model}, or has '
            'another version of them, of sast_ros or of torch; install the same on every node'
        )
    return run_replay(replay)


_cached_digest = functools.lru_cache(maxsize=1)(options_digest)
