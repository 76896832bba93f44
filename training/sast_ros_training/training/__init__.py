# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Training the network: data of several kinds in, weights out."""
