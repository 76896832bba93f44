"""Network output to boxes: threshold, decoding, non-maximum suppression (spec section 8)."""

from __future__ import annotations

import ctypes

import numpy as np
from sast_ros.kernels import library, pointer
from sast_ros.model.head import decode_boxes
import torch
from torch import Tensor

_suppress = library.sast_suppress
_suppress.restype = None
_suppress.argtypes = [
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_float,
    ctypes.c_void_p,
]


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

    ``output``: ``[anchors, 5 + classes]`` of ``probabilities``; ``input_size``: padded (height,
    width). Returns boxes ``float32[N, 4]`` xyxy in input pixels (not clipped), objectness
    ``float32[N]``, class probability ``float32[N]`` and class id ``int64[N]``. The score,
    objectness x class probability, is at least the threshold.
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
    Return the indices of the boxes to keep, best score first.

    A box goes if a better one of the same class overlaps it by more than ``iou``. ``boxes``:
    ``float32[N, 4]`` xyxy; ``scores``: ``float32[N]``; ``class_ids``: ``int64[N]``; equal scores
    keep their order.
    """
    order = np.argsort(-scores, kind='stable')
    alive = np.ones(len(order), np.uint8)
    boxes = np.ascontiguousarray(boxes[order], np.float32)
    class_ids = np.ascontiguousarray(class_ids[order], np.int64)
    _suppress(pointer(boxes), pointer(class_ids), len(order), iou, pointer(alive))
    return order[alive.astype(bool)]
