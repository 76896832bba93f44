# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The settings of a training; ``training/config/default.yaml`` explains every key.

``config_file`` reads them from YAML.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
import json
import math
from typing import Any

from sast_ros.defaults import MAX_THREADS
from sast_ros.model import SAST
from sast_ros.model.config import CONFIGS, model_config, ModelConfig
import torch


def _number(default: float, low: float, high: float = math.inf) -> Any:
    allowed = f'at least {low:g}' if high == math.inf else f'{low:g} to {high:g}'
    return field(
        default=default, metadata={'allowed': allowed, 'valid': lambda value: low <= value <= high}
    )


def _choice(default: str, *names: str) -> Any:
    allowed = f'one of {", ".join(names)}'
    return field(default=default, metadata={'allowed': allowed, 'valid': names.__contains__})


@dataclass(frozen=True)
class NetworkConfig:
    """The network to train, and where its token selection begins."""

    name: str = _choice('gen1-tiny', *CONFIGS)
    classes: tuple[str, ...] = ('pedestrian', 'two-wheeler', 'car')
    layer_scale: float = _number(0.1, 1e-9, 10)
    contrast: float = _number(1.0, 1e-3, 1e3)


@dataclass(frozen=True)
class SimulationConfig:
    """Simulated sequences, if ``data.kind`` is ``simulation``."""

    sequences: int = _number(1600, 1)
    validation_sequences: int = _number(60, 0)
    seconds: float = _number(1.2, 0.1, 86_400)
    seed: int = _number(1, 0)
    validation_seed: int = _number(1_000_000, 0)
    geometries: dict[str, float] = field(default_factory=lambda: {'gen1': 1.0})
    scenes: dict[str, float] = field(default_factory=lambda: {'street': 0.7, 'near': 0.3})
    motion: str | None = None
    models: str | None = None
    windows: dict[str, float] = field(
        default_factory=lambda: {'50/50': 0.5, '50/25-125': 0.2, '20-100/25-125': 0.3}
    )
    validation_windows: dict[str, float] = field(default_factory=dict)
    workers: int = _number(0, 0, 1024)
    start_with: int = _number(1600, 1)


@dataclass(frozen=True)
class DataConfig:
    """Where sequences come from."""

    kind: str = _choice('simulation', 'simulation', 'cache', 'prophesee', 'rvt', 'bags')
    cache: str = 'out/train/cache'
    source: str | None = None
    topic: str | None = None
    source_classes: tuple[str, ...] | None = None
    window_ms: float = _number(50.0, 1, 10_000)
    stride_ms: float = _number(50.0, 1, 10_000)
    simulation: SimulationConfig = field(default_factory=SimulationConfig)


@dataclass(frozen=True)
class StreamsConfig:
    """What a step sees."""

    streams: int = _number(4, 1)
    windows: int = _number(2, 1)
    random_share: float = _number(0.5, 0, 1)
    random_windows: tuple[int, int] = (8, 24)


@dataclass(frozen=True)
class AugmentationConfig:
    """How a clip is varied."""

    flip: float = _number(0.5, 0, 1)
    invert: float = _number(0.05, 0, 1)
    zoom_in: float = _number(0.25, 0, 1)
    zoom_in_most: float = _number(1.6, 1, 4)
    zoom_out: float = _number(0.25, 0, 1)
    zoom_out_least: float = _number(0.5, 0.1, 1)
    translation: float = _number(0.05, 0, 0.5)
    skip: float = _number(0.1, 0, 1)
    skip_most_ms: float = _number(125.0, 1, 10_000)
    noise: float = _number(0.0, 0, 1)
    noise_least_hz: float = _number(0.3, 0.001, 100)
    noise_most_hz: float = _number(10.0, 0.001, 100)


@dataclass(frozen=True)
class SelectionConfig:
    """What the token selection learns, and the selections that the network sees."""

    loss_weight: float = _number(0.0, 0, 100)
    stages: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    budget: tuple[float, float, float, float] = (0.25, 0.4, 0.6, 0.8)
    budget_weight: float = _number(1.0, 0, 100)
    anneal: float = _number(0.5, 0, 1)
    dense_share: float = _number(0.0, 0, 1)
    budget_share: float = _number(0.0, 0, 1)
    budget_most: float = _number(30.0, 1, 1e4)


