"""Simulated drives as training sequences, made by one process a core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
import contextlib
from dataclasses import dataclass
import multiprocessing
import os
from pathlib import Path
import threading
from typing import Any

import numpy as np
from sast_ros.histogram import StackedHistogram
from sast_ros.model.config import model_config
from sast_ros_training.training.cache import SequenceInfo, SequenceWriter, SUFFIX
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingConfigError, TrainingDataError
from sast_ros_training.training.sources.recordings import choose_classes, downsampling


@dataclass(frozen=True, kw_only=True)
class DrivePlan:
    """
    A drive to simulate into the cache; the same plan gives the same bytes.

    ``network``: published configuration whose frame the histograms are made for.
    """

    target: Path
    seed: int
    seconds: float
    geometry: str
    motion: str | None
    models: str | None
    network: str
    classes: tuple[str, ...]


def plan_drives(config: TrainingConfig) -> tuple[list[DrivePlan], list[DrivePlan]]:
    """
    Return the drives for training and those for validation.

    Raises
    ------
    TrainingConfigError: a geometry or a motion that cannot be simulated, or other windows than the
        simulated.

    """
    from sast_ros_training.simulation.motion import MOTIONS
    from sast_ros_training.simulation.sequence import GEOMETRIES, WINDOW_US

    data, simulation = config.data, config.data.simulation
    if not data.window_ms == data.stride_ms == WINDOW_US / 1000:
        raise TrainingConfigError(
            f'data.window_ms and data.stride_ms are {data.window_ms:g} and {data.stride_ms:g}; '
            f'drives are simulated in windows of {WINDOW_US / 1000:g} ms, so set both to that'
        )
    unknown = sorted(set(simulation.geometries) - set(GEOMETRIES))
    if unknown:
        raise TrainingConfigError(
            f'data.simulation.geometries names {", ".join(unknown)}; the geometries that can be '
            f'simulated are {", ".join(GEOMETRIES)}'
        )
    if simulation.motion not in (None, *MOTIONS):
        raise TrainingConfigError(
            f'data.simulation.motion is {simulation.motion!r}; the motions that can be simulated '
            f'are {", ".join(MOTIONS)}'
        )
    names = sorted(simulation.geometries)
    shares = np.array([simulation.geometries[name] for name in names])

    def plans(kind: str, first: int, count: int, motion: str | None) -> list[DrivePlan]:
        listed = []
        for seed in range(first, first + count):
            drawn = np.random.default_rng(seed).choice(len(names), p=shares / shares.sum())
            geometry = names[int(drawn)]
            # What decides a drive is in its name: another length is another drive
            name = f'drive_{seed:08d}_{geometry}_{simulation.seconds:g}s'
            if motion:
                name += f'_{motion}'
            if simulation.models:
                name += f'_{Path(simulation.models).name}'
            listed.append(
                DrivePlan(
                    target=Path(data.cache) / kind / f'{name}{SUFFIX}',
                    seed=seed,
                    seconds=simulation.seconds,
                    geometry=geometry,
                    motion=motion,
                    models=simulation.models,
                    network=config.model.name,
                    classes=config.model.classes,
                )
            )
        return listed

    return (
        plans('train', simulation.seed, simulation.sequences, simulation.motion),
        plans('validation', simulation.validation_seed, simulation.validation_sequences, None),
    )


def simulate_drive(plan: DrivePlan) -> None:
    """Simulate one drive into the cache."""
    from sast_ros.labels import CLASSES
    from sast_ros_training.simulation.sequence import SimulatedSequence, WINDOW_US

    models = None
    if plan.models is not None:
        from sast_ros_training.simulation.models import load_models

        models = load_models(Path(plan.models))
    drive = SimulatedSequence(plan.seed, plan.seconds, plan.geometry, plan.motion, models)
    network = model_config(plan.network)
    downsample = downsampling(network, (drive.height, drive.width))
    histogram = StackedHistogram(
        drive.height, drive.width, bins=network.bins, downsample=downsample
    )
    writer = SequenceWriter(
        SequenceInfo(
            source=f'drive {plan.seed}',
            classes=plan.classes,
            sensor_size=(drive.height, drive.width),
            downsample=downsample,
            shape=histogram.shape,
            motion=drive.motion,
            stride_ms=WINDOW_US / 1000,
        )
    )
    for window in drive.windows():
        labels = choose_classes(window.labels, CLASSES, plan.classes)
        counts = histogram(window.chunk).numpy()
        writer.add(counts, window.t_end, len(window.chunk), labels)
    writer.write(plan.target)


@contextlib.contextmanager
def drives(config: TrainingConfig, say: Callable[[str], None]) -> Iterator[None]:
    """
    Simulate what is missing: first what a training needs to begin, the rest while it runs.

    Raises
    ------
    TrainingConfigError: see ``plan_drives``.
    TrainingDataError: a drive could not be simulated.

    """
    training, validation = plan_drives(config)
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
        initializer=_serve,
        initargs=(os.getpid(),),
    )
    try:
        begun = [pool.submit(simulate_drive, plan) for plan in needed]
        rest = [pool.submit(simulate_drive, plan) for plan in later]
        if needed:
            say(f'simulating {len(needed)} drives on {workers} processes')
        _await(begun, needed, say)
        if later:
            say(f'{len(later)} more drives follow while the training runs')
        for future, plan in zip(rest, later):
            future.add_done_callback(_complain(plan, say))
        yield
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _await(
    futures: list[Future[None]], plans: list[DrivePlan], say: Callable[[str], None]
) -> None:
    told = 0
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=10, return_when=FIRST_EXCEPTION)
        for future in done:
            if future.exception() is not None:
                plan = plans[futures.index(future)]
                raise _failure(plan, future.exception()) from future.exception()
        share = 10 * (len(futures) - len(waiting)) // len(futures)
        if share > told:
            told = share
            say(f'simulated {len(futures) - len(waiting)} of {len(futures)} drives')


def _complain(plan: DrivePlan, say: Callable[[str], None]) -> Callable[[Future[None]], None]:
    def tell(future: Future[None]) -> None:
        if not future.cancelled() and future.exception() is not None:
            say(str(_failure(plan, future.exception())))

    return tell


def _failure(plan: DrivePlan, error: Any) -> TrainingDataError:
    return TrainingDataError(
        f'drive {plan.seed} ({plan.geometry}, {plan.seconds:g} s) could not be simulated: '
        f'{type(error).__name__}: {error}'
    )


def _serve(parent: int) -> None:
    """Run beside the training: give way to it, and end when it ends, however it does."""
    import torch

    torch.set_num_threads(1)
    os.nice(10)

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
