# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Averages that make trained weights better: of the weights over steps, of batch statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import copy
from pathlib import Path
from typing import Any

from sast_ros.model import ModelConfig, SAST
from sast_ros.model.neck import ConvBlock
from sast_ros_training.training.cache import CachedSequence
import torch
from torch import nn, Tensor
import torch.distributed as distributed
from torch.optim.swa_utils import get_ema_multi_avg_fn

#: Windows of a sequence, one after the other, from which batch statistics are estimated.
_CONSECUTIVE = 10


class WeightAverage:
    """
    Exponential moving average of the weights of a network.

    ``decay`` is the share of the average that remains in a step; less in the first steps.
    """

    def __init__(self, model: SAST, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self, model: SAST) -> None:
        """Include the weights after a step."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        average = get_ema_multi_avg_fn(decay)
        average(list(self.model.parameters()), list(model.parameters()), None)
        for mine, theirs in zip(self.model.buffers(), model.buffers()):
            mine.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that ``load_state_dict`` needs."""
        return {'updates': self._updates, 'model': self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from there."""
        self._updates = state['updates']
        self.model.load_state_dict(state['model'])


@torch.no_grad()
def estimate_batch_norms(model: SAST, histograms: Iterable[Tensor]) -> None:
    """
    Estimate mean and variance of every batch norm anew, in float32.

    The running ones come from small batches of neighbouring windows under weights that have
    changed since. Processes that train together estimate them together.

    Parameters
    ----------
    model : SAST
        Changed in place; in evaluation mode afterwards.
    histograms : iterable of torch.Tensor
        Consecutive windows of several sequences at a time, ``uint8[T, B, channels, H, W]``.

    """
    device = next(model.parameters()).device
    blocks = [module for module in model.modules() if isinstance(module, ConvBlock)]
    # Count, sum and sum of squares of the inputs of each norm
    sums = [torch.zeros(3, block.bn.num_features, dtype=torch.float64) for block in blocks]

    def count(number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, x: Tensor) -> None:
            variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
            size = x.numel() // x.shape[1]
            moments = torch.stack([torch.ones_like(mean), mean, variance + mean**2])
            sums[number] += size * moments.double().cpu()

        return hook

    hooks = [block.conv.register_forward_hook(count(i)) for i, block in enumerate(blocks)]
    model.eval()
    for block in blocks:
        block.bn.train()  # those behind get normalised maps
    try:
        for windows in histograms:
            model.forward_windows(windows.to(device))
    finally:
        for handle in hooks:
            handle.remove()
        model.eval()
    total = torch.cat(sums, dim=1)
    if distributed.is_available() and distributed.is_initialized():
        shared = total.to(device if distributed.get_backend() == 'nccl' else 'cpu')
        distributed.all_reduce(shared)
        total = shared.cpu()
    if not bool((total[0] > 0).all()):
        return
    parts = total.split([block.bn.num_features for block in blocks], dim=1)
    for block, (size, linear, square) in zip(blocks, parts):
        mean = linear / size
        assert block.bn.running_mean is not None and block.bn.running_var is not None
        block.bn.running_mean.copy_(mean)
        block.bn.running_var.copy_((square / size - mean**2).clamp(min=0))


def sample_windows(paths: Sequence[Path], network: ModelConfig, count: int) -> Iterator[Tensor]:
    """
    Yield at least ``count`` windows, spread over sequences of the cache, if they have as many.

    Consecutive ones of a sequence at a time, ``uint8[T, 1, channels, H, W]``, padded.
    """
    wanted = -(-count // _CONSECUTIVE)
    some = paths[:: max(1, len(paths) // max(1, wanted))] if wanted else ()
    for path in some:
        sequence = CachedSequence(path)
        sequence.require(network)
        channels, height, width = sequence.info.shape
        length = min(len(sequence), _CONSECUTIVE)
        # From the middle, or from several places of few sequences
        places = min(-(-wanted // len(some)), max(1, len(sequence) // _CONSECUTIVE), length)
        for place in range(places):
            first = (2 * place + 1) * (len(sequence) - length) // (2 * places)
            cells = torch.zeros(
                length, 1, channels, *network.padded_size((height, width)), dtype=torch.uint8
            )
            for step in range(length):
                counts = torch.from_numpy(sequence.dense(first + step))
                cells[step, 0, :, :height, :width] = counts
            yield cells
