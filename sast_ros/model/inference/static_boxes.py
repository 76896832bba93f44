# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Network output to boxes on the device, in operations whose shapes do not depend on the boxes."""

from __future__ import annotations

import numpy as np
from sast_ros.model.head import decode_boxes
from sast_ros.model.inference.postprocess import NotFiniteError
import torch
from torch import Tensor

#: Boxes over the score threshold that non-maximum suppression looks at, best first.
CANDIDATES = 512

#: Rounds of the suppression; one decides at least the next box of each chain of overlaps.
_ROUNDS = 16

#: Columns of a candidate: x1, y1, x2, y2, objectness, class score, class, whether it is kept.
_COLUMNS = 8


def find_boxes(
    output: Tensor,
    input_size: tuple[int, int],
    score_threshold: float | Tensor,
    nms_iou: float | Tensor,
) -> Tensor:
    """
    Return the detections of one image, for ``unpack_boxes``.

    Parameters
    ----------
    output : torch.Tensor
        ``float32[anchors, 5 + classes]`` of ``postprocess.probabilities``.
    input_size : tuple of int
        Padded (height, width).
    score_threshold : float or torch.Tensor
        Lowest score.
    nms_iou : float or torch.Tensor
        IoU threshold of per-class NMS.

    Returns
    -------
    torch.Tensor
        ``float32[1 + 8 * candidates]``: how many boxes there are, negative if the candidates or
        rounds were too few for them, not a number if a value of the output is not finite; then a
        row for each candidate.

    """
    class_score, class_id = output[:, 5:].max(dim=1)
    score = output[:, 4] * class_score
    passed = score >= score_threshold
    boxes = decode_boxes(output, input_size)
    corners = torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], dim=1)
    rows = torch.cat(
        [corners, torch.stack([output[:, 4], class_score, class_id.to(score.dtype)], dim=1)], dim=1
    )
    # Equal scores keep their order, which topk does not promise
    order = torch.where(passed, score, -1.0).sort(descending=True, stable=True).indices
    order = order[:CANDIDATES]
    rows, present = rows.index_select(0, order), passed.index_select(0, order)
    kept, settled = _suppress(rows[:, :4], rows[:, 6], present, nms_iou)
    complete = settled & (passed.sum() <= CANDIDATES)
    count = torch.where(complete, kept.sum(), -1).to(rows.dtype)
    count = torch.where(torch.isfinite(output).all(), count, torch.nan)
    table = torch.cat([rows, kept[:, None].to(rows.dtype)], dim=1)
    return torch.cat([count[None], table.flatten()])


def _suppress(
    boxes: Tensor, class_ids: Tensor, present: Tensor, iou: float | Tensor
) -> tuple[Tensor, Tensor]:
    """
    Return which boxes stay, ``bool[K]``, and whether that is certain.

    A box stays if no better one that stays suppresses it. All are decided at once from what the
    round before says of the better ones; when a round changes nothing, the result is that of
    deciding one after the other.
    """
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    sides = high - low
    overlap = sides[..., 0] * sides[..., 1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    suppresses = overlap > iou * (area[:, None] + area[None, :] - overlap)
    suppresses &= (high > low).all(dim=2) & (class_ids[:, None] == class_ids[None, :])
    rank = torch.arange(len(boxes), device=boxes.device)
    suppresses &= rank[:, None] < rank[None, :]
    weight = suppresses.to(boxes.dtype).t()
    kept = before = present
    for _ in range(_ROUNDS):
        before = kept
        kept = present & (weight @ kept.to(boxes.dtype) == 0)
    return kept, (kept == before).all()


def unpack_boxes(
    found: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """
    Return what ``postprocess.select_boxes`` returns, from what ``find_boxes`` has found.

    Parameters
    ----------
    found : numpy.ndarray
        Result of ``find_boxes``.

    Returns
    -------
    tuple of numpy.ndarray or None
        Boxes, objectness, class scores and class ids, best score first; None where
        ``select_boxes`` must be asked: there are too many boxes, or they overlap in long chains.

    Raises
    ------
    NotFiniteError
        A value of the output is not finite.

    """
    if np.isnan(found[0]):
        raise NotFiniteError('the output of the network has values that are not finite')
    if found[0] < 0:
        return None
    table = found[1:].reshape(-1, _COLUMNS)
    table = table[table[:, 7] > 0]
    return table[:, :4], table[:, 4], table[:, 5], table[:, 6].astype(np.int64)
