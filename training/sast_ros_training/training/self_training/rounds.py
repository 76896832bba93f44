# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Rounds of self-training: label the recordings with the weights, train on the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
import contextlib
from dataclasses import asdict, dataclass, field, replace
import json
import os
from pathlib import Path
import shutil
from typing import Any

from sast_ros.bags.names import recording_stem
from sast_ros.detector import StreamingDetector
from sast_ros.example import recording_path
from sast_ros.model import SAST
from sast_ros.model.device import choose_device
from sast_ros.output import write_file
from sast_ros_training.training.averages import estimate_batch_norms, sample_windows
from sast_ros_training.training.cache import list_sequences
from sast_ros_training.training.callback import Report
from sast_ros_training.training.config import (
    DataConfig,
    NetworkConfig,
    OptimizerConfig,
    TrainingConfig,
    ValidationConfig,
)
from sast_ros_training.training.config_file import CurriculumPart
from sast_ros_training.training.errors import TrainingConfigError, TrainingDataError
from sast_ros_training.training.fit import train
from sast_ros_training.training.initial import initial_model, read_network
from sast_ros_training.training.processes import is_main_process
from sast_ros_training.training.self_training.labelling import LabellingSettings
from sast_ros_training.training.self_training.recordings import cut_recording, label_recording
from sast_ros_training.training.sources import check, make_missing, prepare

#: What the folder was made from.
_INDEX = 'self_training.json'

#: Folder of the recordings as sequences without labels.
_RECORDINGS = 'recordings'

_DEVICES = {'auto': 'auto', 'cpu': 'cpu', 'gpu': 'cuda'}


@dataclass(frozen=True)
class SelfTraining:
    """
    What to train on, and how.

    Attributes
    ----------
    recordings : tuple of Path
        Recordings without labels, all that ``open_recording`` opens.
    rounds : int
        How often they are labelled and trained on, each time with the weights of the round before.
    labelled_share : float
        Share of the sequences that come from the labelled data of the configuration; 0 for none.
    topic : str, optional
        As for ``open_recording``.
    sensor_size : tuple of int, optional
        (height, width) in pixels instead of what the recordings state.
    labelling : LabellingSettings
        Which detections become targets.

    """

    recordings: tuple[Path, ...]
    rounds: int = 1
    labelled_share: float = 0.25
    topic: str | None = None
    sensor_size: tuple[int, int] | None = None
    labelling: LabellingSettings = field(default_factory=LabellingSettings)


def default_config(init: Sequence[Path]) -> TrainingConfig:
    """Return the settings of a fine-tuning of these weights, without labelled data."""
    network = read_network(init)
    return TrainingConfig(
        model=NetworkConfig(network.name, network.classes, network.layer_scale),
        data=DataConfig('cache', window_ms=network.window_ms, stride_ms=network.stride_ms),
        optimizer=OptimizerConfig(max_steps=1500, learning_rate=2e-4, warmup=0.1, ema_decay=0.99),
        validation=ValidationConfig(batch_norm_windows=400),
    )


def self_train(
    settings: SelfTraining,
    config: TrainingConfig,
    out: Path,
    init: Sequence[Path],
    *,
    resume: bool = True,
    log: Callable[[str], None] = lambda _: None,
    report: Report = lambda *_: None,
) -> dict[str, Any]:
    """
    Label and train, round by round; continue where the same call was killed before.

    Each round has a folder of its own in ``out``, with the files that ``train`` writes and, in
    ``cache``, the labelled sequences; the weights of the last round are copied to ``out``.

    Parameters
    ----------
    settings : SelfTraining
        The recordings, and how they are labelled.
    config : TrainingConfig
        Of the training. Its data are the labelled ones; see ``labelled_share``. Simulated ones
        are not validated with, because the weights are to become better on the recordings.
    out : Path
        Folder to write into.
    init : sequence of Path
        Weights to begin with, as for ``initial_model``.
    resume : bool
        Whether to continue; otherwise what is in ``out`` of an earlier call is removed.
    log, report : callable
        As for ``train``.

    Returns
    -------
    dict
        What ``train`` returns of the last round, and ``rounds``: the numbers of windows, targets,
        their tracks, and ignored boxes of each.

    Raises
    ------
    TrainingConfigError
        ``out`` is of other recordings, settings or weights, the configuration cannot be used, or
        what to begin with lies in a folder that is to be removed.
    TrainingDataError, RecordingError
        No recording can be read, or there is nothing to train on.

    """
    config = replace(
        config,
        model=replace(config.model, contrast=1.0),  # the weights have theirs
        hardware=replace(config.hardware, devices=1),  # one process labels and trains
    )
    if is_main_process():
        _begin(settings, config, out, init, resume)
        _cut(settings, config, out, log)
    rounds, summary = [], {}
    for number in range(1, settings.rounds + 1):
        folder = out / f'round-{number}'
        if is_main_process():
            if settings.rounds > 1:
                log(f'round {number} of {settings.rounds}')
            rounds.append(_label(settings, config, out, folder / 'cache', init, log))
        data = replace(config.data, kind='cache', cache=str(folder / 'cache'), source=None)
        part = CurriculumPart('', (), replace(config, data=data))
        summary = train((part,), folder, init=init, log=log, report=report)
        init = [folder / 'model.safetensors']
    if is_main_process():
        write_file(out / 'model.safetensors', init[0].read_bytes())
    return {**summary, 'rounds': rounds}


