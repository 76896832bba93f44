# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Simulated drives as training sequences, made in further processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import as_completed, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import contextlib
from dataclasses import dataclass
from functools import partial
import multiprocessing
import os
from pathlib import Path

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.model.config import model_config
from sast_ros.process import end_with_parent
from sast_ros_training.training.cache import CachedSequence, histogram_writer, SUFFIX
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingConfigError, TrainingDataError
from sast_ros_training.training.sources.labels import choose_classes


@dataclass(frozen=True, kw_only=True)
class DrivePlan:
    """
    A drive to simulate into the cache; the same plan gives the same bytes.

    ``models`` is a folder with glTF models, ``network`` the published configuration whose frame
    the histograms are made for, ``window_ms`` and ``stride_ms`` are those of ``WindowTiming``; see
    ``SimulatedSequence`` for the others.
    """

    target: Path
    seed: int
    seconds: float
    geometry: str
    motion: str | None
    scene: str
    models: str | None
    network: str
    classes: tuple[str, ...]
    window_ms: float = 50.0
    stride_ms: float = 50.0


def plan_drives(config: TrainingConfig) -> tuple[list[DrivePlan], list[DrivePlan]]:
    """
    Return the drives for training and those for validation.

    Raises
    ------
    TrainingConfigError
        Geometries, a motion, models or windows that cannot be simulated.

    """
    simulation = config.data.simulation
    for mistake in _mistakes(config):
        raise TrainingConfigError(mistake)
    training = [
        _plan(config, 'train', simulation.seed + number, simulation.motion, simulation.windows)
        for number in range(simulation.sequences)
    ]
    validation = [
        _plan(
            config,
            'validation',
            simulation.validation_seed + number,
            None,
            simulation.validation_windows,
        )
        for number in range(simulation.validation_sequences)
    ]
    missing = not all(plan.target.exists() for plan in (*training, *validation))
    if missing and simulation.models is not None and not Path(simulation.models).is_dir():
        raise TrainingConfigError(
            f'data.simulation.models is {simulation.models!r}; it must be null or a folder with '
            'glTF models'
        )
    return training, validation


def _mistakes(config: TrainingConfig) -> Iterator[str]:
    from sast_ros_training.simulation.motion import MOTIONS
    from sast_ros_training.simulation.sequence import GEOMETRIES, SCENE_SHARES
    from sast_ros_training.simulation.timing import parse_timings, WindowTiming

    data, simulation = config.data, config.data.simulation
    try:
        WindowTiming.from_ms(data.window_ms, data.stride_ms)
    except SettingError as error:
        yield f'data.window_ms and data.stride_ms: {error}'
    for name in ('windows', 'validation_windows'):
        for text in getattr(simulation, name):
            try:
                parse_timings(text)
            except SettingError as error:
                yield f'data.simulation.{name}: {error}'
    if not simulation.geometries.keys() <= GEOMETRIES.keys():
        yield (
            f'data.simulation.geometries has {", ".join(simulation.geometries)}; it must have '
            f'only {", ".join(GEOMETRIES)}'
        )
    if not simulation.scenes.keys() <= SCENE_SHARES.keys():
        yield (
            f'data.simulation.scenes has {", ".join(simulation.scenes)}; it must have only '
            f'{", ".join(SCENE_SHARES)}'
        )
    if simulation.motion not in (None, *MOTIONS):
        yield (
            f'data.simulation.motion is {simulation.motion!r}; it must be null or one of '
            f'{", ".join(MOTIONS)}'
        )


def _plan(
    config: TrainingConfig, kind: str, seed: int, motion: str | None, windows: dict[str, float]
) -> DrivePlan:
    from sast_ros_training.simulation.draws import draw_name
    from sast_ros_training.simulation.timing import draw_timing

    data, simulation = config.data, config.data.simulation
    rng = np.random.default_rng(seed)
    geometry = draw_name(rng, simulation.geometries)
    scene = draw_name(rng, simulation.scenes)
    # What decides a drive is in its name: another length is another drive
    usual = {f'{data.window_ms:g}/{data.stride_ms:g}': 1.0}
    timing = draw_timing(windows or usual, np.random.default_rng([seed, 1]))
    window_ms, stride_ms = timing.window_us / 1000, timing.stride_us / 1000
    name = f'drive_{seed:08d}_{geometry}_{scene}_{simulation.seconds:g}s'
    name += f'_w{window_ms:g}_s{stride_ms:g}'
    if motion:
        name += f'_{motion}'
    if simulation.models:
        name += f'_{Path(simulation.models).name}'
    return DrivePlan(
        target=Path(config.data.cache) / kind / f'{name}{SUFFIX}',
        seed=seed,
        seconds=simulation.seconds,
        geometry=geometry,
        motion=motion,
        scene=scene,
        models=simulation.models,
        network=config.model.name,
        classes=config.model.classes,
        window_ms=window_ms,
        stride_ms=stride_ms,
    )


