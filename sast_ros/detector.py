# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Streaming detector: histograms in, detections out, with the recurrent state."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
import copy
from dataclasses import dataclass, replace
import math
import time
from typing import Any

import numpy as np
from sast_ros import defaults
from sast_ros.detections import Detections, DetectorError, StageShare, TokenMap
from sast_ros.errors import SettingError
from sast_ros.events.chunk import refuse_sensor_size
from sast_ros.histogram import sampling_offset
from sast_ros.model import SAST
from sast_ros.model.backbone import State
from sast_ros.model.config import STRIDES
from sast_ros.model.inference import Engine
from sast_ros.model.inference.engine import refuse_fork
from sast_ros.model.inference.postprocess import Found, NotFiniteError, probabilities
from sast_ros.model.sast import StepOutput
from sast_ros.model.selection import Selection
from sast_ros.sparsity_budget import SparsityBudget
import torch
from torch import Tensor

SPARSITY_MODES = ('adaptive', 'dense', 'budget')


@dataclass(frozen=True, slots=True, eq=False)
class SelectedTokens:
    """
    What a step selected; brought to the host and into place only when it is asked for.

    Attributes
    ----------
    selections : list of tuple of Selection
        As in ``StepOutput``.
    sample : int
        The one of its batch.
    input_size : tuple of int
        (height, width) in cells after padding.
    downsample : int
        Sensor pixels per cell.
    sensor_size : tuple of int or None
        (height, width) in sensor pixels; ``None`` where the cells cover the sensor.

    """

    selections: list[tuple[Selection, Selection]]
    sample: int
    input_size: tuple[int, int]
    downsample: int
    sensor_size: tuple[int, int] | None

    def token_map(self) -> TokenMap:
        """
        Return which tokens of the first stage attended, for all pixels of the sensor.

        The last pixels of a side that ``downsample`` does not divide are in no cell; no token
        attends to them, unless padding covers them.
        """
        stride = STRIDES[0]
        side = stride * self.downsample
        rows, columns = (side // stride for side in self.input_size)
        kinds = np.zeros(rows * columns, np.uint8)
        for selection in self.selections[0]:
            order, mask = selection.order, selection.mask[self.sample]
            kinds[order.cpu().numpy().ravel()] += mask.cpu().numpy().ravel()
        missing = [
            max(0, math.ceil(length / side) - count)
            for length, count in zip(self.sensor_size or (0, 0), (rows, columns))
        ]
        kinds_in_place = kinds.reshape(rows, columns)
        return TokenMap(np.pad(kinds_in_place, [(0, count) for count in missing]), side)


class StreamingDetector:
    """
    Recurrent detector of one event stream.

    Parameters
    ----------
    model : SAST
        A network, for example of ``load_model``; it is copied and not changed.
    score_threshold : float
        Minimum score; see ``Detections.scores``.
    nms_iou : float
        IoU threshold of per-class NMS.
    max_detections : int, optional
        Maximum detections per window, best scores first; ``None`` for all.
    classes : sequence of str, optional
        Names of the classes to report; ``None`` for all.
    downsample : int, optional
        Sensor pixels per histogram cell, for boxes in sensor pixels; by default that of the
        configuration.
    sensor_size : tuple of int, optional
        (height, width) that boxes are clipped to; by default histogram size x ``downsample``.
    precision : {'float32', 'bfloat16'}
        ``'bfloat16'`` for matrix products in half precision; scoring and selection always use
        float32.
    threads : int
        Of a step on a CPU; 0 for as many as PyTorch uses.

    Attributes
    ----------
    calibration : Calibration or None
        That of the network; None for scores as the network gives them. May be changed between two
        steps.
    selected : SelectedTokens or None
        What the last step selected.

    Raises
    ------
    SettingError
        A value out of range, or a precision that this processor only emulates.

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
        threads: int = 0,
    ) -> None:
        self.config, self.calibration = model.config, model.calibration
        if not 0 <= threads <= defaults.MAX_THREADS or threads % 1:
            raise SettingError(
                f'StreamingDetector: threads is {threads}; it must be an integer from 1 to '
                f'{defaults.MAX_THREADS}, or 0 for as many as PyTorch uses'
            )
        if downsample is None:
            downsample = self.config.downsample
        self.downsample = _from_one('downsample', downsample)
        reason = refuse_sensor_size(*sensor_size) if sensor_size is not None else ''
        if reason:
            raise SettingError(
                f'StreamingDetector: sensor_size (height, width) is {sensor_size}; {reason}'
            )
        self.engine = Engine.for_model(model, threads=int(threads), precision=precision)
        self._control = replace(self.engine.control)
        self.device, self.precision = self.engine.device, precision
        self.sensor_size = sensor_size
        self._states: list[State] | None = None
        self.selected: SelectedTokens | None = None
        self._budget: SparsityBudget | None = None
        self.configure_detections(score_threshold, nms_iou, max_detections, classes)

    def new_stream(self) -> StreamingDetector:
        """
        Return a detector of another stream that shares the network, in time and in memory.

        It has the settings of this one and from then on its own, and a state of its own. Detectors
        that share a network may be used by several threads, which take turns.
        """
        other = copy.copy(self)
        other._control, other._budget = copy.copy(self._control), copy.copy(self._budget)
        other.reset()
        return other

    # ------------------------------------------------------------------------------- live settings

    def configure_detections(
        self,
        score_threshold: float,
        nms_iou: float,
        max_detections: int | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        """
        Change the filters of the detections, from the next step on.

        Raises
        ------
        SettingError
            A value out of range or a class that the network does not have.

        """
        for name, value in (('score_threshold', score_threshold), ('nms_iou', nms_iou)):
            if not 0 <= value <= 1:
                raise SettingError(
                    f'StreamingDetector: {name} is {value}; it must lie between 0 and 1'
                )
        if max_detections is not None:
            max_detections = _from_one('max_detections', max_detections)
        unknown = sorted(set(classes or ()) - set(self.config.classes))
        if unknown:
            raise SettingError(
                f'StreamingDetector: the network knows no class {", ".join(unknown)}; '
                f'its classes are {", ".join(self.config.classes)}'
            )
        self.score_threshold, self.nms_iou = score_threshold, nms_iou
        self.max_detections = max_detections
        self._class_ids = [self.config.classes.index(name) for name in classes or ()] or None

    def configure_sparsity(
        self,
        mode: str = 'adaptive',
        amp: float | None = None,
        bounce: float | None = None,
        latency_budget_ms: float | None = None,
    ) -> None:
        """
        Change the token selection, from the next step on.

        Parameters
        ----------
        mode : {'adaptive', 'dense', 'budget'}
            ``'adaptive'`` is the paper, ``'dense'`` selects everything, ``'budget'`` raises AMP
            while steps take longer than ``latency_budget_ms``.
        amp, bounce : float, optional
            By default those of the configuration.
        latency_budget_ms : float, optional
            Target step time of mode ``'budget'``.

        Raises
        ------
        SettingError
            Unknown mode, or a value out of range.

        """
        amp = self.config.amp if amp is None else amp
        bounce = self.config.bounce if bounce is None else bounce
        if mode not in SPARSITY_MODES:
            raise SettingError(
                f'StreamingDetector: sparsity mode {mode!r} must be one of '
                f'{", ".join(SPARSITY_MODES)}'
            )
        for name, value, (low, high) in (
            ('amp', amp, defaults.AMP_LIMITS),
            ('bounce', bounce, defaults.BOUNCE_LIMITS),
        ):
            if not low <= value <= high:
                raise SettingError(
                    f'StreamingDetector: {name} is {value}; it must lie between {low:g} and '
                    f'{high:g}'
                )
        budget = latency_budget_ms or 0
        if mode == 'budget' and not 0 < budget < math.inf:
            raise SettingError(
                f'StreamingDetector: latency_budget_ms is {latency_budget_ms}; mode budget needs '
                'one > 0 and finite'
            )
        control = self._control
        control.mode = 'dense' if mode == 'dense' else 'adaptive'
        control.amp, control.bounce = amp, bounce
        self._budget = SparsityBudget(budget, amp) if mode == 'budget' else None

    # ------------------------------------------------------------------------------------ stepping

    def reset(self) -> None:
        """Zero the recurrent state: the next histogram starts a new stream."""
        self._states = self.selected = None

    def step(self, histogram: Tensor | np.ndarray) -> Detections:
        """
        Advance by one window.

        Parameters
        ----------
        histogram : uint8[channels, H, W]
            Of StackedHistogram, on any device.

        Raises
        ------
        SettingError
            Wrong shape or dtype, or a process forked after a step; the state is unchanged.
        DetectorError
            The output is not finite (damaged weights); the state was reset.

        """
        histogram = self._checked(histogram)
        with self.engine.lock:
            started = time.perf_counter()
            self._set_control()
            try:
                output, found = self.engine.detect(
                    histogram[None], self._states, self.raw_threshold, self.nms_iou
                )
            except NotFiniteError:
                raise self._not_finite() from None
        self._keep(output)
        detections = self._detections(found, histogram)
        if self._budget is not None:
            self._control.amp = self._budget.update(1e3 * (time.perf_counter() - started))
        return detections

    def raw_step(self, histogram: Tensor | np.ndarray) -> dict[str, Any]:
        """
        Advance by one window and return the tensors of the network, for tests and tools.

        Returns
        -------
        dict
            ``features``: ``{1..4: [1, C, H, W]}``; ``states``: four pairs (h, c); ``head``:
            ``[1, anchors, 5 + classes]`` tx, ty, tw, th, sigmoid objectness, sigmoid classes;
            ``selected``: per stage ``{'window', 'grid'}: bool[N, T]`` partition-major.

        Raises
        ------
        SettingError
            Wrong shape or dtype; the state is unchanged.

        """
        histogram = self._checked(histogram)
        with torch.inference_mode(), self.engine.lock:
            self._set_control()
            output = self.engine.step(histogram[None], self._states)
            self._keep(output)
            return {
                'features': {stage: h for stage, (h, _) in enumerate(output.states, start=1)},
                'states': list(output.states),
                'head': probabilities(output.head.float()),
                'selected': [
                    {'window': by_window.mask[0], 'grid': by_grid.mask[0]}
                    for by_window, by_grid in output.selections
                ],
            }

    @property
    def raw_threshold(self) -> float:
        """
        Minimum score of the boxes that the network must find, before calibration.

        Those that remain below ``score_threshold`` suppress no other one: within a class the
        calibration keeps the order.
        """
        if self.calibration is None:
            return self.score_threshold
        return self.calibration.lowest_raw(self.score_threshold)

    def _keep(self, output: StepOutput, sample: int = 0) -> None:
        """Keep what the next step and viewers need of this one."""
        self._states = output.states
        self.selected = SelectedTokens(
            output.selections, sample, output.input_size, self.downsample, self.sensor_size
        )

    def _set_control(self) -> None:
        """Select as this stream does; its engine may be that of others too."""
        control, own = self.engine.control, self._control
        control.mode, control.amp, control.bounce = own.mode, own.amp, own.bounce

    def _checked(self, histogram: Tensor | np.ndarray) -> Tensor:
        uint8: Any = torch.uint8
        if not isinstance(histogram, Tensor):  # PyTorch knows no negative strides
            histogram, uint8 = np.require(histogram, requirements=['C', 'W']), np.uint8
        if (
            histogram.dtype != uint8
            or histogram.ndim != 3
            or histogram.shape[0] != self.config.channels
            or 0 in histogram.shape
        ):
            raise SettingError(
                f'StreamingDetector: the histogram is {histogram.dtype} {tuple(histogram.shape)}; '
                f'it must be torch.uint8 ({self.config.channels}, height, width)'
            )
        if self.device.type == 'cpu':
            refuse_fork(self.engine.threads)
        histogram = torch.as_tensor(histogram)
        if self._states is not None:
            expected = tuple(side // 4 for side in self.config.padded_size(histogram.shape[1:]))
            if tuple(self._states[0][0].shape[2:]) != expected:
                raise SettingError(
                    f'StreamingDetector: the histogram is {tuple(histogram.shape[1:])} pixels, '
                    'unlike the previous one; call reset() before another size'
                )
        return histogram

    def _not_finite(self) -> DetectorError:
        """Reset the state, and return the error to raise."""
        self.reset()
        return DetectorError(
            'the network gave values that are not finite, and its state was reset; check the '
            'weights' + (' or use precision float32' if self.precision != 'float32' else '')
        )

    def _detections(self, found: Found, histogram: Tensor) -> Detections:
        """Return what was found in sensor pixels."""
        boxes, objectness, class_scores, class_ids = found.boxes
        height, width = self.sensor_size or (
            side * self.downsample for side in histogram.shape[1:]
        )
        offset = sampling_offset(self.downsample, self.config.downsample)
        boxes = np.clip(
            boxes * np.float32(self.downsample) + np.float32(offset),
            0,
            np.array([width, height, width, height], np.float32),
        )
        # Boxes entirely in the padding are empty
        valid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        if self._class_ids is not None:
            valid &= np.isin(class_ids, self._class_ids)
        scores = objectness * class_scores
        if self.calibration is not None:
            scores = self.calibration(scores, class_ids)
            valid &= scores >= self.score_threshold
        index = np.flatnonzero(valid)
        if self.calibration is not None:  # classes differ in it; equal scores keep their order
            index = index[np.argsort(-scores[index], kind='stable')]
        index = index[: self.max_detections]
        return Detections(
            boxes=np.ascontiguousarray(boxes[index]),
            scores=scores[index],
            class_ids=class_ids[index],
            objectness=objectness[index].copy(),
            class_scores=class_scores[index].copy(),
            class_names=self.config.classes,
            width=width,
            height=height,
            kept=tuple(StageShare(*map(float, shares)) for shares in found.shares),
        )


def _from_one(name: str, value: float) -> int:
    """Return a setting that is an integer from 1 on."""
    if not value >= 1 or value % 1:
        raise SettingError(
            f'StreamingDetector: {name} is {value}; it must be an integer from 1 on'
        )
    return int(value)


def step_together(
    detectors: Sequence[StreamingDetector], histograms: Sequence[Tensor | np.ndarray]
) -> list[Detections | Exception]:
    """
    Advance several streams by one window each, on a GPU in one step where they can share it.

    Streams share a step if they share the engine (``new_stream``), the size of the histogram and
    the settings; in mode ``'budget'`` each takes its own. The arithmetic of a batch is rounded
    differently on a GPU; on a CPU the results are those of ``step``.

    Parameters
    ----------
    detectors : sequence of StreamingDetector
        Each at most once.
    histograms : sequence of uint8[channels, H, W]
        A window of each, as for ``StreamingDetector.step``.

    Returns
    -------
    list of Detections or Exception
        Of each stream what ``step`` would return or raise.

    """
    results: dict[int, Detections | Exception] = {}
    checked: dict[int, Tensor] = {}
    groups: dict[Hashable, list[int]] = {}
    for index, (detector, histogram) in enumerate(zip(detectors, histograms, strict=True)):
        try:
            checked[index] = detector._checked(histogram)
        except SettingError as error:
            results[index] = error
            continue
        groups.setdefault(_shared_step(detector, checked[index]) or index, []).append(index)
    for members in groups.values():
        most = detectors[members[0]].engine.most_together
        for first in range(0, len(members), most):
            batch = members[first:][:most]
            found = _step_batch([detectors[i] for i in batch], [checked[i] for i in batch])
            results.update(zip(batch, found))
    return [results[index] for index in range(len(detectors))]


def _shared_step(detector: StreamingDetector, histogram: Tensor) -> Hashable:
    """Return what streams that may share a step have in common, None for a step of its own."""
    if detector.engine.most_together == 1 or detector._budget is not None:
        return None
    control = detector._control
    return (
        id(detector.engine),
        (histogram.shape, histogram.device),
        (control.mode, control.amp, control.bounce),
        (detector.raw_threshold, detector.nms_iou),
    )


def _step_batch(
    detectors: list[StreamingDetector], histograms: list[Tensor]
) -> list[Detections | Exception]:
    """Advance streams that share a step; a single one by ``step``."""
    first = detectors[0]
    try:
        if len(detectors) == 1:
            return [first.step(histograms[0])]
        with first.engine.lock:
            first._set_control()
            steps = first.engine.detect_together(
                torch.stack(histograms),
                [detector._states for detector in detectors],
                first.raw_threshold,
                first.nms_iou,
            )
    except Exception as error:  # of the whole step
        return [error] * len(detectors)
    results: list[Detections | Exception] = []
    for sample, (detector, histogram) in enumerate(zip(detectors, histograms)):
        output, found = steps[sample]
        if isinstance(found, NotFiniteError):
            results.append(detector._not_finite())
            continue
        detector._keep(output, sample)
        results.append(detector._detections(found, histogram))
    return results
