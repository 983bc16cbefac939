"""Does a segmentation look like a body? Sides, pieces, sizes, and organs that the scan cuts off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from monai_semgan.io.volume import voxel_ml
from monai_semgan.organs import above, adult_ml, larger, natural_pieces, right_of

SMALL_SHARE = 0.02
"""Pieces smaller than this share of the organ are not told."""


FLIPPED = "if the picture is right, the orientation in the file's header is wrong"


@dataclass(frozen=True)
class AnatomyCheck:
    """One thing that was looked at.

    Attributes:
        name: such as `liver right of spleen`.
        ok: nothing suspicious.
        finding: one sentence.
    """

    name: str
    ok: bool
    finding: str


@dataclass(frozen=True)
class AnatomyReport:
    """All checks that apply to the organs of a model."""

    checks: tuple[AnatomyCheck, ...]

    @property
    def suspicious(self) -> tuple[AnatomyCheck, ...]:
        """The checks that found something."""
        return tuple(check for check in self.checks if not check.ok)


def check_anatomy(label: np.ndarray, affine: np.ndarray, labels: Mapping[int, str]) -> AnatomyReport:
    """Check a label volume; sides and sizes only of organs whose anatomy is known here.

    Args:
        label: ids `(I, J, K)`.
        affine: `(4, 4)` voxel to RAS mm.
        labels: organ name by id.
    """
    boxes = _boxes(label)
    masks = {name: (label[boxes[i]] == i, boxes[i]) for i, name in labels.items() if i in boxes}
    centres = {name: _centre(mask, box, affine) for name, (mask, box) in masks.items()}
    checks = [_order(a, b, centres, 0, "right of") for a, b in right_of() if a in centres and b in centres]
    checks += [_order(a, b, centres, 2, "above") for a, b in above() if a in centres and b in centres]
    volumes = {name: float(mask.sum()) * voxel_ml(affine) for name, (mask, _) in masks.items()}
    checks += [_larger(a, b, volumes) for a, b in larger() if a in volumes and b in volumes]
    axis = int(np.abs(affine[2, :3] / np.linalg.norm(affine[:3, :3], axis=0)).argmax())
    for name, (mask, box) in masks.items():
        cut = box[axis].start == 0 or box[axis].stop == label.shape[axis]
        checks.append(_pieces(name, mask, natural_pieces(name)))
        if (bounds := adult_ml(name)) is not None:
            checks.append(_size(name, volumes[name], bounds, cut))
        if cut and label.shape[axis] > 1:
            checks.append(AnatomyCheck(f"{name} complete", False, f"The {name} reaches the end of the scan: cut off."))
    return AnatomyReport(tuple(checks))


def _boxes(label: np.ndarray) -> dict[int, tuple[slice, slice, slice]]:
    return {i: box for i, box in enumerate(ndimage.find_objects(label), start=1) if box is not None}


def _centre(mask: np.ndarray, box: tuple[slice, slice, slice], affine: np.ndarray) -> np.ndarray:
    index = np.array([part.start for part in box]) + np.argwhere(mask).mean(0)
    return np.asarray(affine[:3, :3] @ index + affine[:3, 3])


def _order(first: str, second: str, centres: Mapping[str, np.ndarray], axis: int, words: str) -> AnatomyCheck:
    distance = float(centres[first][axis] - centres[second][axis])
    ok = distance > 0
    direction = "on the patient's right of" if axis == 0 else "above"
    finding = f"The {first} lies {abs(distance):.0f} mm {direction} the {second}."
    if not ok:
        opposite = "on the patient's left of" if axis == 0 else "below"
        finding = f"The {first} lies {abs(distance):.0f} mm {opposite} the {second}: {FLIPPED}."
    return AnatomyCheck(f"{first} {words} {second}", ok, finding)


def _larger(first: str, second: str, volumes: Mapping[str, float]) -> AnatomyCheck:
    ok = volumes[first] > volumes[second]
    finding = f"The {first} is larger than the {second}."
    if not ok:
        finding = f"The {first} is smaller than the {second}: a rare patient, or sides in the header are wrong."
    return AnatomyCheck(f"{first} larger than {second}", ok, finding)


def _pieces(name: str, mask: np.ndarray, natural: int) -> AnatomyCheck:
    pieces, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, 2))
    sizes = np.bincount(pieces.reshape(-1))[1:]
    count = int((sizes >= SMALL_SHARE * sizes.sum()).sum())
    whole = count <= natural
    finding = f"The {name} is in one piece." if count == 1 else f"The {name} is in {count} pieces"
    finding += "" if count == 1 else "." if whole else ": look where it is torn; a part may be another organ."
    return AnatomyCheck(f"{name} in one piece", whole, finding)


def _size(name: str, ml: float, bounds: tuple[float, float], cut: bool) -> AnatomyCheck:
    low, high = bounds
    ok = (low <= ml or cut) and ml <= high
    finding = f"The {name} has {ml:.0f} ml"
    finding += "." if ok else f", adults have {low:.0f} to {high:.0f} ml: check it."
    return AnatomyCheck(f"{name} volume", ok, finding)
