"""The JSON record beside each checkpoint: what was trained, on what, with what, and how well."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from typing import Any

import torch

import monai_semgan


@dataclass
class DataRecord:
    """Which patients a model has seen; never paths, which tell where a hospital keeps its data.

    Args:
        labelled: patients whose labels were used.
        unlabelled: patients whose images alone were used.
        validation: patients of the validation score.
        slices: number of training slices.
        labelled_slices: number of training slices with a label.
    """

    labelled: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    validation: list[str] = field(default_factory=list)
    slices: int = 0
    labelled_slices: int = 0


def versions() -> dict[str, str]:
    """Versions of what decides the outcome of a training."""
    import ignite
    import monai
    import numpy

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
