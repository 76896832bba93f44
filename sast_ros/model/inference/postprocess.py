# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Network output to boxes: threshold, decoding, non-maximum suppression (docs/sast.md 8)."""

from __future__ import annotations

import numpy as np
from sast_ros.kernels import library
from sast_ros.model.head import decode_boxes
import torch
from torch import Tensor


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

    The score, objectness x class probability, is at least the threshold.

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

    """
    class_score, class_id = output[:, 5:].max(dim=1)
    score = output[:, 4] * class_score
    kept = (score >= score_threshold).nonzero().squeeze(1)
    boxes = decode_boxes(output, input_size)[kept]
    corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], dim=1)
    columns = (
        torch.cat([corners, output[kept, 4:5], class_score[kept, None]], dim=1)
        .float()
        .cpu()
        .numpy()
    )
    class_ids = class_id[kept].cpu().numpy()
    order = non_maximum_suppression(
        columns[:, :4], columns[:, 4] * columns[:, 5], class_ids, nms_iou
    )
    columns = columns[order]
    return columns[:, :4], columns[:, 4], columns[:, 5], class_ids[order]


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
