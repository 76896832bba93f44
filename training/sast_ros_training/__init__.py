# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Makes weights for ``sast_ros``: simulation of labelled event streams, and training."""
