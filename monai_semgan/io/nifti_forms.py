"""Where a NIfTI header puts the voxels: it may tell two places, the qform and the sform, or none, and programs differ.

nibabel takes the sform first; ITK, and so 3D Slicer, the qform unless the sform has code 1 (scanner) or the qform has
code 0, and the voxel spacing always from `pixdim`. Here ITK decides between two forms that differ. What its rule makes
of an unusual header is asked of ITK itself: it compares the forms by a decomposition whose signs nothing else repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import aff2axcodes

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import GUESSED
from monai_semgan.io.volume import Place

NIBABEL_LOG = "nibabel.global"
"""Where nibabel reports what it mends in headers; what matters is checked here."""

UNIT_MM = {1: 1000.0, 3: 0.001}
"""NIfTI's codes of length units other than mm."""

SAME = 1e-3
"""Part of a voxel by which two places may differ at a corner and count as one."""

APART = 0.5
"""Part of a voxel from which on a user is told."""

ITK_GUESS = " 3D Slicer assumes front to back: results other than NIfTI lie as it shows the scan."


def place_of(header: Any, path: Path) -> Place:
    """Decide where the voxels lie.

    Args:
        header: nibabel's NIfTI header as stored, not mended.
        path: what messages name.

    Raises:
        SemganError: nothing in the header tells how large a voxel is.
    """
    forms = _forms(header)
    zooms = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if "sform" not in forms and not _possible(zooms):
        given = " x ".join(f"{zoom:g}" for zoom in zooms)
        raise SemganError(f"voxel spacing {given} mm is not possible", remedy="correct the header", path=path)
    unit = UNIT_MM.get(int(header["xyzt_units"]) % 8, 1.0)
    forms = {name: _scaled(form, unit) for name, form in forms.items()}
    if not forms:
        affine, notes = _scaled(mended(header).get_base_affine(), unit), (GUESSED + ITK_GUESS,)
        itk = _scaled(np.diag([-zooms[0], -zooms[1], zooms[2], 1.0]), unit)
        if (zooms < 0).any():
            itk = _ask_itk(header, affine)
        return Place(affine, (itk,), notes)
    return _between(header, forms, zooms * unit)


def _between(header: Any, forms: dict[str, np.ndarray], zooms: np.ndarray) -> Place:
    """The place by one of the forms, which are in mm as `zooms` is."""
    shape = header.get_data_shape()[:3]
    name, other = "sform" if "sform" in forms else "qform", "qform"
    affine = forms[name]
    differ = len(forms) == 2 and not distance(affine, forms[other], shape) < SAME * _step(forms[other])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not differ and np.allclose(zooms, spacing, rtol=SAME, atol=0):
        return Place(affine)
    itk, notes = _ask_itk(header, affine), []
    if differ and _apart(affine, forms[other], shape):
        if not distance(itk, affine, shape) <= distance(itk, forms[other], shape):
            name, other = other, name
        affine = forms[name]
        notes.append(_differ_note(header, forms, name, other))
    if np.isfinite(affine).all() and _apart(itk, affine, shape):
        notes.append(
            f"The header's voxel spacing (pixdim) contradicts its {name}: measures follow the {name}, 3D Slicer shows "
            f"the scan by pixdim, up to {distance(itk, affine, shape):.0f} mm away, and so lie results other than "
            "NIfTI."
        )
    return Place(affine, (itk, *forms.values()), tuple(notes))


def _differ_note(header: Any, forms: dict[str, np.ndarray], taken: str, left: str) -> str:
    apart = distance(forms[taken], forms[left], header.get_data_shape()[:3])
    far = f", up to {apart:.0f} mm apart" if np.isfinite(apart) else ""
    codes = {name: int(header[f"{name}_code"]) for name in forms}
    note = (
        f"The header puts the scan at two places{far}, by its qform (code {codes['qform']}) and by its sform (code "
        f"{codes['sform']}): the {taken} is taken, as 3D Slicer does; which one is right cannot be told."
    )
    axes = {name: _axes(form) for name, form in forms.items()}
    if axes[taken] == axes[left]:
        return note
    sides = [next((letter for letter in code if letter in "LR"), "") + str(_side_axis(code)) for code in axes.values()]
    swapped = ", with left and right changed" if sides[0] != sides[1] else ""
    return f"{note} By the {left} the voxel axes run {axes[left]} instead of {axes[taken]}{swapped}: check the sides."


