"""Scans as a survey sees them, without files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monai_semgan.training.planning.scan_look import BINS, LabelLook, ScanLook

LIVER = LabelLook(
    voxels=30_000, ml=1500.0, slices=(60, 60, 30), middle_mm=(60.0, 0.0, 0.0), grey=(40.0, 50.0, 100.0, 150.0, 160.0)
)

SCAN = ScanLook(
    name="ann",
    patient="ann",
    section="training",
    modality="CT",
    guessed=False,
    shape=(256, 256, 100),
    spacing_mm=(1.5, 1.5, 5.0),
    spacing_known=True,
    orientation="LAS",
    affine=((-1.5, 0.0, 0.0, 0.0), (0.0, 1.5, 0.0, 0.0), (0.0, 0.0, 5.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
    oblique_degrees=0.0,
    slice_axis=2,
    body_mm=(340.0, 240.0, 500.0),
    histogram=(10,) * BINS,
    histogram_range=(-1000.0, 1000.0),
    value_range=(-1024.0, 2000.0),
    constant_share=0.4,
    digest="ann",
    labelled=True,
    labels={1: LIVER},
)


def scan(name: str = "ann", **changes: Any) -> ScanLook:
    """A CT of a liver that is nothing special but for the changes."""
    return replace(SCAN, **{"name": name, "patient": name, "digest": name, **changes})


def liver(**changes: Any) -> LabelLook:
    """The liver of such a scan, with changes."""
    return replace(LIVER, **changes)
