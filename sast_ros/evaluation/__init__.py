"""Judging detections against labels."""

from sast_ros.evaluation.average_precision import (
    AveragePrecision,
    BOXES_1MPX,
    BOXES_GEN1,
    BoxFilter,
    mean_average_precision,
)

__all__ = [
    'BOXES_1MPX',
    'BOXES_GEN1',
    'AveragePrecision',
    'BoxFilter',
    'mean_average_precision',
]
