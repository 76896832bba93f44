# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a user names is found by one rule, on one device, and it is told whether it is trained."""

from __future__ import annotations

from pathlib import Path

from facts import facts
import pytest
from sast_ros.errors import SettingError
from sast_ros.model import CheckpointError, choose_device, choose_model, load_model
import torch


def test_a_configuration_gives_untrained_weights() -> None:
    model, trained = choose_model('gen1-tiny', 'cpu', partition_size=(4, 5))
    assert not trained
    assert not model.training
    assert model.config.partition_size == (4, 5)


def test_a_file_gives_trained_weights(sure_weights: Path) -> None:
    model, trained = choose_model(str(sure_weights), amp=1e-3)
    assert trained
    assert model.config.amp == 1e-3


def test_what_is_neither_is_refused_with_all_that_there_is() -> None:
    with pytest.raises(CheckpointError, match=facts('gen1-huge', '1mpx-tiny')):
        choose_model('gen1-huge')
    with pytest.raises(CheckpointError, match=facts('none.safetensors')):
        choose_model('none.safetensors')


def test_devices() -> None:
    assert choose_device('cpu') == torch.device('cpu')
    assert choose_device('auto').type == ('cuda' if torch.cuda.is_available() else 'cpu')
    with pytest.raises(ValueError, match=facts('cuda:99', 'auto', 'cpu')):
        choose_device('cuda:99')


@pytest.mark.parametrize('load', [choose_model, load_model])
@pytest.mark.parametrize('device', ['gpu', 'cuda:99', torch.device('cuda:99')])
def test_devices_that_are_not_there_are_refused_by_all_who_take_one(load, device) -> None:
    with pytest.raises(SettingError, match=facts(str(device), 'auto', 'cpu')):
        load('default', device)
