"""What a result says about itself, in JSON's types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from monai_semgan.inference.examination import examine
from monai_semgan.organs import RESEARCH_ONLY, find_organ
from monai_semgan.outputs.findings import findings_of

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle
    from monai_semgan.inference.segmentation import Segmentation
    from monai_semgan.io.volume import Volume
    from monai_semgan.quality.anatomy import AnatomyReport


FACTS = (
    "mode",
    "modality",
    "shape",
    "volumes_ml",
    "residual_per_slice",
    "doubt_per_slice",
    "domain",
    "findings",
    "model",
    "notes",
    "research_only",
)
"""What `describe` tells beside names and colours of the labels; results of jobs carry the same."""


def describe(
    found: Segmentation,
    volume: Volume,
    bundle: Bundle,
    names: Mapping[int, str],
    anatomy: AnatomyReport | None = None,
) -> dict[str, Any]:
    """Return the facts of a segmentation.

    Args:
        found: the segmentation.
        volume: what was segmented.
        bundle: what segmented it.
        names: organ name by id, of those given out.
        anatomy: if it has been examined already; without the mirror image, which takes time, when left out.

    Returns:
        `label_names` (id by name), `label_colors`, and what `FACTS` names: `residual_per_slice` is the mean absolute
        difference between slice and rendering in units of the scan, None for a preview; `doubt_per_slice` and
        `domain` are None where not assessed, an entry of the former where nothing was found in the slice;
        `findings` as `ResultFinding.to_dict` tells them, warnings first.
    """
    anatomy = anatomy or examine(found, volume, bundle, names, mirror=False)
    return {
        "label_names": {name: index for index, name in names.items()},
        "label_colors": {name: list(find_organ(name, index).colour) for index, name in names.items()},
        "mode": found.mode,
        "modality": found.prepared.modality,
        "shape": list(volume.array.shape),
        "volumes_ml": {name: round(value, 2) for name, value in found.volumes_ml.items()},
        "residual_per_slice": residual_per_slice(found),
        "doubt_per_slice": doubt_per_slice(found),
        "domain": domain(found),
        "findings": [finding.to_dict() for finding in findings_of(found, names, anatomy)],
        "model": {**model_facts(bundle), "sha256": bundle.weights_sha256},
        "notes": list(found.notes),
        "research_only": RESEARCH_ONLY,
    }


def model_facts(bundle: Bundle) -> dict[str, str]:
    """Return `name` and `version` of a model; a bundle without a name has that of its folder."""
    name, version = (str(bundle.metadata.get(key, "")) for key in ("name", "version"))
    return {"name": name or bundle.folder.name, "version": version}


def residual_per_slice(found: Segmentation) -> list[float] | None:
    """Return the mean absolute residual of every slice in units of the scan; None without an inversion."""
    if found.inversion is None:
        return None
    low, high = found.prepared.value_range
    return [round(float(value) / 2 * (high - low), 3) for value in found.inversion.residual.mean((1, 2))]


def doubt_per_slice(found: Segmentation) -> list[float | None] | None:
    """Return how unsure every slice is, 0 to 1, None where nothing was found; None for all if nothing assessed them."""
    if found.domain is None:
        return None
    return [None if math.isnan(value) else round(float(value), 3) for value in found.domain.per_slice]


def domain(found: Segmentation) -> dict[str, Any] | None:
    """Return score, verdict, advice and expected Dice of a scan; None if there is no score, the notes say why."""
    if found.domain is None or found.domain.score is None:
        return None
    facts = found.domain.to_dict()
    return {name: facts[name] for name in ("score", "verdict", "advice", "expected_dice")}