def _axes(affine: np.ndarray) -> str:
    if not np.isfinite(affine).all():
        return "nowhere"
    return "".join(str(code or "?") for code in aff2axcodes(affine))


def _side_axis(axes: str) -> int:
    return next((number for number, letter in enumerate(axes) if letter in "LR"), -1)


def distance(one: np.ndarray, other: np.ndarray, shape: Sequence[int]) -> float:
    """Return the largest distance in mm, along a patient axis, between the places of a volume's corners."""
    corners = np.array(np.meshgrid(*[(0, max(n - 1, 0)) for n in shape], 1, indexing="ij")).reshape(len(shape) + 1, -1)
    if len(shape) < 3:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs((one - other) @ corners).max()
    return float(apart) if np.isfinite(apart) else float("inf")


def _apart(one: np.ndarray, other: np.ndarray, shape: Sequence[int]) -> bool:
    return distance(one, other, shape) > APART * min(_step(one), _step(other))


def _step(affine: np.ndarray) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        step = float(np.linalg.norm(affine[:3, :3], axis=0).min())
    return step if np.isfinite(step) else 0.0


def _possible(zooms: np.ndarray) -> bool:
    return bool(np.isfinite(zooms).all() and np.abs(zooms).min() > 0)


def _scaled(affine: np.ndarray, unit: float) -> np.ndarray:
    scaled = np.array(affine, dtype=np.float64)
    scaled[:3] *= unit
    return scaled


def _forms(header: Any) -> dict[str, np.ndarray]:
    """The sform and the qform in the header's unit, as far as it has them."""
    fixed, forms = mended(header), {}
    if header["sform_code"] > 0:
        forms["sform"] = np.array(fixed.get_sform(), dtype=np.float64)
    quaternion = [float(header[f"quatern_{letter}"]) for letter in "bcd"]
    if header["qform_code"] > 0 and np.isfinite(quaternion).all() and _possible(np.asarray(header["pixdim"][1:4])):
        forms["qform"] = np.array(fixed.get_qform(), dtype=np.float64)
    return forms


def mended(header: Any) -> Any:
    """Return a copy that nibabel takes: spacing above 0, handedness 1 or -1, a quaternion of length 1 at most."""
    fixed = header.copy()
    zooms = np.abs(fixed["pixdim"][1:4])
    fixed["pixdim"][1:4] = np.where(np.isfinite(zooms) & (zooms > 0), zooms, 1.0)
    fixed["pixdim"][0] = -1.0 if header["pixdim"][0] < 0 else 1.0
    length = float(np.linalg.norm([float(header[f"quatern_{letter}"]) for letter in "bcd"]))
    if length > 1:
        for letter in "bcd":  # the remaining part is 0, as in NIfTI's own library
            fixed[f"quatern_{letter}"] = header[f"quatern_{letter}"] / length
    for code in ("qform_code", "sform_code"):
        fixed[code] = min(max(int(header[code]), 0), 5)
    return fixed


def _ask_itk(header: Any, otherwise: np.ndarray) -> np.ndarray:
    """Return where ITK puts the voxels; `otherwise` if it refuses the header."""
    small = nibabel.Nifti1Header()
    small.set_data_shape((2, 2, 2))
    small.set_data_dtype(np.uint8)
    small["pixdim"][:4] = header["pixdim"][:4]
    for field in ("qform_code", "sform_code", "xyzt_units", "srow_x", "srow_y", "srow_z"):
        small[field] = header[field]
    for name in (*(f"quatern_{letter}" for letter in "bcd"), *(f"qoffset_{letter}" for letter in "xyz")):
        small[name] = header[name]
    small["vox_offset"] = 352
    small["magic"] = b"n+1"
    found = _itk_affine(small.binaryblock)
    return otherwise if found is None else np.array(found)


@lru_cache(maxsize=64)
def _itk_affine(block: bytes) -> tuple[tuple[float, ...], ...] | None:
    itk = import_module("monai_semgan.io.itk")  # reading an ordinary NIfTI does without it
    affine: tuple[tuple[float, ...], ...] | None = itk.affine_of_nifti(block)
    return affine
