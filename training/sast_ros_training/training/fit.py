"""From a configuration to trained weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
import json
import logging
import os
from pathlib import Path
from time import monotonic
from typing import Any
import warnings

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingConfigError
from sast_ros_training.training.initial import initial_model
from sast_ros_training.training.module import CHECKPOINT_KEY, DetectionTraining
from sast_ros_training.training.sources import prepare
import torch
import yaml

#: Called with step, steps in all, and the latest values by name.
Report = Callable[[int, int, dict[str, float]], None]


def is_main_process() -> bool:
    """Return whether this is the process that talks and writes; Lightning starts the others."""
    return int(os.environ.get('LOCAL_RANK', '0')) == 0


def train(
    config: TrainingConfig,
    out: Path,
    *,
    init: Sequence[Path] = (),
    resume: bool = True,
    say: Callable[[str], None] = lambda sentence: None,
    report: Report = lambda step, total, values: None,
) -> dict[str, Any]:
    """
    Train; continue where a killed training of the same folder stopped.

    Writes ``model.safetensors`` (average weights, the best so far by validation), ``last.ckpt``
    (everything that is needed to go on), ``validation.json`` (the last one), ``config.yaml`` and
    the curves for TensorBoard.

    Parameters
    ----------
    config:
        of the training.
    out:
        folder to write into.
    init:
        weights to start from, see ``initial_model``; ignored by a training that goes on.
    resume:
        go on from ``last.ckpt`` if there is one.
    say:
        called with sentences for the user.
    report:
        called with the progress.

    Returns
    -------
    ``steps``, ``best`` (mean average precision, ``None`` without validation) and ``validation``,
    the content of ``validation.json``.

    Raises
    ------
    TrainingConfigError: what the configuration asks for does not fit ``init`` or ``last.ckpt``.
    TrainingDataError: there is nothing to train on.

    """
    last = out / 'last.ckpt'
    checkpoint = last if resume and last.is_file() else None
    done = 0 if checkpoint is None else _steps_done(checkpoint, config)
    out.mkdir(parents=True, exist_ok=True)
    validation = out / 'validation.json'
    with contextlib.ExitStack() as stack:
        if is_main_process():
            if checkpoint is None:
                validation.unlink(missing_ok=True)
            (out / 'config.yaml').write_text(
                yaml.safe_dump(config.as_dict(), sort_keys=False), encoding='utf-8'
            )
            stack.enter_context(prepare(config, say))
        else:
            say = _nobody
        if checkpoint is not None:
            say(f'goes on from {checkpoint}')
            init = ()
        model = initial_model(config, init, say)
        module = DetectionTraining(model.train(), config, out)
        watch = Watch(config, out, last, say, report)
        with _quiet():
            # Of what was lost in a kill, the curves are not shown twice
            logger = TensorBoardLogger(out, name='', version='curves', purge_step=done + 1)
            trainer = _trainer(config, logger, watch, say)
            trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
    return {
        'steps': trainer.global_step,
        'best': module.best if module.best > 0 else None,
        'validation': json.loads(validation.read_text()) if validation.is_file() else None,
    }


class Watch(Callback):
    """
    Report, validate and keep checkpoints, in this order, behind a step.

    Parameters
    ----------
    config: of the training.
    out: folder to write into.
    last: the checkpoint that is replaced again and again.
    say, report: see ``train``.

    """

    def __init__(
        self,
        config: TrainingConfig,
        out: Path,
        last: Path,
        say: Callable[[str], None],
        report: Report,
    ) -> None:
        self._config, self._out, self._last = config, out, last
        self._say, self._report = say, report
        self._since = monotonic()
        self._steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = monotonic()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, DetectionTraining)
        step, total = trainer.global_step, self._config.optimizer.max_steps
        ended = step >= total
        self._steps += 1
        if step % self._config.log_every == 0 or ended:
            self._log(trainer, pl_module, step, total)
        if step % self._config.validation.every_steps == 0 or ended:
            self._validate(trainer, pl_module, step)
            self._since, self._steps = monotonic(), 0
        if step % self._config.checkpoint.every_steps == 0 or ended:
            partial = self._last.with_name(f'{self._last.name}.part')
            trainer.save_checkpoint(partial)
            if trainer.is_global_zero:
                os.replace(partial, self._last)

    def _log(self, trainer: Trainer, module: DetectionTraining, step: int, total: int) -> None:
        losses = module.take_losses()
        if not trainer.is_global_zero:
            return
        streams = self._config.streams
        windows = self._steps * streams.streams * streams.windows * trainer.world_size
        rate = trainer.optimizers[0].param_groups[0]['lr']
        values = {**losses, 'learning_rate': rate, 'windows_per_second': self._speed(windows)}
        if trainer.logger is not None:
            trainer.logger.log_metrics({f'train/{k}': v for k, v in values.items()}, step)
        self._since, self._steps = monotonic(), 0
        self._report(step, total, values)

    def _speed(self, windows: int) -> float:
        return windows / max(1e-9, monotonic() - self._since)

    def _validate(self, trainer: Trainer, module: DetectionTraining, step: int) -> None:
        found = module.validate_average()
        ap = 0.0 if found is None else found['all']['ap'] or 0.0
        better = found is None or ap >= module.best
        module.best = max(module.best, ap)
        if not trainer.is_global_zero:
            return
        if better:
            module.export()
        if found is None:
            return
        text = json.dumps({'step': step, **found}, indent=2)
        partial = self._out / 'validation.json.part'
        partial.write_text(text + '\n', encoding='utf-8')
        os.replace(partial, self._out / 'validation.json')
        if trainer.logger is not None:
            curves = {f'validation/{name}': found['all'][name] for name in ('ap', 'ap50', 'ap75')}
            for name, values in found['all']['by_class'].items():
                curves[f'validation/ap50/{name}'] = values['ap50']
            trainer.logger.log_metrics({k: v for k, v in curves.items() if v is not None}, step)
        self._say(f'step {step}: {describe(found)}{", best so far" * better}')


def describe(validation: dict[str, Any]) -> str:
    """Return a validation in one line."""

    def text(value: float | None) -> str:
        return '-' if value is None else f'{value:.3f}'

    whole = validation['all']
    classes = ', '.join(
        f'{name} {text(values["ap50"])}' for name, values in whole['by_class'].items()
    )
    motions = ', '.join(
        f'{name} {text(values["ap50"])}' for name, values in validation['by_motion'].items()
    )
    line = f'mAP {text(whole["ap"])}, AP50 {text(whole["ap50"])} ({classes})'
    return line + (f', AP50 by camera: {motions}' if motions else '')


def _trainer(
    config: TrainingConfig, logger: TensorBoardLogger, watch: Watch, say: Callable[[str], None]
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
            say(f'{found} GPU instead of the {devices} devices of the configuration')
            devices = found
    strategy: Any = 'auto'
    if devices > 1:
        # Statistics of batch norms are estimated anew before they are used
        strategy = DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    return Trainer(
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        precision='bf16-mixed' if hardware.precision == 'bf16' else '32-true',
        max_steps=config.optimizer.max_steps,
        max_epochs=-1,
        logger=logger,
        callbacks=[watch],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=config.log_every,
        limit_val_batches=0,
    )


@contextlib.contextmanager
def _quiet():
    """Keep Lightning from telling what our own lines tell, and from giving advice."""
    names = ('lightning.pytorch', 'lightning.fabric')
    levels = [logging.getLogger(name).level for name in names]
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', module='lightning')
            yield
    finally:
        for name, level in zip(names, levels):
            logging.getLogger(name).setLevel(level)


def _steps_done(checkpoint: Path, config: TrainingConfig) -> int:
    """Return the steps of a checkpoint; refuse one of another network."""
    try:
        content = torch.load(checkpoint, map_location='cpu', weights_only=True, mmap=True)
        found, steps = content[CHECKPOINT_KEY]['model'], content['global_step']
    except Exception as error:
        raise TrainingConfigError(
            f'{checkpoint}: is no intact checkpoint of a training ({error}); delete it, or train '
            'into another folder with --out'
        ) from error
    wanted = config.network().as_dict()
    different = [name for name in wanted if _plain(wanted[name]) != _plain(found.get(name))]
    if different:
        raise TrainingConfigError(
            f'{checkpoint}: is of another network ({", ".join(different)} differ); train into '
            'another folder with --out, or begin anew with --resume never'
        )
    return steps


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _nobody(sentence: str) -> None:
    """Say nothing."""
