"""Turn a segmentation into the contract's `Result`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from monai_semgan.jobs.contract import Domain, Finding, Mode, ModelId, Result
from monai_semgan.jobs.models import contract_labels
from monai_semgan.outputs.description import describe

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume
    from monai_semgan.quality.anatomy import AnatomyReport


def contract_result(
    job: str,
    version: int,
    found: Segmentation,
    volume: Volume,
    bundle: Bundle,
    names: Mapping[int, str],
    partial: bool,
    anatomy: AnatomyReport | None = None,
) -> Result:
    """Describe what a segmentation has found.

    Args:
        job: id.
        version: of the result.
        found: the segmentation.
        volume: the scan.
        bundle: the model.
        names: organ name by id, of those given out.
        partial: whether more is to come.
        anatomy: checks of the label, if they have been made.
    """
    facts = describe(found, volume, bundle, names, anatomy)
    domain = facts["domain"]
    return Result(
        job=job,
        version=version,
        partial=partial,
        mode=Mode(facts["mode"]),
        modality=facts["modality"],
        labels=contract_labels(names),
        volumes_ml=facts["volumes_ml"],
        shape=facts["shape"],
        affine=volume.affine.tolist(),
        slice_centres=[tuple(centre) for centre in found.prepared.geometry.slice_centres.tolist()],
        residual_per_slice=facts["residual_per_slice"],
        doubt_per_slice=facts["doubt_per_slice"],
        domain=None if domain is None else Domain(**domain),
        findings=[Finding(**finding) for finding in facts["findings"]],
        model=ModelId(**facts["model"]),
        notes=facts["notes"],
        parts=[],
        research_only=facts["research_only"],
    )
