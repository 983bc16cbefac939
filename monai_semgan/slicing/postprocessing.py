"""Clean-up of a label volume on the scan's own grid: as many pieces as an organ has, no holes, no specks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from monai_semgan.io.volume import keep_labels, voxel_ml
from monai_semgan.organs import natural_pieces, speck_ml
from monai_semgan.utils.shared_background import whole_background

if TYPE_CHECKING:
    import torch

    from monai_semgan.slicing.geometry import SliceGeometry


MIN_SHARE = 0.001
"""Organs that take less than this part of a radiograph are specks."""


def clean_label(
    label: np.ndarray,
    voxel_ml: float,
    *,
    organs: Iterable[int] | None = None,
    min_ml: float | Mapping[int, float] = 1.0,
    pieces: Mapping[int, int | None] | None = None,
) -> np.ndarray:
    """Keep the largest piece of every organ, fill its holes, and drop organs that are no more than a speck.

    Holes are filled only where no other organ lies in them.

    Args:
        label: ids `(I, J, K)`.
        voxel_ml: volume of a voxel in ml.
        organs: ids to clean; all that occur when left out.
        min_ml: organs whose largest piece is smaller than this are dropped; also by id.
        pieces: how many pieces an organ may have, by id, such as 2 for both lungs; None for any number, but specks; 1
            when left out.

    Returns:
        A new array of the same type.
    """
    cleaned = label.copy()
    wanted = set(organs) if organs is not None else None
    for index, box in enumerate(ndimage.find_objects(label), start=1):
        if box is None or (wanted is not None and index not in wanted):
            continue
        region = cleaned[box]
        mask = label[box] == index
        least = min_ml.get(index, 1.0) if isinstance(min_ml, Mapping) else min_ml
        piece = largest_pieces(mask, (pieces or {}).get(index, 1), least / voxel_ml)
        np.putmask(region, mask, 0)
        del mask  # specks make the box as large as the scan: every array less counts
        if np.count_nonzero(piece) * voxel_ml < least:
            continue
        inner = ndimage.find_objects(piece.view(np.uint8))[0]  # what is kept is much smaller
        piece, region = piece[inner].copy(), region[inner]
        region[piece | (ndimage.binary_fill_holes(piece) & (region == 0))] = index
    return cleaned


def natural_part(mask: np.ndarray, name: str, voxel_ml: float) -> np.ndarray:
    """The part of a boolean array that the clean-up of this structure keeps, before it fills holes.

    Args:
        mask: where the structure was found.
        name: of the structure.
        voxel_ml: volume of a voxel in ml.
    """
    return largest_pieces(mask, natural_pieces(name), speck_ml(name) / voxel_ml)


def largest_pieces(mask: np.ndarray, count: int | None, least: float = 0.0) -> np.ndarray:
    """The `count` largest connected pieces of a boolean array; of the further ones only those of `least` voxels.

    Args:
        mask: boolean.
        count: how many at most; None for all.
        least: voxels of a further piece.
    """
    if count is None:
        return _pieces_of(mask, least)
    found = largest_piece(mask)
    for _ in range(count - 1):
        further = largest_piece(mask & ~found)
        if further.sum() < max(least, 1.0):
            break
        found |= further
    return found


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a boolean array (faces and edges connect); empty stays empty."""
    pieces, sizes = _sized(mask)
    return mask.copy() if len(sizes) < 3 else pieces == sizes.argmax()


def _pieces_of(mask: np.ndarray, least: float) -> np.ndarray:
    """All pieces of so many voxels, and the largest one in any case."""
    pieces, sizes = _sized(mask)
    wanted = sizes >= min(max(least, 1.0), sizes.max(initial=1))
    wanted[0] = False
    return wanted[pieces]


def _sized(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The connected pieces of a boolean array by number, and how many voxels each has; number 0 counts none."""
    pieces, count = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, 2))
    sizes = np.zeros(count + 1, dtype=np.int64)
    for plane in pieces:  # all at once takes a copy in 64 bits
        sizes += np.bincount(plane.reshape(-1), minlength=count + 1)
    sizes[0] = 0
    return pieces, sizes


def label_on_grid(
    geometry: SliceGeometry,
    probabilities: torch.Tensor,
    labels: Mapping[int, str],
    chosen: Iterable[int] | None = None,
    *,
    cleanup: bool = True,
    single: bool = False,
    added: Sequence[int] = (),
) -> np.ndarray:
    """Label ids `(I, J, K)` uint8 on the scan's own grid.

    Args:
        geometry: where the slices lie.
        probabilities: `(D, K, H, W)` on the slices, background first.
        labels: organ name by id.
        chosen: ids to keep; all when left out.
        cleanup: apply `clean_label`.
        single: the scan is a single image such as a radiograph.
        added: how many of the last classes were added to the model, by each head. They get what those before them
            leave as background, and those before them are what they would be without.
    """
    wanted = set(labels if chosen is None else chosen)
    clean = _cleaning(geometry, labels, single) if cleanup else (lambda label, organs: label)
    first = probabilities.shape[1] - sum(added)
    label = geometry.restore_label(whole_background(probabilities, added))
    free = label == 0
    keep_labels(label, (index for index in wanted if index < first))
    label = clean(label, None)
    for number, count in enumerate(added, start=1):
        known = whole_background(probabilities, added[number:])
        found = geometry.restore_label(known[:, [0, *range(first, first + count)]])
        found[found > 0] += first - 1
        found[~free] = 0
        free &= found == 0
        late = [index for index in range(first, first + count) if index in wanted]
        keep_labels(found, late)
        np.copyto(label, found, where=label == 0)
        label = clean(label, late) if late else label
        first += count
    return label


def _cleaning(
    geometry: SliceGeometry, labels: Mapping[int, str], single: bool
) -> Callable[[np.ndarray, Iterable[int] | None], np.ndarray]:
    """How labels of these structures are cleaned: a function of a label and the ids to clean, None for all."""
    volume = voxel_ml(geometry.source_affine)
    specks = {index: speck_ml(name) for index, name in labels.items()}
    smallest = MIN_SHARE * float(np.prod(geometry.source_shape)) * volume if single else specks
    pieces = {index: natural_pieces(name) for index, name in labels.items()}
    return lambda label, organs: clean_label(label, volume, organs=organs, min_ml=smallest, pieces=pieces)
