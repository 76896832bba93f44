# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files with boxes: COCO, YOLO text and CSV; those of NumPy are in ``evaluation.boxes``."""
