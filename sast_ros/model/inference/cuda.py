# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The masked network on a GPU: one CUDA graph a step, one upload, one download.

A step and its boxes run on fixed buffers, which are captured as a graph once for each size. What
may change between two steps (AMP, BOUNCE, the thresholds of the boxes) is in a buffer too. On a
CPU the same runs without a graph, so that it can be tested where there is no GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
import warnings

import numpy as np
from sast_ros import defaults
from sast_ros.model.backbone import State
from sast_ros.model.config import STRIDES
from sast_ros.model.head import anchor_grid
from sast_ros.model.inference.masked import effective_bounce, MaskedNetwork, Thresholds
from sast_ros.model.inference.postprocess import Found, probabilities, select_boxes
from sast_ros.model.inference.static_boxes import find_boxes, unpack_boxes
from sast_ros.model.sast import SAST, StepOutput
from sast_ros.model.selection import partition_order, position_embedding, Selection
import torch
from torch import Tensor

#: Steps before a capture, in which libraries choose algorithms and allocate their memory.
_WARM_UP = 3

#: Shapes of histograms whose buffers and graphs are kept: all batches of two sizes.
_MOST_PROGRAMS = 8


@dataclass(slots=True)
class BoxControl:
    """
    How boxes are selected; may be changed between two steps.

    Attributes
    ----------
    score_threshold : float
        Lowest score.
    nms_iou : float
        IoU threshold of per-class NMS.

    """

    score_threshold: float = defaults.SCORE_THRESHOLD
    nms_iou: float = defaults.NMS_IOU


class GraphNetwork:
    """
    A network with the results of ``SAST`` up to rounding, one graph a step on a GPU.

    Parameters
    ----------
    model : SAST
        A network of ``folded_copy``, which is used up. The steps run on its device.
    dtype : torch.dtype
        As for ``MaskedNetwork``.
    capture : bool
        Whether to capture the step as a graph, on a GPU.

    Attributes
    ----------
    config : ModelConfig
        Of the network.
    control : SelectionControl
        Settings of the token selection; may be changed between two steps.
    box_control : BoxControl
        Settings of the boxes; may be changed between two steps.

    """

    def __init__(
        self, model: SAST, dtype: torch.dtype = torch.float32, *, capture: bool = True
    ) -> None:
        self.device = next(model.parameters()).device
        self.network = MaskedNetwork(model, dtype)
        self.config, self.control = self.network.config, self.network.control
        self.box_control = BoxControl()
        self._programs: dict[torch.Size, _Program] = {}  # the last one used is the last
        self._program: _Program | None = None
        self._capture = capture and self.device.type == 'cuda'

    @property
    def captured(self) -> bool:
        """Whether the last step was the replay of a graph."""
        return self._program is not None and self._program.captured

    @torch.inference_mode()
    def __call__(self, histogram: Tensor, states: list[State] | None = None) -> StepOutput:
        """Advance by one window and detect; see ``SAST.forward``. Does not wait for the device."""
        program = self._program = self._program_for(histogram.shape)
        program.load(histogram, states, self._settings())
        if self._capture and not program.captured:
            self._capture = program.capture()
        return program.run()

    def _program_for(self, shape: torch.Size) -> _Program:
        program = self._programs.pop(shape, None)
        if program is None:
            self._program = None  # frees its memory before the next takes some
            while len(self._programs) >= _MOST_PROGRAMS:
                del self._programs[next(iter(self._programs))]
            program = _Program(self.network, shape, self.device)
        self._programs[shape] = program
        return program

    def _settings(self) -> tuple[float, ...]:
        control, boxes = self.control, self.box_control
        return control.amp, effective_bounce(control), boxes.score_threshold, boxes.nms_iou

    def download(self, sample: int = 0) -> Found:
        """
        Return what the last step has found: the only copy from the device, and the only wait.

        Parameters
        ----------
        sample : int, optional
            Of the batch.

        Raises
        ------
        NotFiniteError
            A value of the network's output is not finite.
        ValueError
            There was no step.

        """
        if self._program is None:
            raise ValueError('GraphNetwork.download: there was no step')
        program, control = self._program, self.box_control
        values = program.found[sample].cpu().numpy()
        shares, table = np.split(values, [2 * len(STRIDES)])
        boxes = unpack_boxes(table)
        if boxes is None:
            head = probabilities(program.head[sample])
            boxes = select_boxes(
                head, program.input_size, control.score_threshold, control.nms_iou
            )
        return Found(boxes, tuple(map(tuple, shares.reshape(-1, 2).tolist())))


