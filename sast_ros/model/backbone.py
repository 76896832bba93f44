"""
Recurrent backbone of SAST.

It has four stages of down-sampling, scoring, sparse attention and ConvLSTM.
"""

from __future__ import annotations

from dataclasses import dataclass

from sast_ros.model.attention import SparseAttention
from sast_ros.model.config import ModelConfig
from sast_ros.model.selection import (
    event_density,
    partition_order,
    position_embedding,
    select,
    select_all,
    Selection,
)
import torch
from torch import nn, Tensor
import torch.nn.functional as F

#: (h, c) of one stage, each [B, C, H, W].
State = tuple[Tensor, Tensor]


@dataclass(slots=True)
class SelectionControl:
    """
    How the token selection works; may be changed between two steps.

    ``mode``: ``'adaptive'`` or ``'dense'``; ``amp``, ``bounce``: AMP and BOUNCE of spec 4.4 (a
    larger ``amp`` selects fewer tokens, a larger ``bounce`` more).
    """

    mode: str
    amp: float
    bounce: float


class Downsample(nn.Module):
    """Overlapping convolution with replicated borders, then layer norm; NHWC in and out."""

    def __init__(self, inputs: int, outputs: int, factor: int) -> None:
        super().__init__()
        self.padding = factor - 1
        self.conv = nn.Conv2d(
            inputs, outputs, kernel_size=2 * factor - 1, stride=factor, bias=False
        )
        self.norm = nn.LayerNorm(outputs, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        # Selections are decided downstream of here: half precision would flip a few per cent of
        # them.
        with torch.autocast(x.device.type, enabled=False):
            x = self.pad(x)
            return self.norm(self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))

    def pad(self, x: Tensor) -> Tensor:
        """
        Replicate the borders of ``[B, H, W, C]``, any dtype.

        The result has the dtype of the weights.
        """
        x = x.to(self.conv.weight.dtype).contiguous()
        return _replicate(_replicate(x, self.padding, dim=1), self.padding, dim=2)


def _replicate(x: Tensor, count: int, dim: int) -> Tensor:
    """
    Repeat the first and the last slice.

    Torch's own replication padding is slower on channels-last maps.
    """
    shape = list(x.shape)
    shape[dim] = count
    last = x.shape[dim] - 1
    return torch.cat(
        [x.narrow(dim, 0, 1).expand(shape), x, x.narrow(dim, last, 1).expand(shape)], dim=dim
    )


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
    ) -> tuple[Tensor, Selection, Selection]:
        """
        Return the map and the selections by window and by grid.

        ``x``: ``[B, H, W, C]``; ``density``: ``[B, channels]`` of this stage (spec 4.1); ``part``:
        partition size.
        """
        batch, height, width, channels = x.shape
        x = x.view(batch, height * width, channels)
        # Half precision would flip a few per cent of the selections
        with torch.autocast(x.device.type, enabled=False):
            gain = (density + 1e-6) @ self.to_controls.weight.exp().t()  # B, C
            scale = control.amp / gain.detach()
            scale = torch.where(torch.isinf(scale), 0.0, scale)
            x, scores = self.weigh(x.float(), self.to_scores(x.float()), gain, scale)
            orders = [
                partition_order(kind, height, width, part, x.device) for kind in ('window', 'grid')
            ]
            if control.mode == 'dense':
                by_window, by_grid = (select_all(batch, order) for order in orders)
            else:
                by_window, by_grid = (select(scores, order, control.bounce) for order in orders)
        x = self.win_attn(x, by_window)
        x = self.grid_attn(x, by_grid)
        return x.view(batch, height, width, channels), by_window, by_grid

    @staticmethod
    def weigh(x: Tensor, raw: Tensor, gain: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """
        Return the weighted tokens ``[B, tokens, C]`` and the score of each ``[B, tokens]``.

        ``x``, ``raw``: tokens and their scores before the ReLU, ``[B, tokens, C]``; ``gain``,
        ``scale``: g and AMP / g of spec 4.4, ``[B, C]``.
        """
        raw = F.relu(raw)
        # The L1 norm of the scaled scores: they are not negative, so a matrix-vector product.
        scores = torch.einsum('btc,bc->bt', raw.detach(), scale)
        return torch.sigmoid(gain)[:, None, :] * torch.sigmoid(raw) * x, scores


class AttentionBlock(nn.Module):
    """Block of a stage: position embedding, then scored attention (under the published name)."""

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        self.att = ScoredAttention(config, channels)

    def forward(
        self, x: Tensor, density: Tensor, part: tuple[int, int], control: SelectionControl
    ):
        _, height, width, channels = x.shape
        return self.att(
            x + position_embedding(channels, height, width, x.device), density, part, control
        )


class ConvLstm(nn.Module):
    """
    LSTM cell with a 1x1 convolution, computed token by token (NHWC).

    Order of the channels: gates forget, input, output, then the candidate.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(2 * channels, 4 * channels, kernel_size=1)

    def forward(self, x: Tensor, state: State | None) -> State:
        """
        Return the new (h, c), ``[B, C, H, W]`` in channels-last memory.

        ``x``: ``[B, H, W, C]``.
        """
        channels = x.shape[-1]
        if state is None:
            hidden = cell = torch.zeros_like(x)
        else:
            hidden, cell = (s.permute(0, 2, 3, 1) for s in state)
        weight, bias = self.conv1x1.weight.flatten(1), self.conv1x1.bias
        gates = F.linear(torch.cat([x, hidden], dim=-1), weight, bias).float()
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
        part: tuple[int, int],
        control: SelectionControl,
    ) -> tuple[State, Selection, Selection]:
        x = self.downsample_cf2cl(x)
        x, by_window, by_grid = self.att_blocks[0](x, density, part, control)
        return self.lstm(x, state), by_window, by_grid


class Backbone(nn.Module):
    """Four recurrent stages at strides 4, 8, 16 and 32."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.density = event_density
        dims = (config.channels, *config.stage_dims)
        self.stages = nn.ModuleList(
            Stage(config, dims[i], dims[i + 1], factor=4 if i == 0 else 2) for i in range(4)
        )

    def forward(
        self, histogram: Tensor, states: list[State] | None, control: SelectionControl
    ) -> tuple[list[State], list[tuple[Selection, Selection]]]:
        """
        Advance the recurrent state by one window.

        ``histogram``: ``uint8[B, channels, H, W]``, padded to a size that the configuration
        allows. Returns the four new states (h is the stage's feature) and the four pairs of
        selections (window, grid).
        """
        density = self.density(histogram)
        part = self.config.partitions(histogram.shape[2:])
        x = histogram.permute(0, 2, 3, 1)
        new_states, selections = [], []
        for index, stage in enumerate(self.stages):
            state, by_window, by_grid = stage(
                x, density[:, index], states[index] if states else None, part, control
            )
            new_states.append(state)
            selections.append((by_window, by_grid))
            x = state[0].permute(0, 2, 3, 1)
        return new_states, selections
