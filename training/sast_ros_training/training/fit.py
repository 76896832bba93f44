# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From a configuration to trained weights: the parts of a curriculum, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
from dataclasses import fields
from datetime import timedelta
import json
import logging
import os
from pathlib import Path
from typing import Any
import warnings

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from sast_ros.output import write_file
from sast_ros.process import end_with_parent
from sast_ros_training.training.callback import Report, TrainingCallback
from sast_ros_training.training.checkpoint import LAST, read_checkpoint, TrainingCheckpoint
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.config_file import CurriculumPart
from sast_ros_training.training.errors import (
    TrainingConfigError,
    TrainingDataError,
    TrainingProcessError,
)
from sast_ros_training.training.hardware import has_native_bfloat16
from sast_ros_training.training.initial import initial_model
from sast_ros_training.training.module import DetectionTraining
from sast_ros_training.training.processes import end_quietly, is_main_process, LOST_PROCESS
from sast_ros_training.training.sources import check, prepare
import torch
import yaml

#: Environment variable with the process that starts the others.
_MAIN_PROCESS = 'SAST_ROS_TRAINING_PROCESS'
#: What the message of gloo, by which processes on a CPU exchange gradients, has in that case.
_LOST_PEER = 'by peer'
#: What that of PyTorch has if a process of its DataLoader has ended.
_LOST_LOADER = 'DataLoader worker'


def _noop(*arguments: Any) -> None:
    """Do nothing."""


def train(
    parts: Sequence[CurriculumPart],
    out: Path,
    *,
    init: Sequence[Path] = (),
    resume: bool = True,
    log: Callable[[str], None] = _noop,
    report: Report = _noop,
) -> dict[str, Any]:
    """
    Train all parts; continue where a killed training of the same folder stopped.

    Each part writes into its folder ``model.safetensors`` (the best average weights so far),
    ``last.ckpt`` (to continue), ``validation.json`` (of these weights), ``config.yaml`` and
    curves for TensorBoard. Weights and validation of the last part are copied to ``out``.

    Parameters
    ----------
    parts : sequence of CurriculumPart
        What ``load_config`` returns.
    out : Path
        Folder to write into.
    init : sequence of Path
        Weights that the first part starts from, see ``initial_model``; ignored when going on.
    resume : bool
        Continue the first part that is not finished; the parts after it begin anew.
    log, report : callable
        Called with sentences for the user, and with the progress.

    Returns
    -------
    dict
        ``steps`` of all parts, and of the last part the ``validation`` of its weights and
        ``best``, their mAP on the sequences that every validation takes.

    Raises
    ------
    TrainingConfigError
        The configuration does not fit ``init``, ``last.ckpt`` or the memory of the GPU, or
        ``init`` is a ``last.ckpt`` of a part that begins anew.
    TrainingDataError
        There is nothing to train on.
    TrainingProcessError
        Another of several processes has ended, or one that makes batches; the training goes on
        when it is repeated.

    """
    if is_main_process():
        os.environ[_MAIN_PROCESS] = str(os.getpid())
    else:
        log = _noop
        if _MAIN_PROCESS in os.environ:
            end_with_parent(int(os.environ[_MAIN_PROCESS]))
    first = _count_finished(parts, out) if resume else 0
    if is_main_process():
        left = parts[first:]
        for part in left:
            check(part.config)
        for part in left[1:]:
            if not part.init:  # its weights can be refused now instead of after hours
                initial_model(part.config, init, _noop)
        _remove_checkpoints([out / part.name / LAST for part in left[1:]], init)
    if first == len(parts):
        log(f'{out}: is finished, nothing is left to train')
    for number, part in enumerate(parts[first:], start=first):
        if part.name:
            log(f'part {number + 1} of {len(parts)}: {part.name}')
        given = [out / name / LAST for name in part.init] or init
        resumed = resume and number == first and (out / part.name / LAST).is_file()
        _train_part(part.config, out / part.name, None if resumed else given, log, report)
    return _finish(parts, out)


def _finish(parts: Sequence[CurriculumPart], out: Path) -> dict[str, Any]:
    """Copy the results of the last part to ``out``; return the summary."""
    last = out / parts[-1].name
    validation = last / 'validation.json'
    if is_main_process() and last != out:
        (out / validation.name).unlink(missing_ok=True)  # of the weights before
        for path in (last / 'model.safetensors', validation):
            if path.is_file():
                write_file(out / path.name, path.read_bytes())
    checkpoints = [_read(out / part.name / LAST, part.config) for part in parts]
    best = checkpoints[-1].best
    return {
        'steps': sum(checkpoint.steps for checkpoint in checkpoints),
        'best': best if best > 0 else None,
        'validation': _read_validation(validation) if validation.is_file() else None,
    }


