"""A copy of a network for inference: equal results, fewer and faster operations."""

from __future__ import annotations

import copy
from typing import cast

from sast_ros.model.attention import SparseAttention
from sast_ros.model.backbone import ConvLstm, ScoredAttention, Stage
from sast_ros.model.packed import (
    event_density,
    PackedConvBlock,
    PackedLinear,
    PackedLstm,
    StemInput,
    weigh_tokens,
)
from sast_ros.model.pafpn import ConvBlock
from sast_ros.model.sast import SAST
import torch
from torch import nn, Tensor
from torch.nn.utils.fusion import fuse_conv_bn_eval


def inference_copy(model: SAST, *, pack: bool = True) -> SAST:
    """
    Return a copy in evaluation mode without gradients.

    Batch norms are folded into their convolutions and LayerScale into the projection before it.
    With ``pack``, a float32 network on a CPU computes its matrix products and convolutions with
    weights laid out for oneDNN, and the rest in few compiled loops (what it buys:
    benchmarks/step_time.py). Where this build of PyTorch lacks oneDNN, it has no effect.
    """
    fused = copy.deepcopy(model).eval().requires_grad_(False)
    for module in list(fused.modules()):
        if isinstance(module, ConvBlock):
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.add_module('bn', nn.Identity())
        elif isinstance(module, SparseAttention):
            _fold_scale(module.proj, module.ls1.gamma)
            _fold_scale(cast(nn.Linear, module.mlp.net[2]), module.ls2.gamma)
            module.add_module('ls1', nn.Identity())
            module.add_module('ls2', nn.Identity())
    fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch lacks it
    weight = fused.yolox_head.cls_preds[0].weight
    on_cpu = weight.device.type == 'cpu' and weight.dtype == torch.float32
    if pack and on_cpu and _can_pack():
        stem = cast(Stage, fused.backbone.stages[0]).downsample_cf2cl
        stem.pad = StemInput(stem.padding)  # type: ignore[method-assign]  # of this copy alone
        fused.backbone.density = event_density
        _pack(fused)
    return fused


def _fold_scale(linear: nn.Linear, gamma: Tensor) -> None:
    linear.weight.mul_(gamma[:, None])
    linear.bias.mul_(gamma)


def _can_pack() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, '_linear_pointwise')


def _pack(model: nn.Module) -> None:
    """
    Replace what can be packed below a module by its packed form.

    That is every linear layer, fused convolution block and LSTM product.
    """
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Linear):
            if child.bias is not None:
                setattr(model, name, PackedLinear(child.weight, child.bias))
        elif isinstance(child, ConvBlock):
            setattr(model, name, PackedConvBlock(child.conv))
        elif isinstance(child, ConvLstm) and child.conv1x1.bias is not None:
            weight = child.conv1x1.weight.flatten(1)
            setattr(model, name, PackedLstm(weight, child.conv1x1.bias))
        else:
            if isinstance(child, SparseAttention):
                child.fixed_shapes = True
            elif isinstance(child, ScoredAttention):
                child.weigh = weigh_tokens  # type: ignore[method-assign]  # of this copy alone
            _pack(child)
