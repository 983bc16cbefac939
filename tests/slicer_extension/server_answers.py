"""What the server of the tests says of itself and its model, and the label that it makes of a phantom."""

from __future__ import annotations

import numpy as np

CATEGORY = {"scheme": "SCT", "value": "91723000", "meaning": "Anatomical Structure"}

LABELS = [
    {
        "id": 1,
        "name": "liver",
        "colour": [221, 130, 101],
        "category": CATEGORY,
        "kind": {"scheme": "SCT", "value": "10200004", "meaning": "Liver"},
    },
    {
        "id": 2,
        "name": "right kidney",
        "colour": [185, 102, 83],
        "category": CATEGORY,
        "kind": {"scheme": "SCT", "value": "64033007", "meaning": "Kidney"},
        "side": {"scheme": "SCT", "value": "24028007", "meaning": "Right"},
    },
    {
        "id": 4,
        "name": "spleen",
        "colour": [157, 108, 162],
        "category": CATEGORY,
        "kind": {"scheme": "SCT", "value": "78961009", "meaning": "Spleen"},
    },
]

VALUES = {1: 110.0, 2: 190.0, 4: 140.0}
"""Of the phantom's organs; see tests/phantoms.py."""

MODEL = {"name": "semgan_abdomen", "version": "1.2", "sha256": "ab" * 32}

ENDED = ("done", "cancelled", "interrupted", "failed")

REPORT = b"<html>Research use only</html>"

HEALTH = {
    "product": "monai_semgan",
    "version": "0.9.0",
    "api": "1.2",
    "ready": True,
    "workers": [{"device": "cpu", "state": "ready"}],
    "queued": 0,
    "uptime_seconds": 12.0,
    "disk_bytes": 0,
    "disk_limit_bytes": 10**10,
    "upload_limit_bytes": 10**9,
    "keep_seconds": 86400.0,
    "upload_keep_seconds": 3600.0,
    "research_only": "Research use only, not for clinical use",
}

MODEL_INFO = {
    **MODEL,
    "description": "Organs in CT and MRI",
    "bytes": 1000,
    "modalities": ["CT"],
    "slice_axis": [0.0, 0.0, 1.0],
    "labels": LABELS,
    "modes": [
        {"name": "preview", "description": "student", "seconds": 1.5},
        {"name": "invert", "description": "encoder and inversion", "steps": 4},
        {"name": "refine", "description": "preview and inversion", "steps": 4},
    ],
    "research_only": "Research use only, not for clinical use",
}


def segment(array: np.ndarray) -> np.ndarray:
    """Make the label map of the phantom by its values."""
    label = np.zeros(array.shape, dtype=np.uint8)
    for index, value in VALUES.items():
        label[np.abs(array - value) < 1] = index
    return label
