# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Layers whose weights oneDNN has laid out once: the only use of private operators of PyTorch.

PyTorch itself packs weights inside ``torch.compile`` alone, which needs a C++ compiler on the
robot (a public interface was proposed in https://github.com/pytorch/pytorch/pull/139387). Without,
float32 products go to MKL, which takes 2.4 times as long on an AVX-512 processor of AMD.
"""

from __future__ import annotations

import functools

from sast_ros.model.neck import ConvBlock
import torch
from torch import nn, Tensor
import torch.nn.functional as F


class PackedLinear(nn.Module):
    """
    Linear layer with a packed weight.

    Parameters
    ----------
    weight, bias : torch.Tensor
        ``[outputs, inputs]`` and ``[outputs]``.

    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        reorder = torch.ops.mkldnn._reorder_linear_weight
        self.weight = reorder(weight.detach().contiguous(), None)
        self.bias = bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, 'none', [], '')


class PackedConvSilu(nn.Module):
    """
    Convolution and SiLU in one operation, with a packed weight.

    Parameters
    ----------
    conv : torch.nn.Conv2d
        The convolution.

    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.arguments = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        reorder = torch.ops.mkldnn._reorder_convolution_weight
        self.weight = reorder(conv.weight.detach(), *self.arguments, None)
        self.bias = None if conv.bias is None else conv.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self.arguments, 'swish', [], ''
        )


def pack(module: nn.Module) -> nn.Module:
    """Return a module with packed linear layers and convolution blocks; the given one is used."""
    if isinstance(module, nn.Linear):
        return PackedLinear(module.weight, module.bias)
    if isinstance(module, ConvBlock):  # its batch norm is folded
        return PackedConvSilu(module.conv)
    for name, child in list(module.named_children()):
        setattr(module, name, pack(child))
    return module


@functools.cache
def packed_operators_work() -> bool:
    """Return whether this build of PyTorch has the operators, and they compute what is meant."""
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        linear, conv = nn.Linear(8, 8), nn.Conv2d(8, 8, 3, padding=1)
        x = torch.randn(1, 8, 8, 8)
        try:
            product, image = PackedLinear(linear.weight, linear.bias)(x), PackedConvSilu(conv)(x)
        except (AttributeError, RuntimeError):  # no such operator, or with other arguments
            return False
        return torch.allclose(product, linear(x), atol=1e-4) and torch.allclose(
            image, F.silu(conv(x)), atol=1e-4
        )
