"""What the result of a correction says of itself: what the one before says, but for what the label has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from monai_semgan.jobs.contract import Finding, FindingLevel, Result
from monai_semgan.outputs.findings import findings_of_anatomy
from monai_semgan.quality.anatomy import KINDS, check_anatomy

if TYPE_CHECKING:
    from monai_semgan.inference.remarks import Remark
    from monai_semgan.io.volume import Volume

OF_THE_LABEL = frozenset(KINDS) - {"mirrored_header"} | {"nothing_found"}
"""Kinds of findings that another label answers anew."""


def corrected_result(
    before: Result,
    label: np.ndarray,
    volume: Volume,
    covered: tuple[int, int] | None,
    remarks: Sequence[Remark],
    names: Mapping[int, str],
) -> Result:
    """Describe a corrected label.

    Args:
        before: of the job that is corrected; radiographs have no volumes, and no anatomy to check.
        label: ids `(I, J, K)`.
        volume: the scan.
        covered: see `covered_slices`.
        remarks: of the correction.
        names: structure by id, of those given out.
    """
    findings = [_of_remark(remark) for remark in remarks]
    if not before.volumes_ml:
        kept, volumes = before.findings, {}
    else:
        kept = [finding for finding in before.findings if finding.code not in OF_THE_LABEL]
        report = check_anatomy(label, volume.affine, names, covered)
        findings += [Finding(**found.to_dict()) for found in findings_of_anatomy(report, names)]
        volumes = volumes_ml(label, volume.voxel_ml, names)
    dropped = {finding.text for finding in before.findings} - {finding.text for finding in kept}
    notes = [note for note in before.notes if note not in dropped]
    return before.model_copy(
        update={
            "findings": sorted([*findings, *kept], key=lambda finding: finding.level is not FindingLevel.warning),
            "notes": [*(remark.text for remark in remarks), *notes],
            "volumes_ml": volumes,
        }
    )


def volumes_ml(label: np.ndarray, voxel_ml: float, names: Mapping[int, str]) -> dict[str, float]:
    """Return the volumes of structures in ml, by name."""
    counts = np.bincount(label.ravel(order="K"), minlength=256)
    return {name: round(float(counts[index]) * voxel_ml, 2) for index, name in names.items()}


def _of_remark(remark: Remark) -> Finding:
    level = FindingLevel.warning if remark.warning else FindingLevel.info
    return Finding(code=remark.code or "correction", level=level, text=remark.text)
