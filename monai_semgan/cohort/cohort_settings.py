"""How a cohort is segmented, and when a result is still valid."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from monai_semgan._version import __version__
from monai_semgan.bundle.digest import model_digest, weights_digest
from monai_semgan.bundle.labels import bundle_folder
from monai_semgan.cohort.cases import Case
from monai_semgan.errors import SemganError
from monai_semgan.io.formats import label_endings
from monai_semgan.outputs.write import OutputFiles
from monai_semgan.utils.file_state import file_state, fingerprint
from monai_semgan.utils.settings import check_ranges, checked

RTSTRUCT = "rtstruct"
ADDED_LATER = {"plane": "auto", "rtstruct": None, "structured_report": None}
"""Settings that did not exist in every version, with what did the same."""

WITHOUT_EFFECT = ("bundle", "device", "batch_size", "follow_links", "send")
"""Settings that do not change a result; the model itself goes in by its hash."""


@checked
@dataclass(frozen=True)
class CohortSettings:
    """What is done with every scan; fields as in `segment` and `OutputFiles`.

    Args:
        bundle: folder of the model; the one that comes along when left out.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        mode: see `monai_semgan.inference.segmentation.MODES`.
        modality: of all scans; told by list, file or values when left out.
        labels: names of organs; all when left out.
        cleanup: keep the largest piece of every organ.
        batch_size: slices computed together.
        steps: of the inversion.
        objective: of the inversion.
        format: ending of the label files, or `rtstruct`.
        maps: name of a folder inside the folder of each scan.
        overlay: name of a PNG there.
        report: name of a folder there.
        identifiers: reports name file, patient and study.
        follow_links: DICOM files are read through links wherever they lead.
        split: name of a folder in the folder of each scan, for one file per organ.
        statistics: name of a JSON file there.
        series: number or UID of the DICOM series to take in every scan, and which of its volumes.
        resample: DICOM slices are taken too that are tilted, unevenly spaced or in part missing.
        plane: `axial` or `stored`; `auto` for that which the model was trained on.
        rtstruct: name of a folder there, for a DICOM structure set.
        structured_report: name of a DICOM file there, for a report of the volumes; where `format` is `dcm`.
        send: results in DICOM go to the archive that the scan comes from.
    """

    bundle: Path | None = None
    device: str = "auto"
    mode: str = "preview"
    modality: str | None = None
    labels: tuple[str, ...] = ()
    cleanup: bool = True
    batch_size: int | None = None
    steps: int | None = None
    objective: str | None = None
    format: str = ".nii.gz"
    maps: str | None = None
    overlay: str | None = None
    report: str | None = None
    identifiers: bool = False
    follow_links: bool = False
    split: str | None = None
    statistics: str | None = None
    series: str | None = None
    resample: bool = False
    plane: Literal["auto", "axial", "stored"] = "auto"
    rtstruct: str | None = None
    structured_report: str | None = None
    send: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, counts=("batch_size",), not_negative=("steps",))
        known = (*label_endings(), RTSTRUCT)
        ending = self.format.lower().strip()
        ending = ending if ending.startswith(".") or ending == RTSTRUCT else f".{ending}"
        if ending not in known:
            remedy = f"use {', '.join(name.lstrip('.') for name in known)}"
            raise SemganError(f"unknown format {self.format!r}", remedy=remedy)
        object.__setattr__(self, "format", ending)
        if self.send and ending not in (".dcm", RTSTRUCT):
            raise SemganError(
                f"an archive takes DICOM, not {ending}", remedy="leave out --format, or give --format dcm"
            )
        for name in (self.maps, self.overlay, self.report, self.split, self.statistics, *self._dicom_extras):
            if name is not None and (Path(name).is_absolute() or ".." in Path(name).parts or not Path(name).parts):
                raise SemganError(
                    f"{name} leaves the folder of the scan", remedy="give a plain name: it goes into OUT/SCAN/"
                )

    def label_path(self, output: Path, case: Case) -> Path:
        """Return the file or folder of a scan's label."""
        return output / (f"{case.name}_{RTSTRUCT}" if self.format == RTSTRUCT else f"{case.name}{self.format}")

    def outputs(self, output: Path, case: Case) -> OutputFiles:
        """Return the files of a scan: the label, and the rest in a folder of the scan's name."""
        maps, overlay, report, split, statistics, structure_set, volume_report = (
            None if name is None else output / case.name / name
            for name in (self.maps, self.overlay, self.report, self.split, self.statistics, *self._dicom_extras)
        )
        label = self.label_path(output, case)
        return OutputFiles(
            label,
            maps,
            overlay,
            report,
            self.labels,
            self.identifiers,
            split=split,
            statistics=statistics,
            structure_set=structure_set,
            volume_report=volume_report,
        )

    @property
    def _dicom_extras(self) -> tuple[str | None, str | None]:
        return self.rtstruct, self.structured_report

    def model_hash(self) -> str:
        """Return the SHA-256 of the weights."""
        return weights_digest(bundle_folder(self.bundle))

    def key(self) -> str:
        """Hash the model with its configuration, and the settings."""
        values = {name: value for name, value in asdict(self).items() if name not in WITHOUT_EFFECT}
        for name, usual in ADDED_LATER.items():  # as in results of before there was a choice
            if values[name] == usual:
                del values[name]
        return fingerprint([__version__, model_digest(bundle_folder(self.bundle)), values])


def input_state(case: Case) -> str:
    """Hash what a data list tells of a scan, and the state of all files that belong to it."""
    return fingerprint([case.modality, case.problem, case.state or file_state(case.path)])


def case_key(settings_key: str, case: Case) -> str:
    """Hash settings, model, what a data list tells of the scan, and the state of all files that belong to it."""
    return fingerprint([settings_key, case.modality, case.problem, case.state or file_state(case.path)])
