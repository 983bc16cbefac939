"""nibabel without what it loads for DICOM headers within NIfTI files, which nothing here reads."""

from __future__ import annotations

import importlib
import sys


def import_nibabel() -> None:
    """Import nibabel while pydicom cannot be: that and the web client that comes with it take 0.2 s and 14 MB.

    nibabel then gives the content of such header extensions as bytes, and keeps them. pydicom can be imported as usual
    afterwards. Where either is loaded already nothing is done. To be called by programs, at their start; a library
    leaves the modules of its user's process as they are.
    """
    if "nibabel" in sys.modules or "pydicom" in sys.modules:
        return
    sys.modules["pydicom"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("nibabel")
    finally:
        del sys.modules["pydicom"]
