# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What makes the network fast changes nothing that it computes."""

from __future__ import annotations

import pytest
from sast_ros.model import inference_copy
import torch

STEPS = range(4)


@pytest.fixture(scope='module')
def tiny(reference_model):
    return reference_model('tiny')


@pytest.fixture(scope='module')
def inputs(reference_inputs):
    return reference_inputs('tiny')


@pytest.mark.parametrize('pack', [False, True])
def test_inference_copy_changes_nothing_but_speed(tiny, inputs, pack):
    copy = inference_copy(tiny, pack=pack)
    states = other = None
    with torch.inference_mode():
        for step in STEPS:
            one, two = tiny(inputs[[step]], states), copy(inputs[[step]], other)
            states, other = one.states, two.states
            torch.testing.assert_close(one.head, two.head, rtol=0, atol=1e-4)


def test_batch_gives_every_sample_what_it_gets_alone(tiny, inputs):
    with torch.inference_mode():
        together = tiny(inputs)
        for sample in STEPS:
            alone = tiny(inputs[[sample]])
            torch.testing.assert_close(together.head[sample], alone.head[0], rtol=0, atol=1e-4)
            for (a, b), (c, d) in zip(together.selections, alone.selections):
                assert torch.equal(a.mask[sample], c.mask[0])
                assert torch.equal(b.mask[sample], d.mask[0])