class _Program:
    """
    A step and its boxes on fixed buffers.

    Parameters
    ----------
    network : MaskedNetwork
        What to run.
    shape : torch.Size
        Of the histogram, ``[B, channels, H, W]``.
    device : torch.device
        Of the network.

    """

    def __init__(self, network: MaskedNetwork, shape: torch.Size, device: torch.device) -> None:
        self.network, self.device = network, device
        self.input_size = network.config.padded_size(shape[-2:])
        self.part = network.config.partitions(self.input_size)
        self.maps = [
            (shape[0], self.input_size[0] // stride, self.input_size[1] // stride, channels)
            for stride, channels in zip(STRIDES, network.config.stage_dims)
        ]
        self.histogram = torch.zeros(shape, dtype=torch.uint8, device=device)
        length = sum(2 * math.prod(size) for size in self.maps)
        self.states = torch.zeros(length, dtype=torch.float32, device=device)
        self.settings = torch.zeros(4, dtype=torch.float64, device=device)
        self._upload = _Upload(self.histogram)
        self._loaded: tuple[float, ...] = ()
        self._graph: torch.cuda.CUDAGraph | None = None
        # A graph knows addresses only: the shared constants must live as long as it does
        self.orders = [
            tuple(
                partition_order(kind, *size[1:3], self.part, device) for kind in ('window', 'grid')
            )
            for size in self.maps
        ]
        self._constants = [
            *(position_embedding(size[3], *size[1:3], device) for size in self.maps),
            anchor_grid(*self.input_size, device),
        ]

    @property
    def captured(self) -> bool:
        return self._graph is not None

    def load(
        self, histogram: Tensor, states: list[State] | None, settings: tuple[float, ...]
    ) -> None:
        """
        Fill the input buffers.

        Raises
        ------
        ValueError
            A state has another shape than the maps of the network.

        """
        if states is None:
            self.states.zero_()
        else:
            flat = [tensor.permute(0, 2, 3, 1) for pair in states for tensor in pair]
            for tensor, size in zip(flat, (size for size in self.maps for _ in 'hc')):
                if tensor.shape != size:
                    raise ValueError(
                        f'state has shape {list(tensor.shape)}; it must be {list(size)}'
                    )
            torch.cat([tensor.flatten() for tensor in flat], out=self.states)
        self._upload(histogram)
        if settings != self._loaded:
            self.settings.copy_(torch.tensor(settings, dtype=torch.float64, device='cpu'))
            self._loaded = settings

    def capture(self) -> bool:
        """Capture the step, with a warning if that is impossible; return whether it worked."""
        try:
            self._graph = _captured(self._compute, self.device)
        except RuntimeError as error:
            self._graph = None
            reason = str(error).splitlines()[0]
            warnings.warn(
                f'the step cannot be captured as a CUDA graph and runs slower: {reason}',
                RuntimeWarning,
                stacklevel=3,
            )
        return self.captured

    def run(self) -> StepOutput:
        """Advance; what is returned is not overwritten by the next step."""
        if self._graph is None:
            self._compute()
        else:
            self._graph.replay()
        masks = _cut(self._masks.clone(), [order.shape for pair in self.orders for order in pair])
        selections = [
            Selection(mask, order)
            for mask, order in zip(masks, (order for pair in self.orders for order in pair))
        ]
        return StepOutput(
            self.head.clone(),
            self._as_states(self._new_states.clone()),
            list(zip(selections[::2], selections[1::2])),
            self.input_size,
        )

    def _compute(self) -> None:
        amp, bounce, score_threshold, nms_iou = self.settings.unbind()
        # TF32, the default for convolutions, has too few digits for selections
        precise = torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled, allow_tf32=False
        )
        with precise, torch.autocast(self.device.type, enabled=False):
            output = self.network.advance(
                self.histogram, self._as_states(self.states), Thresholds(amp, bounce)
            )
            self.head = output.head
            self._new_states = torch.cat(
                [t.permute(0, 2, 3, 1).flatten() for pair in output.states for t in pair]
            )
            self._masks = torch.cat(
                [s.mask.flatten(1) for pair in output.selections for s in pair], dim=1
            )
            boxes = [
                find_boxes(sample, self.input_size, score_threshold, nms_iou)
                for sample in probabilities(output.head)
            ]
            self.found = torch.cat([_shares(output.selections), torch.stack(boxes)], dim=1)

    def _as_states(self, flat: Tensor) -> list[State]:
        sizes = [size for size in self.maps for _ in 'hc']
        parts = flat.split([math.prod(size) for size in sizes])
        maps = [part.view(size).permute(0, 3, 1, 2) for part, size in zip(parts, sizes)]
        return list(zip(maps[::2], maps[1::2]))


def _shares(selections: list[tuple[Selection, Selection]]) -> Tensor:
    """Return the shares of windows and of tokens, stage by stage, ``float32[B, 8]``."""
    means = []
    for pair in selections:
        means.append(torch.stack([s.mask.any(dim=2).float().mean(dim=1) for s in pair]).mean(0))
        means.append(torch.stack([s.mask.float().mean(dim=(1, 2)) for s in pair]).mean(0))
    return torch.stack(means, dim=1)


def _cut(flat: Tensor, shapes: list[torch.Size]) -> list[Tensor]:
    """Return views of these shapes of ``[B, sum of their sizes]``."""
    parts = flat.split([shape.numel() for shape in shapes], dim=1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, shapes)]


class _Upload:
    """
    Copies histograms into a buffer on the device, from page-locked memory.

    Parameters
    ----------
    target : torch.Tensor
        The buffer.

    """

    def __init__(self, target: Tensor) -> None:
        self.target = target
        self._staging: Tensor | None = None
        self._done: torch.cuda.Event | None = None
        if target.is_cuda:
            self._staging = torch.empty(
                target.shape, dtype=target.dtype, device='cpu', pin_memory=True
            )
            self._done = torch.cuda.Event()

    def __call__(self, histogram: Tensor) -> None:
        if self._staging is None or self._done is None or histogram.is_cuda:
            self.target.copy_(histogram)
            return
        self._done.synchronize()  # with the copy before, which is done unless nobody waited for it
        self._staging.copy_(histogram)
        self.target.copy_(self._staging, non_blocking=True)
        self._done.record(torch.cuda.current_stream(self.target.device))


def _captured(compute: Callable[[], None], device: torch.device) -> torch.cuda.CUDAGraph:
    """Return a graph of what a function does on the device; its results are valid after replay."""
    with torch.cuda.device(device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                compute()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile
        with torch.cuda.graph(graph, capture_error_mode='thread_local'):
            compute()
    return graph
