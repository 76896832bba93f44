# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One way to advance a network, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
from dataclasses import replace
import math
import os
import threading
import time
from typing import Any, cast
import warnings

from sast_ros.errors import SettingError
from sast_ros.model.backbone import State
from sast_ros.model.inference import cpu
from sast_ros.model.inference.cpu import CpuNetwork
from sast_ros.model.inference.cuda import GraphNetwork
from sast_ros.model.inference.plain import folded_copy
from sast_ros.model.inference.postprocess import (
    Found,
    NotFiniteError,
    probabilities,
    select_boxes,
    selected_shares,
)
from sast_ros.model.sast import SAST, StepOutput
import torch
from torch import Tensor

PRECISIONS = ('float32', 'bfloat16')

#: Samples that a GPU takes in one step.
_MOST_TOGETHER = 4

#: Choice of the number of threads: occupied cells of its histogram, steps for each number, and the
#: share of the time that another thread must leave.
_WARM_SHARE, _TIMED_STEPS, _WORTH_A_THREAD = 0.02, 4, 0.95

#: Logits are compared with this margin, because probabilities are rounded.
_MARGIN, _LEAST_DOUBT = 1e-3, 1e-7

#: What makes a network of a ``folded_copy``, in half precision or not, by name.
IMPLEMENTATIONS: dict[str, Callable[[SAST, bool], SAST | CpuNetwork | GraphNetwork]] = {
    'plain': lambda model, half: model,
    'cpu': CpuNetwork,
    'cuda': lambda model, half: GraphNetwork(model, torch.bfloat16 if half else torch.float32),
}


#: Processes in which a network has run on several threads.
_threaded: set[int] = set()


def refuse_fork(threads: int) -> None:
    """
    Note that a network runs on so many threads of this process, unless it is a copy of one.

    A forked process has the memory of threads that it does not have, and waits for them for ever.

    Raises
    ------
    SettingError
        This process was forked from one in which a network had run on several threads.

    """
    process = os.getpid()
    if _threaded and process not in _threaded:
        raise SettingError(
            'this process was forked from one in which a network had run on several threads, for '
            "which a step would wait for ever; start processes by multiprocessing's context "
            '"spawn", or run networks in the forked ones only'
        )
    if threads > 1:
        _threaded.add(process)