@dataclass(frozen=True)
class LossConfig:
    """Terms of the loss of the detections that the published one has not."""

    score_weight: float = _number(0.0, 0, 100)


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with one cycle of the learning rate, and the average of the weights."""

    trained: tuple[str, ...] = ()
    max_steps: int = _number(11_000, 1)
    learning_rate: float = _number(1e-3, 1e-8, 1)
    warmup: float = _number(0.04, 0, 1)
    weight_decay: float = _number(0.01, 0, 1)
    gradient_clip: float = _number(10.0, 1e-3)
    ema_decay: float = _number(0.999, 0, 1)


@dataclass(frozen=True)
class HardwareConfig:
    """Processes, threads and precision."""

    accelerator: str = _choice('auto', 'auto', 'cpu', 'gpu')
    devices: int = _number(2, 1, 1024)
    threads: int = _number(1, 0, MAX_THREADS)
    precision: str = _choice('auto', 'auto', 'bf16', 'fp32')


@dataclass(frozen=True)
class CheckpointConfig:
    """How often a checkpoint is written, and the precision of the exported weights."""

    every_steps: int = _number(200, 1)
    export: str = _choice('fp16', 'fp16', 'fp32')


@dataclass(frozen=True)
class ValidationConfig:
    """How the average weights are validated."""

    every_steps: int = _number(3000, 1)
    sequences: int = _number(60, 1)
    score_threshold: float = _number(0.01, 0, 1)
    batch_norm_windows: int = _number(1600, 0)


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of one training."""

    model: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    streams: StreamsConfig = field(default_factory=StreamsConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    seed: int = _number(1, 0, 1e15)  # PyTorch takes no more than 64 bits
    log_every: int = _number(50, 1)

    def network(self) -> ModelConfig:
        """Return the configuration of the network, with the windows that it is trained on."""
        return model_config(
            self.model.name,
            classes=self.model.classes,
            layer_scale=self.model.layer_scale,
            window_ms=self.data.window_ms,
            stride_ms=self.data.stride_ms,
        )

    def source_classes(self) -> tuple[str, ...]:
        """Return the class names of foreign labels, in class-id order."""
        return self.data.source_classes or model_config(self.model.name).classes

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, fit for YAML and JSON."""
        return json.loads(json.dumps(asdict(self)))

    def contradictions(self) -> Iterator[str]:
        """Yield what is wrong with values that are possible one by one."""
        names, data, varied = self.model.classes, self.data, self.augmentation
        if not names or len(set(names)) != len(names):
            yield f'model.classes is {list(names)}; it must be at least one name, each only once'
        low, high = self.streams.random_windows
        if not self.streams.windows <= low <= high:
            yield (
                f'streams.random_windows is [{low}, {high}]; it must be the smallest and the '
                f'largest length of a clip, at least streams.windows ({self.streams.windows})'
            )
        if varied.zoom_in + varied.zoom_out > 1:
            yield (
                f'augmentation.zoom_in and augmentation.zoom_out are {varied.zoom_in:g} and '
                f'{varied.zoom_out:g}; their sum must be at most 1, because one of them happens'
            )
        if varied.noise_least_hz > varied.noise_most_hz:
            yield (
                f'augmentation.noise_least_hz is {varied.noise_least_hz:g}; it must be at most '
                f'augmentation.noise_most_hz ({varied.noise_most_hz:g})'
            )
        yield from self._wrong_selection()
        yield from self._wrong_weights()
        if data.kind in ('prophesee', 'rvt', 'bags') and data.source is None:
            yield f'data.source is missing; data.kind {data.kind} needs the folder of the data set'
        simulation = data.simulation
        if simulation.start_with > simulation.sequences:
            yield (
                f'data.simulation.start_with is {simulation.start_with}; it must be at most '
                f'data.simulation.sequences ({simulation.sequences})'
            )
        for name in ('geometries', 'scenes', 'windows', 'validation_windows'):
            shares = getattr(simulation, name)
            none = name.endswith('windows') and not shares  # then those of data
            possible = none or 0 < sum(shares.values()) < math.inf
            if min(shares.values(), default=0) < 0 or not possible:
                yield (
                    f'data.simulation.{name} is {shares}; each share must be at least 0, and one '
                    'of them more'
                )

    def trained_weights(self, names: Iterable[str]) -> set[str]:
        """Return which of the names of parameters ``optimizer.trained`` means."""
        patterns = self.optimizer.trained or ('*',)
        return {name for name in names if any(fnmatchcase(name, part) for part in patterns)}

    def _wrong_weights(self) -> Iterator[str]:
        if not self.optimizer.trained:
            return
        with torch.device('meta'):
            network = SAST(model_config(self.model.name))
        names = [name for name, _ in network.named_parameters()]
        for pattern in self.optimizer.trained:
            if not any(fnmatchcase(name, pattern) for name in names):
                yield (
                    f'optimizer.trained has {pattern!r}, which no weight of {self.model.name} is '
                    'called; give names or patterns such as yolox_head.* or fpn.*'
                )
        backbone = [name for name in self.trained_weights(names) if name.startswith('backbone.')]
        if self.selection.loss_weight and not backbone:
            yield (
                f'selection.loss_weight is {self.selection.loss_weight:g}, but optimizer.trained '
                'has no weights of the backbone, whose scores it is on; set it to 0'
            )

    def _wrong_selection(self) -> Iterator[str]:
        chosen = self.selection
        if min(chosen.stages) < 0:
            yield f'selection.stages is {list(chosen.stages)}; each weight must be at least 0'
        if not 0 < min(chosen.budget) <= max(chosen.budget) <= 1:
            yield (
                f'selection.budget is {list(chosen.budget)}; each share must be more than 0 and '
                'at most 1'
            )
        if chosen.dense_share + chosen.budget_share > 1:
            yield (
                f'selection.dense_share is {chosen.dense_share:g} and selection.budget_share '
                f'{chosen.budget_share:g}; their sum must be at most 1, shares of the steps'
            )
