# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Recurrent backbone of SAST.

It has four stages of down-sampling, scoring, sparse attention and ConvLSTM.
"""

from __future__ import annotations

from sast_ros.model.attention import SparseAttention
from sast_ros.model.config import ModelConfig
from sast_ros.model.selection import (
    event_density,
    position_embedding,
    score_gain,
    score_tokens,
    select_tokens,
    Selection,
    SelectionControl,
)
import torch
from torch import nn, Tensor
import torch.nn.functional as F

#: (h, c) of one stage, each [B, C, H, W].
State = tuple[Tensor, Tensor]


class Downsample(nn.Module):
    """
    Overlapping convolution with replicated borders, then layer norm (docs/sast.md 3.1).

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    factor : int
        Down-sampling; the kernel has ``2 * factor - 1`` pixels a side.

    """

    def __init__(self, inputs: int, outputs: int, factor: int) -> None:
        super().__init__()
        self.padding = factor - 1
        self.conv = nn.Conv2d(
            inputs, outputs, kernel_size=2 * factor - 1, stride=factor, bias=False
        )
        self.norm = nn.LayerNorm(outputs, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[B, H / factor, W / factor, C]`` of ``[B, C, H, W]``, any dtype."""
        # Selections are decided downstream of here: half precision would flip a few per cent of
        # them.
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.conv.weight.dtype, memory_format=torch.channels_last)
            x = F.pad(x, 4 * (self.padding,), mode='replicate')
            return self.norm(self.conv(x).permute(0, 2, 3, 1))


class ScoredAttention(nn.Module):
    """
    Score the tokens, weight them by their scores, and attend among the selected ones.

    Attention is by window, then by grid.
    """

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        arguments = (channels, config.dim_head, config.layer_scale, config.context_broadcasting)
        self.win_attn = SparseAttention(*arguments)
        self.grid_attn = SparseAttention(*arguments)
        self.to_scores = nn.Linear(channels, channels)
        self.to_controls = nn.Linear(config.channels, channels, bias=False)
        nn.init.ones_(self.to_controls.weight)

    def forward(
        self, x: Tensor, density: Tensor, part: tuple[int, int], control: SelectionControl
    ) -> tuple[Tensor, Tensor, tuple[Selection, Selection]]:
        """
        Return the map, the scores ``[B, tokens]``, and the selections by window and by grid.

        Parameters
        ----------
        x : torch.Tensor
            ``[B, H, W, C]``.
        density : torch.Tensor
            ``[B, channels]`` of this stage.
        part : tuple of int
            (height, width) of a partition in tokens.
        control : SelectionControl
            Of the selection.

        """
        size = x.shape[1], x.shape[2]
        # Half precision would flip a few per cent of the selections
        with torch.autocast(x.device.type, enabled=False):
            tokens = x.flatten(1, 2).float()
            gain, scale = score_gain(density, self.to_controls.weight, control.amp)
            tokens, scores = score_tokens(tokens, self.to_scores(tokens), gain, scale)
            by_window, by_grid = select_tokens(scores.detach(), size, part, control)
        tokens = self.grid_attn(self.win_attn(tokens, by_window), by_grid)
        return tokens.unflatten(1, size), scores, (by_window, by_grid)


class AttentionBlock(nn.Module):
    """Block of a stage: position embedding, then scored attention (under the published name)."""

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        self.att = ScoredAttention(config, channels)

    def forward(
        self, x: Tensor, density: Tensor, part: tuple[int, int], control: SelectionControl
    ) -> tuple[Tensor, Tensor, tuple[Selection, Selection]]:
        _, height, width, channels = x.shape
        x = x + position_embedding(channels, height, width, x.device)
        return self.att(x, density, part, control)