class Engine:
    """
    A copy of a network that advances by one window at a time.

    Parameters
    ----------
    model : SAST
        The network; it is not changed. The engine runs on its device.
    implementation : str
        ``'plain'`` is the reference, on any device; ``'cpu'`` runs compiled loops on a CPU;
        ``'cuda'`` is one graph a step on a GPU.
    precision : str
        ``'float32'``, or ``'bfloat16'`` for matrix products in half precision; scores and
        selections stay in float32.

    Attributes
    ----------
    control : SelectionControl
        Settings of the token selection; may be changed between two steps.
    device : torch.device
        Where the network is.
    lock : threading.Lock
        For who sets ``control`` and advances, where several streams share the engine.

    """

    def __init__(self, model: SAST, implementation: str, precision: str = 'float32') -> None:
        self.implementation, self.precision = implementation, precision
        self.device = next(model.parameters()).device
        folded = folded_copy(model)
        half = precision == 'bfloat16'
        self._autocast = half and implementation == 'plain'
        self.network = IMPLEMENTATIONS[implementation](folded, half)
        self.control = self.network.control
        self.lock = threading.Lock()

    @classmethod
    def for_model(
        cls,
        model: SAST,
        input_size: tuple[int, int] | None = None,
        device: str | torch.device | None = None,
        threads: int = 0,
        precision: str = 'float32',
    ) -> Engine:
        """
        Return an engine with the fastest implementation that this machine can run.

        Parameters
        ----------
        model : SAST
            The network; it is not changed.
        input_size : tuple of int, optional
            (height, width) of the histograms to come, so that nothing is left to prepare in the
            first step.
        device : str or torch.device, optional
            Where to run; by default where the network is.
        threads : int
            Of a step on a CPU; 0 for as many as PyTorch uses.
        precision : {'float32', 'bfloat16'}
            Of matrix products.

        Raises
        ------
        SettingError
            An unknown precision, or one that this processor only emulates.

        """
        if device is not None and torch.device(device) != next(model.parameters()).device:
            model = copy.deepcopy(model).to(device)
        place = next(model.parameters()).device
        _check_precision(precision, place)
        if place.type == 'cuda':
            engine = cls(model, 'cuda', precision)
        elif place.type != 'cpu':
            engine = cls(model, 'plain', precision)
        elif reason := cpu.refusal(model):
            warnings.warn(
                f'the network runs on plain PyTorch, several times slower: {reason}',
                RuntimeWarning,
                stacklevel=2,
            )
            engine = cls(model, 'plain', precision)
        else:
            engine = cls(model, 'cpu', precision)
        if isinstance(engine.network, CpuNetwork):
            engine.network.threads = threads
            if input_size is not None:
                engine.network.prepare(input_size)
        return engine

    @property
    def instruction_set(self) -> str:
        """Instruction set of the compiled loops; empty where PyTorch chooses."""
        return getattr(self.network, 'instruction_set', '')

    @property
    def threads(self) -> int:
        """Threads of a step on a CPU."""
        if isinstance(self.network, CpuNetwork):
            return self.network.active_threads
        return torch.get_num_threads()

    @property
    def most_together(self) -> int:
        """Samples that ``detect_together`` takes, 1 where a batch is no faster."""
        return _MOST_TOGETHER if isinstance(self.network, GraphNetwork) else 1

    def describe(self) -> dict[str, Any]:
        """
        Return what runs, for benchmarks.

        ``instruction_set`` is that of the compiled loops; it is empty where all layers are
        PyTorch's.
        """
        return {
            'implementation': self.implementation,
            'device': str(self.device),
            'instruction_set': self.instruction_set,
            'threads': self.threads,
            'precision': self.precision,
        }

    def __str__(self) -> str:
        """Return what runs in words, ``'cpu (avx2, 2 threads, float32)'``."""
        place = '' if self.implementation == self.device.type else f' on {self.device}'
        words = [self.instruction_set]
        if self.device.type == 'cpu':
            words.append(f'{self.threads} thread{"s" if self.threads > 1 else ""}')
        words.append(self.precision)
        return f'{self.implementation}{place} ({", ".join(filter(None, words))})'

    def choose_threads(self, most: int, input_size: tuple[int, int]) -> None:
        """
        Use the number of threads that is the fastest here and now.

        Parameters
        ----------
        most : int
            Up to so many.
        input_size : tuple of int
            (height, width) of the histograms.

        """
        if not isinstance(self.network, CpuNetwork):
            return
        if most == 1:
            self.network.threads = 1
            return
        generator = torch.Generator('cpu').manual_seed(0)
        shape = (1, self.network.config.channels, *input_size)
        histogram = (torch.rand(shape, generator=generator, device='cpu') < _WARM_SHARE).byte()
        best = float('inf')
        for threads in range(1, most + 1):
            before, self.network.threads = self.network.threads, threads
            self.step(histogram, None)
            times = []
            for _ in range(_TIMED_STEPS):
                began = time.perf_counter()
                self.step(histogram, None)
                times.append(time.perf_counter() - began)
            if min(times) > _WORTH_A_THREAD * best:
                self.network.threads = before
                return
            best = min(times)

    def step(self, histogram: Tensor, states: list[State] | None) -> StepOutput:
        """
        Advance by one window and detect.

        Parameters
        ----------
        histogram : torch.Tensor
            ``uint8[B, channels, H, W]`` on any device; see ``SAST.forward``.
        states : list of tuple of torch.Tensor or None
            Of the previous window, None for zeros.

        """
        if not isinstance(self.network, GraphNetwork):  # which uploads by itself
            histogram = histogram.to(self.device)
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._autocast),
        ):
            return self.network(histogram, states)

    def detect(
        self, histogram: Tensor, states: list[State] | None, score_threshold: float, nms_iou: float
    ) -> tuple[StepOutput, Found]:
        """
        Advance by one window of one sample and bring what was found to the host.

        Parameters
        ----------
        histogram : torch.Tensor
            ``uint8[1, channels, H, W]``, as for ``step``.
        states : list of tuple of torch.Tensor or None
            As for ``step``.
        score_threshold : float
            Lowest score.
        nms_iou : float
            IoU threshold of per-class NMS.

        Raises
        ------
        NotFiniteError
            The network gave values that are not finite.

        """
        if isinstance(self.network, GraphNetwork):
            limits = self.network.box_control
            limits.score_threshold, limits.nms_iou = score_threshold, nms_iou
            return self.step(histogram, states), self.network.download()
        if isinstance(self.network, CpuNetwork):
            with torch.inference_mode():
                output = self.network(histogram.cpu(), states, _objectness(score_threshold))
        else:
            output = self.step(histogram, states)
        with torch.inference_mode():
            head = probabilities(output.head[0].float())
        boxes = select_boxes(head, output.input_size, score_threshold, nms_iou)
        return output, Found(boxes, selected_shares(output.selections))

    def detect_together(
        self,
        histograms: Tensor,
        states: Sequence[list[State] | None],
        score_threshold: float,
        nms_iou: float,
    ) -> list[tuple[StepOutput, Found | NotFiniteError]]:
        """
        Advance several streams by one window each, in one step; on a GPU.

        Parameters
        ----------
        histograms : torch.Tensor
            ``uint8[B, channels, H, W]``, a stream each, at most ``most_together``.
        states : sequence of list of tuple of torch.Tensor or None
            Of each stream, as for ``step``.
        score_threshold, nms_iou : float
            As for ``detect``.

        Returns
        -------
        list of tuple
            Of each stream, the output of the step with the states of this stream alone, and what
            was found, or why there is nothing.

        """
        network = cast(GraphNetwork, self.network)
        limits = network.box_control
        limits.score_threshold, limits.nms_iou = score_threshold, nms_iou
        output = self.step(histograms, _joined_states(states))
        found: list[tuple[StepOutput, Found | NotFiniteError]] = []
        for sample in range(len(histograms)):
            own = replace(
                output,
                states=[
                    (h.narrow(0, sample, 1), c.narrow(0, sample, 1)) for h, c in output.states
                ],
            )
            try:
                found.append((own, network.download(sample)))
            except NotFiniteError as error:
                found.append((own, error))
        return found