def _read_validation(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise TrainingDataError(
            f'{path}: is not the JSON that a training writes ({error}); delete it, the trained '
            'weights beside it do not need it'
        ) from error


def _count_finished(parts: Sequence[CurriculumPart], out: Path) -> int:
    """Return how many parts, from the first one on, are finished."""
    for number, part in enumerate(parts):
        last, steps = out / part.name / LAST, part.config.optimizer.max_steps
        if not last.is_file():
            return number
        found = _read(last, part.config)
        if found.steps < steps:
            return number
        if found.steps < found.max_steps:  # there was no last validation
            raise TrainingConfigError(
                f'{last}: is of step {found.steps} of {found.max_steps}, but optimizer.max_steps '
                f'is {steps} now; set it to more than {found.steps} so that the training comes to '
                'its end, or begin anew with --resume never'
            )
    return len(parts)


def _remove_checkpoints(paths: Sequence[Path], init: Sequence[Path]) -> None:
    """Remove the checkpoints of parts that begin anew, so that none of them counts as finished."""
    given = [path.resolve() for path in init]
    for path in paths:
        if path.resolve() in given:
            raise TrainingConfigError(
                f'{path}: is given as --init, but its part begins anew, which removes it; copy it '
                'to another place'
            )
    for path in paths:
        path.unlink(missing_ok=True)


def _train_part(
    config: TrainingConfig,
    out: Path,
    init: Sequence[Path] | None,
    log: Callable[[str], None],
    report: Report,
) -> None:
    """Train from ``init``, or go on behind the checkpoint in ``out`` if that is ``None``."""
    last, done = out / LAST, 0
    if init is None:
        log(f'goes on from {last}')
        done = _read(last, config).steps
    model = initial_model(config, init, log)
    with contextlib.ExitStack() as stack:
        if is_main_process():
            out.mkdir(parents=True, exist_ok=True)
            if init is not None:
                (out / 'validation.json').unlink(missing_ok=True)
                if last.resolve() not in [path.resolve() for path in init]:
                    last.unlink(missing_ok=True)  # of a training before
            write_file(out / 'config.yaml', yaml.safe_dump(config.as_dict(), sort_keys=False))
            stack.enter_context(prepare(config, log))
        # Lightning repeats our own lines, and gives advice
        for name in ('lightning.pytorch', 'lightning.fabric'):
            logging.getLogger(name).setLevel(logging.ERROR)
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings('ignore', module='lightning')
        # What was lost in a kill is not shown twice in the curves
        logger = TensorBoardLogger(out, name='', version='curves', purge_step=done + 1)
        trainer = _trainer(config, logger, TrainingCallback(config, out, log, report), log)
        try:
            trainer.fit(
                DetectionTraining(model.train(), config),
                ckpt_path=last if init is None else None,
                weights_only=True,
            )
        except SystemExit as error:
            end_quietly()
            if error.code == 1:  # what Lightning makes of ^C
                raise KeyboardInterrupt from error
            raise
        except torch.cuda.OutOfMemoryError as error:
            reason = str(error).partition('. ')[0]
            raise TrainingConfigError(
                f'{out}: the memory of the GPU is too small ({reason}); set '
                'streams.streams or streams.windows to less, or take a smaller network'
            ) from error
        except RuntimeError as error:
            if _LOST_LOADER in str(error):
                raise TrainingProcessError(
                    f'{out}: a process that makes batches was killed ({error}); give more memory, '
                    'in a container more shared memory as well (docker run --shm-size 2g). The '
                    'same command goes on from the last checkpoint'
                ) from error
            if _LOST_PEER not in str(error):
                raise
            end_quietly()
            raise TrainingProcessError(f'{out}: {LOST_PROCESS}') from error


def _trainer(
    config: TrainingConfig,
    logger: TensorBoardLogger,
    callback: TrainingCallback,
    log: Callable[[str], None],
) -> Trainer:
    hardware = config.hardware
    accelerator, devices = hardware.accelerator, hardware.devices
    if accelerator == 'auto':
        accelerator = 'gpu' if torch.cuda.is_available() else 'cpu'
    if accelerator == 'gpu':
        found = torch.cuda.device_count()
        if found == 0:
            raise TrainingConfigError(
                'hardware.accelerator is gpu, but PyTorch finds none that it can use; set it to '
                'cpu or auto'
            )
        if found < devices:
            log(f'{found} GPU instead of the {devices} devices of the configuration')
            devices = found
    precision = hardware.precision
    if precision == 'auto':
        native = has_native_bfloat16('cuda' if accelerator == 'gpu' else 'cpu')
        precision = 'bf16' if native else 'fp32'
        log(f'precision {precision}: bfloat16 is {"" if native else "not "}native on this machine')
    strategy: Any = 'auto'
    if devices > 1:
        strategy = DDPStrategy(
            broadcast_buffers=False,  # batch norms are estimated anew before they are used
            gradient_as_bucket_view=True,
            timeout=timedelta(days=7),  # the main process may have to simulate the next part
        )
    return Trainer(
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        precision='bf16-mixed' if precision == 'bf16' else '32-true',
        max_steps=config.optimizer.max_steps,
        max_epochs=-1,
        logger=logger,
        callbacks=[callback],
        # Else a job of SLURM that was not begun by srun trains in one process, or not at all
        plugins=[LightningEnvironment()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=config.log_every,
        limit_val_batches=0,
    )


def _read(path: Path, config: TrainingConfig) -> TrainingCheckpoint:
    """Return the content of a checkpoint; refuse one of another network."""
    found, wanted = read_checkpoint(path), config.network()
    if found is None:
        raise TrainingConfigError(
            f'{path}: is not an intact checkpoint of a training; delete it, or train into another '
            'folder with --out'
        )
    names = [item.name for item in fields(wanted)]
    different = [name for name in names if getattr(found.network, name) != getattr(wanted, name)]
    if different:
        raise TrainingConfigError(
            f'{path}: is of another network ({", ".join(different)} differ); train into '
            'another folder with --out, or begin anew with --resume never'
        )
    return found
