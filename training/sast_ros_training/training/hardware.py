# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a training does differently on different hardware."""

from __future__ import annotations

from contextlib import AbstractContextManager

from sast_ros.model.inference.engine import has_native_bfloat16
from torch.nn.attention import sdpa_kernel, SDPBackend

__all__ = ['attention_backend', 'has_native_bfloat16']


def attention_backend() -> AbstractContextManager[None]:
    """
    Return a context in which the forward pass of the attention is to run: unfused.

    On a CPU, the backward pass of PyTorch's default takes four times as long in bfloat16
    (benchmarks/train_step.py). On a GPU a training with the default had gradients that are not
    finite after some fifteen steps (docs/performance.md); which kernel they are of is not known.
    Unfused they were finite in 1700 steps.
    """
    return sdpa_kernel(SDPBackend.MATH)
