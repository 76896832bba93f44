# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""``python -m sast_ros`` is ``sast-ros``."""

import sys

from sast_ros.cli import main

sys.exit(main())