def _begin(
    settings: SelfTraining, config: TrainingConfig, out: Path, init: Sequence[Path], resume: bool
) -> None:
    """Note what ``out`` is made from; refuse a folder that was made from something else."""
    known = {
        'recordings': [_stamp(recording_path(path)) for path in settings.recordings],
        'init': [_stamp(path) for path in init],
        'labelling': asdict(settings.labelling),
        'labelled_share': settings.labelled_share,
        'topic': settings.topic,
        'sensor_size': settings.sensor_size and list(settings.sensor_size),
        'network': config.network().as_dict(),
    }
    index = out / _INDEX
    text = json.dumps(known, indent=2) + '\n'
    begun = any((out / _RECORDINGS).glob('*')) or any(out.glob('round-*'))
    if resume and begun and index.is_file() and index.read_bytes() != text.encode():
        raise TrainingConfigError(
            f'{out}: holds a self-training with other recordings, weights or options; train into '
            'another folder with --out, or begin anew with --resume never'
        )
    check(config)
    if not resume:
        old = [out / _RECORDINGS, *out.glob('round-*')]
        for path in (*init, *map(recording_path, settings.recordings)):
            for folder in old:
                if path.exists() and path.resolve().is_relative_to(folder.resolve()):
                    raise TrainingConfigError(
                        f'{path}: lies in {folder}, which --resume never removes first; copy it '
                        'to another place, or train into another folder with --out'
                    )
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    write_file(index, text)


def _stamp(path: Path) -> list[Any]:
    """Return what tells whether a file or folder is the same as before."""
    files = sorted(path.rglob('*')) if path.is_dir() else [path]
    found = [file.stat() for file in files if file.is_file()]
    times = max((one.st_mtime_ns for one in found), default=0)
    return [str(path.resolve() if found else path), sum(one.st_size for one in found), times]


def _cut(
    settings: SelfTraining, config: TrainingConfig, out: Path, log: Callable[[str], None]
) -> None:
    """Cut every recording into windows, once; one that cannot be read is left out."""

    def cut(folder: Path, path: Path) -> list[str]:
        return cut_recording(path, folder, config, settings.topic, settings.sensor_size)

    failed = make_missing('recording', _folders(settings, out), cut, log)
    if len(failed) == len(settings.recordings):
        raise failed[0]


def _folders(settings: SelfTraining, out: Path) -> dict[Path, tuple[Path]]:
    """Return the recordings by the folders of their sequences."""
    parent = out / _RECORDINGS
    return {
        parent / f'{number:03d}_{recording_stem(recording_path(path).resolve())}': (path,)
        for number, path in enumerate(settings.recordings, start=1)
    }


def _label(
    settings: SelfTraining,
    config: TrainingConfig,
    out: Path,
    cache: Path,
    init: Sequence[Path],
    log: Callable[[str], None],
) -> dict[str, int]:
    """Fill the cache of a round, unless it is complete; return the numbers of labels."""
    counts = cache / 'labels.json'
    if counts.is_file():
        return json.loads(counts.read_text(encoding='utf-8'))
    shutil.rmtree(cache, ignore_errors=True)
    folders = _folders(settings, out)
    model = initial_model(config, init, log)
    # Those of the recordings are a good part of the gain, and cost no training
    paths = [path for folder in folders for path in list_sequences(folder)]
    wanted = config.validation.batch_norm_windows
    estimate_batch_norms(model, sample_windows(paths, config.network(), wanted))
    detector = _detector(model, config, settings.labelling)
    totals: Counter[str] = Counter()
    for folder, (path,) in folders.items():
        if not folder.is_dir():  # left out
            continue
        found = label_recording(folder, cache / 'train', folder.name, detector, settings.labelling)
        totals += found
        log(
            f'{path.name}: {found["tracks"]} objects are {found["targets"]} targets in '
            f'{found["windows"]} windows, {found["ignored"]} boxes are ignored'
        )
    if not totals['targets']:
        raise TrainingDataError(
            f'nothing in the recordings is detected from both directions with a score of '
            f'{settings.labelling.target_score:g}; give other weights with --init, or longer '
            'recordings'
        )
    if settings.labelled_share > 0:
        _add_labelled(settings.labelled_share, config, cache, log)
    write_file(counts, json.dumps(dict(totals)) + '\n')
    return dict(totals)


def _detector(
    model: SAST, config: TrainingConfig, settings: LabellingSettings
) -> StreamingDetector:
    device = choose_device(_DEVICES[config.hardware.accelerator])
    return StreamingDetector(model.to(device), settings.min_score, max_detections=100)


def _add_labelled(
    share: float, config: TrainingConfig, cache: Path, log: Callable[[str], None]
) -> None:
    """Link labelled sequences beside those of the recordings, either of them repeatedly."""
    simulation = config.data.simulation
    whole = replace(simulation, start_with=simulation.sequences)
    config = replace(config, data=replace(config.data, simulation=whole))
    with prepare(config, log):
        labelled = list_sequences(Path(config.data.cache) / 'train')
    own = list_sequences(cache / 'train')
    wanted = share / (1 - share) * len(own) / len(labelled)
    _link(labelled, cache / 'train', max(1, round(wanted)))
    _link(own, cache / 'train', max(1, round(1 / wanted)), first=1)
    if config.data.kind != 'simulation':
        _link(list_sequences(Path(config.data.cache) / 'validation'), cache / 'validation', 1)


def _link(paths: Sequence[Path], folder: Path, times: int, first: int = 0) -> None:
    """Link files into a folder, so many times each, of which the first ``first`` are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        for time in range(first, times):
            with contextlib.suppress(FileExistsError):
                os.symlink(path.resolve(), folder / f'{path.stem}~{time}{path.suffix}')
