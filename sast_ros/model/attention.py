"""Masked sparse window self-attention on the selected tokens only (SAST section 3.4, spec 4.5)."""

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
    attention and not at all before the MLP.
    """

    def __init__(
        self, channels: int, dim_head: int, layer_scale: float, context_broadcasting: bool
    ) -> None:
        super().__init__()
        self.heads, self.dim_head = channels // dim_head, dim_head
        self.context_broadcasting = context_broadcasting
        #: Round the number of tokens up, for products that are prepared anew for every shape
        #: (oneDNN).
        self.fixed_shapes = False
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

        ``x``: ``[B, tokens, C]`` in raster order; returns the same shape.
        """
        batch, tokens, channels = x.shape
        normed = self.norm1(x)
        windows, size = selection.order.shape
        # partition-major, so the tokens of a window are together
        place = selection.mask.flatten().nonzero().squeeze(1)
        count = place.numel()
        # Finite scores always select something; StreamingDetector reports the others
        if count == 0:
            return normed
        if self.fixed_shapes:
            # The last token once more, several times: it gets the same result every time. Sixteen
            # shapes instead of one a step.
            multiple = max(16, batch * tokens // 16)
            place = torch.cat([place, place[-1:].expand(-count % multiple)])
        window = torch.div(place, size, rounding_mode='floor')  # over the whole batch
        sample = torch.div(window, windows, rounding_mode='floor')
        token = selection.order.flatten()[place - sample * (windows * size)] + sample * tokens
        chosen = normed.reshape(batch * tokens, channels)[token]
        z = self.norm2(chosen)
        y = z + self.ls1(self.proj(self._attend(z, window, count, batch * windows)))
        m = self.mlp(y)
        if self.context_broadcasting:
            total = torch.zeros(batch, channels, dtype=m.dtype, device=m.device)
            total = total.index_add(0, sample[:count], m[:count])
            m = 0.5 * m + (0.5 / tokens) * total[sample]
        out = y + self.ls2(m)
        return (
            normed.reshape(batch * tokens, channels)
            .index_copy(0, token, out.to(normed.dtype))
            .view_as(x)
        )

    def _attend(self, z: Tensor, window: Tensor, count: int, windows: int) -> Tensor:
        """
        Let each token attend to the tokens of its own window.

        ``z``: ``[n, C]`` ordered by ``window``: ``[n]``; rows from ``count`` on repeat the row
        before. Returns ``[n, C]``.
        """
        rows, channels = z.shape
        qkv = self.qkv(z)
        members = torch.bincount(window[:count], minlength=windows)
        used = members.nonzero().squeeze(1)
        lengths = members[used]
        longest = int(lengths.max())
        padded, mask, slot = qkv[:count], None, torch.arange(count, device=z.device)
        if count < len(used) * longest:
            first = lengths.cumsum(0) - lengths
            row = torch.arange(len(used), device=z.device).repeat_interleave(
                lengths, output_size=count
            )
            slot = slot - first[row] + row * longest
            padded = qkv.new_zeros(len(used) * longest, 3 * channels).index_copy(0, slot, padded)
            mask = (torch.arange(longest, device=z.device) < lengths[:, None])[:, None, None, :]
        out = self._dot_product(padded.view(len(used), longest, 3 * channels), mask).reshape(
            -1, channels
        )
        if mask is None and rows == count:
            return out
        return out[torch.cat([slot, slot[-1:].expand(rows - count)])]

    def _dot_product(self, qkv: Tensor, mask: Tensor | None) -> Tensor:
        """
        Attend within each row of ``[windows, tokens, 3C]``, laid out per head as (q, k, v).

        Returns ``[windows, tokens, C]``.
        """
        q, k, v = qkv.unflatten(2, (self.heads, 3, self.dim_head)).permute(3, 0, 2, 1, 4).unbind(0)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


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
