"""Network output to boxes: threshold, decoding, non-maximum suppression (spec section 8)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sast_ros.model.head import decode_boxes


def probabilities(head: Tensor) -> Tensor:
    """Return the head's output with sigmoid applied to objectness and classes, same shape ``[..., 5 + classes]``."""
    return torch.cat([head[..., :4], head[..., 4:].sigmoid()], dim=-1)


def select_boxes(
    output: Tensor, input_size: tuple[int, int], score_threshold: float, nms_iou: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the detections of one image, best score first.

    ``output``: ``[anchors, 5 + classes]`` of ``probabilities``; ``input_size``: padded (height, width).
    Returns boxes ``float32[N, 4]`` xyxy in input pixels (not clipped), objectness ``float32[N]``, class probability
    ``float32[N]`` and class id ``int64[N]``. The score, objectness x class probability, is at least the threshold.
    """
    class_score, class_id = output[:, 5:].max(dim=1)
    score = output[:, 4] * class_score
    kept = (score >= score_threshold).nonzero().squeeze(1)
    boxes = decode_boxes(output, input_size)[kept]
    corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], dim=1)
    columns = torch.cat([corners, output[kept, 4:5], class_score[kept, None]], dim=1).float().cpu().numpy()
    class_ids = class_id[kept].cpu().numpy()
    order = non_maximum_suppression(columns[:, :4], columns[:, 4] * columns[:, 5], class_ids, nms_iou)
    columns = columns[order]
    return columns[:, :4], columns[:, 4], columns[:, 5], class_ids[order]


def non_maximum_suppression(boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray, iou: float) -> np.ndarray:
    """Return the indices of the boxes to keep, best score first.

    A box goes if a better one of the same class overlaps it by more than ``iou``. ``boxes``: ``float32[N, 4]`` xyxy;
    ``scores``: ``float32[N]``; ``class_ids``: ``int64[N]``; equal scores keep their order.
    """
    order = np.argsort(-scores, kind='stable')
    left, top, right, bottom = boxes[order].T
    area = (right - left) * (bottom - top)
    class_ids = class_ids[order]
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if not alive[i]:
            continue
        rest = slice(i + 1, None)
        width = np.minimum(right[i], right[rest]) - np.maximum(left[i], left[rest])
        height = np.minimum(bottom[i], bottom[rest]) - np.maximum(top[i], top[rest])
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        alive[rest] &= (overlap <= iou * (area[i] + area[rest] - overlap)) | (class_ids[rest] != class_ids[i])
    return order[alive]
