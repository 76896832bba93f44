"""Where training sequences come from; every source fills the same cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path

from sast_ros.model.config import model_config
from sast_ros_training.training.cache import list_sequences, SUFFIX
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingDataError

__all__ = ['prepare']


@contextlib.contextmanager
def prepare(config: TrainingConfig, say: Callable[[str], None]) -> Iterator[None]:
    """
    Fill the cache as far as a training needs it to begin; what is there is kept.

    The rest of the simulated drives follows while the context lasts.

    Raises
    ------
    TrainingConfigError: a source that cannot be had.
    TrainingDataError: there is nothing to train on.

    """
    with contextlib.ExitStack() as stack:
        if config.data.kind == 'simulation':
            from sast_ros_training.training.sources.simulation import drives

            stack.enter_context(drives(config, say))
        elif config.data.kind != 'cache':
            _convert(config, say)
        folder = Path(config.data.cache) / 'train'
        if not list_sequences(folder):
            raise TrainingDataError(
                f'{folder}: holds no sequences; correct data.cache of the configuration, or let '
                'data.kind fill it'
            )
        yield


def _convert(config: TrainingConfig, say: Callable[[str], None]) -> None:
    """Convert every sequence of a foreign data set that is not in the cache."""
    from sast_ros_training.training.sources.recordings import convert_recording, find_recordings
    from sast_ros_training.training.sources.rvt import convert_sequence, find_sequences

    data = config.data
    network = config.network()
    given = data.source_classes or model_config(config.model.name).classes
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
            say(f'{split} {number} of {len(found)}: {path.name}')
            if data.kind == 'rvt':
                convert_sequence(
                    path, target, config=network, given=given, stride_ms=data.stride_ms
                )
            else:
                convert_recording(
                    path,
                    boxes,
                    target,
                    config=network,
                    given=given,
                    window_ms=data.window_ms,
                    stride_ms=data.stride_ms,
                )
