"""DICOM objects of a label: made from its file, the scan as the archive has it, and what is noted of the label."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_semgan.io.dicom.provenance import Provenance, ReplacedResult
from monai_semgan.label_app.grids import ids_in, lay_onto
from monai_semgan.label_app.label_numbers import told_names
from monai_semgan.label_app.labels_datastore import PresentLabel
from monai_semgan.organs import Segments

if TYPE_CHECKING:
    from monai_semgan.jobs.models import ServedModel


@dataclass(frozen=True)
class LabelSource:
    """What the objects are made of.

    Args:
        scan: folder of the DICOM files.
        label: the label with its facts.
        info: what is noted of it.
        models: those that are served, by name.
        replaces: the earlier result that the archive has.
    """

    scan: Path
    label: PresentLabel
    info: Mapping[str, Any]
    models: Mapping[str, ServedModel]
    replaces: ReplacedResult | None = None

    def provenance(self) -> Provenance:
        """Tell how the label was made."""
        from monai_semgan.bundle.digest import weights_digest

        facts = self.label.facts
        model = self._model()
        return Provenance(
            model_digest=weights_digest(model.folder) if model is not None else None,
            annotator=facts.annotator,
            edited=facts.edited,
            by_model=facts.by_model or facts.model is not None,
            replaces=(self.replaces,) if self.replaces is not None else (),
        )

    def segments(self, names: Mapping[int, str], ids: frozenset[int]) -> Segments:
        """Name the ids of the label: as its file does, as the client has told, or as the model calls them."""
        model = self._model()
        known = {index: name for one in reversed(list(self.models.values())) for index, name in one.labels.items()}
        known |= dict(model.labels) if model is not None else {}
        told = {index: name for index, name in told_names(self.info.get("label_info")).items() if name}
        named = {**known, **told, **names}
        version = model.info.version if model is not None else ""
        name = model.info.name if model is not None else ""
        return Segments({index: named.get(index, f"label {index}") for index in sorted(ids)}, name, version)

    def _model(self) -> ServedModel | None:
        """Return the model that the label is made from; MONAI Label's clients name a task of the default one."""
        name = self.label.facts.model
        return self.models.get(name, next(iter(self.models.values()), None)) if name else None


def write_objects(source: LabelSource, folder: Path, stem: str, kinds: tuple[str, ...]) -> list[Path]:
    """Write the DICOM objects of a label.

    Args:
        source: see `LabelSource`.
        folder: where to.
        stem: what the names of the files begin with.
        kinds: besides the segmentation `rtstruct` or `report`.

    Returns:
        The files, the segmentation first.

    Raises:
        SemganError: the scan or the label cannot be read, or an object cannot be made of them.
    """
    from monai_semgan.io.reading import read_volume
    from monai_semgan.io.writing import write_label

    volume = read_volume(source.scan)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / source.label.file.name
        shutil.copyfile(source.label.file, copy)  # it is written anew if it runs along other axes than the scan
        laid = lay_onto(copy, volume)
    segments, provenance = source.segments(laid.names, ids_in(laid.array)), source.provenance()
    folder.mkdir(parents=True, exist_ok=True)
    files = [write_label(laid.array, volume, folder / f"{stem}_seg.dcm", segments, provenance=provenance)]
    if "rtstruct" in kinds:
        place = folder / f"{stem}_rtstruct"
        files.append(write_label(laid.array, volume, place, segments, provenance=provenance))
    return files
