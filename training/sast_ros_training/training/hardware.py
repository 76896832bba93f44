# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a training does differently on different hardware."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.attention import sdpa_kernel, SDPBackend


def has_native_bfloat16(device_type: str) -> bool:
    """
    Return whether ``'cuda'`` or ``'cpu'`` has instructions for products in bfloat16.

    Without them bfloat16 is slower than float32 (benchmarks/train_step.py).
    """
    if device_type == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # AVX512_BF16, AMX_BF16, or BF16 of ARM; unknown before PyTorch 2.11
    capabilities: dict[str, Any] = getattr(torch.cpu, 'get_capabilities', dict)()
    return any(found for name, found in capabilities.items() if 'bf16' in name)


def attention_backend(device_type: str) -> AbstractContextManager[None]:
    """
    Return a context in which the forward pass of the attention is to run.

    On a CPU, the backward pass of PyTorch's default takes four times as long in bfloat16 as the
    unfused one (benchmarks/train_step.py).
    """
    return sdpa_kernel(SDPBackend.MATH) if device_type == 'cpu' else nullcontext()
