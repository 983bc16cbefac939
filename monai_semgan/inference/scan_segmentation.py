"""Segment a scan that is given as a volume or as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.inference.segmentation import Segmentation, segment_volume
from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import Volume


def segment(
    scan: Volume | str | Path, bundle: Bundle | str | Path | None = None, mode: str = "preview", **options: Any
) -> Segmentation:
    """Segment a CT, an MR or a radiograph.

    Args:
        scan: a volume, or the file or DICOM folder to read it from.
        bundle: the model, or its folder; the one that comes with the package when left out. For many scans, load it once.
        mode: `preview`, `encoder`, `invert` or `refine`.
        options: as `segment_volume`, such as `modality="MR"`, `labels=[1, 4]`, `steps=10`.

    Raises:
        SemganError: if the scan or the bundle cannot be used, or an option makes no sense.
    """
    model = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    volume = scan if isinstance(scan, Volume) else read_volume(scan)
    return segment_volume(volume, model, mode, **options)
