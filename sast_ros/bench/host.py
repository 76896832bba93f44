# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a measurement must be read with: processor, instruction set, cores, load, versions."""

from __future__ import annotations

from datetime import datetime, timezone
import os
import platform
from typing import Any

import numpy as np
from sast_ros.process import available_cores, memory_bytes, processor_extensions, processor_name
import torch


def describe_host() -> dict[str, Any]:
    """
    Return the capabilities of this machine, fit for JSON.

    ``instruction_set`` is the one that PyTorch uses in this process, which may be held to less
    than the ``extensions`` of the processor.
    """
    return {
        'date': datetime.now(timezone.utc).date().isoformat(),
        'processor': processor_name(),
        'machine': platform.machine(),
        'cores': available_cores(),
        'extensions': list(processor_extensions()),
        'instruction_set': torch.backends.cpu.get_cpu_capability(),
        'memory_gib': round(memory_bytes() / 2**30, 1),
        'load_1min': round(os.getloadavg()[0], 2),
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        'python': platform.python_version(),
        'torch': torch.__version__,
        'numpy': np.__version__,
    }
