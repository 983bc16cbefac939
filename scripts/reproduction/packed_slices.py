"""Slices that all trainings share, and whose patients they are."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from monai_semgan.errors import SemganError

from .console import say
from .json_files import read_json
from .training_plan import OF_THE_SLICES, Training


def pack(datalist: Path, folder: Path, bundle: Path, plan: Sequence[Training]) -> None:
    """Cut the slices of a data list as the bundle cuts them, at the size of the trainings, into a few small files."""
    say(f"packing slices into {folder}")
    from monai_semgan.bundle.labels import CONFIG
    from monai_semgan.slicing.preprocessing import Preprocessing
    from monai_semgan.training.datasets import pack_slices
    from monai_semgan.utils.progress_bar import BarProgress

    section = {k: v for k, v in read_json(bundle / CONFIG)["slices"].items() if not k.startswith("_")}
    section |= {k: v for k, v in plan[-1].settings.items() if k in OF_THE_SLICES and k != "patients"}
    with BarProgress("packing") as progress:
        pack_slices(datalist, folder, Preprocessing(**section), progress)
    shutil.rmtree(folder / "cache", ignore_errors=True)


def patients_digest(data: Path) -> str:
    """Hash of the patients of every section, the same for a data list and for the slices packed from it.

    Raises:
        SemganError: if the data cannot be read.
    """
    if data.is_dir():
        path = data / "patients.json"
        if not path.exists():
            raise SemganError("no packed slices", remedy="pack them with --pack", path=data)
        sections = read_json(path)
    else:
        from monai_semgan.data.datalist import SECTIONS, load_datalist

        entries = load_datalist(data)
        sections = {name: [entry.patient for entry in getattr(entries, name)] for name in SECTIONS}
    content = {name: sorted(patients) for name, patients in sections.items() if patients}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
