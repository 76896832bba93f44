# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Training loss on the scores that tokens are selected by (docs/sast.md 11.5).

The published selection passes no gradient: nothing tells a score what its token was good for. This
loss does, from the labels, and leaves nothing in the network. Others that are dropped after
training: B. Bergner, C. Lippert, A. Mahendran: "Token Cropr", CVPR 2025; tokens that are kept for
later if they are not selected: Y. Liu, M. Gehrig, N. Messikommer, M. Cannici, D. Scaramuzza:
"Revisiting Token Pruning for Object Detection and Instance Segmentation", WACV 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from sast_ros.model.config import STRIDES
from sast_ros.model.selection import partition_order, selection_margins
import torch
from torch import Tensor
import torch.nn.functional as F

#: Slope of the logistic function, per standard deviation of the scores of a map.
_SLOPE = 2.0
#: A box that covers at least this share of a token's area has it.
_COVERED = 0.5


@dataclass(slots=True)
class SelectionLoss:
    """
    Loss of the scores of a batch.

    Attributes
    ----------
    total : torch.Tensor
        ``contrast + budget_weight * budget``.
    contrast : torch.Tensor
        Cross entropy of the selection, objects and the rest with equal weight.
    budget : torch.Tensor
        Share of the tokens that are selected beyond the budget.
    kept_inside, kept_outside : torch.Tensor
        ``float32[4]`` selected share of the tokens of objects, and of the others, by stage.

    """

    total: Tensor
    contrast: Tensor
    budget: Tensor
    kept_inside: Tensor
    kept_outside: Tensor


@dataclass(slots=True)
class TokenTargets:
    """
    What the selection of one stage should find; tokens that are neither do not count.

    Attributes
    ----------
    objects : torch.Tensor
        ``bool[B, ...]`` in the box of an object, and with events.
    others : torch.Tensor
        ``bool[B, ...]`` outside of all boxes and ignored regions.

    """

    objects: Tensor
    others: Tensor


def selection_loss(
    scores: Sequence[Tensor],
    targets: Sequence[TokenTargets],
    part: tuple[int, int],
    bounce: float,
    weights: Sequence[float],
    budgets: Sequence[float],
    budget_weight: float = 1.0,
) -> SelectionLoss:
    """
    Return the loss of a batch, over the four stages.

    Parameters
    ----------
    scores : sequence of torch.Tensor
        ``float32[B, tokens]`` of ``StepOutput``.
    targets : sequence of TokenTargets
        ``bool[B, height, width]``, what ``token_targets`` returns.
    part : tuple of int
        (height, width) of a partition in tokens.
    bounce : float
        BOUNCE of the selection.
    weights : sequence of float
        Of the stages in the loss.
    budgets : sequence of float
        Share of the tokens of a map that may be selected; never less than its objects have.
    budget_weight : float
        Of what is selected beyond it. Up to 1 the contrast prevails: objects are selected with
        much around them.

    """
    contrast = budget = scores[0].new_zeros(())
    inside, outside = [], []
    for score, target, weight, allowed in zip(scores, targets, weights, budgets, strict=True):
        size = target.objects.shape[1:]
        kept: list[Tensor] = []
        for kind in ('window', 'grid'):
            order = partition_order(kind, *size, part, score.device)
            objects, others = (m.flatten(1)[:, order] for m in (target.objects, target.others))
            ordered = TokenTargets(objects, others)
            parts = _partition_loss(score[:, order], ordered, bounce, allowed)
            contrast, budget = contrast + weight / 2 * parts[0], budget + weight / 2 * parts[1]
            kept.append(torch.stack([_mean(parts[2], m) for m in (objects, others)]))
        both = torch.stack(kept).mean(dim=0)
        inside.append(both[0])
        outside.append(both[1])
    total = contrast + budget_weight * budget
    return SelectionLoss(total, contrast, budget, torch.stack(inside), torch.stack(outside))


