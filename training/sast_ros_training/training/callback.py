# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What happens behind a training step: log, validate, write a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import signal
from threading import current_thread, Event, main_thread
from time import monotonic
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from sast_ros.output import write_file
from sast_ros_training.training.checkpoint import LAST
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.module import DetectionTraining
from sast_ros_training.training.processes import end_with_children
from sast_ros_training.training.validation import describe

#: Called with step, steps in all, and the latest values by name.
Report = Callable[[int, int, dict[str, float]], None]


class TrainingCallback(Callback):
    """Log, validate and write checkpoints into ``out``, in this order."""

    def __init__(
        self, config: TrainingConfig, out: Path, log: Callable[[str], None], report: Report
    ) -> None:
        self._config, self._out, self._log, self._report = config, out, log, report
        self._since = monotonic()
        self._steps = 0
        self._ends = Event()
        # None for a handler that is not of Python
        self._on_sigterm = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if current_thread() is main_thread():
            # Lightning's handler waits for the other processes, which may wait for this one
            signal.signal(signal.SIGTERM, self._on_sigterm)
        self._since = monotonic()
        started = getattr(trainer.strategy.launcher, 'procs', ())
        self._ends = end_with_children(started, lambda text: self._log(f'{self._out}: {text}'))

    def on_exception(self, *arguments: Any) -> None:
        self._ends.set()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *arguments: Any
    ) -> None:
        assert isinstance(pl_module, DetectionTraining)
        step, config = trainer.global_step, self._config
        ended = step >= config.optimizer.max_steps
        self._steps += 1
        if step % config.log_every == 0 or ended:
            self._log_losses(trainer, pl_module, step)
        if step % config.validation.every_steps == 0 or ended:
            self._validate(trainer, pl_module, step)
            self._since, self._steps = monotonic(), 0
        if step % config.checkpoint.every_steps == 0 or ended:
            partial = self._out / f'{LAST}.part'
            try:
                trainer.save_checkpoint(partial)
                if trainer.is_global_zero:
                    os.replace(partial, self._out / LAST)
            except BaseException as error:  # a full disk needs the room
                partial.unlink(missing_ok=True)
                if isinstance(error, OSError) and error.filename is None:
                    raise OSError(error.errno, error.strerror, str(partial)) from error
                raise
            # The next part of a curriculum begins with this file, in every process
            trainer.strategy.barrier()

    def _log_losses(self, trainer: Trainer, module: DetectionTraining, step: int) -> None:
        losses = module.take_losses()
        if not trainer.is_global_zero:
            return
        streams = self._config.streams
        windows = self._steps * streams.streams * streams.windows * trainer.world_size
        values = {
            **losses,
            'learning_rate': trainer.optimizers[0].param_groups[0]['lr'],
            'windows_per_second': windows / max(1e-9, monotonic() - self._since),
        }
        assert trainer.logger is not None
        trainer.logger.log_metrics({f'train/{k}': v for k, v in values.items()}, step)
        self._since, self._steps = monotonic(), 0
        self._report(step, self._config.optimizer.max_steps, values)

    def _validate(self, trainer: Trainer, module: DetectionTraining, step: int) -> None:
        found, better = module.validate_average()
        if not trainer.is_global_zero:
            return
        if better:
            validation = self._out / 'validation.json'
            validation.unlink(missing_ok=True)  # never beside weights that it does not describe
            module.export(self._out / 'model.safetensors')
            if found is not None:
                write_file(validation, json.dumps({'step': step, **found}, indent=2) + '\n')
        if found is None:
            return
        curves = {f'validation/{name}': found['all'][name] for name in ('ap', 'ap50', 'ap75')}
        for name, values in found['all']['by_class'].items():
            curves[f'validation/ap50/{name}'] = values['ap50']
        assert trainer.logger is not None
        trainer.logger.log_metrics({k: v for k, v in curves.items() if v is not None}, step)
        self._log(f'step {step}: {describe(found["all"])}{", best so far" * better}')
        for motion, metrics in found['by_motion'].items():
            self._log(f'  {motion}: {describe(metrics)}')
        by_windows = found['by_windows']
        for windows, metrics in by_windows.items() if len(by_windows) > 1 else ():
            self._log(f'  windows of {windows} ms: {describe(metrics)}')
