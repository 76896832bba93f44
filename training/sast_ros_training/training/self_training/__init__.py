# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Training on recordings without labels: those that the network itself is sure of."""
