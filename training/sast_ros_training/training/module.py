# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The training step and the validation, for PyTorch Lightning."""

from __future__ import annotations

from collections.abc import Iterator
import math
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from sast_ros.detector import StreamingDetector
from sast_ros.model import detection_loss, SAST, save_model, StepOutput
from sast_ros.model.backbone import State
from sast_ros.model.selection_loss import selection_loss, SelectionLoss, token_targets
from sast_ros_training.training.averages import estimate_batch_norms, sample_windows, WeightAverage
from sast_ros_training.training.cache import CachedSequence, list_sequences
from sast_ros_training.training.checkpoint import CHECKPOINT_KEY
from sast_ros_training.training.config import TrainingConfig
from sast_ros_training.training.errors import TrainingConfigError, TrainingDivergedError
from sast_ros_training.training.hardware import attention_backend
from sast_ros_training.training.selection import allowed_shares, draw_selection
from sast_ros_training.training.streams import Batch, StreamLoader
from sast_ros_training.training.validation import (
    calibrate_scores,
    MAX_DETECTIONS,
    run_sequence,
    summarise,
)
import torch
from torch import Tensor
import torch.distributed as distributed

#: Processes that make the batches of a GPU: with one, an H200 waits two thirds of the time.
_LOADERS = 4
#: So many steps in a row without a finite gradient end a training.
_MOST_SKIPPED = 20


