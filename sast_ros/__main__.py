"""``python -m sast_ros`` is ``sast-ros``."""

import sys

from sast_ros.cli import main

sys.exit(main())
