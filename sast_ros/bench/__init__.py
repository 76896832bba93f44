# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Speed of this installation on this machine: the parts of the detector, and the whole node."""
