"""
Training on a CPU: the backbone in few passes.

Every function here computes what the modules of ``backbone`` and ``attention`` compute, forwards
and backwards: matrix products by PyTorch, everything between them by the loops of
``kernels/training.c``. They work in bfloat16 under autocast and in float32 otherwise; scores and
selections are float32 always. What it buys: benchmarks/train_step.py.
"""

from __future__ import annotations

import ctypes
from typing import Any, cast

from sast_ros.model.attention import GatedLinear, SparseAttention
from sast_ros.model.backbone import Backbone, ScoredAttention, SelectionControl, Stage, State
from sast_ros.model.sast import SAST, StepOutput
from sast_ros.model.selection import (
    event_density,
    partition_order,
    position_embedding,
    select_all,
    Selection,
)
from sast_ros_training.kernels import library
import torch
from torch import nn, Tensor
from torch.autograd.function import once_differentiable
import torch.nn.functional as F

#: Buckets of the number of selected tokens: oneDNN prepares a product anew for every shape.
_BUCKETS = 16

#: Most channels that the loops have room for.
_MAX_CHANNELS = 4096

_Argument = Tensor | int | float | None


def _kernel(name: str, *arguments: _Argument) -> int:
    """
    Run a loop of ``kernels/training.c``.

    Tensors must be contiguous unless it takes a stride, and stay referenced by the caller.
    """
    values: list[Any] = []
    for argument in arguments:
        if isinstance(argument, Tensor):
            values.append(ctypes.c_void_p(argument.data_ptr()))
        elif isinstance(argument, float):
            values.append(ctypes.c_float(argument))
        elif argument is None:
            values.append(ctypes.c_void_p(None))
        else:
            values.append(ctypes.c_int64(argument))
    function = getattr(library, name)
    function.restype = ctypes.c_int64
    return function(*values)


def _is_half(dtype: torch.dtype) -> int:
    return int(dtype == torch.bfloat16)


def _empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype)


def _sum_rows(x: Tensor) -> Tensor:
    rows, channels = x.shape
    out = _empty(channels)
    _kernel('sast_sum_rows', x, rows, channels, _is_half(x.dtype), out)
    return out


def _weight_gradient(dy: Tensor, x: Tensor) -> Tensor:
    return torch.mm(x.t(), dy).t().float()  # a tenth faster this way round


