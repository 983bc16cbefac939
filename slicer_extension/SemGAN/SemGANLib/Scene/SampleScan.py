"""The scan that comes with the extension, for the module Sample Data: no download, nobody's data."""

from __future__ import annotations

from pathlib import Path

from ..Translation import tr as _

NAME = "SemGANSyntheticCT"
SCAN = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "semgan_synthetic_ct.nrrd"
THUMBNAIL = SCAN.with_suffix(".png")


def register() -> None:
    """Offer the scan in the module Sample Data, under the heading SemGAN."""
    from SampleData import SampleDataLogic

    if hasattr(SampleDataLogic, "registerCustomSampleDataCategory"):  # older Slicers have no titles
        SampleDataLogic.registerCustomSampleDataCategory("SemGAN", title=_("SemGAN"))
    SampleDataLogic.registerCustomSampleDataSource(
        category="SemGAN",
        sampleName=NAME,
        thumbnailFileName=str(THUMBNAIL),
        uris=SCAN.as_uri(),
        fileNames=SCAN.name,
        nodeNames=NAME,
    )
