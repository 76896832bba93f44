# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The step time, held under a budget by the number of selected tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
import math


@dataclass(slots=True)
class SparsityBudget:
    """
    Closed loop that keeps the step time under a budget by selecting fewer tokens.

    While the smoothed step time exceeds the budget, AMP is increased (fewer tokens) in proportion
    to the logarithm of the excess; below the budget it decreases, to the published value at least.
    The layers that do not depend on the selection (convolutions, LSTM, head) are the lower bound
    of the step time.
    """

    budget_ms: float
    amp: float
    gain: float = 0.3
    smoothing: float = 0.3
    max_factor: float = 1e4
    factor: float = 1.0
    _smoothed_ms: float | None = field(default=None, repr=False)

    def update(self, step_ms: float) -> float:
        """Return AMP for the next step from the time of the last one."""
        previous = step_ms if self._smoothed_ms is None else self._smoothed_ms
        self._smoothed_ms = previous + self.smoothing * (step_ms - previous)
        error = math.log(self._smoothed_ms / self.budget_ms)
        self.factor = min(max(self.factor * math.exp(self.gain * error), 1.0), self.max_factor)
        return self.amp * self.factor
