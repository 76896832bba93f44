# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The compiled loops of the network are called with nothing that they would read outside of."""

from __future__ import annotations

import pytest
from sast_ros.model import untrained_model
from sast_ros.model.inference import Engine
from sast_ros.model.inference.cpu import event_density, score_tokens
import torch


@pytest.mark.parametrize('size', [(31, 64), (64, 31), (33, 32), (32, 40), (1, 1)])
def test_density_of_sides_that_are_no_multiples_of_32_is_refused(size):
    with pytest.raises(ValueError, match=f'{size[1]}x{size[0]}.*multiples of 32'):
        event_density(torch.zeros(1, 20, *size, dtype=torch.uint8))


@pytest.mark.parametrize(
    'changed, shape',
    [
        ('raw', (2, 5, 31)),
        ('raw', (2, 4, 32)),
        ('raw', (1, 5, 32)),
        ('gain', (2, 31)),
        ('gain', (1, 32)),
        ('gain', (32,)),
        ('scale', (2, 16)),
        ('scale', (1, 32)),
    ],
)
def test_scores_of_other_shapes_are_refused(changed, shape):
    shapes = {'x': (2, 5, 32), 'raw': (2, 5, 32), 'gain': (2, 32), 'scale': (2, 32)}
    shapes[changed] = shape
    with pytest.raises(ValueError, match=f'^{changed} has shape'):
        score_tokens(*(torch.zeros(value) for value in shapes.values()))


@pytest.mark.parametrize('stage', range(4))
@pytest.mark.parametrize('change', [(0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, -1), (1, 0, 0, 0)])
def test_a_state_of_another_shape_is_refused(stage, change):
    engine = Engine(untrained_model('gen1-tiny'), 'cpu')
    histogram = torch.zeros(1, 20, 240, 304, dtype=torch.uint8)
    states = list(engine.step(histogram, None).states)
    hidden, cell = states[stage]
    shape = [side + more for side, more in zip(cell.shape, change)]
    states[stage] = hidden, torch.zeros(shape)
    with pytest.raises(ValueError, match='^state has shape'):
        engine.step(histogram, states)
