# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The reference with fewer operations: norms and scales folded into the layers before them."""

from __future__ import annotations

import copy
from typing import cast

from sast_ros.model.attention import SparseAttention
from sast_ros.model.neck import ConvBlock
from sast_ros.model.sast import SAST
import torch
from torch import nn, Tensor
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded_copy(model: SAST) -> SAST:
    """
    Return a copy in evaluation mode, as float32, without gradients, in channels-last memory.

    Batch norms are folded into their convolutions and LayerScale into the projection before it.
    """
    folded = copy.deepcopy(model).float().eval().requires_grad_(False)
    for module in folded.modules():
        if isinstance(module, ConvBlock):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.add_module('bn', nn.Identity())
        elif isinstance(module, SparseAttention):
            _fold_scale(module.proj, module.ls1.gamma)
            _fold_scale(cast(nn.Linear, module.mlp.net[2]), module.ls2.gamma)
            module.add_module('ls1', nn.Identity())
            module.add_module('ls2', nn.Identity())
    return folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fold_scale(linear: nn.Linear, gamma: Tensor) -> None:
    linear.weight.mul_(gamma[:, None])
    linear.bias.mul_(gamma)
