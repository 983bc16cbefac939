"""Does a segmentation look like a body? Sides, pieces, sizes, and organs that the scan cuts off."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from monai_semgan.io.volume import voxel_ml
from monai_semgan.organs import above, adult_ml, larger, natural_pieces, passes_through, right_of

SMALL_SHARE = 0.02
"""Pieces smaller than this share of the organ are not told."""


MARGIN = 0.01
"""Volumes that are as near to a bound as this share are not told."""

PART_MM = 100.0
"""In scans lower than this, organs that are cut off do not show which lies above the other."""

KINDS = (
    "sides_swapped",
    "head_and_feet_swapped",
    "mirrored_header",
    "implausible_volume",
    "in_pieces",
    "cut_by_edge",
    "not_found",
)
"""What a check is for, by the name of what it may find."""

FLIPPED = "if the picture is right, the orientation in the file's header is wrong"


@dataclass(frozen=True)
class AnatomyCheck:
    """One thing that was looked at.

    Attributes:
        name: such as `liver right of spleen`.
        ok: nothing suspicious; None if it could not be checked.
        finding: one sentence.
        kind: one of `KINDS`.
        structures: names of the organs that it is about; none: the whole body.
    """

    name: str
    ok: bool | None
    finding: str
    kind: str = ""
    structures: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """In words."""
        return "not checked" if self.ok is None else "ok" if self.ok else "suspicious"


@dataclass(frozen=True)
class AnatomyReport:
    """All checks of the organs of a model, also those that could not be made."""

    checks: tuple[AnatomyCheck, ...]

    @property
    def suspicious(self) -> tuple[AnatomyCheck, ...]:
        """The checks that found something."""
        return tuple(check for check in self.checks if check.ok is False)


def check_anatomy(
    label: np.ndarray, affine: np.ndarray, labels: Mapping[int, str], covered: tuple[int, int] | None = None
) -> AnatomyReport:
    """Check a label volume; sides and sizes only of organs whose anatomy is known here.

    Args:
        label: ids `(I, J, K)`.
        affine: `(4, 4)` voxel to RAS mm.
        labels: organ name by id.
        covered: first, and one after the last, index of what was segmented, along the axis from feet to head; all
            when left out.
    """
    boxes = _boxes(label)
    masks = {name: (label[boxes[i]] == i, boxes[i]) for i, name in labels.items() if i in boxes}
    centres = {name: _centre(mask, box, affine) for name, (mask, box) in masks.items()}
    volumes = {name: float(mask.sum()) * voxel_ml(affine) for name, (mask, _) in masks.items()}
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axis = int(np.abs(affine[2, :3] / spacing).argmax())
    first, last = covered or (0, label.shape[axis])
    count, height = last - first, float((last - first) * spacing[axis])
    cut = {name for name, (_, box) in masks.items() if box[axis].start <= first or box[axis].stop >= last}
    at_side = {name for name, (_, box) in masks.items() if _reaches_side(box, label.shape, axis)}
    low = {name for name in cut if height < PART_MM}
    checks = [_order(a, b, centres, 0, "right of") for a, b in right_of() if a in centres and b in centres]
    for upper, lower in ((a, b) for a, b in above() if a in centres and b in centres):
        known = upper not in low and lower not in low
        name, reason = f"{upper} above {lower}", f"the scan is {height:.0f} mm high and cuts them off"
        checks.append(_order(upper, lower, centres, 2, "above") if known else _not_checked(name, reason))
    checks += [_larger(a, b, volumes, cut | at_side) for a, b in larger() if a in volumes and b in volumes]
    for name, (mask, _) in masks.items():
        if (natural := natural_pieces(name)) is not None:
            checks.append(_pieces(name, mask, natural))
        if (bounds := adult_ml(name)) is not None:
            checks.append(_size(name, volumes[name], bounds, name in cut | at_side))
        if name in cut | at_side and not passes_through(name):
            checks.append(_complete(name, count, name in cut, covered is not None))
    checks += [
        _not_checked(f"{name} found", f"no {name} was found", "not_found", (name,))
        for name in labels.values()
        if name not in masks
    ]
    return AnatomyReport(tuple(checks))


def _boxes(label: np.ndarray) -> dict[int, tuple[slice, slice, slice]]:
    return {i: box for i, box in enumerate(ndimage.find_objects(label), start=1) if box is not None}


def _reaches_side(box: tuple[slice, slice, slice], shape: tuple[int, ...], axis: int) -> bool:
    """Tell whether an organ reaches the edge of the slices; single images along an axis have none there."""
    others = (i for i in range(3) if i != axis and shape[i] > 1)
    return any(box[i].start == 0 or box[i].stop == shape[i] for i in others)


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
    kind = "sides_swapped" if axis == 0 else "head_and_feet_swapped"
    return AnatomyCheck(f"{first} {words} {second}", ok, finding, kind, (first, second))


def _not_checked(name: str, reason: str, kind: str = "", structures: tuple[str, ...] = ()) -> AnatomyCheck:
    return AnatomyCheck(name, None, f"{name[0].upper()}{name[1:]}: not checked, {reason}.", kind, structures)


def _complete(name: str, slices: int, at_end: bool, part: bool) -> AnatomyCheck:
    if slices == 1:
        return _not_checked(f"{name} complete", "the scan has 1 slice only")
    edge = "the edge of the slices" if not at_end else "the end of the slices that were computed"
    edge = "the end of the scan" if at_end and not part else edge
    return AnatomyCheck(f"{name} complete", False, f"The {name} reaches {edge}: cut off.", "cut_by_edge", (name,))


def _larger(first: str, second: str, volumes: Mapping[str, float], cut: Collection[str]) -> AnatomyCheck:
    ok = volumes[first] > volumes[second]
    if (second if ok else first) in cut:
        return _not_checked(f"{first} larger than {second}", "the scan cuts them off")
    finding = f"The {first} is larger than the {second}."
    if not ok:
        finding = f"The {first} is smaller than the {second}: a rare patient, or sides in the header are wrong."
    return AnatomyCheck(f"{first} larger than {second}", ok, finding, "implausible_volume", (first, second))


def _pieces(name: str, mask: np.ndarray, natural: int) -> AnatomyCheck:
    pieces, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, 2))
    sizes = np.bincount(pieces.reshape(-1))[1:]
    count = int((sizes >= SMALL_SHARE * sizes.sum()).sum())
    whole = count <= natural
    finding = f"The {name} is in one piece." if count == 1 else f"The {name} is in {count} pieces"
    finding += "" if count == 1 else "." if whole else ": look where it is torn; a part may be another organ."
    return AnatomyCheck(f"{name} in one piece", whole, finding, "in_pieces", (name,))


def _size(name: str, ml: float, bounds: tuple[float, float], cut: bool) -> AnatomyCheck:
    low, high = bounds
    if cut and ml < low:
        return _not_checked(f"{name} volume", f"the scan cuts it off, and {ml:.0f} ml of it are seen")
    ok = low * (1 - MARGIN) <= ml <= high * (1 + MARGIN)
    finding = f"The {name} has {ml:.0f} ml."
    if not ok:  # in figures that show it
        finding = f"The {name} has {ml:.{int(ml < 100)}f} ml, adults have {low:.0f} to {high:.0f} ml: check it."
    return AnatomyCheck(f"{name} volume", ok, finding, "implausible_volume", (name,))
