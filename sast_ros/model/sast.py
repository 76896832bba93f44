"""The whole network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sast_ros.model.backbone import Backbone, SelectionControl, State
from sast_ros.model.config import model_config, ModelConfig
from sast_ros.model.head import YoloxHead
from sast_ros.model.pafpn import Pafpn
from sast_ros.model.selection import Selection
import torch
from torch import nn, Tensor
import torch.nn.functional as F


@dataclass(slots=True)
class StepOutput:
    """
    Result of one recurrent step.

    ``head``: ``[B, anchors, 5 + classes]`` tx, ty, tw, th, logits; ``states``: (h, c) of the four
    stages, h being the feature; ``selections``: (window, grid) of the four stages; ``input_size``:
    (height, width) after padding.
    """

    head: Tensor
    states: list[State]
    selections: list[tuple[Selection, Selection]]
    input_size: tuple[int, int]


class SAST(nn.Module):
    """
    Scene Adaptive Sparse Transformer for event-based object detection.

    Y. Peng, H. Li, Y. Zhang, X. Sun, F. Wu: "Scene Adaptive Sparse Transformer for Event-based
    Object Detection", CVPR 2024. This is an independent implementation from a description of the
    published network; parameter names and arithmetic are those of the authors' MIT-licensed code,
    so that their checkpoints load.

    Parameters
    ----------
    config: one of the published configurations, or a variation of it.

    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.fpn = Pafpn(config)
        self.yolox_head = YoloxHead(config)
        self.control = SelectionControl(config.selection, config.amp, config.bounce)

    def forward(self, histogram: Tensor, states: list[State] | None = None) -> StepOutput:
        """
        Advance by one window and detect.

        ``histogram``: ``uint8[B, channels, H, W]`` counts, H x W at most as large as the padded
        size of the configuration or any larger size (it is padded with zeros at the bottom and the
        right). ``states``: of the previous window, ``None`` for zeros.
        """
        histogram = self.pad(histogram)
        states, selections = self.backbone(histogram, states, self.control)
        height, width = histogram.shape[2:]
        return StepOutput(self.detect(states), states, selections, (height, width))

    def forward_windows(self, histograms: Tensor, states: list[State] | None = None) -> StepOutput:
        """
        Advance by several windows and detect in all of them; for training.

        The results are those of one step after the other, but everything that is not recurrent is
        computed for all windows at once. Batch norm therefore sees all windows as one batch, as in
        the published training.

        ``histograms``: ``uint8[T, B, channels, H, W]``, T at least 1; ``states``: before the first
        window. In the result, ``head`` has T * B samples, window after window, and so have the
        selections; ``states`` are those after the last window.
        """
        windows, batch = histograms.shape[:2]
        histograms = self.pad(histograms.flatten(0, 1)).unflatten(0, (windows, batch))
        features, states, selections = _advance(self.backbone, histograms, states, self.control)
        head = self.yolox_head(self.fpn(*features[1:]))
        height, width = histograms.shape[3:]
        return StepOutput(head, states, selections, (height, width))

    def pad(self, histogram: Tensor) -> Tensor:
        """
        Pad ``[B, channels, H, W]`` with zeros to a size that the network takes.

        The zeros are at the bottom and the right.
        """
        height, width = histogram.shape[2:]
        rows, columns = self.config.padded_size((height, width))
        if (rows, columns) == (height, width):
            return histogram
        return F.pad(histogram, (0, columns - width, 0, rows - height))

    def detect(self, states: list[State]) -> Tensor:
        """Return the head's output (logits) for the features h of stages 2 to 4."""
        return self.yolox_head(self.fpn(*(h for h, _ in states[1:])))


def _advance(
    backbone: Backbone, histograms: Tensor, states: list[State] | None, control: SelectionControl
) -> tuple[list[Tensor], list[State], list[tuple[Selection, Selection]]]:
    """Return feature maps, states and selections; maps and masks have T * B samples."""
    features, masks = [], []
    for histogram in histograms:
        states, chosen = backbone(histogram, states, control)
        features.append([h for h, _ in states])
        masks.append([[selection.mask for selection in pair] for pair in chosen])
    selections = []
    for stage, pair in enumerate(chosen):
        by_window, by_grid = (
            Selection(torch.cat([step[stage][kind] for step in masks]), selection.order)
            for kind, selection in enumerate(pair)
        )
        selections.append((by_window, by_grid))
    assert states is not None
    return [torch.cat(maps) for maps in zip(*features)], states, selections


def build_model(name: str, **overrides: Any) -> SAST:
    """
    Return an untrained network of a published configuration, in training mode.

    ``name``: ``gen1-`` or ``1mpx-`` and ``tiny``, ``small``, ``base`` or ``large``; ``overrides``:
    fields of ``ModelConfig``.

    Raises
    ------
    ValueError: unknown name or impossible field.

    """
    return SAST(model_config(name, **overrides))
