"""What the synthetic patients of a model look like, as its bundle says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_semgan.bundle.labels import CONFIG
from monai_semgan.errors import SemganError
from monai_semgan.organs import structure_key

if TYPE_CHECKING:
    from monai_semgan.bundle.load import Bundle


@dataclass(frozen=True)
class PatientShape:
    """Describe what the synthetic patients of a model look like; the section `patient` of a bundle's configuration.

    Args:
        height_mm: extent of the walk from feet to head.
        slice_mm: distance of slices.
        organ_cm2: typical cross-sections at levels evenly spaced from feet to head, by organ name, of those organs that
            shall guide the walk; or a row for every level with a number for every organ; empty if unknown.
    """

    height_mm: float = 210.0
    slice_mm: float = 5.0
    organ_cm2: Mapping[str, tuple[float, ...]] | tuple[tuple[float, ...], ...] = ()


def patient_shape(bundle: Bundle) -> PatientShape:
    """Read the bundle's description of patients.

    Raises:
        SemganError: if it does not fit the labels.
    """
    values: Mapping[str, Any] = bundle.settings.get("patient", {})
    try:
        shape = PatientShape(**values)
        rows = organ_levels(shape, bundle.trained_labels)
        fits = rows.size == 0 or (rows.ndim == 2 and len(rows) > 1 and rows.shape[1] == len(bundle.trained_labels))
        fits = fits and shape.height_mm > 0 and shape.slice_mm > 0
    except (TypeError, ValueError):
        fits = False
    if not fits:
        remedy = "give height_mm, slice_mm and organ_cm2 with as many numbers for every organ, by its name"
        raise SemganError("the section 'patient' cannot be used", remedy=remedy, path=bundle.folder / CONFIG)
    return shape


def organ_levels(shape: PatientShape, labels: Mapping[int, str]) -> np.ndarray:
    """Give typical cross-sections `(levels, organs)` in cm², NaN for organs that do not guide the walk.

    Args:
        shape: of the patients of a model.
        labels: organ name by id.

    Raises:
        ValueError: if it names an organ that is not there, or not as many numbers for each.
    """
    if not isinstance(shape.organ_cm2, Mapping):
        return np.asarray(shape.organ_cm2, dtype=np.float64)
    known = {structure_key(name): np.asarray(values, np.float64) for name, values in shape.organ_cm2.items()}
    keys = [structure_key(name) for name in labels.values()]
    if len({len(values) for values in known.values()}) != 1 or set(known) - set(keys):
        raise ValueError("cross-sections of other organs, or at other levels")
    unknown = np.full(len(next(iter(known.values()))), np.nan)
    return np.stack([known.get(key, unknown) for key in keys], axis=1)
