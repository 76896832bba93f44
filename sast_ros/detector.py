"""Streaming detector: one histogram in, detections out, the recurrent state kept inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import math
import time
from typing import Any

import numpy as np
from sast_ros import defaults
from sast_ros.detections import Detections, DetectorError, StageShare
from sast_ros.errors import SettingError
from sast_ros.model import SAST
from sast_ros.model.backbone import State
from sast_ros.model.inference import Engine
from sast_ros.model.inference.postprocess import probabilities, select_boxes
from sast_ros.model.sast import StepOutput
from sast_ros.model.selection import Selection
import torch
from torch import Tensor

SPARSITY_MODES = ('adaptive', 'dense', 'budget')
PRECISIONS = ('float32', 'bfloat16')


@dataclass(slots=True)
class SparsityBudget:
    """
    Closed loop that keeps the step time under a budget by selecting fewer tokens.

    The published AMP is the upper bound of the work: while the smoothed step time exceeds the
    budget, AMP rises (sharper selection, fewer tokens) in proportion to the logarithm of the
    excess; when there is room again it falls back, never below the published value. What does not
    depend on the selection (convolutions, LSTM, head) is the lower bound of the step time.
    """

    budget_ms: float
    amp: float
    gain: float = 0.3
    smoothing: float = 0.3
    largest: float = 1e4
    factor: float = 1.0
    _smoothed_ms: float | None = field(default=None, repr=False)

    def update(self, step_ms: float) -> float:
        """Take the time of the last step and return AMP for the next one."""
        previous = step_ms if self._smoothed_ms is None else self._smoothed_ms
        self._smoothed_ms = previous + self.smoothing * (step_ms - previous)
        error = math.log(self._smoothed_ms / self.budget_ms)
        self.factor = min(max(self.factor * math.exp(self.gain * error), 1.0), self.largest)
        return self.amp * self.factor


class StreamingDetector:
    """
    Recurrent detector of one event stream.

    Parameters
    ----------
    model: a network, for example of ``load_model``; it is copied, with batch norms folded, and not
        changed.
    score_threshold: detections with objectness x class probability below it are left out.
    nms_iou: of two boxes of one class that overlap more than this, the one with the lower score
        goes.
    max_detections: keep only so many of the best; ``None`` for all.
    classes: names of the classes to report; ``None`` for all.
    downsample: sensor pixels per histogram cell, for boxes in sensor pixels; ``None`` takes the
        configuration's.
    sensor_size: (height, width) that boxes are clipped to; ``None`` takes histogram size x
        ``downsample``.
    precision: ``'float32'``, or ``'bfloat16'`` for matrix products in half precision; scoring and
        selection stay in float32.

    """

    def __init__(
        self,
        model: SAST,
        score_threshold: float = defaults.SCORE_THRESHOLD,
        nms_iou: float = defaults.NMS_IOU,
        *,
        max_detections: int | None = None,
        classes: Sequence[str] | None = None,
        downsample: int | None = None,
        sensor_size: tuple[int, int] | None = None,
        precision: str = 'float32',
    ) -> None:
        if precision not in PRECISIONS:
            raise SettingError(
                f'StreamingDetector: precision is {precision!r}; it must be one of '
                f'{", ".join(PRECISIONS)}'
            )
        self.config = model.config
        self.engine = Engine.for_model(model, precision)
        self.device, self.precision = self.engine.device, precision
        self.downsample = downsample or self.config.downsample
        self.sensor_size = sensor_size
        self._states: list[State] | None = None
        self._budget: SparsityBudget | None = None
        self.configure_detections(score_threshold, nms_iou, max_detections, classes)

    # ------------------------------------------------------------------------------- live settings

    def configure_detections(
        self,
        score_threshold: float,
        nms_iou: float,
        max_detections: int | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        """
        Change what is reported, from the next step on; see the class for the parameters.

        Raises
        ------
        ValueError: a value out of range or a class that the network does not know.

        """
        for name, value in (('score_threshold', score_threshold), ('nms_iou', nms_iou)):
            if not 0 <= value <= 1:
                raise SettingError(
                    f'StreamingDetector: {name} is {value}; it must lie between 0 and 1'
                )
        if max_detections is not None and max_detections < 1:
            raise SettingError(
                f'StreamingDetector: max_detections is {max_detections}; it must be at least 1'
            )
        unknown = sorted(set(classes or ()) - set(self.config.classes))
        if unknown:
            raise SettingError(
                f'StreamingDetector: the network knows no class {", ".join(unknown)}; '
                f'its classes are {", ".join(self.config.classes)}'
            )
        self.score_threshold, self.nms_iou, self.max_detections = (
            score_threshold,
            nms_iou,
            max_detections,
        )
        self._class_ids = (
            None if not classes else [self.config.classes.index(name) for name in classes]
        )

    def configure_sparsity(
        self,
        mode: str = 'adaptive',
        amp: float | None = None,
        bounce: float | None = None,
        latency_budget_ms: float | None = None,
    ) -> None:
        """
        Change the token selection, from the next step on.

        ``mode``: ``'adaptive'`` is the paper, ``'dense'`` selects everything, ``'budget'`` raises
        AMP while steps take longer than ``latency_budget_ms``. ``amp``, ``bounce``: ``None`` takes
        the configuration's.

        Raises
        ------
        ValueError: unknown mode, or a value that must be positive and is not.

        """
        amp = self.config.amp if amp is None else amp
        bounce = self.config.bounce if bounce is None else bounce
        if mode not in SPARSITY_MODES:
            raise SettingError(
                f'StreamingDetector: sparsity mode {mode!r} must be one of '
                f'{", ".join(SPARSITY_MODES)}'
            )
        if not amp > 0 or bounce < 0:
            raise SettingError(
                f'StreamingDetector: amp is {amp} and bounce is {bounce}; amp must be > 0 and '
                'bounce >= 0'
            )
        budget = latency_budget_ms or 0
        if mode == 'budget' and not budget > 0:
            raise SettingError(
                f'StreamingDetector: latency_budget_ms is {latency_budget_ms}; mode budget needs '
                'one > 0'
            )
        control = self.engine.control
        control.mode = 'dense' if mode == 'dense' else 'adaptive'
        control.amp, control.bounce = amp, bounce
        self._budget = SparsityBudget(budget, amp) if mode == 'budget' else None

    # ------------------------------------------------------------------------------------ stepping

    def reset(self) -> None:
        """Zero the recurrent state: the next histogram starts a new stream."""
        self._states = None

    def step(self, histogram: Tensor | np.ndarray) -> Detections:
        """
        Advance by one window.

        ``histogram``: ``uint8[channels, H, W]`` of StackedHistogram, on any device.

        Raises
        ------
        ValueError: wrong shape or dtype; the state is unchanged.
        DetectorError: the output is not finite (damaged weights); the state was reset.

        """
        started = time.perf_counter()
        histogram = self._checked(histogram)
        with torch.inference_mode():
            output = self._advance(histogram)
            head = probabilities(output.head[0].float())
            if not bool(torch.isfinite(head).all()):
                self.reset()
                raise DetectorError(
                    'the network gave values that are not finite, and its state was reset; check '
                    'the weights'
                    + (' or use precision float32' if self.precision != 'float32' else '')
                )
            found = select_boxes(head, output.input_size, self.score_threshold, self.nms_iou)
            kept = _shares(output.selections)
        height, width = (side * self.downsample for side in histogram.shape[1:])
        size = self.sensor_size or (height, width)
        detections = self._report(*found, size, kept)
        if self._budget is not None:
            self.engine.control.amp = self._budget.update(1e3 * (time.perf_counter() - started))
        return detections

    def raw_step(self, histogram: Tensor | np.ndarray) -> dict[str, Any]:
        """
        Advance by one window and return the tensors of the network, for tests and tools.

        Returns ``features``: ``{1..4: [1, C, H, W]}``; ``states``: four pairs (h, c); ``head``:
        ``[1, anchors, 5 + classes]`` tx, ty, tw, th, sigmoid objectness, sigmoid classes;
        ``selected``: per stage ``{'window', 'grid'}: bool[N, T]`` partition-major.
        """
        histogram = self._checked(histogram)
        with torch.inference_mode():
            output = self._advance(histogram)
            return {
                'features': {stage: h for stage, (h, _) in enumerate(output.states, start=1)},
                'states': list(output.states),
                'head': probabilities(output.head.float()),
                'selected': [
                    {'window': by_window.mask[0], 'grid': by_grid.mask[0]}
                    for by_window, by_grid in output.selections
                ],
            }

    def _checked(self, histogram: Tensor | np.ndarray) -> Tensor:
        histogram = torch.as_tensor(histogram)
        if (
            histogram.dtype != torch.uint8
            or histogram.dim() != 3
            or histogram.shape[0] != self.config.channels
        ):
            raise SettingError(
                f'StreamingDetector: the histogram is {histogram.dtype} {tuple(histogram.shape)}; '
                f'it must be torch.uint8 ({self.config.channels}, height, width)'
            )
        if self._states is not None:
            expected = tuple(side // 4 for side in self.config.padded_size(histogram.shape[1:]))
            if tuple(self._states[0][0].shape[2:]) != expected:
                raise SettingError(
                    f'StreamingDetector: the histogram is {tuple(histogram.shape[1:])} pixels, '
                    'which does not continue the '
                    'stream so far; call reset() before another size'
                )
        return histogram

    def _advance(self, histogram: Tensor) -> StepOutput:
        output = self.engine.step(histogram[None], self._states)
        self._states = output.states
        return output

    def _report(
        self,
        boxes: np.ndarray,
        objectness: np.ndarray,
        class_scores: np.ndarray,
        class_ids: np.ndarray,
        size: tuple[int, int],
        kept: tuple[StageShare, ...],
    ) -> Detections:
        height, width = size
        boxes = np.clip(
            boxes * np.float32(self.downsample),
            0,
            np.array([width, height, width, height], np.float32),
        )
        # else: altogether in the padding
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        if self._class_ids is not None:
            seen &= np.isin(class_ids, self._class_ids)
        index = np.flatnonzero(seen)[: self.max_detections]
        return Detections(
            boxes=np.ascontiguousarray(boxes[index]),
            scores=objectness[index] * class_scores[index],
            class_ids=class_ids[index],
            objectness=objectness[index].copy(),
            class_scores=class_scores[index].copy(),
            class_names=self.config.classes,
            width=width,
            height=height,
            kept=kept,
        )


def _shares(selections: list[tuple[Selection, Selection]]) -> tuple[StageShare, ...]:
    """Return the shares of one sample; one transfer from the device for all stages."""
    means = []
    for pair in selections:
        means.append(torch.stack([s.windows()[0].float().mean() for s in pair]).mean())
        means.append(torch.stack([s.mask[0].float().mean() for s in pair]).mean())
    values = torch.stack(means).tolist()
    return tuple(StageShare(*pair) for pair in zip(values[::2], values[1::2]))
