# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The whole network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sast_ros.errors import SettingError
from sast_ros.model.backbone import Backbone, State
from sast_ros.model.calibration import Calibration
from sast_ros.model.config import model_config, ModelConfig
from sast_ros.model.head import YoloxHead
from sast_ros.model.neck import Pafpn
from sast_ros.model.selection import Selection, SelectionControl
from torch import nn, Tensor
import torch.nn.functional as F


@dataclass(slots=True)
class StepOutput:
    """
    Result of one recurrent step, or of several.

    Attributes
    ----------
    head : torch.Tensor
        ``[B, anchors, 5 + classes]`` tx, ty, tw, th and logits.
    states : list of tuple of torch.Tensor
        (h, c) of the four stages after the last window; h is the feature of the stage.
    selections : list of tuple of Selection
        By window and by grid, of the four stages.
    input_size : tuple of int
        (height, width) after padding.
    scores : list of torch.Tensor
        Of the tokens of the four stages, ``float32[B, tokens]`` in raster order, with gradients;
        empty behind an inference engine.

    """

    head: Tensor
    states: list[State]
    selections: list[tuple[Selection, Selection]]
    input_size: tuple[int, int]
    scores: list[Tensor] = field(default_factory=list)


class SAST(nn.Module):
    """
    Scene Adaptive Sparse Transformer for event-based object detection.

    Y. Peng, H. Li, Y. Zhang, X. Sun, F. Wu: "Scene Adaptive Sparse Transformer for Event-based
    Object Detection", CVPR 2024. This is an independent implementation from a description of the
    published network (docs/sast.md); parameter names and arithmetic are those of the authors'
    MIT-licensed code, so that their checkpoints load.

    Parameters
    ----------
    config : ModelConfig
        One of the published configurations, or a variation of it.

    Attributes
    ----------
    config : ModelConfig
        The configuration.
    control : SelectionControl
        Settings of the token selection.
    calibration : Calibration or None
        How scores become shares of correct boxes, for ``StreamingDetector``. The network itself
        does not use it; published weights have none.

    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.fpn = Pafpn(config)
        self.yolox_head = YoloxHead(config)
        self.control = SelectionControl(config.selection, config.amp, config.bounce)
        self.calibration: Calibration | None = None
        self.float()  # whatever PyTorch's default is when it is made

    def forward(self, histogram: Tensor, states: list[State] | None = None) -> StepOutput:
        """
        Advance by one window and detect.

        Parameters
        ----------
        histogram : torch.Tensor
            ``uint8[B, channels, H, W]`` counts, at most as large as the padded size of the
            configuration, or any larger size; see ``pad``.
        states : list of tuple of torch.Tensor, optional
            Of the previous window, None for zeros.

        Raises
        ------
        SettingError
            The histogram has another shape.

        """
        return self.forward_windows(histogram[None], states)

    def forward_windows(self, histograms: Tensor, states: list[State] | None = None) -> StepOutput:
        """
        Advance by several windows and detect in all of them; for training.

        The results are those of one step after the other, but everything that is not recurrent is
        computed for all windows at once. Batch norm therefore sees all windows as one batch, as in
        the published training.

        Parameters
        ----------
        histograms : torch.Tensor
            ``uint8[T, B, channels, H, W]``, T at least 1.
        states : list of tuple of torch.Tensor, optional
            Before the first window, None for zeros.

        Returns
        -------
        StepOutput
            ``head`` and selections have T * B samples, window after window.

        Raises
        ------
        SettingError
            The histograms have another shape.

        """
        if histograms.ndim != 5 or histograms.shape[2] != self.config.channels:
            raise SettingError(
                f'SAST: the histograms of a batch have the shape {tuple(histograms.shape[1:])}; '
                f'it must be (batch, {self.config.channels}, height, width), of one stream '
                'histogram[None]'
            )
        histograms = pad(histograms, self.config)
        features, states, selections, scores = self.backbone(histograms, states, self.control)
        head = self.yolox_head(self.fpn(*features[1:]))
        height, width = histograms.shape[-2:]
        return StepOutput(head, states, selections, (height, width), scores)


def pad(histogram: Tensor, config: ModelConfig) -> Tensor:
    """
    Pad ``[..., H, W]`` with zeros at the bottom and the right (docs/sast.md 1.4).

    The size becomes one that the network takes, at least that of the configuration.
    """
    height, width = histogram.shape[-2:]
    rows, columns = config.padded_size((height, width))
    return F.pad(histogram, (0, columns - width, 0, rows - height))


def build_model(name: str, **overrides: Any) -> SAST:
    """
    Return an untrained network of a published configuration, in training mode.

    Parameters
    ----------
    name : str
        ``gen1-`` or ``1mpx-`` and ``tiny``, ``small``, ``base`` or ``large``.
    **overrides : Any
        Fields of ``ModelConfig``.

    Raises
    ------
    SettingError
        Unknown name or impossible field.

    """
    return SAST(model_config(name, **overrides))
