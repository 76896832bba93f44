# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Detections out as labels for annotation tools, and edited labels back in."""

from sast_ros.labelling.annotations import LabelError
from sast_ros.labelling.folder import export_labels, import_labels

__all__ = ['LabelError', 'export_labels', 'import_labels']
