"""Ids of DICOM series: the same wherever a series lies, in a folder or an archive."""

from __future__ import annotations

import hashlib

DIGITS = 10


def series_id(modality: str, number: str, uid: str, part: str) -> str:
    """Return the id of a DICOM series, in which nothing of the patient stands.

    Args:
        modality: such as `CT`.
        number: of the series; left out if it is none.
        uid: of the series.
        part: which of its volumes, if it holds several.
    """
    kind = modality.lower() if modality.isascii() and modality.isalnum() else "dicom"
    count = f"_{int(number)}" if number.isascii() and number.isdecimal() and len(number) < 10 else ""
    digest = hashlib.sha256(f"{uid}/{part}".encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    return f"{kind}{count}_{digest}"
