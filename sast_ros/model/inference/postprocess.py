# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Network output to boxes: threshold, decoding, non-maximum suppression (docs/sast.md 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sast_ros.kernels import library
from sast_ros.model.head import HEAD_STRIDES
from sast_ros.model.selection import Selection
import torch
from torch import Tensor

#: Boxes, objectness, class scores and class ids, as of ``select_boxes``.
Boxes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class NotFiniteError(ValueError):
    """The output of the network has values that are not finite."""


@dataclass(frozen=True, slots=True)
class Found:
    """
    What a step has found in one sample, on the host.

    Attributes
    ----------
    boxes : tuple of numpy.ndarray
        Boxes, objectness, class scores and class ids, as of ``select_boxes``.
    shares : tuple of tuple of float
        Of each stage, the shares of windows and of tokens that attended, mean of window and grid.

    """

    boxes: Boxes
    shares: tuple[tuple[float, float], ...]


def selected_shares(
    selections: list[tuple[Selection, Selection]],
) -> tuple[tuple[float, float], ...]:
    """Return ``Found.shares`` of the first sample; one transfer from the device."""
    masks = [selection.mask[0].flatten() for pair in selections for selection in pair]
    values = torch.cat(masks).cpu().numpy()
    shares, begin = [], 0
    for pair in selections:
        windows = tokens = 0.0
        for selection in pair:
            shape = selection.mask.shape[1:]
            end = begin + shape.numel()
            mask = values[begin:end].reshape(shape)
            begin = end
            windows += np.count_nonzero(mask.any(axis=1)) / shape[0] / 2
            tokens += np.count_nonzero(mask) / mask.size / 2
        shares.append((windows, tokens))
    return tuple(shares)


def probabilities(head: Tensor) -> Tensor:
    """
    Return the head's output with sigmoid applied to objectness and classes.

    The shape stays ``[..., 5 + classes]``.
    """
    return torch.cat([head[..., :4], head[..., 4:].sigmoid()], dim=-1)


def select_boxes(
    output: Tensor, input_size: tuple[int, int], score_threshold: float, nms_iou: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """
    Return the detections of one image, best score first.

    The score, objectness x class probability, is at least the threshold. Boxes are decoded only
    where it is.

    Parameters
    ----------
    output : torch.Tensor
        ``[anchors, 5 + classes]`` of ``probabilities``.
    input_size : tuple of int
        Padded (height, width).
    score_threshold : float
        Lowest score.
    nms_iou : float
        IoU threshold of per-class NMS.

    Returns
    -------
    boxes : numpy.ndarray
        ``float32[N, 4]`` xyxy in input pixels, not clipped.
    objectness, class_scores : numpy.ndarray
        ``float32[N]``.
    class_ids : numpy.ndarray
        ``int64[N]``.

    Raises
    ------
    NotFiniteError
        The output has values that are not finite.
    ValueError
        It has not the anchors of this size.

    """
    values = np.ascontiguousarray(output.float().cpu().numpy())
    height, width = input_size
    anchors = sum((height // stride) * (width // stride) for stride in HEAD_STRIDES)
    if values.ndim != 2 or len(values) != anchors or values.shape[1] < 6:
        raise ValueError(
            f'select_boxes: the output is {values.shape}; that of {width}x{height} cells is '
            f'({anchors}, 5 + classes)'
        )
    rows, classes = np.empty((anchors, 6), np.float32), np.empty(anchors, np.int64)
    count = library.sast_candidates(
        values, height, width, values.shape[1], score_threshold, rows, classes
    )
    if count < 0:
        raise NotFiniteError('the output of the network has values that are not finite')
    rows, classes = rows[:count], classes[:count]
    order = non_maximum_suppression(rows[:, :4], rows[:, 4] * rows[:, 5], classes, nms_iou)
    rows = rows[order]
    return rows[:, :4], rows[:, 4], rows[:, 5], classes[order]


def non_maximum_suppression(
    boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray, iou: float
) -> np.ndarray:
    """
    Return the indices of the boxes to keep, best score first; equal scores keep their order.

    Parameters
    ----------
    boxes : numpy.ndarray
        ``float32[N, 4]`` xyxy.
    scores : numpy.ndarray
        ``float32[N]``.
    class_ids : numpy.ndarray
        ``int64[N]``.
    iou : float
        A box is suppressed by a better one of its class that overlaps it by more.

    Raises
    ------
    ValueError
        The arrays have other shapes.

    """
    if boxes.shape != (len(scores), 4) or not scores.shape == class_ids.shape == (len(scores),):
        raise ValueError(
            f'non_maximum_suppression: boxes {boxes.shape}, scores {scores.shape} and class_ids '
            f'{class_ids.shape}; they must be [N, 4], [N] and [N]'
        )
    order = np.argsort(-scores, kind='stable')
    alive = np.ones(len(order), np.uint8)
    boxes = np.ascontiguousarray(boxes[order], np.float32)
    class_ids = np.ascontiguousarray(class_ids[order], np.int64)
    library.sast_nms(boxes, class_ids, len(order), iou, alive)
    return order[alive.astype(bool)]
