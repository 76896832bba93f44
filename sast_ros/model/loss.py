# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Training loss: SimOTA assignment, IoU, objectness and class terms (YOLOX; docs/sast.md 11.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sast_ros.model.head import anchor_grid, decode_boxes
import torch
from torch import Tensor
import torch.distributed as distributed
import torch.nn.functional as F

_CENTRE_RADIUS = 1.5  # in strides
_BOX_WEIGHT = 5.0
#: The number of anchors of an object is the sum of its so many best overlaps.
_OVERLAPS = 10
_OUTSIDE = 1e6
_IMPOSSIBLE = 1e12


@dataclass(slots=True)
class DetectionLoss:
    """
    Loss of a batch; each term is a sum divided by the number of positive anchors or of windows.

    Attributes
    ----------
    total : torch.Tensor
        ``box + objectness + classes + score_weight * scores``.
    box : torch.Tensor
        5 x (1 - IoU^2).
    objectness, classes : torch.Tensor
        Binary cross entropies.
    scores : torch.Tensor
        Binary cross entropy of the scores of all anchors and classes; 0 without ``score_weight``.

    """

    total: Tensor
    box: Tensor
    objectness: Tensor
    classes: Tensor
    scores: Tensor


def detection_loss(
    head: Tensor,
    labels: Tensor,
    input_size: tuple[int, int],
    ignore: Tensor | None = None,
    score_weight: float = 0.0,
) -> DetectionLoss:
    """
    Return the loss of a batch.

    Every term is divided by the number of positive anchors, as published, but at least by the
    number of windows: divided by 1, a batch without objects has a gradient 16 times as long as
    others (*measured*, 8 windows). Of processes that train together, which average their
    gradients, both numbers are means over all of them, as in the YOLOX head of MMDetection
    (``reduce_mean``); so all must call this function at the same time, also for no windows.

    Parameters
    ----------
    head : torch.Tensor
        ``[B, anchors, 5 + classes]`` with logits, as the network returns it.
    labels : torch.Tensor
        ``float[B, G, 5]`` class, cx, cy, w, h in input pixels; rows of zeros are padding.
    input_size : tuple of int
        Padded (height, width).
    ignore : torch.Tensor, optional
        ``float[B, I, 4]`` x1, y1, x2, y2 in input pixels: regions in which an anchor without an
        object does not count; rows of zeros are padding.
    score_weight : float
        Of the term on scores, 0 as published. A score is objectness times class probability, and
        is to be the overlap with the object, 0 where there is none: the published terms look at
        the class of positive anchors alone, so that nothing lowers both where there is no object.

    """
    head = head.float()  # losses are small differences: never in half precision
    # One row of padding even where there are no objects
    labels = F.pad(labels.to(head.device, torch.float32), (0, 0, 0, 1))
    boxes = decode_boxes(head, input_size)
    with torch.no_grad():
        matched, positive = _assign(head, boxes, labels, input_size)
    count = _divisor(positive)
    target = labels.gather(1, matched[..., None].expand(-1, -1, 5))[positive]
    overlap = _iou(boxes[positive], target[:, 1:])
    classes = F.one_hot(target[:, 0].long(), head.shape[2] - 5) * overlap.detach()[:, None]
    box = _BOX_WEIGHT * (1 - overlap**2).sum() / count
    counted = None
    if ignore is not None and ignore.shape[1]:
        counted = (positive | ~_inside(ignore.to(head.device), input_size)).float()
    cross_entropy = partial(F.binary_cross_entropy_with_logits, reduction='sum')
    objectness = cross_entropy(head[..., 4], positive.float(), weight=counted) / count
    by_class = cross_entropy(head[..., 5:][positive], classes) / count
    total = box + objectness + by_class
    scores = torch.zeros_like(total)
    if score_weight:
        scores = _score_loss(head, positive, classes, counted) / count
        total = total + score_weight * scores
    return DetectionLoss(total, box, objectness, by_class, scores)


def _score_loss(head: Tensor, positive: Tensor, classes: Tensor, counted: Tensor | None) -> Tensor:
    """Return the sum of the cross entropies of objectness times class probability."""
    log_score = F.logsigmoid(head[..., 4:5]) + F.logsigmoid(head[..., 5:])  # B, A, classes
    target = torch.zeros_like(log_score)
    target[positive] = classes
    # 1 - p q of two probabilities is (1 - p) + p (1 - q), without cancellation
    log_rest = torch.logaddexp(
        F.logsigmoid(-head[..., 4:5]), F.logsigmoid(head[..., 4:5]) + F.logsigmoid(-head[..., 5:])
    )
    entropy = -(target * log_score + (1 - target) * log_rest).sum(dim=-1)
    return (entropy if counted is None else entropy * counted).sum()


