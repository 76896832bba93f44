# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One way to advance a network, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable

from sast_ros.model.backbone import State
from sast_ros.model.inference import cpu
from sast_ros.model.inference.cpu import CpuNetwork
from sast_ros.model.inference.cuda import GraphNetwork
from sast_ros.model.inference.plain import folded_copy
from sast_ros.model.sast import SAST, StepOutput
import torch
from torch import Tensor

#: What makes a network of a ``folded_copy``, by name.
IMPLEMENTATIONS: dict[str, Callable[[SAST], SAST | CpuNetwork | GraphNetwork]] = {
    'plain': lambda model: model,
    'cpu': CpuNetwork,
    'cuda': GraphNetwork,
}


class Engine:
    """
    A copy of a network that advances by one window at a time.

    Parameters
    ----------
    model : SAST
        The network; it is not changed. The engine runs on its device.
    implementation : str
        ``'plain'`` is the reference, on any device; ``'cpu'`` runs on a CPU in float32.
    precision : str
        ``'float32'``, or ``'bfloat16'`` for matrix products in half precision; scores and
        selections stay in float32.

    Attributes
    ----------
    control : SelectionControl
        Settings of the token selection; may be changed between two steps.
    device : torch.device
        Where the network is.

    """

    def __init__(self, model: SAST, implementation: str, precision: str = 'float32') -> None:
        self.implementation, self.precision = implementation, precision
        self.device = next(model.parameters()).device
        self.network = IMPLEMENTATIONS[implementation](folded_copy(model))
        self.control = self.network.control

    @classmethod
    def for_model(cls, model: SAST, precision: str = 'float32') -> Engine:
        """Return an engine with the fastest implementation that this machine can run."""
        fits = precision == 'float32' and cpu.supports(model)
        return cls(model, 'cpu' if fits else 'plain', precision)

    def step(self, histogram: Tensor, states: list[State] | None) -> StepOutput:
        """
        Advance by one window and detect.

        Parameters
        ----------
        histogram : torch.Tensor
            ``uint8[B, channels, H, W]`` on any device; see ``SAST.forward``.
        states : list of tuple of torch.Tensor or None
            Of the previous window, None for zeros.

        """
        half = self.precision == 'bfloat16'
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half),
        ):
            return self.network(histogram.to(self.device), states)
