"""Versions of the software and a description of the machine, for records."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import torch

from monai_semgan._version import __version__


def versions() -> dict[str, str]:
    """Tell the versions of what decides the outcome of a training, without importing it."""
    found = {"monai_semgan": __version__, "python": platform.python_version()}
    packages = {"torch": "torch", "monai": "monai", "ignite": "pytorch-ignite", "numpy": "numpy"}
    return found | {name: version(package) for name, package in packages.items()}


def machine(device: torch.device, processes: int) -> dict[str, Any]:
    """Describe the hardware in words and numbers, without host names."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": str(device),
        "name": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "system": platform.system(),
    }
