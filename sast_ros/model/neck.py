# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""PAFPN neck on the features of stages 2 to 4 (YOLOX, docs/sast.md 6)."""

from __future__ import annotations

from sast_ros.model.config import ModelConfig
import torch
from torch import nn, Tensor
import torch.nn.functional as F


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """1x1 then 3x3 convolution, no shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvBlock(channels, channels, 1)
        self.conv2 = ConvBlock(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class CspLayer(nn.Module):
    """
    Cross-stage partial block.

    Half of the channels go through the bottlenecks, half past them.
    """

    def __init__(self, inputs: int, outputs: int, bottlenecks: int) -> None:
        super().__init__()
        hidden = outputs // 2
        self.conv1 = ConvBlock(inputs, hidden, 1)
        self.conv2 = ConvBlock(inputs, hidden, 1)
        self.conv3 = ConvBlock(2 * hidden, outputs, 1)
        self.m = nn.Sequential(*(Bottleneck(hidden) for _ in range(bottlenecks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(torch.cat([self.m(self.conv1(x)), self.conv2(x)], dim=1))


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode='nearest')


class Pafpn(nn.Module):
    """Top-down and bottom-up feature pyramid; strides 8, 16 and 32 in and out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _, c2, c1, c0 = config.stage_dims
        n = round(3 * config.fpn_depth)
        self.lateral_conv0 = ConvBlock(c0, c1, 1)
        self.C3_p4 = CspLayer(2 * c1, c1, n)
        self.reduce_conv1 = ConvBlock(c1, c2, 1)
        self.C3_p3 = CspLayer(2 * c2, c2, n)
        self.bu_conv2 = ConvBlock(c2, c2, 3, 2)
        self.C3_n3 = CspLayer(2 * c2, c1, n)
        self.bu_conv1 = ConvBlock(c1, c1, 3, 2)
        self.C3_n4 = CspLayer(2 * c1, c0, n)

    def forward(self, x2: Tensor, x1: Tensor, x0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p0 = self.lateral_conv0(x0)
        f0 = self.C3_p4(torch.cat([_twice(p0), x1], dim=1))
        p1 = self.reduce_conv1(f0)
        out8 = self.C3_p3(torch.cat([_twice(p1), x2], dim=1))
        out16 = self.C3_n3(torch.cat([self.bu_conv2(out8), p1], dim=1))
        out32 = self.C3_n4(torch.cat([self.bu_conv1(out16), p0], dim=1))
        return out8, out16, out32
