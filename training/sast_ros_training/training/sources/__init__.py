# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where training sequences come from; every source fills the same cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
from pathlib import Path

from sast_ros.bags import RecordingError
from sast_ros.bags.names import recording_stem
from sast_ros.errors import SastError
from sast_ros.evaluation.boxes import times_path
from sast_ros.evaluation.errors import EvaluationError
from sast_ros.evaluation.labels import canonical
from sast_ros_training.training.cache import CachedSequence, list_sequences, SUFFIX
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingDataError

__all__ = ['check', 'make_missing', 'prepare']


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
        There is nothing to train on, or a sequence of the cache was made with other settings.

    """
    with contextlib.ExitStack() as stack:
        if config.data.kind == 'simulation':
            from sast_ros_training.training.sources.simulation import simulated_drives

            stack.enter_context(simulated_drives(config, log))
        elif config.data.kind != 'cache':
            _convert(config, log)
        _check_cache(config, log)
        yield


def _check_cache(config: TrainingConfig, log: Callable[[str], None]) -> None:
    """Look at every sequence now, those for validation too: a training would end at the first."""
    folders = [Path(config.data.cache) / kind for kind in ('train', 'validation')]
    labelled = []
    for folder in folders:
        sequences = map(CachedSequence, list_sequences(folder))
        labelled.append([_is_labelled(sequence, config) for sequence in sequences])
    if not labelled[0]:
        raise TrainingDataError(
            f'{folders[0]}: holds no sequences; correct data.cache of the configuration, or let '
            'data.kind fill it'
        )
    if not any(labelled[0]):
        raise TrainingDataError(
            f'{folders[0]}: no window of its {len(labelled[0])} sequences is labelled; correct '
            'the labels that they were made with, and data.cache of the configuration'
        )
    if not any(labelled[1]):
        log(f'{folders[1]}: holds no labelled sequences; the last weights are kept, not the best')


def _is_labelled(sequence: CachedSequence, config: TrainingConfig) -> bool:
    sequence.require(config.network())
    return bool(sequence.labelled.any())


def _convert(config: TrainingConfig, log: Callable[[str], None]) -> None:
    """
    Convert every sequence of a foreign data set that is not in the cache.

    One that cannot be read is left out; it is the next time, too.
    """
    from sast_ros_training.training.sources.recordings import (
        BOXES,
        convert_recording,
        find_recordings,
    )
    from sast_ros_training.training.sources.rvt import convert_sequence, find_sequences

    data = config.data
    splits: dict[str, dict[Path, tuple[Path, Path]]] = {}
    for split, kind in (('train', 'train'), ('val', 'validation')):
        source = Path(data.source or '') / split
        if data.kind == 'rvt':
            found = [(folder, folder) for folder in find_sequences(source)]
        else:
            found = find_recordings(source, data.kind)
            alone = {*source.glob(f'*{BOXES}')} - {boxes for _, boxes in found}
            for path in sorted(alone):
                log(f'left out: {path}: has no recording of the kind {data.kind} beside it')
        if not found and split == 'train':
            raise TrainingDataError(
                f'{source}: holds no sequences of the kind {data.kind}; correct data.source of '
                'the configuration'
            )
        splits[split] = _targets(found, Path(data.cache) / kind)
    _check_targets(splits.values(), config, log)

    def convert(target: Path, path: Path, boxes: Path) -> list[str]:
        if data.kind == 'rvt':
            return convert_sequence(path, target, config)
        return convert_recording(path, boxes, target, config)

    failed: list[SastError] = []
    for split, targets in splits.items():
        failed += make_missing(split, targets, convert, log)
    if failed and not list_sequences(Path(data.cache) / 'train'):
        raise failed[0]


def make_missing(
    kind: str,
    targets: Mapping[Path, tuple[Path, ...]],
    make: Callable[..., list[str]],
    log: Callable[[str], None],
) -> list[SastError]:
    """Make what is not there of the sources, the first of which is named; return the errors."""
    failed: list[SastError] = []
    for number, (target, sources) in enumerate(targets.items(), start=1):
        if target.exists():
            continue
        name = sources[0].name
        log(f'{kind} {number} of {len(targets)}: {name}')
        try:
            for warning in make(target, *sources):
                log(f'{name}: {warning}')
        except (RecordingError, EvaluationError, TrainingDataError) as error:
            failed.append(error)
            log(f'left out: {error}')
    return failed


def _check_targets(
    splits: Iterable[dict[Path, tuple[Path, Path]]],
    config: TrainingConfig,
    log: Callable[[str], None],
) -> None:
    """Tell what differs; refuse what is there and would be made with other settings now."""
    from sast_ros_training.training.sources.labels import label_classes

    data, given, older = config.data, dict[str, str](), []
    for target, (path, boxes) in (item for targets in splits for item in targets.items()):
        classes = label_classes(boxes, config)
        given |= {canonical(name): name for name in classes}
        if target.exists():
            CachedSequence(target).require_settings(
                config.network(),
                window_ms=data.window_ms,
                stride_ms=data.stride_ms,
                source_classes=classes,
                **({'topic': data.topic.strip('/')} if data.topic else {}),
                **({'downsample': 1} if data.kind == 'rvt' else {}),  # cells are pixels there
            )
            made = target.stat().st_mtime
            sources = [one for one in (path, boxes, times_path(boxes)) if one.is_file()]
            if any(one.stat().st_mtime > made for one in sources):
                older.append(target)
    if older:
        log(
            f'{len(older)} sequences of the cache are older than their recordings or labels, such '
            f'as {older[0]}; they are used as they are, delete them to have them made again'
        )
    wanted = {canonical(name): name for name in config.model.classes}
    for text, names, others in (
        ('labels of classes that are not in model.classes are left out', given, wanted),
        ('there are no labels of classes in model.classes', wanted, given),
    ):
        different = [names[name] for name in names if name not in others]
        if different:
            log(f'{text}: {", ".join(different)}')


def _targets(found: list[tuple[Path, Path]], folder: Path) -> dict[Path, tuple[Path, Path]]:
    """Return each source, and its boxes, by the file of the cache that it becomes."""
    targets: dict[Path, tuple[Path, Path]] = {}
    for path, boxes in found:
        target = folder / f'{recording_stem(path)}{SUFFIX}'
        if target in targets:
            other, other_boxes = targets[target]
            raise TrainingDataError(
                f'{path} with {boxes.name}: would be {target.name} in the cache, and so would '
                f'{other.name} with {other_boxes.name}; rename or remove one of them'
            )
        targets[target] = path, boxes
    return targets