def _divisor(positive: Tensor) -> Tensor:
    """Return the number of positive anchors ``bool[B, A]`` or of windows, mean of processes."""
    count = torch.stack([positive.sum(), positive.new_tensor(len(positive), dtype=torch.long)])
    count = count.float()
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(count)
        count /= distributed.get_world_size()
    return count.max().clamp(min=1)


def _assign(
    head: Tensor, boxes: Tensor, labels: Tensor, input_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """
    Return for every anchor the object it is responsible for, and whether there is one.

    They are ``int64[B, A]`` and ``bool[B, A]``. Only the anchors near an object are looked at: M
    of them in the image that has most.
    """
    batch, anchors, _ = head.shape
    if not batch:
        nothing = torch.zeros(0, anchors, dtype=torch.long, device=head.device)
        return nothing, nothing.bool()
    valid = labels.sum(dim=-1) > 0  # B, G
    cell, stride = anchor_grid(*input_size, head.device)
    centre = (cell + 0.5) * stride  # A, 2
    distance = (labels[:, :, None, 1:3] - centre).abs().amax(dim=-1)  # B, G, A
    near = (distance < _CENTRE_RADIUS * stride[:, 0]) & valid[..., None]
    image, anchor = near.any(dim=1).nonzero(as_tuple=True)
    counts = torch.bincount(image, minlength=batch)
    size = max(min(_OVERLAPS, anchors), int(counts.max()))
    slot = torch.arange(len(image), device=head.device) - (counts.cumsum(0) - counts)[image]
    place = torch.zeros(batch, size, dtype=torch.long, device=head.device)
    place[image, slot] = anchor
    used = torch.zeros(batch, size, dtype=torch.bool, device=head.device)
    used[image, slot] = True
    near = near.gather(2, place[:, None].expand(-1, labels.shape[1], -1))  # B, G, M
    candidate = used[:, None, :] & valid[..., None]  # B, G, M
    head = head.gather(1, place[..., None].expand(-1, -1, head.shape[2]))
    boxes = boxes.gather(1, place[..., None].expand(-1, -1, 4))
    overlap = _iou(boxes[:, None], labels[:, :, None, 1:]) * candidate
    probability = (head[..., 4:5].sigmoid() * head[..., 5:].sigmoid()).sqrt()  # B, M, classes
    # Cross entropy against a one-hot class is -log(1 - p) over all classes, with the true one
    # replaced by -log(p).
    negative = -torch.log1p(-probability).clamp(min=-100)
    log_p = -torch.log(probability).clamp(min=-100)
    index = labels[..., 0].long()[:, :, None].expand(-1, -1, size)  # B, G, M
    swap = (log_p - negative).transpose(1, 2).gather(1, index)
    cost = negative.sum(dim=-1)[:, None] + swap - 3 * torch.log(overlap + 1e-8) + _OUTSIDE * ~near
    cost = torch.where(candidate, cost, _IMPOSSIBLE)
    wanted = overlap.topk(min(_OVERLAPS, size), dim=2).values.sum(dim=2).int().clamp(min=1)  # B, G
    most = int(wanted.max())
    best = cost.topk(most, dim=2, largest=False).indices
    taken = torch.arange(most, device=head.device) < wanted[..., None]
    match = torch.zeros_like(candidate).scatter(2, best, taken) & candidate
    # An anchor that several objects want goes to the cheapest of all objects, as published.
    contested = match.sum(dim=1) > 1
    cheapest = cost.argmin(dim=1)
    chosen = torch.where(contested, cheapest, match.int().argmax(dim=1))
    matched = torch.zeros(batch, anchors, dtype=torch.long, device=head.device)
    matched[image, anchor] = chosen[image, slot]
    positive = torch.zeros(batch, anchors, dtype=torch.bool, device=head.device)
    positive[image, anchor] = match.any(dim=1)[image, slot]
    return matched, positive


def _inside(regions: Tensor, input_size: tuple[int, int]) -> Tensor:
    """Return whose centre lies in any region ``[B, I, 4]``, ``bool[B, A]``."""
    cell, stride = anchor_grid(*input_size, regions.device)
    centre = (cell + 0.5) * stride
    low, high = regions[:, :, None, :2], regions[:, :, None, 2:]
    return ((centre >= low) & (centre < high)).all(dim=-1).any(dim=1)


def _iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the overlap of boxes cx, cy, w, h, ``[..., 4]`` each (broadcast)."""
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    inside = (high - low).clamp(min=0).prod(dim=-1)
    return inside / (a[..., 2:].prod(dim=-1) + b[..., 2:].prod(dim=-1) - inside + 1e-16)
