"""Versions of the software and a description of the machine, for records."""

from __future__ import annotations

import os
import platform
from typing import Any

import ignite
import numpy
import torch

import monai_semgan


def versions() -> dict[str, str]:
    """Versions of what decides the outcome of a training."""
    import monai

    return {
        "monai_semgan": monai_semgan.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "monai": monai.__version__,
        "ignite": ignite.__version__,
        "numpy": numpy.__version__,
    }


def machine(device: torch.device, processes: int) -> dict[str, Any]:
    """The hardware in words and numbers, without host names."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": str(device),
        "name": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "system": platform.system(),
    }
