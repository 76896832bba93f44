# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The network on a CPU, by the compiled loops of ``sast_ros/kernels/engine``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
import math
import os
import sys
import threading
import warnings

import numpy as np
from sast_ros.errors import SettingError
from sast_ros.kernels import library, pointer
from sast_ros.model.backbone import State
from sast_ros.model.config import STRIDES
from sast_ros.model.head import HEAD_STRIDES
from sast_ros.model.inference.packing import aligned, Panel, WIDE
from sast_ros.model.inference.program import (
    CELL_IN,
    CELL_OUT,
    HEAD,
    HIDDEN_IN,
    HIDDEN_OUT,
    NetworkWeights,
    Program,
    STRUCTURES,
)
from sast_ros.model.sast import SAST, StepOutput
from sast_ros.model.selection import Selection
from sast_ros.process import INSTRUCTION_SET
import torch
from torch import Tensor

#: Input sizes of which the operations are kept.
_MOST_PROGRAMS = 4


@lru_cache(maxsize=1)
def instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that this processor has, the fastest last."""
    names = []
    for number in range(library.sast_instruction_sets()):
        name = np.zeros(16, np.uint8)
        library.sast_instruction_set_name(number, name)
        names.append(name.tobytes().rstrip(b'\0').decode())
    return tuple(names)


def chosen_instruction_set() -> str:
    """
    Return the instruction set to use: the fastest, or the one that the environment names.

    Raises
    ------
    SettingError
        ``SAST_ROS_INSTRUCTION_SET`` names one that this processor does not have.

    """
    known = instruction_sets()
    name = os.environ.get(INSTRUCTION_SET, '') or known[-1]
    if name not in known:
        raise SettingError(f'{INSTRUCTION_SET} is {name!r}; this processor has {", ".join(known)}')
    return name


def has_bfloat16() -> bool:
    """Return whether the chosen instruction set has products of bfloat16 on this processor."""
    return bool(library.sast_has_bfloat16(instruction_sets().index(chosen_instruction_set())))


def require_bfloat16() -> None:
    """
    Refuse products of bfloat16 where they would not be faster.

    Raises
    ------
    SettingError
        There are no instructions for them.

    """
    if not has_bfloat16():
        raise SettingError(
            'precision bfloat16 on a CPU needs the instruction set avx512 with AVX512-BF16, '
            'without which it is slower than float32; use precision float32'
        )


def refusal(model: SAST) -> str:
    """Return why ``CpuNetwork`` cannot run a network, empty if it can."""
    weight = model.yolox_head.cls_preds[0].weight
    if weight.device.type != 'cpu':
        return f'its weights are on {weight.device}; they must be on a CPU'
    if model.config.embed_dim % WIDE:
        return f'embed_dim is {model.config.embed_dim}; it must be a multiple of {WIDE}'
    if sys.byteorder != 'little':
        return 'this processor is not little-endian'
    return ''


class CpuNetwork:
    """
    A network with the results of ``SAST`` up to rounding.

    The results do not depend on the number of threads. Calls from several threads take turns.

    Parameters
    ----------
    model : SAST
        A network of ``folded_copy``.
    half : bool
        Whether products are of weights and activations rounded to bfloat16, but for those that
        the scores are made of. Sums and everything else stay in float32.

    Attributes
    ----------
    threads : int
        Of a step; 0 for as many as PyTorch uses.
    instruction_set : str
        What the loops are compiled for.

    Raises
    ------
    SettingError
        ``half``, and this processor has no instructions for it.

    """

    def __init__(self, model: SAST, half: bool = False) -> None:
        if half:
            require_bfloat16()
        self.config, self.control = model.config, model.control
        self.threads = 0
        self.instruction_set = chosen_instruction_set()
        self._number = instruction_sets().index(self.instruction_set)
        self._weights = NetworkWeights(model, Panel(library.sast_panel(self._number), half))
        self._programs: dict[tuple[int, int], Program] = {}
        self._scratch = aligned((0,))
        self._took_part: dict[int, int] = {}
        self._lock = threading.Lock()  # the memory of the programs

    def __call__(
        self, histogram: Tensor, states: list[State] | None = None, objectness: float = -math.inf
    ) -> StepOutput:
        """
        Advance by one window and detect; see ``SAST.forward``.

        Class logits are computed only near cells whose logit of ``objectness`` reaches this;
        elsewhere they are -100.
        """
        histogram = histogram.contiguous()
        with self._lock:
            program = self._program(histogram.shape[-2:])
            outputs = [
                self._advance(
                    program,
                    sample,
                    _sample_states(states, index, len(histogram), program),
                    objectness,
                )
                for index, sample in enumerate(histogram)
            ]
        if len(outputs) == 1:
            return outputs[0]
        return _joined(outputs)

    @property
    def active_threads(self) -> int:
        """Threads of a step: as many as are wanted, or that took part when OpenMP gave fewer."""
        wanted = self.threads or torch.get_num_threads()
        return self._took_part.get(wanted, wanted)

    def prepare(self, size: tuple[int, int]) -> None:
        """Make the operations for histograms of (height, width)."""
        with self._lock:
            self._program(size)

    def time_operations(self, histogram: Tensor, states: list[State] | None) -> dict[str, float]:
        """Return the milliseconds of each part of the network in a step on one sample."""
        sample = histogram.contiguous()[0]
        with self._lock:
            program = self._program(sample.shape[-2:])
            nanoseconds = np.zeros(len(program.operations), np.int64)
            before = _sample_states(states, 0, 1, program)
            self._advance(program, sample, before, nanoseconds=nanoseconds)
        times: dict[str, float] = {}
        for label, value in zip(program.labels, nanoseconds):
            times[label] = times.get(label, 0.0) + float(value) / 1e6
        return times

    def _program(self, size: Sequence[int]) -> Program:
        """Return the operations for histograms of (height, width)."""
        height, width = self.config.padded_size(size)
        size = (height, width)
        program = self._programs.pop(size, None)
        if program is None:
            program = Program(self._weights, self.config, size, self._number)
            while len(self._programs) >= _MOST_PROGRAMS:
                del self._programs[next(iter(self._programs))]
        self._programs[size] = program
        return program

    def _advance(
        self,
        program: Program,
        histogram: Tensor,
        states: list[State],
        objectness: float = -math.inf,
        nanoseconds: np.ndarray | None = None,
    ) -> StepOutput:
        step = np.zeros((), STRUCTURES['sast_step'])
        slot = step['slot']
        new_states: list[State] = []
        for stage, (stride, state) in enumerate(zip(STRIDES, states)):
            new: list[Tensor] = []
            for first_in, first_out, before in (
                (HIDDEN_IN, HIDDEN_OUT, state[0]),
                (CELL_IN, CELL_OUT, state[1]),
            ):
                after = _empty(1, *program.side(stride), before.shape[1])
                slot[first_in + stage], slot[first_out + stage] = (
                    before.data_ptr(),
                    after.data_ptr(),
                )
                new.append(after.permute(0, 3, 1, 2))
            new_states.append((new[0], new[1]))
        head = _empty(1, program.anchors, 5 + len(self.config.classes))
        address = head.data_ptr()
        for level, stride in enumerate(HEAD_STRIDES):
            slot[HEAD + level] = address
            address += 4 * program.tokens(stride) * head.shape[2]
        step['histogram'] = histogram.data_ptr()
        step['height'], step['width'] = histogram.shape[1:]
        step['amp'], step['bounce'] = self.control.amp, self.control.bounce
        step['dense'] = self.control.mode == 'dense'
        step['objectness'] = objectness
        threads = self.threads or torch.get_num_threads()
        if self._scratch.size < threads * program.scratch_each:
            self._scratch = aligned((threads * program.scratch_each,))
        took_part = library.sast_network_run(
            self._number,
            pointer(program.operations),
            len(program.operations),
            step.ctypes.data,
            threads,
            self._scratch,
            program.scratch_each,
            program.taken,
            nanoseconds,
        )
        if took_part == 1 < threads and threads not in self._took_part:
            warnings.warn(
                'the network runs on one thread although more are wanted: the process has loaded '
                'no OpenMP library that it could use, or OpenMP gives no more threads',
                RuntimeWarning,
                stacklevel=2,
            )
        self._took_part[threads] = took_part
        return StepOutput(head, new_states, _selections(program), program.size)


def _empty(*shape: int) -> Tensor:
    """Return memory for what the loops write, whatever the defaults of PyTorch are."""
    return torch.empty(shape, dtype=torch.float32, device='cpu')


def _selections(program: Program) -> list[tuple[Selection, Selection]]:
    """Return copies of what the operations have selected."""
    found = []
    for pair in program.selections:
        by_window, by_grid = (
            Selection(torch.from_numpy(s.mask.copy()).view(torch.bool)[None], s.order)
            for s in pair
        )
        found.append((by_window, by_grid))
    return found


def _sample_states(
    states: list[State] | None, sample: int, batch: int, program: Program
) -> list[State]:
    """Return the states of one sample, token by token in memory; zeros where there are none."""
    found: list[State] = []
    for stage, (stride, channels) in enumerate(zip(STRIDES, program.config.stage_dims)):
        shape = (channels, *program.side(stride))
        if states is None:
            zeros = _empty(1, *shape).zero_().contiguous(memory_format=torch.channels_last)
            found.append((zeros, zeros))
            continue
        pair = []
        for value in states[stage]:
            if value.shape[1:] != shape or len(value) != batch:
                raise ValueError(
                    f'state has shape {list(value.shape)}; it must be [{batch}, {shape[0]}, '
                    f'{shape[1]}, {shape[2]}]'
                )
            part = value.narrow(0, sample, 1).float()  # a view of what the last step gave
            pair.append(part.contiguous(memory_format=torch.channels_last))
        found.append((pair[0], pair[1]))
    return found


def _joined(outputs: list[StepOutput]) -> StepOutput:
    """Return the outputs of single samples as that of a batch."""
    states = [
        (torch.cat([h for h, _ in stage]), torch.cat([c for _, c in stage]))
        for stage in zip(*(output.states for output in outputs))
    ]
    selections = []
    for stage in zip(*(output.selections for output in outputs)):
        by_window, by_grid = (
            Selection(torch.cat([pair[kind].mask for pair in stage]), stage[0][kind].order)
            for kind in (0, 1)
        )
        selections.append((by_window, by_grid))
    head = torch.cat([output.head for output in outputs])
    return StepOutput(head, states, selections, outputs[0].input_size)