def simulate_drive(plan: DrivePlan) -> None:
    """Simulate one drive into the cache."""
    from sast_ros.labels import CLASSES
    from sast_ros_training.simulation.models import load_models_once
    from sast_ros_training.simulation.sequence import SimulatedSequence
    from sast_ros_training.simulation.timing import WindowTiming

    models = None if plan.models is None else load_models_once(plan.models)
    timing = WindowTiming.from_ms(plan.window_ms, plan.stride_ms)
    wanted = plan.seconds, plan.geometry, plan.motion, models, timing, plan.scene
    drive = SimulatedSequence(plan.seed, *wanted)
    histogram, writer = histogram_writer(
        model_config(plan.network),
        (drive.height, drive.width),
        source=_source(plan),
        classes=plan.classes,
        motion=drive.motion,
        stride_ms=plan.stride_ms,
        window_ms=plan.window_ms,
    )
    for window, labels in drive.cut():
        chosen = choose_classes(labels, CLASSES, plan.classes)
        writer.add(histogram(window.parts).numpy(), window.t_end, len(window), chosen)
    writer.write(plan.target)


def _source(plan: DrivePlan) -> str:
    from sast_ros_training.simulation.sequence import SIMULATOR_VERSION

    return f'drive {plan.seed} of simulator {SIMULATOR_VERSION}'


@contextlib.contextmanager
def simulated_drives(config: TrainingConfig, log: Callable[[str], None]) -> Iterator[None]:
    """
    Simulate what is missing: first what a training needs to begin, the rest while it runs.

    Raises
    ------
    TrainingConfigError
        See ``plan_drives``.
    TrainingDataError
        A drive could not be simulated, or was simulated for another network or by another version
        of the simulator.

    """
    training, validation = plan_drives(config)
    for plan in (*training, *validation):
        if plan.target.exists():
            sequence = CachedSequence(plan.target)
            sequence.require_settings(config.network())
            if sequence.info.source != _source(plan):
                raise TrainingDataError(
                    f'{plan.target}: is {sequence.info.source!r}, not {_source(plan)!r}: another '
                    'version of sast_ros simulated it; take another folder for data.cache'
                )
    first = config.data.simulation.start_with
    needed = [plan for plan in (*training[:first], *validation) if not plan.target.exists()]
    later = [plan for plan in training[first:] if not plan.target.exists()]
    if not needed and not later:
        yield
        return
    workers = config.data.simulation.workers or os.cpu_count() or 1
    pool = ProcessPoolExecutor(
        min(workers, len(needed) + len(later)),
        mp_context=multiprocessing.get_context('spawn'),
        initializer=_start_worker,
        initargs=(os.getpid(),),
    )
    try:
        begun = [pool.submit(_simulate, plan) for plan in needed]
        rest = [pool.submit(_simulate, plan) for plan in later]
        if needed:
            log(f'simulating {len(needed)} sequences on {workers} processes')
        logged = 0
        for done, future in enumerate(as_completed(begun), start=1):
            future.result()
            if 10 * done // len(needed) > logged:
                logged = 10 * done // len(needed)
                log(f'simulated {done} of {len(needed)} sequences')
        if later:
            log(f'{len(later)} more sequences follow while the training runs')
        for future in rest:
            future.add_done_callback(partial(_log_failure, log))
        yield
    except BrokenProcessPool as error:
        raise TrainingDataError(
            'a process that simulates was killed; lower data.simulation.workers if memory is short'
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _simulate(plan: DrivePlan) -> None:
    try:
        simulate_drive(plan)
    except Exception as error:  # noqa: B902 - whatever it is, the drive is named
        raise TrainingDataError(
            f'drive {plan.seed} ({plan.geometry}, {plan.seconds:g} s) could not be simulated: '
            f'{type(error).__name__}: {error}'
        ) from error


def _log_failure(log: Callable[[str], None], future: Future[None]) -> None:
    if not future.cancelled() and future.exception() is not None:
        log(str(future.exception()))


def _start_worker(parent: int) -> None:
    """Run beside the training: at low priority, and no longer than it."""
    import torch

    torch.set_num_threads(1)
    os.nice(10)
    end_with_parent(parent)