def _joined_states(states: Sequence[list[State] | None]) -> list[State] | None:
    """Return the states of single samples as those of a batch; zeros where there are none."""
    some = next((of_one for of_one in states if of_one is not None), None)
    if some is None:
        return None
    zeros = [(torch.zeros_like(h), torch.zeros_like(c)) for h, c in some]
    stages = zip(*(zeros if of_one is None else of_one for of_one in states))
    return [
        (torch.cat([h for h, _ in stage]), torch.cat([c for _, c in stage])) for stage in stages
    ]


def _objectness(score_threshold: float) -> float:
    """Return the logit below which no score, objectness x class probability, can reach it."""
    if score_threshold <= 0:
        return -math.inf
    return math.log(score_threshold / max(1 - score_threshold, _LEAST_DOUBT)) - _MARGIN


def has_native_bfloat16(device_type: str) -> bool:
    """
    Return whether ``'cuda'`` or ``'cpu'`` has instructions for products in bfloat16.

    Without them bfloat16 is slower than float32 (benchmarks/train_step.py).
    """
    if device_type == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # AVX512_BF16, AMX_BF16, or BF16 of ARM; unknown before PyTorch 2.11
    capabilities: dict[str, Any] = getattr(torch.cpu, 'get_capabilities', dict)()
    return any(found for name, found in capabilities.items() if 'bf16' in name)


def _check_precision(precision: str, device: torch.device) -> None:
    if precision not in PRECISIONS:
        raise SettingError(
            f'precision is {precision!r}; it must be one of {", ".join(PRECISIONS)}'
        )
    if precision == 'bfloat16' and device.type == 'cpu':
        cpu.require_bfloat16()
    elif precision == 'bfloat16' and not has_native_bfloat16(device.type):
        raise SettingError(
            f'precision bfloat16 is slower than float32 on this {device.type}, which has no '
            'instructions for it; use precision float32'
        )