class Stem(torch.autograd.Function):
    """Convolution of stage 1: ``uint8[B, C, H, W]`` to ``float32[B, H / f, W / f, outputs]``."""

    @staticmethod
    def forward(ctx, histogram: Tensor, weight: Tensor, factor: int) -> Tensor:
        histogram = histogram.contiguous()
        batch, channels, height, width = histogram.shape
        outputs = weight.shape[0]
        ctx.save_for_backward(histogram)
        ctx.sizes = (batch, channels, height, width, factor, outputs)
        out = torch.zeros(batch, height // factor, width // factor, outputs)
        kernel = weight.permute(2, 3, 1, 0).contiguous()
        _kernel('sast_stem_forward', histogram, *ctx.sizes, kernel, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (histogram,) = ctx.saved_tensors
        *_, factor, outputs = ctx.sizes
        size = 2 * factor - 1
        kernel = torch.zeros(size, size, histogram.shape[1], outputs)
        _kernel('sast_stem_backward', histogram, *ctx.sizes, kernel, gradient.contiguous())
        return None, kernel.permute(3, 2, 0, 1), None


class DownConvolution(torch.autograd.Function):
    """
    3x3 convolution at stride 2 over replicated borders, NHWC in and out.

    Forwards always in float32, because selections depend on it.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.dtype = dtype
        padded = DownConvolution._pad(x, torch.float32)
        kernel = weight.contiguous(memory_format=torch.channels_last)
        out = F.conv2d(padded.permute(0, 3, 1, 2), kernel, stride=2)
        return out.permute(0, 2, 3, 1).contiguous()

    @staticmethod
    def _pad(x: Tensor, dtype: torch.dtype) -> Tensor:
        batch, height, width, channels = x.shape
        padded = _empty(batch, height + 2, width + 2, channels, dtype=dtype)
        _kernel('sast_pad_forward', x, *x.shape, _is_half(dtype), padded)
        return padded

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        x, weight = ctx.saved_tensors
        padded = DownConvolution._pad(x, ctx.dtype).permute(0, 3, 1, 2)
        gradient = gradient.to(ctx.dtype).permute(0, 3, 1, 2)
        kernel = weight.to(ctx.dtype, memory_format=torch.channels_last)
        dpadded, dweight, _ = torch.ops.aten.convolution_backward(
            gradient, padded, kernel, None, [2, 2], [0, 0], [1, 1], False, [0, 0], 1,
            [True, True, False],
        )  # fmt: skip
        dx = _empty(*x.shape)
        dpadded = dpadded.permute(0, 2, 3, 1).contiguous()
        _kernel('sast_pad_backward', dpadded, *x.shape, _is_half(ctx.dtype), dx)
        return dx, dweight.float(), None


class Norm(torch.autograd.Function):
    """Layer norm of ``float32[rows, C]``."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        out, statistics = torch.empty_like(x), _empty(len(x), 2)
        _kernel('sast_norm_forward', x, weight, bias, None, 1, *x.shape, out, statistics)
        ctx.save_for_backward(x, weight, statistics)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        x, weight, statistics = ctx.saved_tensors
        dx, dweight = torch.empty_like(x), torch.zeros_like(weight)
        dbias = torch.zeros_like(weight)
        _kernel('sast_norm_backward', gradient.contiguous(), None, 0, x, statistics, weight,
                *x.shape, dx, dweight, dbias)  # fmt: skip
        return dx, dweight, dbias


class Weigh(torch.autograd.Function):
    """
    From the convolution of a stage to the input of its attention, and the scores.

    Layer norm, position embedding, scoring, weighting, layer norm. ``x``: ``float32[B, tokens,
    C]``; the first result has its shape, the second is ``float32[B, tokens]``.
    """

    @staticmethod
    def forward(
        ctx, x, norm_weight, norm_bias, position, score_weight, score_bias, gate, scale, weight,
        bias, dtype,
    ):  # fmt: skip
        batch, tokens, channels = x.shape
        x = x.contiguous()
        embedded, statistics = torch.empty_like(x), _empty(batch * tokens, 2)
        _kernel('sast_norm_forward', x, norm_weight, norm_bias, position, tokens, batch * tokens,
                channels, embedded, statistics)  # fmt: skip
        raw = F.linear(embedded.view(-1, channels), score_weight, score_bias)
        out, second, scores = torch.empty_like(x), _empty(batch * tokens, 2), _empty(batch, tokens)
        gate, scale = gate.contiguous(), scale.contiguous()
        _kernel('sast_weigh_forward', embedded, raw, gate, scale, weight, bias, batch, tokens,
                channels, out, second, scores)  # fmt: skip
        ctx.save_for_backward(
            x, statistics, norm_weight, embedded, raw, score_weight, gate, second, weight
        )
        ctx.dtype = dtype
        ctx.mark_non_differentiable(scores)
        return out, scores

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor, _):
        x, statistics, norm_weight, embedded, raw, score_weight, gate, second, weight = (
            ctx.saved_tensors
        )
        batch, tokens, channels = x.shape
        half = _is_half(ctx.dtype)
        dembedded = torch.empty_like(x)
        draw, inputs = _empty(2, batch * tokens, channels, dtype=ctx.dtype)
        dgate, dweight, dbias = torch.zeros_like(gate), *torch.zeros(2, channels)
        _kernel('sast_weigh_backward', gradient.contiguous(), embedded, raw, gate, second, weight,
                batch, tokens, channels, half, dembedded, draw, inputs, dgate, dweight,
                dbias)  # fmt: skip
        dscore_weight = _weight_gradient(draw, inputs)
        extra = torch.mm(draw, score_weight.to(ctx.dtype))
        dx, (dnorm_weight, dnorm_bias) = torch.empty_like(x), torch.zeros(2, channels)
        _kernel('sast_norm_backward', dembedded, extra, half, x, statistics, norm_weight,
                batch * tokens, channels, dx, dnorm_weight, dnorm_bias)  # fmt: skip
        return (
            dx, dnorm_weight, dnorm_bias, None, dscore_weight, _sum_rows(draw), dgate, None,
            dweight, dbias, None,
        )  # fmt: skip


class NormActivate(torch.autograd.Function):
    """Batch norm by the statistics of the batch, and SiLU; ``[B, C, H, W]`` in channels-last."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float):
        channels, half = x.shape[1], _is_half(x.dtype)
        rows = x.numel() // channels
        sums = _empty(2, channels, dtype=torch.float64)
        _kernel('sast_batch_sums', x, rows, channels, half, sums)
        mean, square = sums / rows
        variance = (square - mean * mean).clamp(min=0)
        deviation = (variance + epsilon).rsqrt().float()
        mean, variance = mean.float(), variance.float()
        scale = weight * deviation
        shift = bias - mean * scale
        out = torch.empty_like(x)
        _kernel('sast_activate_forward', x, scale, shift, rows, channels, half, out)
        ctx.save_for_backward(x, scale, shift, mean, deviation)
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor, *_):
        x, scale, shift, mean, deviation = ctx.saved_tensors
        channels = x.shape[1]
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        rows = x.numel() // channels
        dx, (dweight, dbias) = torch.empty_like(x), _empty(2, channels)
        _kernel('sast_activate_backward', gradient, x, scale, shift, mean, deviation, rows,
                channels, _is_half(x.dtype), dx, dweight, dbias)  # fmt: skip
        return dx, dweight, dbias, None


def norm_activate(x: Tensor, norm: nn.Module) -> Tensor:
    """
    Return ``silu(norm(x))``; a batch norm updates its running statistics.

    ``x``: ``[B, C, H, W]``. Batches on a CPU that are normed by their own statistics take the
    loops, everything else the modules.
    """
    if not (
        isinstance(norm, nn.BatchNorm2d)
        and norm.training
        and x.device.type == 'cpu'
        and x.dtype in (torch.bfloat16, torch.float32)
        and norm.weight.dtype == torch.float32
        and x.shape[1] % 16 == 0
        and x.shape[1] <= _MAX_CHANNELS
    ):
        return F.silu(norm(x))
    x = x.contiguous(memory_format=torch.channels_last)
    out, mean, variance = NormActivate.apply(x, norm.weight, norm.bias, norm.eps)
    with torch.no_grad():
        count = x.numel() // x.shape[1]
        momentum = cast(float, norm.momentum)
        cast(Tensor, norm.running_mean).lerp_(mean, momentum)
        cast(Tensor, norm.running_var).lerp_(variance * (count / max(1, count - 1)), momentum)
        cast(Tensor, norm.num_batches_tracked).add_(1)
    return out


class Chosen:
    """
    Selected tokens, packed.

    ``rows``: ``int32[n]`` rows of the map of the whole batch, ordered by window; ``starts``:
    ``int32[windows + 1]`` where the used windows begin in it; ``padded``: number of rows that the
    matrix products get.
    """

    def __init__(self, rows: Tensor, starts: Tensor, tokens: int) -> None:
        self.rows, self.starts, self.count = rows, starts, len(rows)
        self.windows = len(starts) - 1
        self.longest = int(starts.diff().max()) if self.windows else 0
        multiple = max(16, tokens // _BUCKETS)
        self.padded = -(-self.count // multiple) * multiple


def select(scores: Tensor, order: Tensor, bounce: float) -> tuple[Selection, Chosen]:
    """Select as ``selection.select``, and list what is selected."""
    batch, tokens = scores.shape
    mask = torch.empty(batch, *order.shape, dtype=torch.bool)
    rows = torch.empty(batch * tokens, dtype=torch.int32)
    starts = torch.empty(batch * len(order) + 1, dtype=torch.int32)
    used = _kernel('sast_select', scores, order, batch, *order.shape, bounce, mask, rows, starts)
    if used < 0:
        raise MemoryError('no memory for the token selection; use smaller batches')
    starts = starts[: used + 1]
    return Selection(mask, order), Chosen(rows[: int(starts[-1])], starts, batch * tokens)


class Attend(torch.autograd.Function):
    """
    Sparse attention and MLP of the selected tokens; see ``SparseAttention``.

    ``x``: ``float32[rows, C]``, the layer norm of all tokens. The projections include their
    LayerScale. Returns the same shape as ``dtype``, or float32 unless ``last``.
    """

    @staticmethod
    def forward(
        ctx, x, chosen, heads, dtype, last, norm_weight, norm_bias, qkv_weight, qkv_bias,
        proj_weight, proj_bias, in_weight, in_bias, out_weight, out_bias,
    ):  # fmt: skip
        rows, channels = x.shape
        count, padded, half = chosen.count, chosen.padded, _is_half(dtype)
        z, normed = _empty(2, padded, channels, dtype=dtype)
        deviations = _empty(padded)
        _kernel('sast_gather_forward', x, chosen.rows, count, padded, channels, norm_weight,
                norm_bias, half, z, normed, deviations)  # fmt: skip
        weights = [w.to(dtype) for w in (qkv_weight, proj_weight, in_weight, out_weight)]
        qkv = torch.addmm(qkv_bias.to(dtype), z, weights[0].t())
        attended = torch.zeros(padded, channels, dtype=dtype)
        window = (chosen.starts, chosen.windows, chosen.longest, heads, channels // heads, half)
        if _kernel('sast_attention_forward', qkv, *window, attended):
            raise MemoryError('no memory for attention; use smaller partitions')
        y = torch.empty_like(z)
        _kernel('sast_add_rows', z, torch.mm(attended, weights[1].t()), proj_bias, padded,
                channels, half, y)  # fmt: skip
        inner = out_weight.shape[1]
        wide = torch.addmm(in_bias.to(dtype), y, weights[2].t())
        gated = _empty(padded, inner, dtype=dtype)
        _kernel('sast_gate_forward', wide, padded, inner, half, gated)
        out_dtype = dtype if last else torch.float32
        out = _empty(rows, channels, dtype=out_dtype)
        _kernel('sast_scatter_forward', x, rows, chosen.rows, count, channels, y,
                torch.mm(gated, weights[3].t()), out_bias, half, _is_half(out_dtype),
                out)  # fmt: skip
        ctx.save_for_backward(
            normed, deviations, norm_weight, z, qkv, attended, y, wide, gated, *weights
        )
        ctx.chosen, ctx.window, ctx.dtype = chosen, window, dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        normed, deviations, norm_weight, z, qkv, attended, y, wide, gated, *weights = (
            ctx.saved_tensors
        )
        rows, channels = gradient.shape
        if gradient.stride(1) != 1:
            gradient = gradient.contiguous()
        chosen, half = ctx.chosen, _is_half(ctx.dtype)
        count, padded = chosen.count, chosen.padded
        dx, dy = _empty(rows, channels), torch.empty_like(z)
        _kernel('sast_scatter_backward', gradient, rows, gradient.stride(0), chosen.rows, count,
                padded, channels, half, _is_half(gradient.dtype), dx, dy)  # fmt: skip
        dout_weight, dout_bias = _weight_gradient(dy, gated), _sum_rows(dy)
        dwide = torch.empty_like(wide)
        dgated = torch.mm(dy, weights[3])
        _kernel('sast_gate_backward', dgated, wide, padded, gated.shape[1], half, dwide)
        din_weight, din_bias = _weight_gradient(dwide, y), _sum_rows(dwide)
        dy = torch.addmm(dy, dwide, weights[2])
        dproj_weight, dproj_bias = _weight_gradient(dy, attended), _sum_rows(dy)
        dqkv = torch.empty_like(qkv)
        dqkv[count:] = 0
        dattended = torch.mm(dy, weights[1])
        if _kernel('sast_attention_backward', qkv, *ctx.window, dattended, dqkv):
            raise MemoryError('no memory for attention; use smaller partitions')
        dqkv_weight, dqkv_bias = _weight_gradient(dqkv, z), _sum_rows(dqkv)
        dz = torch.addmm(dy, dqkv, weights[0])
        dnorm_weight, dnorm_bias = torch.zeros(2, channels)
        _kernel('sast_gather_backward', dz, chosen.rows, count, channels, normed, deviations,
                norm_weight, half, dx, dnorm_weight, dnorm_bias)  # fmt: skip
        return (
            dx, None, None, None, None, dnorm_weight, dnorm_bias, dqkv_weight, dqkv_bias,
            dproj_weight, dproj_bias, din_weight, din_bias, dout_weight, dout_bias,
        )  # fmt: skip


class Recur(torch.autograd.Function):
    """
    ConvLSTM over several windows.

    ``x``: ``[T, rows, C]``; ``hidden``, ``cell``: ``float32[rows, C]`` or ``None`` for zeros.
    Returns h of all windows ``float32[T, rows, C]`` and the last c.
    """

    @staticmethod
    def forward(ctx, x, hidden, cell, weight, bias):
        windows, rows, channels = x.shape
        dtype, half = x.dtype, _is_half(x.dtype)
        kernel, shift = weight.to(dtype), bias.to(dtype)
        inputs = _empty(windows, rows, 2 * channels, dtype=dtype)
        gates = _empty(windows, rows, 4 * channels, dtype=dtype)
        hiddens, cells = _empty(2, windows, rows, channels)
        x = x.contiguous()
        before, cell_before = (None if s is None else s.contiguous() for s in (hidden, cell))
        first = cell_before
        for t in range(windows):
            _kernel('sast_join', x[t], before, rows, channels, half, inputs[t])
            torch.addmm(shift, inputs[t], kernel.t(), out=gates[t])
            _kernel('sast_cell_forward', gates[t], cell_before, rows, channels, half, hiddens[t],
                    cells[t])  # fmt: skip
            before, cell_before = hiddens[t], cells[t]
        ctx.save_for_backward(inputs, gates, cells, first, kernel)
        return hiddens, cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, dhiddens: Tensor, dlast: Tensor):
        inputs, gates, cells, first, kernel = ctx.saved_tensors
        windows, rows, channels = cells.shape
        half = _is_half(gates.dtype)
        dgates, dinputs = torch.empty_like(gates), torch.empty_like(inputs)
        dcell = dlast.clone(memory_format=torch.contiguous_format)
        dhiddens = dhiddens.contiguous()
        for t in reversed(range(windows)):
            _kernel('sast_cell_backward', gates[t], cells[t - 1] if t else first, cells[t],
                    dhiddens[t], dinputs[t + 1] if t + 1 < windows else None, rows, channels, half,
                    dcell, dgates[t])  # fmt: skip
            torch.mm(dgates[t], kernel, out=dinputs[t])
        dgates = dgates.view(-1, 4 * channels)
        dweight = _weight_gradient(dgates, inputs.view(-1, 2 * channels))
        dhidden = dinputs[0, :, channels:].float() if ctx.needs_input_grad[1] else None
        return (
            dinputs[:, :, :channels],
            dhidden,
            dcell if ctx.needs_input_grad[2] else None,
            dweight,
            _sum_rows(dgates),
        )


def can_fuse(backbone: Backbone) -> bool:
    """Whether these loops know the sizes and options of a network, and its device."""
    config = backbone.config
    parameter = next(backbone.parameters())
    return (
        parameter.device.type == 'cpu'
        and parameter.dtype == torch.float32
        and config.embed_dim % 16 == 0
        and config.dim_head % 16 == 0
        and config.stage_dims[-1] <= _MAX_CHANNELS
        and not config.context_broadcasting
    )


def forward_windows(
    model: SAST, histograms: Tensor, states: list[State] | None = None
) -> StepOutput:
    """Return what ``model.forward_windows`` does, by these loops where they can."""
    if not can_fuse(model.backbone):
        return model.forward_windows(histograms, states)
    windows, batch = histograms.shape[:2]
    histograms = model.pad(histograms.flatten(0, 1)).unflatten(0, (windows, batch))
    features, states, selections = advance(model.backbone, histograms, states, model.control)
    head = model.yolox_head(model.fpn(*features[1:]))
    height, width = histograms.shape[3:]
    return StepOutput(head, states, selections, (height, width))


def advance(
    backbone: Backbone, histograms: Tensor, states: list[State] | None, control: SelectionControl
) -> tuple[list[Tensor], list[State], list[tuple[Selection, Selection]]]:
    """
    Advance by several windows, stage by stage: only the LSTM cells go from window to window.

    ``histograms``: ``uint8[T, B, channels, H, W]``, padded. Returns the features h of the four
    stages ``[T * B, C, H, W]`` (channels-last memory), the states after the last window, and the
    selections, whose masks have T * B samples.
    """
    windows, batch = histograms.shape[:2]
    images = histograms.flatten(0, 1)
    part = backbone.config.partitions(images.shape[2:])
    dtype = torch.bfloat16 if torch.is_autocast_enabled('cpu') else torch.float32
    features, new_states, selections = [], [], []
    with torch.autocast('cpu', enabled=False):
        density = event_density(images)
        x = images
        for index, module in enumerate(backbone.stages):
            stage = cast(Stage, module)
            x, chosen = _attended(stage, x, density[:, index], part, control, dtype)
            _, height, width, channels = x.shape
            before: tuple[Tensor | None, Tensor | None] = (None, None)
            if states:
                hidden, cell = (s.permute(0, 2, 3, 1).float() for s in states[index])
                before = hidden.reshape(-1, channels), cell.reshape(-1, channels)
            weight, bias = stage.lstm.conv1x1.weight.flatten(1), stage.lstm.conv1x1.bias
            h, c = Recur.apply(x.view(windows, -1, channels), *before, weight, bias)
            x = h.view(windows * batch, height, width, channels)
            features.append(x.permute(0, 3, 1, 2))
            last = (s.view(batch, height, width, channels).permute(0, 3, 1, 2) for s in (h[-1], c))
            new_states.append(tuple(last))
            selections.append(chosen)
    return features, new_states, selections


def _attended(
    stage: Stage,
    x: Tensor,
    density: Tensor,
    part: tuple[int, int],
    control: SelectionControl,
    dtype: torch.dtype,
) -> tuple[Tensor, tuple[Selection, Selection]]:
    """
    Run a stage up to its LSTM.

    ``x``: the histograms ``uint8[B, C, H, W]`` or the features of the stage before ``[B, H, W,
    C]``. Returns ``[B, H, W, C]`` and the selections.
    """
    down = stage.downsample_cf2cl
    if x.dtype == torch.uint8:
        x = Stem.apply(x, down.conv.weight, down.padding + 1)
    else:
        x = DownConvolution.apply(x, down.conv.weight, dtype)
    batch, height, width, channels = x.shape
    attention = cast(ScoredAttention, stage.att_blocks[0].att)
    gain = (density + 1e-6) @ attention.to_controls.weight.exp().t()
    scale = control.amp / gain.detach()
    scale = torch.where(torch.isinf(scale), 0.0, scale)
    scoring = attention.to_scores
    by_window, by_grid = attention.win_attn, attention.grid_attn
    position = position_embedding(channels, height, width, x.device).view(-1, channels)
    x, scores = Weigh.apply(
        x.view(batch, -1, channels), down.norm.weight, down.norm.bias, position, scoring.weight,
        scoring.bias, gain.sigmoid(), scale, by_window.norm1.weight, by_window.norm1.bias, dtype,
    )  # fmt: skip
    orders = [partition_order(kind, height, width, part, x.device) for kind in ('window', 'grid')]
    if control.mode == 'dense':
        chosen = [_all(batch, order) for order in orders]
    else:
        chosen = [select(scores, order, control.bounce) for order in orders]
    x = x.view(-1, channels)
    x = _attend(by_window, x, chosen[0][1], dtype, last=False)
    x = Norm.apply(x, by_grid.norm1.weight, by_grid.norm1.bias)
    x = _attend(by_grid, x, chosen[1][1], dtype, last=True)
    return x.view(batch, height, width, channels), (chosen[0][0], chosen[1][0])


def _attend(
    attention: SparseAttention, x: Tensor, chosen: Chosen, dtype: torch.dtype, last: bool
) -> Tensor:
    """Attend with LayerScale folded into the projections before it."""
    proj, out = attention.proj, cast(nn.Linear, attention.mlp.net[2])
    wide = cast(GatedLinear, attention.mlp.net[0]).proj
    inner, outer = attention.ls1.gamma, attention.ls2.gamma
    return Attend.apply(
        x, chosen, attention.heads, dtype, last, attention.norm2.weight, attention.norm2.bias,
        attention.qkv.weight, attention.qkv.bias, inner[:, None] * proj.weight, inner * proj.bias,
        wide.weight, wide.bias, outer[:, None] * out.weight, outer * out.bias,
    )  # fmt: skip


def _all(batch: int, order: Tensor) -> tuple[Selection, Chosen]:
    windows, size = order.shape
    first = torch.arange(batch)[:, None, None] * (windows * size)
    rows = (first + order).flatten().int()
    starts = torch.arange(batch * windows + 1, dtype=torch.int32) * size
    return select_all(batch, order), Chosen(rows, starts, len(rows))
