"""`semgan info SCAN`: what a scan is, and which series a DICOM folder holds."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from monai_semgan.cli.arguments import describe, note, say
from monai_semgan.errors import SemganError
from monai_semgan.utils.json_text import json_text


def tell_scan(arguments: argparse.Namespace) -> int:
    """Print what there is; a scan that cannot be read is an error after the list of its series.

    Raises:
        SemganError: the scan cannot be read.
    """
    from monai_semgan.io.formats import find_reader
    from monai_semgan.io.reading import read_volume

    path: Path = arguments.scan
    series: list[Any] = []
    if isinstance(find_reader(path), partial):  # DICOM
        from monai_semgan.io.dicom.series_listing import list_series

        series, remarks = list_series(path)
    if not arguments.json:
        for entry in series:
            say(entry.line())
    facts: dict[str, Any] = {"path": str(path), "series": [dataclasses.asdict(entry) for entry in series]}
    problem: SemganError | None = None
    try:
        volume = read_volume(path, series=arguments.series)
        facts |= {"scan": scan_facts(volume), "notes": list(volume.notes)}
    except SemganError as error:
        problem = error
        facts |= {"scan": None, "notes": remarks if series else [], "problem": str(error)}
    if arguments.json:
        say(json_text(facts, indent=2))
    elif problem is None:
        scan = facts["scan"]
        how = "" if scan["modality_by"] == "header" else ", by its values"
        say(f"{path}: {scan['modality']}{how}, {describe(volume)}, axes {scan['axes']}")
        say(f"values {scan['lowest']:g} to {scan['highest']:g}")
    if not arguments.json:
        for sentence in facts["notes"]:
            note(sentence)
    if problem is not None:
        raise problem
    return 0


def scan_facts(volume: Any) -> dict[str, Any]:
    """Shape, spacing, axes, modality and values, in JSON's types."""
    import nibabel

    from monai_semgan.modalities import guess_modality

    array = volume.array
    return {
        "shape": list(array.shape),
        "spacing_mm": [round(float(mm), 4) for mm in volume.spacing] if volume.spacing_known else None,
        "axes": "".join(nibabel.orientations.aff2axcodes(volume.affine)),
        "origin_mm": [round(float(mm), 4) for mm in volume.affine[:3, 3]],
        "modality": volume.modality or guess_modality(array),
        "modality_by": "header" if volume.modality else "values",
        "lowest": float(array.min()),
        "highest": float(array.max()),
    }
