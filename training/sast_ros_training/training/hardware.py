# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a training does differently on different hardware."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from sast_ros.model.inference.engine import has_native_bfloat16
from torch.nn.attention import sdpa_kernel, SDPBackend

__all__ = ['attention_backend', 'has_native_bfloat16']


def attention_backend(device_type: str) -> AbstractContextManager[None]:
    """
    Return a context in which the forward pass of the attention is to run.

    On a CPU, the backward pass of PyTorch's default takes four times as long in bfloat16 as the
    unfused one (benchmarks/train_step.py).
    """
    return sdpa_kernel(SDPBackend.MATH) if device_type == 'cpu' else nullcontext()
