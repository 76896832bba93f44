# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Decoupled YOLOX head (docs/sast.md 7)."""

from __future__ import annotations

from functools import lru_cache
import math

from sast_ros.model.config import ModelConfig
from sast_ros.model.neck import ConvBlock
import torch
from torch import nn, Tensor

HEAD_STRIDES = (8, 16, 32)


class YoloxHead(nn.Module):
    """Class, box and objectness predictions at strides 8, 16 and 32, one anchor a cell."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        inputs = config.stage_dims[1:]
        hidden = inputs[-1] // 4
        classes = len(config.classes)

        def branch() -> nn.Sequential:
            return nn.Sequential(ConvBlock(hidden, hidden, 3), ConvBlock(hidden, hidden, 3))

        self.cls_convs = nn.ModuleList(branch() for _ in inputs)
        self.reg_convs = nn.ModuleList(branch() for _ in inputs)
        self.cls_preds = nn.ModuleList(nn.Conv2d(hidden, classes, 1) for _ in inputs)
        self.reg_preds = nn.ModuleList(nn.Conv2d(hidden, 4, 1) for _ in inputs)
        self.obj_preds = nn.ModuleList(nn.Conv2d(hidden, 1, 1) for _ in inputs)
        self.stems = nn.ModuleList(ConvBlock(channels, hidden, 1) for channels in inputs)
        for layer in (*self.cls_preds, *self.obj_preds):
            nn.init.constant_(layer.bias, -math.log(99))  # prior probability 0.01

    def forward(self, features: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """
        Return ``[B, anchors, 5 + classes]``: tx, ty, tw, th, logits of objectness and classes.

        Anchors of stride 8, then 16, then 32, each in raster order.
        """
        levels = []
        for level, x in enumerate(features):
            x = self.stems[level](x)
            by_class = self.cls_convs[level](x)
            by_box = self.reg_convs[level](x)
            output = [
                self.reg_preds[level](by_box),
                self.obj_preds[level](by_box),
                self.cls_preds[level](by_class),
            ]
            levels.append(torch.cat(output, dim=1).flatten(2).transpose(1, 2))
        return torch.cat(levels, dim=1)


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # kept for training steps too
def anchor_grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """
    Return the anchors of a padded input of this size.

    Returns
    -------
    cell : torch.Tensor
        ``float32[A, 2]`` x, y.
    stride : torch.Tensor
        ``float32[A, 1]``.

    """
    cells, strides = [], []
    for stride in HEAD_STRIDES:
        rows, columns = torch.meshgrid(
            torch.arange(height // stride, device='cpu'),
            torch.arange(width // stride, device='cpu'),
            indexing='ij',
        )
        cells.append(torch.stack([columns, rows], dim=-1).view(-1, 2).float())
        strides.append(torch.full_like(cells[-1][:, :1], stride))
    return torch.cat(cells).to(device), torch.cat(strides).to(device)


def decode_boxes(output: Tensor, input_size: tuple[int, int]) -> Tensor:
    """
    Return boxes ``[..., A, 4]`` as cx, cy, w, h in input pixels.

    They are made from tx, ty, tw, th in the first four columns.
    """
    cell, stride = anchor_grid(*input_size, output.device)
    return torch.cat([(output[..., :2] + cell) * stride, output[..., 2:4].exp() * stride], dim=-1)