class DetectionTraining(LightningModule):
    """Train a network, in training mode, on streams of windows."""

    def __init__(self, model: SAST, config: TrainingConfig) -> None:
        super().__init__()
        self.model = model
        for name, weight in model.named_parameters():
            # Like the feature maps. The LSTM uses its kernel as a matrix, as does its gradient.
            if weight.ndim == 4 and 'conv1x1' not in name:
                weight.data = weight.data.to(memory_format=torch.channels_last)
        trained = config.trained_weights(name for name, _ in model.named_parameters())
        for name, weight in model.named_parameters():
            weight.requires_grad_(name in trained)
        self.average = WeightAverage(self.model, config.optimizer.ema_decay)
        self._settings = config
        self._folder = Path(config.data.cache)
        self._states: list[State] | None = None
        self._positions: list[dict[str, Any]] = []
        #: Best mAP so far, on the held-out sequences of these names.
        self.best = -math.inf
        self._compared: list[str] = []
        #: Step at which the cycle of the learning rate began.
        self._cycle_start = 0
        self._losses: dict[str, list[Tensor]] = {}
        #: Steps without a finite gradient, in a row and since the losses were taken.
        self._skipped = self._skipped_lately = 0

    # ----------------------------------------------------------------------------------- training

    def setup(self, stage: str) -> None:
        if self._settings.hardware.threads:
            torch.set_num_threads(self._settings.hardware.threads)

    def on_fit_start(self) -> None:
        self.average.model.to(self.device)  # not a part of this module
        if self._settings.optimizer.trained:  # then statistics remain, too
            for norm in self._batch_norms():
                norm.eval()

    def _batch_norms(self) -> Iterator[torch.nn.BatchNorm2d]:
        for module in self.model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                yield module

    def train_dataloader(self) -> StreamLoader:
        processes = _LOADERS if self.device.type == 'cuda' else 0
        loader = StreamLoader(
            self._folder / 'train', self._settings, self.global_rank, _world(), processes
        )
        if self._positions and not loader.seek(self._positions):
            self._states = None
        return loader

    def configure_optimizers(self) -> torch.optim.Optimizer:
        settings = self._settings.optimizer
        # Matrices decay; norms, biases, scales (all vectors) and to_controls, whose exponential is
        # a gain, do not.
        decaying: list[Tensor] = []
        free: list[Tensor] = []
        for name, weight in self.model.named_parameters():
            if not weight.requires_grad:
                continue
            (decaying if weight.ndim >= 2 and 'to_controls' not in name else free).append(weight)
        groups = [
            {'params': decaying, 'weight_decay': settings.weight_decay},
            {'params': free, 'weight_decay': 0.0},
        ]
        groups = [group for group in groups if group['params']]
        return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # A function of the step alone: a resumed training needs no memory of its schedule.
        settings = self._settings.optimizer
        share = one_cycle(self._progress(), settings.warmup)
        for group in self.trainer.optimizers[0].param_groups:
            group['lr'] = share * settings.learning_rate

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        states = self._states
        if states is not None:
            kept = (~batch.fresh)[:, None, None, None]
            states = [(h.to(kept.device) * kept, c.to(kept.device) * kept) for h, c in states]
        published = draw_selection(self._settings, self.global_step, self.model)
        with attention_backend():
            output = self.model.forward_windows(batch.histograms, states)
        self._states = [(h.detach(), c.detach()) for h, c in output.states]
        self._positions = batch.positions
        head, rows = output.head, batch.labelled
        if len(rows) < len(head):
            head = head[rows]
        # Also without labelled windows: processes share its divisor, and DDP expects a gradient
        # of every weight
        loss = detection_loss(
            head,
            batch.labels[rows],
            output.input_size,
            batch.ignored[rows],
            self._settings.loss.score_weight,
        )
        total = loss.total
        if len(rows) == 0:
            return total
        if published and self._settings.selection.loss_weight:
            selected = self._selection_loss(output, batch)
            total = total + self._settings.selection.loss_weight * selected.total
            self._note(
                selection=selected.total,
                kept_inside=selected.kept_inside[0],
                kept_outside=selected.kept_outside[0],
            )
        self._note(loss=total, box=loss.box, objectness=loss.objectness, classes=loss.classes)
        if self._settings.loss.score_weight:
            self._note(scores=loss.scores)
        return total

    def _selection_loss(self, output: StepOutput, batch: Batch) -> SelectionLoss:
        """Return the loss of the scores in labelled windows."""
        rows, settings = batch.labelled, self._settings.selection
        targets = token_targets(
            batch.histograms.flatten(0, 1)[rows], batch.labels[rows], batch.ignored[rows]
        )
        return selection_loss(
            [scores[rows] for scores in output.scores],
            targets,
            self.model.config.partitions(output.input_size),
            self.model.control.bounce,
            settings.stages,
            allowed_shares(settings, self._progress()),
            settings.budget_weight,
        )

    def _progress(self) -> float:
        """Return the share of the cycle that is done."""
        length = max(1, self._settings.optimizer.max_steps - self._cycle_start)
        return (self.global_step - self._cycle_start) / length

    def _note(self, **values: Tensor) -> None:
        for name, value in values.items():
            self._losses.setdefault(name, []).append(value.detach())

    def configure_gradient_clipping(self, *arguments: Any, **keywords: Any) -> None:
        # Lightning's own clipping refuses fused optimizers, because of gradients scaled for fp16
        clip = self._settings.optimizer.gradient_clip
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        if bool(norm.isfinite()):  # the same in all processes
            self._skipped = 0
        else:
            self._skip_step()

    def _skip_step(self) -> None:
        """Leave the weights as they are, and forget what this step has left elsewhere."""
        self._skipped += 1
        self._skipped_lately += 1
        if self._skipped >= _MOST_SKIPPED:
            raise TrainingDivergedError(
                f'step {self.global_step}: the gradients of {self._skipped} steps in a row are '
                'not finite; go on from the last checkpoint with a lower optimizer.learning_rate, '
                'or with hardware.precision fp32'
            )
        for weight in self.model.parameters():
            weight.grad = None  # the optimizer passes over it
        self._states = None
        for norm in self._batch_norms():
            if norm.training:
                norm.reset_running_stats()

    def optimizer_step(self, *arguments: Any, **keywords: Any) -> None:
        super().optimizer_step(*arguments, **keywords)
        self.average.update(self.model)

    def take_losses(self) -> dict[str, float]:
        """
        Return the mean losses of this process since the last call.

        ``skipped``, if there is any, is the number of steps without a finite gradient.
        """
        noted, self._losses = self._losses, {}
        losses = {name: float(torch.stack(values).nanmean()) for name, values in noted.items()}
        skipped, self._skipped_lately = self._skipped_lately, 0
        return losses | ({'skipped': skipped} if skipped else {})

    # --------------------------------------------------------------------------------- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        states = None
        if self._states is not None:
            states = [[part.cpu() for part in pair] for pair in self._states]
        checkpoint[CHECKPOINT_KEY] = {
            'streams': _gather({'positions': self._positions, 'states': states}),
            'average': self.average.state_dict(),
            'best': self.best,
            'compared': self._compared,
            'cycle_start': self._cycle_start,
            'max_steps': self._settings.optimizer.max_steps,
            'trained': list(self._settings.optimizer.trained),
            'model': self.model.config.as_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        kept = checkpoint[CHECKPOINT_KEY]
        before, now = kept.get('trained', []), list(self._settings.optimizer.trained)
        if before != now:
            raise TrainingConfigError(
                f'optimizer.trained is {now}, but was {before} until step '
                f'{checkpoint["global_step"]}; train into another folder with --out and begin '
                'with the weights of this one (--init), or begin anew with --resume never'
            )
        self.average.load_state_dict(kept['average'])
        self.best, self._compared = kept['best'], kept.get('compared', [])
        finished = checkpoint['global_step'] >= kept['max_steps']
        self._cycle_start = checkpoint['global_step'] if finished else kept['cycle_start']
        streams = kept['streams']
        # With another number of processes the streams begin anew
        if len(streams) == _world():
            mine = streams[self.global_rank]
            self._positions, self._states = mine['positions'], mine['states']

    # ---------------------------------------------------------------------------------- validation

    def validate_average(self) -> tuple[dict[str, Any] | None, bool]:
        """
        Validate the average weights on held-out sequences, all processes together.

        The calibration of their scores is fitted to the same sequences. The last validation takes
        more of them; weights are compared by the mAP on those that every validation takes.

        Returns the result of ``summarise``, None if there are no such sequences, and whether no
        weights before were better.
        """
        model, settings = self.average.model, self._settings.validation
        model.calibration = None  # of the weights before
        if not self._settings.optimizer.trained:
            mine = self._share(list_sequences(self._folder / 'train'))
            windows = -(-settings.batch_norm_windows // _world())
            estimate_batch_norms(model, sample_windows(mine, model.config, windows))
        paths = list_sequences(self._folder / 'validation')
        # Spread over all, whatever their order
        some = paths[:: max(1, -(-len(paths) // settings.sequences))]
        compared = [path.name for path in some]
        if compared != self._compared:
            self.best, self._compared = -math.inf, compared
        if not paths:
            return None, True
        if self.global_step < self._settings.optimizer.max_steps:
            paths = some
        detector = StreamingDetector(
            model, settings.score_threshold, max_detections=MAX_DETECTIONS
        )
        own = {
            path.name: run_sequence(detector, _open(path, model)) for path in self._share(paths)
        }
        results = {name: result for part in _gather(own) for name, result in part.items()}
        classes = model.config.classes
        model.calibration = calibrate_scores(results.values(), classes)
        found = summarise(results.values(), classes)
        same = found
        if len(compared) < len(results):
            same = summarise([results[name] for name in compared], classes)
        ap = same['all']['ap'] or 0.0
        better, self.best = ap >= self.best, max(ap, self.best)
        calibration = None if model.calibration is None else model.calibration.as_dict()
        return found | {'calibration': calibration}, better

    def export(self, path: Path) -> None:
        """Write the average weights with the calibration of the last validation."""
        save_model(self.average.model, path, half=self._settings.checkpoint.export == 'fp16')

    def _share(self, paths: list[Path]) -> list[Path]:
        """Return the sequences of this process."""
        rank, world = self.global_rank, _world()
        return paths[rank::world]


def _open(path: Path, model: SAST) -> CachedSequence:
    """Open a sequence of the cache for a network."""
    sequence = CachedSequence(path)
    sequence.require(model.config)
    return sequence


def one_cycle(progress: float, warmup: float) -> float:
    """
    Return the learning rate as share of the highest: linear warm-up, then a cosine to zero.

    ``progress`` is the share of the training that is done, ``warmup`` that of the rise.
    """
    if progress < warmup:
        return max(0.04, progress / warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))


def _world() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _gather(mine: Any) -> list[Any]:
    """Return the objects of all processes."""
    if _world() == 1:
        return [mine]
    everything: list[Any] = [None] * _world()
    distributed.all_gather_object(everything, mine)
    return everything
