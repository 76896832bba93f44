# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a training does differently on different hardware."""

from __future__ import annotations

import pytest
from sast_ros_training.training.hardware import attention_backend, has_native_bfloat16
import torch
import torch.nn.functional as F


@pytest.mark.parametrize(
    ('capabilities', 'native'),
    [
        ({'avx2': True, 'avx512_bf16': False}, False),
        ({'avx512_bf16': True, 'amx_bf16': False}, True),
        ({'amx_bf16': True}, True),
        ({'arm_bf16': True}, True),
        ({}, False),
    ],
    ids=str,
)
def test_a_processor_is_asked_for_its_instructions(monkeypatch, capabilities, native):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: capabilities, raising=False)
    assert has_native_bfloat16('cpu') == native


def test_the_backend_of_a_cpu_computes_the_same_attention():
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 10, 32, generator=generator, requires_grad=True).unbind(0)
    mask = torch.ones(2, 1, 1, 10, dtype=torch.bool)
    mask[:, :, :, 7:] = False
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    with attention_backend():
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(found, expected)
    assert type(found.grad_fn) is not type(expected.grad_fn)