def token_targets(
    histograms: Tensor, labels: Tensor, ignored: Tensor | None = None
) -> list[TokenTargets]:
    """
    Return what is to be selected in the four stages, ``bool[B, height, width]`` each.

    A token is of an object if the box covers half of it, or has its centre in it, and if there are
    events in its pixels: what an event camera does not see in this window, no score can find. It
    is another if no box and no ignored region reaches it.

    Parameters
    ----------
    histograms : torch.Tensor
        ``uint8[B, channels, H, W]``, padded.
    labels : torch.Tensor
        ``float[B, G, 5]`` class, cx, cy, w, h in pixels; rows of zeros are padding.
    ignored : torch.Tensor, optional
        ``float[B, I, 4]`` x1, y1, x2, y2 in pixels; rows of zeros are padding.

    """
    centre, half = labels[..., 1:3], labels[..., 3:5] / 2
    boxes = torch.cat([centre - half, centre + half], dim=-1)
    occupied = histograms.amax(dim=1) > 0  # a twentieth of the time of any(), on a CPU
    targets = []
    for stride in STRIDES:
        rows, columns = (side // stride for side in occupied.shape[1:])
        cover, centred = _coverage(boxes, (rows, columns), stride)
        events = occupied.unflatten(2, (columns, stride)).unflatten(1, (rows, stride))
        objects = ((cover >= _COVERED) | centred).any(dim=1) & events.any(dim=4).any(dim=2)
        touched = (cover > 0).any(dim=1)
        if ignored is not None:
            touched = touched | (_coverage(ignored, (rows, columns), stride)[0] > 0).any(dim=1)
        targets.append(TokenTargets(objects, ~touched))
    return targets


def _coverage(boxes: Tensor, size: tuple[int, int], stride: int) -> tuple[Tensor, Tensor]:
    """
    Return the share of each token that a box covers, and whether its centre is in it.

    ``boxes``: ``[B, G, 4]``; the results are ``[B, G, height, width]``.
    """
    cover, centred = [], []
    for axis, side in ((1, size[0]), (0, size[1])):
        start = stride * torch.arange(side, device=boxes.device)
        low, high = boxes[..., axis, None], boxes[..., axis + 2, None]
        overlap = torch.minimum(high, start + stride) - torch.maximum(low, start)
        cover.append(overlap.clamp(min=0) / stride)
        middle = (low + high) / 2
        centred.append((middle >= start) & (middle < start + stride) & (high > low))
    return (
        cover[0][..., None] * cover[1][..., None, :],
        centred[0][..., None] & centred[1][..., None, :],
    )


def _partition_loss(
    scores: Tensor, target: TokenTargets, bounce: float, allowed: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return contrast, budget, and which tokens are selected, all in ``[B, N, T]`` order."""
    # Thresholds depend on all tokens; those that do not count move them, but get no gradient
    scores = torch.where(target.objects | target.others, scores, scores.detach())
    tokens, partitions = selection_margins(scores, bounce)
    means, found = scores.mean(dim=2), target.objects.any(dim=2)
    floor = math.log1p(bounce)
    # Each compares within one partition, or one map: without an object there is nothing to prefer
    contrast = _cross_entropy(
        tokens, _spread(scores, floor), target.objects, target.others & found[:, :, None]
    )
    if scores.shape[1] > 1:
        empty = target.others.all(dim=2) & found.any(dim=1, keepdim=True)
        contrast = contrast + _cross_entropy(partitions, _spread(means, floor), found, empty)
    margin = torch.minimum(tokens, partitions[:, :, None])
    kept = margin.detach() >= 0
    # The budget counts what is selected and has the gradient of a logistic function
    soft = torch.sigmoid(_SLOPE * margin / _spread(scores, floor)[..., None])
    counted = kept + soft - soft.detach()
    spent = (counted * target.others).mean(dim=(1, 2))
    left = (allowed - target.objects.float().mean(dim=(1, 2))).clamp(min=0)
    return contrast, F.relu(spent - left).mean(), kept


def _spread(scores: Tensor, floor: float) -> Tensor:
    """Return the unit of the decisions on a map, ``[B, 1]``; scores have any scale."""
    return (scores.detach().flatten(1).std(dim=1) + floor)[:, None]


def _cross_entropy(margin: Tensor, spread: Tensor, wanted: Tensor, unwanted: Tensor) -> Tensor:
    """Return the mean of those that are wanted and that of those that are not, in equal parts."""
    logit = _SLOPE * margin / spread.view(-1, *(1,) * (margin.dim() - 1))
    return (_mean(F.softplus(-logit), wanted) + _mean(F.softplus(logit), unwanted)) / 2


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean where the mask is true, 0 if that is nowhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)
