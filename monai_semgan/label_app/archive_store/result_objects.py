"""DICOM objects of a label: made from its file, the scan as the archive has it, and what is noted of the label."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.provenance import Provenance, ReplacedResult
from monai_semgan.label_app.archive_store.archive_datastore import CopiedLabel, ScanFiles
from monai_semgan.label_app.archive_store.submission import MadeObject
from monai_semgan.label_app.grids import ids_in, lay_onto
from monai_semgan.label_app.label_numbers import told_names
from monai_semgan.organs import Segments

if TYPE_CHECKING:
    from monai_semgan.jobs.models import ServedModel

TASK = "semgan_"
"""What the names of MONAI Label's tasks begin with; all run the default model."""


@dataclass(frozen=True)
class LabelSource:
    """What the objects are made of.

    Args:
        scan: the DICOM files.
        label: a copy of the label; it is written anew where it runs along other axes than the scan.
        models: those that are served, by name.
        replaces: earlier results that the archive has.
    """

    scan: ScanFiles
    label: CopiedLabel
    models: Mapping[str, ServedModel]
    replaces: tuple[ReplacedResult, ...] = ()

    def provenance(self) -> Provenance:
        """Tell how the label was made."""
        facts = self.label.facts
        return Provenance(
            model_digest=self._digest(),
            annotator=facts.annotator,
            edited=facts.edited,
            by_model=facts.model is not None,
            replaces=self.replaces,
        )

    def segments(self, names: Mapping[int, str], ids: frozenset[int]) -> Segments:
        """Name the ids of the label: as its file does, as the client has told, or as the model calls them."""
        model, info = self._model(), self.label.info
        known = {index: name for one in reversed(list(self.models.values())) for index, name in one.labels.items()}
        known |= dict(model.labels) if model is not None else {}
        told = {index: name for index, name in told_names(info.get("label_info")).items() if name}
        named = {**known, **told, **names}
        described = {index: named.get(index, f"label {index}") for index in sorted(ids)}
        if self.label.facts.model is None:
            return Segments(described)
        name = model.info.name if model is not None else self.label.facts.model
        return Segments(described, name, self._version())

    def _model(self) -> ServedModel | None:
        """Return the model that the label is made from, if this server has it."""
        name = self.label.facts.model
        if name is not None and name not in self.models and name.startswith(TASK):
            return next(iter(self.models.values()), None)
        return self.models.get(name) if name is not None else None

    def _version(self) -> str:
        """Return the version of the model, as the client tells it or else the one in use."""
        told, model = self.label.info.get("model_version"), self._model()
        return str(told) if told else model.info.version if model is not None else ""

    def _digest(self) -> str | None:
        """Return the hash of the weights: as the client tells it, or of the model in use if it can have been that."""
        from monai_semgan.bundle.digest import weights_digest

        told, model = str(self.label.info.get("model_sha256") or ""), self._model()
        if self.label.facts.model is not None and re.fullmatch(r"[0-9a-fA-F]{64}", told):
            return told
        if model is None or self._version() != model.info.version:
            return None
        return weights_digest(model.folder) or None


def write_objects(source: LabelSource, folder: Path, kinds: tuple[str, ...]) -> tuple[MadeObject, ...]:
    """Write the DICOM objects of a label.

    Args:
        source: see `LabelSource`.
        folder: where to.
        kinds: besides the segmentation `rtstruct` or `report`.

    Returns:
        The objects, the segmentation first.

    Raises:
        SemganError: the scan or the label cannot be read, the label is empty, or an object cannot be made of them.
    """
    import numpy as np

    from monai_semgan.io.dicom.structured_report import write_volume_report
    from monai_semgan.io.reading import read_volume
    from monai_semgan.io.writing import write_label

    volume = read_volume(source.scan.folder, series=source.scan.series)
    laid = lay_onto(source.label.file, volume)
    ids = ids_in(laid.array)
    if not ids:
        raise SemganError("the label is empty, of which no DICOM segmentation can be made", remedy="keep it here alone")
    segments, provenance = source.segments(laid.names, ids), source.provenance()
    files = [write_label(laid.array, volume, folder / "segmentation.dcm", segments, provenance=provenance)]
    if "rtstruct" in kinds:
        files.append(write_label(laid.array, volume, folder / "rtstruct", segments, provenance=provenance))
    if "report" in kinds:
        counts = np.bincount(laid.array.ravel(), minlength=256)
        volumes = {name: float(counts[index]) * volume.voxel_ml for index, name in segments.names.items()}
        files.append(write_volume_report(files[0], volume, folder / "report.dcm", volumes, provenance))
    return tuple(_made(file, folder) for file in files)


def _made(file: Path, folder: Path) -> MadeObject:
    import pydicom

    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
    dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(names))
    return MadeObject(file.relative_to(folder).as_posix(), *(str(dataset[name].value) for name in names))
