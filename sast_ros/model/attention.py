# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Masked sparse window self-attention on the selected tokens only (SAST section 3.4)."""

from __future__ import annotations

from sast_ros.model.selection import Selection
import torch
from torch import nn, Tensor
import torch.nn.functional as F

# Names under which the published checkpoints hold five modules of an attention a second time.
ALIASES = {
    'sub_layers.0.gamma': 'ls1.gamma',
    'sub_layers.2.weight': 'norm2.weight',
    'sub_layers.2.bias': 'norm2.bias',
    'sub_layers.3.net.0.proj.weight': 'mlp.net.0.proj.weight',
    'sub_layers.3.net.0.proj.bias': 'mlp.net.0.proj.bias',
    'sub_layers.3.net.2.weight': 'mlp.net.2.weight',
    'sub_layers.3.net.2.bias': 'mlp.net.2.bias',
    'sub_layers.4.gamma': 'ls2.gamma',
}


class LayerScale(nn.Module):
    """Learned factor per channel."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


class GatedLinear(nn.Module):
    """Linear projection to twice the width; the second half gates the first through GELU."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class GatedMlp(nn.Module):
    """GELU-gated MLP of about 4 * 2/3 times the width, rounded down to a multiple of 32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = int(4 * channels * 2 / 3) // 32 * 32
        self.net = nn.Sequential(
            GatedLinear(channels, inner), nn.Identity(), nn.Linear(inner, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class SparseAttention(nn.Module):
    """
    MS-WSA: attention and MLP on the selected tokens; the others leave as their layer norm.

    Two properties of the published network look odd and are kept because checkpoints depend on
    them: tokens that are not selected leave as LN1(x), and a selected token is normed twice before
    attention and not at all before the MLP (docs/sast.md 4.5).

    Parameters
    ----------
    channels, dim_head : int
        Channels of a token and of an attention head.
    layer_scale : float
        Initial value of the LayerScale vectors.
    context_broadcasting : bool
        Mix the mean of the MLP output into every token.

    """

    def __init__(
        self, channels: int, dim_head: int, layer_scale: float, context_broadcasting: bool
    ) -> None:
        super().__init__()
        self.heads = channels // dim_head
        self.context_broadcasting = context_broadcasting
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm1 = nn.LayerNorm(channels, eps=1e-5)
        self.ls1 = LayerScale(channels, layer_scale)
        self.norm2 = nn.LayerNorm(channels, eps=1e-5)
        self.mlp = GatedMlp(channels)
        self.ls2 = LayerScale(channels, layer_scale)
        self.register_load_state_dict_pre_hook(_drop_verified_aliases)

    def forward(self, x: Tensor, selection: Selection) -> Tensor:
        """
        Attend.

        Parameters
        ----------
        x : torch.Tensor
            ``[B, tokens, C]`` in raster order.
        selection : Selection
            What attends.

        Returns
        -------
        torch.Tensor
            Of the shape of ``x``.

        """
        packed = selection.pack()
        normed = self.norm1(x).flatten(0, 1)
        # Finite scores always select something; StreamingDetector reports the others
        if len(packed.token) == 0:
            return normed.view_as(x)
        z = self.norm2(normed[packed.token])
        count, spare = len(z), rounded(len(z), x.device) - len(z)
        if spare:
            z = F.pad(z, (0, 0, 0, spare))
        y = z + self.ls1(self.proj(self._attend(self.qkv(z), packed.lengths)))
        y, m = y[:count], self.mlp(y)[:count]
        if self.context_broadcasting:
            m = broadcast_context(m, packed.sample, *x.shape[:2])
        out = y + self.ls2(m)
        return normed.index_copy(0, packed.token, out.to(normed.dtype)).view_as(x)

    def _attend(self, qkv: Tensor, lengths: Tensor) -> Tensor:
        """
        Let each token attend to the tokens of its own window.

        ``qkv``: ``[n, 3C]``, window after window, then rows of no token; ``lengths``:
        ``[windows]``. Returns ``[n, C]``.
        """
        count, longest = len(lengths), int(lengths.max())
        windows, places = rounded(count, qkv.device), rounded(longest, qkv.device, least=8)
        lengths = F.pad(lengths, (0, windows - count))
        present = torch.arange(places, device=qkv.device) < lengths[:, None]
        place = present.flatten().nonzero().squeeze(1)
        padded = qkv.new_zeros(windows * places, qkv.shape[1])
        padded = padded.index_copy(0, place, qkv[: len(place)]).view(windows, places, -1)
        # A window of no token attends to a place that is zero
        mask = present | (lengths == 0)[:, None]
        attended = dot_product(padded, self.heads, mask[:, None, None, :]).flatten(0, 1)[place]
        return F.pad(attended, (0, 0, 0, len(qkv) - len(place)))


def rounded(count: int, device: torch.device, least: int = 64) -> int:
    """
    Return a size that ``count`` rows are computed in, at most an eighth or ``least - 1`` larger.

    In bfloat16 on a CPU, oneDNN compiles a kernel for each size of a product, and selections
    differ in each step: with few sizes a training is a quarter faster (benchmarks/train_step.py).
    Otherwise it is ``count``.
    """
    if device.type != 'cpu' or not torch.is_autocast_enabled('cpu'):
        return count
    grain = max(least, 1 << max(0, count.bit_length() - 4))
    return -(-count // grain) * grain


def dot_product(qkv: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """
    Attend within each window.

    Parameters
    ----------
    qkv : torch.Tensor
        ``[windows, tokens, 3C]``, per head (q, k, v).
    heads : int
        Attention heads.
    mask : torch.Tensor or None
        ``bool[windows, 1, 1, tokens]`` which tokens there are, None for all.

    Returns
    -------
    torch.Tensor
        ``[windows, tokens, C]``.

    """
    q, k, v = qkv.unflatten(2, (heads, 3, -1)).permute(3, 0, 2, 1, 4).unbind(0)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def broadcast_context(m: Tensor, sample: Tensor, batch: int, tokens: int) -> Tensor:
    """
    Mix the mean over all tokens of a map into its selected ones (docs/sast.md 4.5, step 6).

    Parameters
    ----------
    m : torch.Tensor
        ``[n, C]`` MLP output of the selected tokens; it is zero for the others.
    sample : torch.Tensor
        ``int64[n]`` sample of each.
    batch, tokens : int
        Number of samples, and of tokens of a map.

    """
    total = torch.zeros(batch, m.shape[1], dtype=m.dtype, device=m.device)
    total = total.index_add(0, sample, m)
    return 0.5 * m + (0.5 / tokens) * total[sample]


def _drop_verified_aliases(
    module, state_dict, prefix, local_metadata, strict, missing, unexpected, errors
) -> None:
    """Accept the alias entries of published checkpoints if they equal what they stand for."""
    for alias, name in ALIASES.items():
        value = state_dict.get(prefix + alias)
        target = state_dict.get(prefix + name)
        if value is None or target is None:
            continue
        if value.shape == target.shape and torch.equal(value, target):
            del state_dict[prefix + alias]
        else:
            errors.append(
                f'{prefix + alias} differs from {prefix + name}, whose second name it is'
            )
