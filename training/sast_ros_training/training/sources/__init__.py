# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where training sequences come from; every source fills the same cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path

from sast_ros_training.training.cache import list_sequences, SUFFIX
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingDataError

__all__ = ['check', 'prepare']


def check(config: TrainingConfig) -> None:
    """Raise a ``TrainingConfigError`` for what cannot be simulated, long before it is needed."""
    if config.data.kind == 'simulation':
        from sast_ros_training.training.sources.simulation import plan_drives

        plan_drives(config)


@contextlib.contextmanager
def prepare(config: TrainingConfig, log: Callable[[str], None]) -> Iterator[None]:
    """
    Fill the cache as far as a training needs it to begin; what is there is kept.

    The rest of the simulated sequences follows while the context lasts.

    Raises
    ------
    TrainingConfigError
        A source that cannot be had.
    TrainingDataError
        There is nothing to train on.

    """
    with contextlib.ExitStack() as stack:
        if config.data.kind == 'simulation':
            from sast_ros_training.training.sources.simulation import simulated_drives

            stack.enter_context(simulated_drives(config, log))
        elif config.data.kind != 'cache':
            _convert(config, log)
        folder = Path(config.data.cache) / 'train'
        if not list_sequences(folder):
            raise TrainingDataError(
                f'{folder}: holds no sequences; correct data.cache of the configuration, or let '
                'data.kind fill it'
            )
        yield


def _convert(config: TrainingConfig, log: Callable[[str], None]) -> None:
    """Convert every sequence of a foreign data set that is not in the cache."""
    from sast_ros_training.training.sources.recordings import convert_recording, find_recordings
    from sast_ros_training.training.sources.rvt import convert_sequence, find_sequences

    data = config.data
    for split, kind in (('train', 'train'), ('val', 'validation')):
        source = Path(data.source or '') / split
        if data.kind == 'rvt':
            found = [(folder, folder) for folder in find_sequences(source)]
        else:
            found = find_recordings(source, data.kind)
        if not found and split == 'train':
            raise TrainingDataError(
                f'{source}: holds no sequences of the kind {data.kind}; correct data.source of '
                'the configuration'
            )
        for number, (path, boxes) in enumerate(found, start=1):
            target = Path(data.cache) / kind / f'{path.stem}{SUFFIX}'
            if target.exists():
                continue
            log(f'{split} {number} of {len(found)}: {path.name}')
            if data.kind == 'rvt':
                convert_sequence(path, target, config)
            else:
                convert_recording(path, boxes, target, config)