class ConvLstm(nn.Module):
    """
    LSTM cell with a 1x1 convolution, computed token by token (docs/sast.md 5).

    Order of the channels: gates forget, input, output, then the candidate.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(2 * channels, 4 * channels, kernel_size=1)

    def forward(self, x: Tensor, state: State | None) -> State:
        """
        Return the new (h, c), ``[B, C, H, W]`` in channels-last memory, of ``[B, H, W, C]``.

        Without a state it is zero.
        """
        channels = x.shape[-1]
        if state is None:
            hidden = cell = torch.zeros_like(x)
        else:
            hidden, cell = (s.permute(0, 2, 3, 1) for s in state)
        weight, bias = self.conv1x1.weight.flatten(1), self.conv1x1.bias
        inputs = torch.cat([x, hidden], dim=-1).to(weight.dtype)
        gates = F.linear(inputs, weight, bias).float()
        candidate = 3 * channels
        forget, enter, leave = torch.sigmoid(gates[..., :candidate]).chunk(3, dim=-1)
        cell = forget * cell + enter * torch.tanh(gates[..., candidate:])
        hidden = leave * torch.tanh(cell)
        return hidden.permute(0, 3, 1, 2), cell.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """One stage of the backbone."""

    def __init__(self, config: ModelConfig, inputs: int, outputs: int, factor: int) -> None:
        super().__init__()
        self.downsample_cf2cl = Downsample(inputs, outputs, factor)
        self.att_blocks = nn.ModuleList([AttentionBlock(config, outputs)])
        self.lstm = ConvLstm(outputs)

    def forward(
        self,
        x: Tensor,
        density: Tensor,
        state: State | None,
        windows: int,
        part: tuple[int, int],
        control: SelectionControl,
    ) -> tuple[Tensor, State, tuple[Selection, Selection], Tensor]:
        """
        Advance by several windows; only the LSTM goes from one to the next.

        Parameters
        ----------
        x : torch.Tensor
            ``[T * B, channels, H, W]``, window after window.
        density : torch.Tensor
            ``[T * B, channels]`` of this stage.
        state : tuple of torch.Tensor or None
            (h, c) before the first window, ``[B, C, H, W]``.
        windows : int
            T.
        part : tuple of int
            (height, width) of a partition in tokens.
        control : SelectionControl
            Of the selection.

        Returns
        -------
        features : torch.Tensor
            Feature h of all windows, ``[T * B, C, H, W]``.
        state : tuple of torch.Tensor
            State (h, c) after the last window.
        selections : tuple of Selection
            By window and by grid, with T * B samples.
        scores : torch.Tensor
            Of the tokens, ``float32[T * B, tokens]``.

        """
        x = self.downsample_cf2cl(x)
        x, scores, selections = self.att_blocks[0](x, density, part, control)
        states: list[State] = []
        for window in x.chunk(windows):
            states.append(self.lstm(window, states[-1] if states else state))
        return torch.cat([h for h, _ in states]), states[-1], selections, scores


class Backbone(nn.Module):
    """Four recurrent stages at strides 4, 8, 16 and 32."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        dims = (config.channels, *config.stage_dims)
        self.stages = nn.ModuleList(
            Stage(config, dims[i], dims[i + 1], factor=4 if i == 0 else 2) for i in range(4)
        )

    def forward(
        self, histograms: Tensor, states: list[State] | None, control: SelectionControl
    ) -> tuple[list[Tensor], list[State], list[tuple[Selection, Selection]], list[Tensor]]:
        """
        Advance the recurrent state by several windows.

        Parameters
        ----------
        histograms : torch.Tensor
            ``uint8[T, B, channels, H, W]``, padded to a size that the configuration allows.
        states : list of tuple of torch.Tensor or None
            (h, c) of the four stages before the first window, None for zeros.
        control : SelectionControl
            Of the selection.

        Returns
        -------
        features : list of torch.Tensor
            Of each stage; see ``Stage.forward``.
        states : list of tuple of torch.Tensor
            Of each stage, after the last window.
        selections : list of tuple of Selection
            Of each stage.
        scores : list of torch.Tensor
            Of each stage, see ``Stage.forward``.

        """
        windows = len(histograms)
        x = histograms.flatten(0, 1)
        density = event_density(x)
        part = self.config.partitions(x.shape[2:])
        outputs = []
        for index, stage in enumerate(self.stages):
            state = states[index] if states else None
            output = stage(x, density[:, index], state, windows, part, control)
            x = output[0]
            outputs.append(output)
        features, new_states, selections, scores = (list(parts) for parts in zip(*outputs))
        return features, new_states, selections, scores
