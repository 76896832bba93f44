# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Weights and inputs of the parity fixtures (test/data/README.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sast_ros.bench.workload import recipe_weights
from sast_ros.model import build_model, SAST
import torch

#: Factor of the weights of FPN and head in the recipe.
GAINS = {'tiny': 1.9, 'base': 1.8}


@pytest.fixture(scope='package')
def reference_model() -> Callable[..., SAST]:
    """Return a function that builds ``'tiny'`` or ``'base'`` with the weights of the fixtures."""

    def build(size: str, **options: Any) -> SAST:
        model = build_model(f'gen1-{size}', **options).eval()
        model.load_state_dict(recipe_weights(model, gain=GAINS[size]))
        return model

    return build


@pytest.fixture(scope='package')
def reference_inputs(data_folder: Path) -> Callable[[str], torch.Tensor]:
    """Return a function that gives the ``[4, 20, H, W]`` histograms of a size."""

    def load(size: str) -> torch.Tensor:
        stored = np.load(data_folder / f'gen1_{size}_inputs.npz')
        dense = np.zeros(stored['shape'], np.uint8)
        dense.reshape(-1)[stored['index']] = stored['value']
        return torch.from_numpy(dense)

    return load
